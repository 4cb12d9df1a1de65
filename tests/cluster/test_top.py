"""`trimaran top` against nodes, one of which is killed."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .command import START_S, TRIMARAN, trimaran, until
from .terminal import Terminal

if TYPE_CHECKING:
    from .command import Up
    from .conftest import StartUp

pytestmark = pytest.mark.timeout(180)


def once(up: Up, node: str = "n1") -> str:
    done = trimaran("top", "--once", "--url", f"{up.host}:{up.base(node)}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_frame_tells_rates_latencies_and_lag_and_names_a_killed_node(
    start_up: StartUp, tmp_path: Path
) -> None:
    up = start_up("--shards", "4")
    up.wait_ready()
    is_over = threading.Event()

    def write() -> None:
        client = up.redis("n1", db=1)
        while not is_over.is_set():
            client.incr("n")
            client.get("n")

    writing = threading.Thread(target=write)
    writing.start()
    try:
        told = once(up, "n2")
    finally:
        is_over.set()
        writing.join()
    assert "3 of 3 nodes up  5 of 5 shards led" in told
    assert re.search(
        r"(?m)^n1 .* yes +\d+ +[1-9]\d* +[\d,]*[1-9][\d,]* .* ms .* ms .*%.*MiB$", told
    ), told
    assert re.search(r"(?m)^0 +n\d +\d+ +1 ", told), told  # One key.

    up.kill("n3")
    up.wait_for("n3 died")
    for _ in range(50):
        up.redis("n1", db=1).incr("n")  # What the dead one is behind.
    until(lambda: "5 of 5 shards led" in once(up), lambda: once(up), START_S)
    told = once(up)
    assert "2 of 3 nodes up" in told
    assert f"n3 is down: {up.host}:{up.base('n3') + 3}: " in told
    assert re.search(r"(?m)^n3 .* NO +0 +- ", told), told
    assert re.search(r"(?m)^0 .* n3\(-\d+\)", told), told

    with Terminal(
        [str(TRIMARAN), "top", "--url", up.urls, "--interval", "0.2"], tmp_path
    ) as screen:
        screen.expect("n3 is down")
        screen.type("q")
        assert screen.exit_code() == 0


def test_without_a_node_it_says_so_and_ends() -> None:
    done = trimaran("top", "--once", "--url", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("trimaran: no node answers\n127.0.0.1:4: ")
