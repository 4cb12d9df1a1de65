"""`trimaran up`, `down` and `status`, as printed in the README and leaned on by operators."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trimaran.client.up import is_alive

from .command import START_S, Up, free_base, trimaran, until

if TYPE_CHECKING:
    import random

    from ..chaos.processes import Processes
    from .conftest import StartUp


def test_it_says_where_to_connect_and_every_node_answers_for_all_keys(start_up: StartUp) -> None:
    up = start_up()
    ready = up.wait_for(r"(?m)^ready: (.*)$")
    assert ready.group(1).split() == [f"127.0.0.1:{up.base(name)}" for name in ("n1", "n2", "n3")]
    for db in (0, 1):
        up.wait_for(rf"redis://127\.0\.0\.1:{up.port}/{db} ")
        for i, writer in enumerate(("n1", "n2", "n3")):
            assert up.redis(writer, db).set(f"key:{i}", writer)
        for reader in ("n1", "n2", "n3"):
            client = up.redis(reader, db)
            assert [client.get(f"key:{i}") for i in range(3)] == ["n1", "n2", "n3"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_node_cleanly(start_up: StartUp, number: signal.Signals) -> None:
    up = start_up("--shards", "2")
    up.wait_ready()
    pids = [up.pid(name) for name in ("n1", "n2", "n3")]
    assert up.end(number) == 0
    assert not any(map(is_alive, pids))
    assert "killed" not in up.said


def test_started_again_on_other_ports_and_host_it_continues_with_what_is_there(
    start_up: StartUp,
) -> None:
    up = start_up("--shards", "4")
    up.wait_ready()
    assert up.redis("n2").set("kept", "yes")
    assert up.redis("n2", 3).set("kept", "too")
    assert up.stop() == 0
    again = start_up(data=up.data, host="127.0.0.2")
    again.wait_ready()
    assert "4 shards" in again.said
    assert again.redis("n1").get("kept") == "yes"
    assert again.redis("n3", 3).get("kept") == "too"
    assert again.stop() == 0
    refused = trimaran("up", "--shards", "8", "--data", str(up.data))
    assert refused.returncode == 1
    assert "was made with 4 shards" in refused.stderr


def test_a_second_up_on_the_same_data_is_told_so_and_down_stops_the_first(
    start_up: StartUp, ports_rng: random.Random
) -> None:
    up = start_up("--shards", "1")
    up.wait_ready()
    second = trimaran("up", "--data", str(up.data), "--port", str(free_base(ports_rng)))
    assert second.returncode == 1
    assert f"is running on {up.data} already (process {up.process.pid})" in second.stderr
    down = trimaran("down", "--data", str(up.data))
    assert (down.returncode, down.stdout) == (0, f"stopped what ran on {up.data}\n")
    assert up.process.exit_code == 0
    assert trimaran("down", "--data", str(up.data)).stdout == f"nothing runs on {up.data}\n"


def test_a_taken_port_is_named_before_any_process_starts(
    tmp_path: Path, ports_rng: random.Random
) -> None:
    port = free_base(ports_rng)
    with socket.create_server(("127.0.0.1", port + 13)):
        done = trimaran("up", "--port", str(port), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert f"port {port + 13} on 127.0.0.1 (n2, HTTP) is taken" in done.stderr
    assert not (tmp_path / "data" / "n1").exists()


def test_a_node_that_dies_is_reported_with_the_command_that_starts_it_again(
    start_up: StartUp, processes: Processes, tmp_path: Path
) -> None:
    up = start_up()
    up.wait_ready()
    leader = up.leader(1)
    other = next(name for name in ("n1", "n2", "n3") if name != leader)
    assert up.redis(leader, 1).set("before", "death")
    up.kill(leader)
    line = up.wait_for(rf"{leader} died: killed by SIGKILL; start it again with\n  (.+)\n")
    assert up.redis(other, 1).get("before") == "death"
    assert up.redis(other, 1).set("after", "death")
    restarted = processes.start(leader, shlex.split(line.group(1)), tmp_path / "restarted")
    until(
        lambda: is_node_ready(up, leader),
        lambda: f"{leader} is not ready:\n{restarted.tail()}\n{up.said}",
        START_S,
    )
    assert up.redis(leader, 1).get("after") == "death"


def is_node_ready(up: Up, node: str) -> bool:
    try:
        return up.status(node).is_ready
    except (OSError, ValueError):
        return False


def test_an_up_killed_with_9_leaves_nodes_that_down_finds(start_up: StartUp) -> None:
    up = start_up("--shards", "1")
    up.wait_ready()
    pids = [up.pid(name) for name in ("n1", "n2", "n3")]
    up.process.kill()
    assert up.redis("n1").set("still", "served")
    second = trimaran("up", "--data", str(up.data), "--port", str(up.port))
    assert second.returncode == 1
    assert f"trimaran down --data {up.data}" in second.stderr
    assert trimaran("down", "--data", str(up.data)).returncode == 0
    assert not any(map(is_alive, pids))


def test_status_shows_the_cluster_and_fails_without_leaders(start_up: StartUp) -> None:
    up = start_up()
    up.wait_ready()
    assert up.redis().set("a", "1")
    # Leaders still move to where they are preferred: asked until nothing changes meanwhile.
    told: list[str] = []

    def has_settled() -> bool:
        done = trimaran("status", "--url", f"127.0.0.1:{up.base('n2')}")
        words = ("status", "--json", "--url", f"127.0.0.1:{up.port + 3}")
        told[:] = [done.stdout + done.stderr, trimaran(*words).stdout]
        is_led = done.returncode == 0 and "3 of 3 nodes up  17 of 17 shards led" in done.stdout
        return is_led and all(one["lag"] is not None for one in json.loads(told[1])["shards"])

    until(has_settled, lambda: "\n".join(told), START_S)
    status = json.loads(told[1])
    assert [node["name"] for node in status["nodes"]] == ["n1", "n2", "n3"]
    assert all(node["memory_bytes"] > 0 for node in status["nodes"])
    assert [one["shard"] for one in status["shards"]] == [*range(16), "meta"]
    for one in status["shards"]:
        assert one["leader"] in ("n1", "n2", "n3")
        assert one["term"] >= 1
        assert len(one["replicas"]) == 3
    os.kill(up.pid("n1"), signal.SIGKILL)
    os.kill(up.pid("n2"), signal.SIGKILL)
    up.wait_for("1 of 3 nodes run: no majority, no writes")
    alone = trimaran("status", "--url", up.urls)
    assert alone.returncode == 1
    assert "NONE" in alone.stdout
    os.kill(up.pid("n3"), signal.SIGKILL)
    up.wait_for("no node is left")
    until(lambda: not up.process.is_running, lambda: up.said, START_S)
    assert up.process.exit_code == 1
    nobody = trimaran("status", "--url", up.urls)
    assert nobody.returncode == 1
    assert "no node answers at" in nobody.stderr


def test_without_leaders_it_says_whom_each_node_waits_for_and_an_emptied_node_does_not_start(
    start_up: StartUp, processes: Processes, tmp_path: Path
) -> None:
    """correctness B2: a formed member with an empty folder says what to do and stops."""
    up = start_up("--shards", "2")
    up.wait_ready()
    assert up.stop() == 0
    for name in ("n2", "n3"):
        (up.data / name).rename(tmp_path / f"lost-{name}")
    impatient = tmp_path / "impatient.py"
    impatient.write_text(
        "from trimaran.client import up\n"
        "from trimaran.client.cli import main\n"
        "up.NO_LEADER_S = 1.0\n"
        "main()\n"
    )
    output = tmp_path / "output"
    words = [sys.executable, str(impatient), "up", "--data", str(up.data), "--port", str(up.port)]
    again = processes.start("up again", words, output)
    until(
        lambda: "n1 waits for n2, n3" in output.read_text(),
        lambda: output.read_text() + up.node_logs(),
        START_S,
    )
    said = output.read_text()
    assert "no leader for every shard after 1 s:" in said
    again.terminate()
    assert again.exit_code == 0
