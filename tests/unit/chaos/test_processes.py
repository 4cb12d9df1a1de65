"""The harness ends what it started, and reads what the kernel says of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ...chaos import etcd
from ...chaos.processes import TICKS_PER_SECOND, Processes, cpu_seconds_of

FOREVER = [sys.executable, "-c", "import signal; signal.pause()"]


def test_cpu_time_is_user_and_system_time_whatever_the_name() -> None:
    stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 5 0 900 1 2"
    assert cpu_seconds_of(stat) == 400 / TICKS_PER_SECOND


def test_leaving_the_block_by_an_error_ends_every_process(tmp_path: Path) -> None:
    started = []
    with pytest.raises(RuntimeError), Processes() as processes:  # noqa: PT012  # The block is it.
        started.append(processes.start("running", FOREVER, tmp_path / "running"))
        started.append(processes.start("paused", FOREVER, tmp_path / "paused"))
        started[1].pause()
        raise RuntimeError
    assert [process.is_running for process in started] == [False, False]


def test_a_killed_process_can_be_started_again(tmp_path: Path) -> None:
    with Processes() as processes:
        process = processes.start("again", FOREVER, tmp_path / "output")
        first = process.pid
        process.kill()
        assert not process.is_running
        process.start()
        assert process.is_running
        assert process.pid != first


def test_messages_of_etcd_are_protobuf_in_a_grpc_frame() -> None:
    assert etcd.put_request(b"k", b"vv") == b"\x0a\x01k\x12\x02vv"
    assert etcd.range_request(b"k" * 200) == b"\x0a\xc8\x01" + b"k" * 200
    assert etcd.framed(b"abc") == b"\x00\x00\x00\x00\x03abc"
