"""`redis-cli --cluster` on every node's cluster port."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .running import HOST, redis_cli, run
from .test_redis_cli import fill

if TYPE_CHECKING:
    from .running import Doors

pytestmark = pytest.mark.usefixtures("_emptied")

KEYS = 150


def cluster_tool(port: int, *words: str) -> str:
    """What it says without colours; it fails the test when it ends with an error."""
    name, *rest = words
    ran = redis_cli(port, "--cluster", name, f"{HOST}:{port}", *rest)
    return re.sub(r"\x1b\[[0-9;]*m", "", ran.out)


def called(port: int, *words: str) -> dict[str, list[str]]:
    """What each node answered to `--cluster call`."""
    answers: dict[str, list[str]] = {}
    node = ""
    for line in cluster_tool(port, "call", *words).splitlines():
        found = re.match(r"127\.0\.0\.1:(\d+): ?(.*)", line)
        if found:
            node = found.group(1)
            answers[node] = [found.group(2)]
        elif node:
            answers[node].append(line)
    return {node: [one for one in told if one] for node, told in answers.items()}


def check_finds_nothing_wrong(port: int, masters: int) -> None:
    said = cluster_tool(port, "check")
    for good in (
        "[OK] All nodes agree about slots configuration.",
        "[OK] All 16384 slots covered.",
        f"keys in {masters} masters.",
    ):
        assert good in said, said
    for bad in ("[ERR]", "[WARNING]", "slave", "Could not connect"):
        assert bad not in said.replace("0 slaves", ""), said


def every_key_counts_once(port: int, masters: int) -> None:
    """KEYS keys were written: DBSIZE and KEYS on all masters see each once, FLUSHALL takes all."""
    sizes = called(port, "DBSIZE")
    assert len(sizes) == masters
    assert sum(int(told[0]) for told in sizes.values()) == KEYS, sizes
    names = [name for told in called(port, "KEYS", "*").values() for name in told]
    assert sorted(names) == sorted(f"key:{number}" for number in range(KEYS))
    assert all(told == ["OK"] for told in called(port, "FLUSHALL").values())
    assert all(told == ["0"] for told in called(port, "DBSIZE").values())


@pytest.mark.parametrize("node", [0, 1, 2])
def test_check_and_info_find_nothing_wrong_on_any_node(doors: Doors, node: int) -> None:
    fill(doors.any_key[0], KEYS)
    port = doors.cluster[node]
    check_finds_nothing_wrong(port, masters=3)
    said = cluster_tool(port, "info")
    assert f"[OK] {KEYS} keys in 3 masters." in said, said


@pytest.mark.parametrize("node", [0, 1, 2])
def test_a_call_on_all_nodes_counts_every_key_once(doors: Doors, node: int) -> None:
    fill(doors.any_key[0], KEYS)
    every_key_counts_once(doors.cluster[node], masters=3)


@pytest.mark.parametrize(
    "words",
    [
        ("rebalance", "--cluster-use-empty-masters"),
        ("reshard", "--cluster-from", "all", "--cluster-slots", "9", "--cluster-yes"),
    ],
)
def test_moving_slots_is_refused_with_the_reason_and_changes_nothing(
    doors: Doors, words: tuple[str, ...]
) -> None:
    name, *options = words
    for port in doors.cluster:
        fill(doors.any_key[0], KEYS)
        if name == "reshard":
            to = redis_cli(port, "CLUSTER", "MYID").out.strip()
            options = [*words[1:], "--cluster-to", to]
        ran = run("redis-cli", "--cluster", name, f"{HOST}:{port}", *options)
        # What leads as many slots as it should already has nothing to move.
        assert "CLUSTER SETSLOT" in ran.out + ran.err or "No rebalancing needed" in ran.out, str(
            ran
        )
        check_finds_nothing_wrong(port, masters=3)
    every_key_counts_once(doors.cluster[0], masters=3)


def test_verbs_that_would_move_slots_are_refused_with_the_way_out(doors: Doors) -> None:
    port = doors.cluster[0]
    for words in (
        ("CLUSTER", "MEET", HOST, "1"),
        ("CLUSTER", "ADDSLOTS", "1"),
        ("CLUSTER", "SETSLOT", "1", "STABLE"),
        ("CLUSTER", "FORGET", "0" * 40),
        ("CLUSTER", "RESET"),
        ("CLUSTER", "FAILOVER"),
    ):
        said = redis_cli(port, *words).out
        assert said.startswith("ERR"), said
    check_finds_nothing_wrong(port, masters=3)
