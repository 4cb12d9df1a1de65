"""What `trimaran up` refuses before it starts anything, and what it says of the dead."""

from __future__ import annotations

import logging
import random
import shlex
import socket
from pathlib import Path

import pytest

from trimaran.client.plan import (
    PORTS_PER_NODE,
    Plan,
    Refused,
    UpLock,
    check_ports,
    is_locked,
    make_plan,
    read_processes,
    write_record,
)
from trimaran.client.up import LOG_BYTES_MAX, LogFile, death, down, is_important
from trimaran.node.config import load
from trimaran.node.logs import FieldFormatter

from ..chaos.processes import free_ports


def plan(data: Path, **options: object) -> Plan:
    values: dict[str, object] = {
        "nodes": None,
        "shards": None,
        "port": 7379,
        "host": "127.0.0.1",
        "announce": None,
        "fsync": "always",
    }
    return make_plan(data=data, **values | options)  # type: ignore[arg-type]  # Options by name.


def found(data: Path, **options: object) -> None:
    """Leaves behind what a cluster that ran there would."""
    made = plan(data, **options)
    write_record(made)
    for node in made.nodes:
        node.folder.mkdir()
        (node.folder / "identity.json").write_text("{}")


def test_node_i_has_the_base_port_plus_ten_times_i(tmp_path: Path) -> None:
    made = plan(tmp_path, nodes=5)
    assert [node.port for node in made.nodes] == [7379, 7389, 7399, 7409, 7419]
    assert [node.name for node in made.nodes] == ["n1", "n2", "n3", "n4", "n5"]


def test_the_printed_command_is_one_that_a_node_accepts(tmp_path: Path) -> None:
    made = plan(tmp_path / "with a space", shards=4, host="0.0.0.0", announce="db1")
    words = shlex.split(made.command_line(made.nodes[1]))
    config = load(words[words.index("node") + 1 :], {})
    assert (config.name, config.port, config.shards) == ("n2", 7389, 4)
    assert config.reached_at == ("db1", 7389)
    assert config.data_dir == str(tmp_path / "with a space" / "n2")
    assert [one.grpc_port for one in config.founders] == [7381, 7391, 7401]
    assert config.peers == config.founders


def test_data_is_continued_with_its_own_number_of_nodes_and_shards(tmp_path: Path) -> None:
    found(tmp_path, nodes=5, shards=4)
    made = plan(tmp_path, port=9000, host="127.0.0.2")
    assert (len(made.nodes), made.shards) == (5, 4)


def test_another_number_of_shards_than_the_datas_is_refused(tmp_path: Path) -> None:
    found(tmp_path, shards=4)
    with pytest.raises(Refused, match=r"--shards 8: the data in .* was made with 4 shards"):
        plan(tmp_path, shards=8)
    assert plan(tmp_path, shards=4).shards == 4


def test_another_number_of_nodes_than_the_datas_is_refused(tmp_path: Path) -> None:
    found(tmp_path, nodes=3)
    with pytest.raises(Refused, match=r"--nodes 5: the data in .* belongs to 3 nodes"):
        plan(tmp_path, nodes=5)


def test_a_start_that_never_founded_anything_binds_nobody(tmp_path: Path) -> None:
    write_record(plan(tmp_path, shards=4))
    (tmp_path / "n1").mkdir()
    (tmp_path / "n1" / "node.log").write_text("it did not start")
    assert plan(tmp_path, shards=8).shards == 8


def test_a_damaged_record_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text("{")
    with pytest.raises(Refused, match=r"up\.json is damaged"):
        plan(tmp_path)


def test_ports_beyond_the_last_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="need ports up to 65543"):
        plan(tmp_path, port=65520)


def test_every_taken_port_is_named_with_its_node_and_use(tmp_path: Path) -> None:
    base = free_ports(range(PORTS_PER_NODE), random.Random())
    made = plan(tmp_path, nodes=1, port=base)
    with (
        socket.create_server(("127.0.0.1", base + 2)),
        pytest.raises(Refused, match=rf"port {base + 2} on 127\.0\.0\.1 \(n1, gRPC\) is taken"),
    ):
        check_ports(made)
    check_ports(made)


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"192\.0\.2\.1 .* cannot be used"):
        check_ports(plan(tmp_path, nodes=1, host="192.0.2.1"))


def test_an_address_nobody_can_call_must_be_announced_otherwise(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="needs --announce"):
        plan(tmp_path, host="0.0.0.0")


def test_a_second_up_on_the_same_data_is_told_of_the_first(tmp_path: Path) -> None:
    lock = UpLock(tmp_path)
    lock.record({"up": 123, "n1": 124})
    assert is_locked(tmp_path)
    with pytest.raises(Refused, match=r"is running on .* already \(process 123\)"):
        UpLock(tmp_path)
    lock.close()
    assert not is_locked(tmp_path)
    assert read_processes(tmp_path) == {"up": 123, "n1": 124}
    UpLock(tmp_path).close()


def test_down_leaves_processes_alone_that_are_not_nodes_of_this_data(tmp_path: Path) -> None:
    lock = UpLock(tmp_path)
    lock.record({"up": 1, "n1": 1})  # Numbers are given again; 1 is never ours.
    lock.close()
    said: list[str] = []
    assert down(tmp_path, said.append) == 0
    assert said == [f"nothing runs on {tmp_path}"]


def test_warnings_and_worse_are_shown_and_the_rest_stays_in_the_file(tmp_path: Path) -> None:
    node = plan(tmp_path).nodes[0]
    said: list[str] = []
    log = LogFile(node, said.append)
    with node.log.open("a") as file:
        file.write("2026-01-01 00:00:00.000 INFO leader shard=1\n2026-01-01 00:00:00.000 WARN")
        file.flush()
        log.follow()
        assert said == []
        file.write("ING waiting for=n2\n")
    log.follow()
    assert said == ["n1 | 2026-01-01 00:00:00.000 WARNING waiting for=n2"]
    assert log.last_lines()[-1].endswith("waiting for=n2")
    log.close()


def test_a_log_that_reaches_its_limit_starts_over_and_keeps_one_older_file(tmp_path: Path) -> None:
    node = plan(tmp_path).nodes[0]
    log = LogFile(node, lambda _line: None)
    with node.log.open("ab") as file:
        file.write(b"x" * LOG_BYTES_MAX + b"\n")
        file.flush()
        log.follow()
        assert node.log.stat().st_size == 0
        assert (node.folder / "node.log.1").stat().st_size > LOG_BYTES_MAX
        file.write(b"after\n")
    log.follow()
    assert log.last_lines() == ["after"]
    log.close()


def test_a_death_is_told_in_words() -> None:
    assert death(-9) == "killed by SIGKILL"
    assert death(3) == "it ended with exit code 3"


def test_only_the_level_makes_a_line_important() -> None:
    assert is_important("2026-01-01 00:00:00.000 ERROR disk")
    assert not is_important("2026-01-01 00:00:00.000 INFO no ERROR here")
    assert not is_important("ERROR")


def test_the_level_stands_where_the_node_writes_it() -> None:
    record = logging.makeLogRecord({"levelno": 30, "levelname": "WARNING", "msg": "waiting"})
    assert is_important(FieldFormatter().format(record))
