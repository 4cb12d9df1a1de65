"""`trimaran cli` as a user runs it: one command, lines in a pipe, and a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ..chaos.processes import Processes
from .command import START_S, TRIMARAN, Up, free_base, until
from .terminal import CTRL_C, CTRL_D, Terminal

pytestmark = pytest.mark.timeout(180)

# Replies of all kinds. What is answered by redis-cli over RESP is what is expected.
LINES = r"""
SET s "a\"b\\c\n\t\x00\xff"
GET s
GET none
INCR n
INCR s
NOSUCH a b
GET
HSET h f 1 g "two words"
HGETALL h
HGETALL none
SADD m x
SMEMBERS m
SMEMBERS none
ZADD z 1.5 a 2 b
ZRANGE z 0 -1 WITHSCORES
ZSCORE z a
RPUSH l 1 2 3 4 5 6 7 8 9 10 11
LRANGE l 0 -1
XADD st 1-1 k v k2 v2
XADD st 1-2 k v
XGROUP CREATE st g 0
XREAD STREAMS st 0
XREADGROUP GROUP g c COUNT 1 STREAMS st >
XINFO STREAM st FULL
BLPOP none l 1
EVAL "return {1,{2,{3}},redis.error_reply('BAD x'),redis.status_reply('FINE'),false}" 0
WATCH n
MULTI
INCR n
GET s
LPUSH s 1
EXEC
MULTI
NOSUCH
EXEC
EXEC
DISCARD
SELECT 2
GET n
SELECT 99
LPUSH "open
PING
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    import random

    with Processes() as processes:
        port = free_base(random.Random(os.getpid()))
        up = Up(processes, tmp_path_factory.mktemp("cli") / "data", port, "--shards", "4")
        up.wait_ready()
        yield up
        up.stop()


def addresses(up: Up) -> list[str]:
    return [
        word
        for name in ("n1", "n2", "n3")
        for word in ("--address", f"{up.host}:{up.base(name) + 2}")
    ]


def cli(
    up: Up, *words: str, lines: str | None = None, flags: Sequence[str] = ()
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(TRIMARAN), "cli", *addresses(up), *flags, *words],
        input=None if lines is None else lines.encode(),
        stdin=subprocess.DEVNULL if lines is None else None,
        capture_output=True,
        check=False,
        timeout=START_S,
    )


@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize("protocol", [2, 3])
def test_replies_are_printed_as_redis_cli_prints_them(
    up: Up, *, protocol: int, is_raw: bool
) -> None:
    flag = "--raw" if is_raw else "--no-raw"
    up.redis(db=1).flushall()
    theirs = subprocess.run(
        ["redis-cli", "-p", str(up.port), "-n", "1", f"-{protocol}", flag],
        input=LINES.encode(),
        capture_output=True,
        check=True,
        timeout=START_S,
    )
    up.redis(db=1).flushall()
    flags = ["-n", "1", flag, *(["-3"] if protocol == 3 else [])]
    ours = cli(up, lines=LINES, flags=flags)
    assert _timeless(ours.stdout) == _timeless(theirs.stdout)
    assert (ours.returncode, ours.stderr) == (1, b"")  # Some commands were refused.


def _timeless(text: bytes) -> bytes:
    return re.sub(rb"\b\d{13}\b", b"TIME", text)


def test_one_command_and_its_exit_code(up: Up) -> None:
    assert cli(up, "SET", "k", "v", flags=["-n", "3"]).stdout == b"OK\n"
    got = cli(up, "GET", "k", flags=["-n", "3", "--no-raw"])
    assert (got.stdout, got.stderr, got.returncode) == (b'"v"\n', b"", 0)
    assert cli(up, "GET", "k").stdout == b"\n"
    failed = cli(up, "LPUSH", "k", "-1", flags=["-n", "3"])
    assert failed.stdout.startswith(b"WRONGTYPE ")
    assert failed.returncode == 1
    assert b"redis_version:" in cli(up, "INFO", "server").stdout
    assert b"key value [NX | XX]" in cli(up, "help", "set").stdout


def test_a_url_names_nodes_and_database(up: Up) -> None:
    url = f"trimaran://127.0.0.1:{up.port + 2}/5"
    done = subprocess.run(
        [str(TRIMARAN), "cli", "--url", url, "INCR", "n"],
        capture_output=True,
        check=False,
        timeout=START_S,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout == b"1\n"
    assert up.redis(db=5).get("n") == "1"


def test_without_a_node_it_says_so_and_ends(tmp_path: Path) -> None:
    words = [str(TRIMARAN), "cli", "--address", "127.0.0.1:1", "PING"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=START_S,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("trimaran: no node answered within")
    assert "any node is named with --address" in done.stderr
    assert "Traceback" not in done.stderr


def test_subscribe_prints_messages_until_it_is_interrupted(
    up: Up, processes: Processes, tmp_path: Path
) -> None:
    # What was started in the background of a shell would ignore the signal.
    words = ["env", "--default-signal=INT", str(TRIMARAN), "cli", *addresses(up)]
    words += ["--no-raw", "PSUBSCRIBE", "news*", "other"]
    output = tmp_path / "output"
    listener = processes.start("listener", words, output)
    until(
        lambda: "2)" in listener.tail() and "(integer) 2" in listener.tail(), listener.tail, START_S
    )
    assert cli(up, "PUBLISH", "news:1", "hello").stdout == b"1\n"
    until(lambda: "hello" in listener.tail(), listener.tail, START_S)
    os.kill(listener.pid, signal.SIGINT)
    until(lambda: not listener.is_running, listener.tail, START_S)
    assert listener.exit_code == 130
    assert output.read_text() == (
        '1) "psubscribe"\n2) "news*"\n3) (integer) 1\n1) "psubscribe"\n2) "other"\n3) (integer) 2\n'
        '1) "pmessage"\n2) "news*"\n3) "news:1"\n4) "hello"\n'
    )


def test_a_terminal_has_a_prompt_hints_history_and_ctrl_c(up: Up, tmp_path: Path) -> None:
    up.redis().flushall()
    words = [str(TRIMARAN), "cli", *addresses(up)]
    with Terminal(words, tmp_path) as terminal:
        at = terminal.expect("nodes up")
        at = terminal.expect("trimaran>", at)
        terminal.type("INCR visits\r")
        at = terminal.expect("(integer) 1", at)
        at = terminal.expect("trimaran>", at)
        terminal.type("GETD\t")
        at = terminal.expect("EL", at)  # Completed to GETDEL.
        terminal.type(" visits\r")
        at = terminal.expect('"1"', at)
        at = terminal.expect("trimaran>", at)
        terminal.type("getrange visits ")
        at = terminal.expect("start end", at)
        terminal.type(CTRL_C)  # The line is given up.
        at = terminal.expect("trimaran>", at)
        terminal.type("BLPOP queue 0\r")
        until(lambda: _blocked(up) == 1, lambda: repr(terminal.said), START_S)
        terminal.type(CTRL_C)
        at = terminal.expect("(interrupted", at)
        until(lambda: _blocked(up) == 0, lambda: repr(terminal.said), START_S)
        terminal.type("SELECT 2\r")
        at = terminal.expect("trimaran[2]>", at)
        terminal.type("SUBSCRIBE news\r")
        at = terminal.expect("(integer) 1", at)
        terminal.type(CTRL_C)
        at = terminal.expect("trimaran[2]>", at)
        terminal.type(CTRL_D)
        assert terminal.exit_code() == 0
    history = (tmp_path / ".trimaran_history").read_text()
    assert "+INCR visits" in history
    assert "+GETDEL visits" in history


def _blocked(up: Up) -> int:
    """Clients that wait for data, on all nodes."""
    counts = [up.redis(name).info("clients")["blocked_clients"] for name in ("n1", "n2", "n3")]
    return sum(counts)
