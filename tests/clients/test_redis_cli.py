"""redis-cli in the ways people use it, at several nodes."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from .running import redis_cli, run

if TYPE_CHECKING:
    from .running import Doors

pytestmark = pytest.mark.usefixtures("_emptied")


def fill(port: int, count: int, *options: str) -> None:
    """`key:0` ... each with a value as long as its name, by redis-cli --pipe."""
    lines = "".join(f"SET key:{number} VAL:{number}\r\n" for number in range(count))
    ran = redis_cli(port, *options, "--pipe", stdin=lines)
    assert f"errors: 0, replies: {count}" in ran.out, str(ran)


@pytest.mark.parametrize("node", [0, 1, 2])
@pytest.mark.parametrize("options", [(), ("-3",), ("-n", "1"), ("-3", "-n", "15")])
def test_one_command_is_answered_by_any_node(
    doors: Doors, node: int, options: tuple[str, ...]
) -> None:
    port, other = doors.any_key[node], doors.any_key[node - 1]
    assert redis_cli(port, *options, "SET", "a key", "a value").lines == ["OK"]
    assert redis_cli(other, *options, "GET", "a key").lines == ["a value"]
    assert redis_cli(other, *options, "INCRBY", "n", "42").lines == ["42"]
    assert redis_cli(port, *options, "GET", "n").lines == ["42"]
    assert redis_cli(port, *options, "DBSIZE").lines == ["2"]
    refused = run("redis-cli", "-p", str(port), "-e", *options, "INCR", "a key")
    assert refused.err.strip() == "ERR value is not an integer or out of range"
    assert refused.code == 1


def test_a_session_on_standard_input_goes_on_after_errors(doors: Doors) -> None:
    """redis-cli asks for COMMAND DOCS first; it uses what it gets for hints."""
    said = "SET a 1\nINCR a\nNOSUCH x\nCLUSTER NOSUCH\nGET a\nSELECT 2\nGET a\nPING hello\n"
    ran = redis_cli(doors.any_key[1], stdin=said)
    answers = [line for line in ran.lines if line]
    assert answers == [
        *("OK", "2"),
        "ERR unknown command 'NOSUCH', with args beginning with: 'x' ",
        "ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP.",
        *("2", "OK", "hello"),  # There is no `a` in database 2.
    ]


def test_scan_lists_every_key_once_from_any_node(doors: Doors) -> None:
    fill(doors.any_key[0], 300)
    for port in doors.any_key:
        listed = redis_cli(port, "--scan").lines
        assert sorted(listed) == sorted(f"key:{number}" for number in range(300))
        some = redis_cli(port, "--scan", "--pattern", "key:1?").lines
        assert sorted(some) == [f"key:1{digit}" for digit in range(10)]


@pytest.mark.parametrize("options", [(), ("-n", "3")])
def test_pipe_bigkeys_and_memkeys_see_every_key(doors: Doors, options: tuple[str, ...]) -> None:
    fill(doors.any_key[0], 120, *options)
    redis_cli(doors.any_key[0], *options, "SET", "biggest", "x" * 5000)
    big = redis_cli(doors.any_key[2], *options, "--bigkeys")
    assert "Sampled 121 keys in the keyspace!" in big.out
    assert "Biggest string found '\"biggest\"' has 5000 bytes" in big.out, str(big)
    memory = redis_cli(doors.any_key[1], *options, "--memkeys")
    assert "Sampled 121 keys in the keyspace!" in memory.out
    assert "failed" not in memory.out, str(memory)
    found = re.search(r"Biggest string found '\"biggest\"' has (\d+) bytes", memory.out)
    assert found, str(memory)
    assert 5000 < int(found.group(1)) < 6000, str(memory)


def test_stat_counts_keys_and_clients(doors: Doors) -> None:
    fill(doors.any_key[0], 50)
    # Into a pipe it would print only after a minute, when its buffer is full.
    words = ["stdbuf", "-oL", "redis-cli", "-p", str(doors.any_key[0]), "--stat"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            head = [process.stdout.readline() for _ in range(2)]
            first = process.stdout.readline().split()
        finally:
            process.kill()
    assert "keys" in head[1], head
    keys, _, clients, _, requests, *_ = first
    assert int(keys) <= 50, first
    assert int(clients) >= 1, first  # Itself.
    assert int(requests) > 50, first


def test_monitor_shows_what_others_ask(doors: Doors) -> None:
    words = ["stdbuf", "-oL", "redis-cli", "-p", str(doors.any_key[0]), "MONITOR"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "OK\n"
            redis_cli(doors.any_key[0], "-n", "4", "SET", "seen", "by all")
            shown = [process.stdout.readline() for _ in range(2)]
        finally:
            process.kill()
    assert re.fullmatch(r'\d+\.\d{6} \[4 127\.0\.0\.1:\d+\] "SET" "seen" "by all"\n', shown[1]), (
        shown
    )


def test_latency_ends_with_a_measurement(doors: Doors) -> None:
    ran = redis_cli(doors.any_key[2], "--latency", "-i", "0.2")
    least, most, average, samples = map(float, ran.out.split())
    assert 0 <= least <= average <= most
    assert samples > 0


@pytest.mark.parametrize("protocol", [(), ("-3",)])
def test_following_redirections_reads_and_writes_every_key(
    doors: Doors, protocol: tuple[str, ...]
) -> None:
    fill(doors.any_key[0], 60)
    for port in doors.cluster:
        asked = "".join(f"GET key:{number}\nINCR n:{number}\n" for number in range(60))
        ran = redis_cli(port, *protocol, "-c", stdin=asked)
        values = [line for line in ran.lines if line.startswith("VAL:")]
        assert values == [f"VAL:{number}" for number in range(60)], str(ran)
    counted = redis_cli(doors.any_key[0], "MGET", *(f"n:{number}" for number in range(60)))
    assert counted.lines == ["3"] * 60


def test_without_following_the_redirection_is_shown(doors: Doors) -> None:
    told = [redis_cli(port, "GET", "somewhere").out.strip() for port in doors.cluster]
    moved = [one for one in told if one]
    assert len(moved) == 2, told
    assert len(set(moved)) == 1, told
    assert re.fullmatch(rf"MOVED \d+ 127\.0\.0\.1:({'|'.join(map(str, doors.cluster))})", moved[0])
