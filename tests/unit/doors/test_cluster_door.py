"""The +1 door: MOVED, CROSSSLOT, and each node once as master of the slots it leads (D5)."""

from __future__ import annotations

import pytest

from trimaran.cluster.slots import slot_of
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


def test_a_key_led_elsewhere_is_answered_with_where(rig: Rig) -> None:
    key = key_on(2)
    client = rig.client()
    assert client.ask([b"GET", key]) == f"MOVED {slot_of(key)} 127.0.0.1:7390"
    assert client.ask([b"SET", key_on(0), b"1"]) == b"OK"


def test_a_key_nobody_is_known_to_lead_is_answered_clusterdown(rig: Rig) -> None:
    rig.router.leaders[2] = None
    assert rig.client().ask([b"GET", key_on(2)]).startswith("CLUSTERDOWN Hash slot not served")


def test_keys_of_different_slots_are_refused_also_on_one_shard(rig: Rig) -> None:
    client = rig.client()
    refused = "CROSSSLOT Keys in request don't hash to the same slot"
    assert client.ask(b"MSET {a}1 x {b}1 y") == refused
    assert client.ask(b"DEL {a}1 {b}1") == refused
    tag = key_on(0)
    assert client.ask([b"MSET", b"{%b}1" % tag, b"x", b"{%b}2" % tag, b"y"]) == b"OK"
    assert client.ask([b"DEL", b"{%b}1" % tag, b"{%b}2" % tag]) == 2


def test_when_leadership_was_lost_meanwhile_the_client_is_told_where_to_go() -> None:
    rig = Rig(Router(), is_cluster=True)
    client = rig.client()
    key = key_on(1)
    client.send([b"SET", key, b"1"])
    rig.router.finish(NotApplied(NotLeader("n3")))
    assert client.replies() == [f"MOVED {slot_of(key)} 127.0.0.1:7400"]
    client.send([b"SET", key, b"1"])
    rig.router.finish(NotApplied(NotLeader(None)))
    assert client.replies()[0].startswith("CLUSTERDOWN ")


def test_an_unknown_outcome_is_uncertain_here_too() -> None:
    rig = Rig(Router(), is_cluster=True)
    client = rig.client()
    client.send(b"SET k 1")
    assert not rig.router.requests[0].may_pass_on
    rig.router.finish(Unknown(OutcomeUnknown("late")))
    assert client.replies()[0].startswith("UNCERTAIN ")


def test_commands_without_keys_act_on_the_slots_led_here(rig: Rig, router: MemoryRouter) -> None:
    everything = Rig(router).client()  # The +0 door of the same node.
    for shard in range(4):
        everything.ask([b"SET", key_on(shard), b"x"])
    client = rig.client()
    assert client.ask(b"DBSIZE") == 2
    assert sorted(client.ask(b"KEYS *")) == sorted([key_on(0), key_on(1)])
    assert client.ask(b"RANDOMKEY") in (key_on(0), key_on(1))
    cursor, found = b"0", []
    while True:
        cursor, keys = client.ask([b"SCAN", cursor])
        found += keys
        if cursor == b"0":
            break
    assert sorted(found) == sorted([key_on(0), key_on(1)])
    everything.ask(b"SELECT 1", b"SET other x")
    assert client.ask(b"FLUSHALL") == b"OK"
    assert everything.ask(b"DBSIZE") == 1, "databases that this door does not show are left alone"
    assert everything.ask(b"SELECT 0", b"DBSIZE") == 2


def test_a_node_that_leads_nothing_has_no_keys(rig: Rig) -> None:
    rig.router.leaders = dict.fromkeys(range(4), "n2")
    client = rig.client()
    assert client.ask(b"DBSIZE") == 0
    assert client.ask(b"KEYS *") == []
    assert client.ask(b"SCAN 0") == [b"0", []]
    assert client.ask(b"RANDOMKEY") is None
    assert client.ask(b"FLUSHALL") == b"OK"


def test_only_database_0_is_there(rig: Rig) -> None:
    client = rig.client()
    assert client.ask(b"SELECT 0") == b"OK"
    assert client.ask(b"SELECT 1") == "ERR SELECT is not allowed in cluster mode"


# --- CLUSTER, at either door.


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


def test_nodes_tell_every_node_once_as_master(rig: Rig) -> None:
    client = rig.client()
    rig.router.unreachable = {"n3"}
    own = client.ask(b"CLUSTER MYID").decode()
    lines = [line.split() for line in client.ask(b"CLUSTER NODES").decode().splitlines()]
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
    assert lines[2][2] == "master,fail"
    assert lines[2][7] == "disconnected"


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


def test_shards_tell_slots_and_nodes(rig: Rig) -> None:
    client = rig.client()
    client.ask(b"HELLO 3")
    shards = client.ask(b"CLUSTER SHARDS")
    assert shards[0][b"slots"] == [0, 8191]
    (node,) = shards[1][b"nodes"]
    assert (node[b"port"], node[b"role"], node[b"health"]) == (7390, b"master", b"online")


def test_the_state_is_ok_while_every_slot_has_a_leader(rig: Rig) -> None:
    client = rig.client()
    assert b"cluster_state:ok\r\ncluster_slots_assigned:16384\r\n" in client.ask(b"CLUSTER INFO")
    rig.router.leaders[1] = None
    told = client.ask(b"CLUSTER INFO")
    assert b"cluster_state:fail" in told
    assert b"cluster_slots_ok:12288" in told


def test_slots_and_keys_in_them(rig: Rig) -> None:
    client = rig.client()
    assert client.ask(b"CLUSTER KEYSLOT {user}:1") == slot_of(b"user")
    assert client.ask(b"CLUSTER COUNTKEYSINSLOT 5") == 2
    assert client.ask(b"CLUSTER GETKEYSINSLOT 5 1") == [b"a"]
    assert client.ask(b"CLUSTER COUNTKEYSINSLOT 16384") == "ERR Invalid slot"


def test_words_of_cluster_clients_are_accepted(rig: Rig) -> None:
    client = rig.client()
    for word in (b"READONLY", b"READWRITE", b"ASKING"):
        assert client.ask(word) == b"OK"
