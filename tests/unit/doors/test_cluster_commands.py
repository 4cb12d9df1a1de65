"""CLUSTER, at either door: every node once, as master of the slots it leads (D5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any  # What hiredis reads.

import pytest

from trimaran.cluster.commands import COMMANDS
from trimaran.cluster.slots import slot_of
from trimaran.node.doors.cluster_commands import CLUSTER
from trimaran.node.errors import NotLeader, OutcomeUnknown
from trimaran.node.request import NotApplied, Unknown

from .fakes import MemoryRouter, Rig, Router
from .test_order import key_on


@pytest.fixture
def router() -> MemoryRouter:
    router = MemoryRouter()
    router.leaders = {0: "n1", 1: "n1", 2: "n2", 3: "n3"}
    return router


@pytest.fixture
def rig(router: MemoryRouter) -> Rig:
    return Rig(router, is_cluster=True)


def nodes(rig: Rig) -> list[list[str]]:
    """The words of each line of CLUSTER NODES."""
    return [line.split() for line in rig.client().ask(b"CLUSTER NODES").decode().splitlines()]


def info(rig: Rig) -> dict[str, str]:
    lines = rig.client().ask(b"CLUSTER INFO").decode().splitlines()
    return dict(line.split(":") for line in lines)


@pytest.mark.parametrize("is_cluster", [True, False])
def test_slots_name_each_leader_with_its_cluster_port(
    router: MemoryRouter, *, is_cluster: bool
) -> None:
    rows = Rig(router, is_cluster=is_cluster).client().ask(b"CLUSTER SLOTS")
    assert [(first, last, node[:2], node[3]) for first, last, node in rows] == [
        (0, 8191, [b"127.0.0.1", 7380], []),
        (8192, 12287, [b"127.0.0.1", 7390], []),
        (12288, 16383, [b"127.0.0.1", 7400], []),
    ]
    ids = {node[2] for _, _, node in rows}
    assert {len(one) for one in ids} == {40}
    assert len(ids) == 3


@pytest.mark.parametrize("is_cluster", [True, False])
def test_who_asks_through_a_listener_is_told_its_addresses(
    router: MemoryRouter, *, is_cluster: bool
) -> None:
    rig = Rig(router, is_cluster=is_cluster, listener="outside")
    rows = rig.client().ask(b"CLUSTER SLOTS")
    assert [node[:2] for _, _, node in rows] == [
        [b"out1", 17380],
        [b"out2", 17380],
        [b"out3", 17380],
    ]
    assert [line[1] for line in nodes(rig)] == [
        "out1:17380@17381",
        "out2:17380@17381",
        "out3:17380@17381",
    ]
    client = rig.client()
    client.ask(b"HELLO 3")
    told = [shard[b"nodes"][0] for shard in client.ask(b"CLUSTER SHARDS")]
    assert [(node[b"endpoint"], node[b"port"]) for node in told] == [
        (b"out1", 17380),
        (b"out2", 17380),
        (b"out3", 17380),
    ]


def test_a_listener_that_other_nodes_do_not_have_is_told_their_own_addresses(
    router: MemoryRouter,
) -> None:
    rig = Rig(router, is_cluster=True, listener="other")
    assert [line[1] for line in nodes(rig)][1] == "127.0.0.1:7390@7391"


def test_nodes_tell_every_node_once_as_master(rig: Rig) -> None:
    own = rig.client().ask(b"CLUSTER MYID").decode()
    lines = nodes(rig)
    assert lines[0] == [
        own,
        "127.0.0.1:7380@7381",
        "myself,master",
        *("-", "0", "0", "3", "connected", "0-8191"),
    ]
    assert lines[1][1:] == [
        "127.0.0.1:7390@7391",
        "master",
        *("-", "0", "0", "3", "connected", "8192-12287"),
    ]
    assert len(lines) == 3


def test_a_node_out_of_reach_is_suspected_until_others_lead_its_slots(rig: Rig) -> None:
    rig.router.unreachable = {"n3"}
    assert nodes(rig)[2][2:] == [
        *("master,fail?", "-", "0", "0", "3", "disconnected", "12288-16383"),
    ]
    rig.router.leaders[3] = "n2"
    assert nodes(rig)[2][2:] == ["master,fail", "-", "0", "0", "3", "disconnected"]
    client = rig.client()
    client.ask(b"HELLO 3")
    shards = client.ask(b"CLUSTER SHARDS")
    assert [shard[b"nodes"][0][b"health"] for shard in shards] == [b"online", b"online", b"fail"]
    assert shards[2][b"slots"] == []


def test_a_node_without_a_majority_calls_nobody_failed(rig: Rig) -> None:
    rig.router.unreachable = {"n2", "n3"}
    rig.router.leaders = dict.fromkeys(range(4), "n2")
    assert [line[2] for line in nodes(rig)] == ["myself,master", "master,fail?", "master,fail?"]


def test_all_nodes_tell_the_same(router: MemoryRouter) -> None:
    told = []
    for name in ("n1", "n2", "n3"):
        router.name = name
        client = Rig(router, is_cluster=True).client()
        told.append(client.ask(b"CLUSTER NODES").replace(b"myself,", b""))
        assert client.ask(b"CLUSTER MYID") in told[0]
    assert len(set(told)) == 1


def test_separate_ranges_of_one_leader_are_separate(rig: Rig) -> None:
    rig.router.leaders = {0: "n1", 1: "n2", 2: "n1", 3: None}
    client = rig.client()
    assert [row[:2] for row in client.ask(b"CLUSTER SLOTS")] == [
        [0, 4095],
        [4096, 8191],
        [8192, 12287],
    ]
    assert b" 0-4095 8192-12287\n" in client.ask(b"CLUSTER NODES")


def test_while_a_shard_elects_its_last_leader_stands_for_its_slots(rig: Rig) -> None:
    """Else redis-py keeps a map with a hole, or refuses to go on with it."""
    rig.router.unreachable = {"n3"}
    rig.router.leaders[3], rig.router.led_before[3] = None, "n3"
    client = rig.client()
    assert [row[:2] for row in client.ask(b"CLUSTER SLOTS")][-1] == [12288, 16383]
    assert nodes(rig)[2][2:] == [
        *("master,fail?", "-", "0", "0", "3", "disconnected", "12288-16383"),
    ]
    told = info(rig)
    assert (told["cluster_state"], told["cluster_slots_assigned"]) == ("fail", "16384")
    assert (told["cluster_slots_ok"], told["cluster_slots_pfail"]) == ("12288", "4096")


def test_shards_tell_slots_and_nodes(rig: Rig) -> None:
    client = rig.client()
    client.ask(b"HELLO 3")
    shards = client.ask(b"CLUSTER SHARDS")
    assert shards[0][b"slots"] == [0, 8191]
    (node,) = shards[1][b"nodes"]
    assert (node[b"port"], node[b"role"], node[b"health"]) == (7390, b"master", b"online")


def test_the_state_is_ok_while_every_slot_has_a_leader(rig: Rig) -> None:
    told = info(rig)
    assert told["cluster_state"] == "ok"
    assert told["cluster_slots_assigned"] == told["cluster_slots_ok"] == "16384"
    assert (told["cluster_known_nodes"], told["cluster_size"]) == ("3", "3")
    rig.router.leaders[1] = None
    told = info(rig)
    assert told["cluster_state"] == "fail"
    assert told["cluster_slots_assigned"] == told["cluster_slots_ok"] == "12288"


def test_slots_of_a_leader_out_of_reach_are_not_ok_but_suspected(rig: Rig) -> None:
    rig.router.unreachable = {"n3"}
    told = info(rig)
    assert (told["cluster_slots_assigned"], told["cluster_slots_ok"]) == ("16384", "12288")
    assert (told["cluster_slots_pfail"], told["cluster_state"]) == ("4096", "ok")
    rig.router.unreachable = {"n2", "n3"}
    assert info(rig)["cluster_state"] == "fail", "alone it serves nothing, whoever led before"


def test_a_node_in_reach_has_a_link_each_way(rig: Rig) -> None:
    client = rig.client()
    client.ask(b"HELLO 3")
    id_of_n2 = nodes(rig)[1][0].encode()
    there, back = client.ask(b"CLUSTER LINKS")  # And none with n4, which is no member.
    assert there == {
        b"direction": b"to",
        b"node": id_of_n2,
        b"create-time": 1_700_000_000_000,
        b"events": b"rw",
        b"send-buffer-allocated": 5,
        b"send-buffer-used": 5,
    }
    assert (back[b"direction"], back[b"node"], back[b"events"]) == (b"from", id_of_n2, b"r")


@pytest.mark.parametrize("word", [b"REPLICAS", b"SLAVES", b"COUNT-FAILURE-REPORTS"])
def test_a_known_node_has_no_replicas_and_no_reports_and_an_unknown_one_is_refused(
    rig: Rig, word: bytes
) -> None:
    client = rig.client()
    nothing: object = 0 if word == b"COUNT-FAILURE-REPORTS" else []
    for line in nodes(rig):
        assert client.ask([b"CLUSTER", word, line[0].encode()]) == nothing
    assert client.ask([b"CLUSTER", word, b"abc"]) == "ERR Unknown node abc"


# --- Keys in a slot.


def filled(router: MemoryRouter, *, is_cluster: bool) -> Callable[..., Any]:
    """Asks a door of a cluster that has two keys in slots of n1 and one of n2."""
    everything = Rig(router).client()
    for key in (b"{%b}1" % key_on(0), b"{%b}2" % key_on(0), key_on(2)):
        everything.ask([b"SET", key, b"x"])
    everything.ask(b"SELECT 5", [b"SET", key_on(0), b"in another database"])
    return Rig(router, is_cluster=is_cluster).client().ask


def test_keys_in_a_slot_are_those_of_its_leader(router: MemoryRouter) -> None:
    ask = filled(router, is_cluster=True)
    slot = b"%d" % slot_of(key_on(0))
    assert ask([b"CLUSTER", b"COUNTKEYSINSLOT", slot]) == 2
    keys = [b"{%b}1" % key_on(0), b"{%b}2" % key_on(0)]
    assert sorted(ask([b"CLUSTER", b"GETKEYSINSLOT", slot, b"10"])) == keys
    assert ask([b"CLUSTER", b"GETKEYSINSLOT", slot, b"1"])[0] in keys
    assert ask([b"CLUSTER", b"GETKEYSINSLOT", slot, b"0"]) == []


def test_at_the_cluster_door_a_slot_led_elsewhere_is_empty(router: MemoryRouter) -> None:
    slot = b"%d" % slot_of(key_on(2))
    ask = filled(router, is_cluster=True)
    assert ask([b"CLUSTER", b"COUNTKEYSINSLOT", slot]) == 0
    assert ask([b"CLUSTER", b"GETKEYSINSLOT", slot, b"10"]) == []


def test_at_the_any_key_door_the_whole_cluster_is_asked_about_database_0(
    router: MemoryRouter,
) -> None:
    ask = filled(router, is_cluster=False)
    assert ask([b"CLUSTER", b"COUNTKEYSINSLOT", b"%d" % slot_of(key_on(2))]) == 1
    ask(b"SELECT 5")
    assert ask([b"CLUSTER", b"COUNTKEYSINSLOT", b"%d" % slot_of(key_on(0))]) == 2


def test_a_count_sees_the_earlier_writes_of_its_connection() -> None:
    rig = Rig(Router())
    client = rig.client()
    key = key_on(1)
    client.send([b"SET", key, b"1"], [b"CLUSTER", b"COUNTKEYSINSLOT", b"%d" % slot_of(key)])
    client.turn()
    assert [request.has_write for request in rig.router.requests] == [True]
    rig.router.answer(b"OK")
    client.turn()
    request = rig.router.requests[0]
    assert not request.has_write
    assert request.may_pass_on
    rig.router.answer(1)
    assert client.replies() == [b"OK", 1]


def test_a_count_that_is_not_answered_is_clusterdown() -> None:
    rig = Rig(Router(), is_cluster=True)
    client = rig.client()
    for outcome in (NotApplied(NotLeader("n2")), Unknown(OutcomeUnknown("late"))):
        client.send(b"CLUSTER COUNTKEYSINSLOT 5")
        client.turn()
        assert not rig.router.requests[0].may_pass_on
        rig.router.finish(outcome)
        assert client.replies()[0].startswith("CLUSTERDOWN ")


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (b"COUNTKEYSINSLOT a", "value is not an integer or out of range"),
        (b"COUNTKEYSINSLOT 007", "value is not an integer or out of range"),
        (b"COUNTKEYSINSLOT -1", "Invalid slot"),
        (b"COUNTKEYSINSLOT 16384", "Invalid slot"),
        (b"GETKEYSINSLOT a 1", "value is not an integer or out of range"),
        (b"GETKEYSINSLOT 1 a", "value is not an integer or out of range"),
        (b"GETKEYSINSLOT 16384 1", "Invalid slot or number of keys"),
        (b"GETKEYSINSLOT 1 -1", "Invalid slot or number of keys"),
    ],
)
def test_slots_that_are_none_are_refused_as_in_redis(rig: Rig, command: bytes, error: str) -> None:
    assert rig.client().ask(b"CLUSTER " + command) == f"ERR {error}"


def test_the_slot_of_a_key_is_that_of_its_tag(rig: Rig) -> None:
    assert rig.client().ask(b"CLUSTER KEYSLOT {user}:1") == slot_of(b"user")


# --- What is done otherwise here, and HELP.

REFUSED = (
    b"ADDSLOTS 1",
    b"ADDSLOTSRANGE 1 2",
    b"BUMPEPOCH",
    b"DELSLOTS 1",
    b"DELSLOTSRANGE 1 2",
    b"FAILOVER",
    b"FAILOVER FORCE",
    b"FLUSHSLOTS",
    b"FORGET abc",
    b"MEET 127.0.0.1 7000",
    b"REPLICATE abc",
    b"RESET",
    b"RESET HARD",
    b"SAVECONFIG",
    b"SET-CONFIG-EPOCH 5",
    b"SETSLOT 1 STABLE",
)


@pytest.mark.parametrize("is_cluster", [True, False])
def test_what_changes_slots_or_members_in_redis_names_what_there_is_instead(
    router: MemoryRouter, *, is_cluster: bool
) -> None:
    client = Rig(router, is_cluster=is_cluster).client()
    for command in REFUSED:
        word = command.split()[0].decode()
        error = client.ask(b"CLUSTER " + command.lower())
        assert error.startswith(f"ERR CLUSTER {word} changes nothing here: ")
        assert "'trimaran status' shows" in error
    assert client.ask(b"PING") == b"PONG"


def test_every_subcommand_is_in_the_table() -> None:
    assert set(CLUSTER.handlers) == set(COMMANDS[b"CLUSTER"].by_word)


def test_an_unknown_subcommand_is_refused_as_in_redis(rig: Rig) -> None:
    client = rig.client()
    assert client.ask(b"CLUSTER FOO") == "ERR unknown subcommand 'FOO'. Try CLUSTER HELP."
    assert (
        client.ask(b"CLUSTER KEYSLOT")
        == "ERR wrong number of arguments for 'cluster|keyslot' command"
    )
