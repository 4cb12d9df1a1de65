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


def test_who_asks_through_a_listener_is_sent_to_its_address(router: MemoryRouter) -> None:
    key = key_on(2)
    client = Rig(router, is_cluster=True, listener="outside").client()
    assert client.ask([b"GET", key]) == f"MOVED {slot_of(key)} out2:17380"
    unknown = Rig(router, is_cluster=True, listener="other").client()
    assert unknown.ask([b"GET", key]) == f"MOVED {slot_of(key)} 127.0.0.1:7390"


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


def test_a_script_without_keys_goes_with_the_rest_of_its_transaction(rig: Rig) -> None:
    client = rig.client()
    script = [b"EVAL", b"return 1", b"0"]
    key = key_on(1)
    client.send(b"MULTI", script, [b"SET", key, b"x"], script, b"EXEC")
    assert client.replies()[-1] == [1, b"OK", 1]
    client.send(b"MULTI", script, b"EXEC")
    assert client.replies()[-1] == [1]
    rig.router.leaders = dict.fromkeys(range(4), "n2")
    client.send(b"MULTI", script, b"EXEC")
    assert client.replies()[-1].startswith("CLUSTERDOWN Hash slot not served")
    assert client.ask(b"EXEC") == "ERR EXEC without MULTI"


LIBRARY = b"#!lua name=lib\nredis.register_function('f', function() return 7 end)"


def test_what_is_loaded_here_is_loaded_on_all_shards(rig: Rig, router: MemoryRouter) -> None:
    client = rig.client()
    everywhere = range(4)
    sha = client.ask([b"SCRIPT", b"LOAD", b"return 1"])
    assert client.ask([b"FUNCTION", b"LOAD", LIBRARY]) == b"lib"
    elsewhere = Rig(router)
    for shard in everywhere:
        key = key_on(shard)
        assert elsewhere.client().ask([b"EVALSHA", sha, b"1", key]) == 1
        assert elsewhere.client().ask([b"FCALL", b"f", b"1", key]) == 7
    assert client.ask(b"SCRIPT FLUSH", b"FUNCTION FLUSH") == b"OK"
    for shard in everywhere:
        refused = elsewhere.client().ask([b"EVALSHA", sha, b"1", key_on(shard)])
        assert refused.startswith("NOSCRIPT ")


def test_a_cluster_client_may_load_the_same_library_at_every_node(
    rig: Rig, router: MemoryRouter
) -> None:
    assert rig.client().ask([b"FUNCTION", b"LOAD", LIBRARY]) == b"lib"
    router.leaders = {0: "n2", 1: "n2", 2: "n1", 3: "n1"}
    assert rig.client().ask([b"FUNCTION", b"LOAD", LIBRARY]) == b"lib"
    other = LIBRARY.replace(b"7", b"8")
    refused = "ERR Library 'lib' already exists"
    assert rig.client().ask([b"FUNCTION", b"LOAD", other]) == refused
    assert rig.client().ask([b"FUNCTION", b"LOAD", b"REPLACE", other]) == b"lib"
    assert Rig(router).client().ask([b"FUNCTION", b"LOAD", other]) == refused


@pytest.mark.parametrize("is_cluster", [False, True])
@pytest.mark.parametrize("words", [[b"LOAD", LIBRARY], [b"RESTORE", b"dump"]])
def test_without_memory_no_shard_is_asked_to_keep_functions(
    words: list[bytes], *, is_cluster: bool
) -> None:
    rig = Rig(Router(), is_cluster=is_cluster)
    rig.router.is_full = True
    client = rig.client()
    oom = "OOM command not allowed when used memory > 'maxmemory'."
    assert client.ask([b"FUNCTION", *words]) == oom
    assert not rig.router.requests
    client.send([b"SCRIPT", b"LOAD", b"return 1"])
    assert len(rig.router.requests) == rig.router.shards


def test_a_load_that_a_shard_elsewhere_did_not_take_is_not_said_to_be_done() -> None:
    rig = Rig(Router(), is_cluster=True)
    rig.router.leaders = {0: "n1", 1: "n2", 2: "n2", 3: "n2"}
    client = rig.client()
    client.send([b"SCRIPT", b"LOAD", b"return 1"])
    asked = {int(one.shard): one for one in rig.router.requests}
    assert [asked[shard].may_pass_on for shard in range(4)] == [False, True, True, True]
    rig.router.answer(b"sha", shard=0)
    for shard in (1, 2):
        rig.router.answer(b"sha", shard=shard)
    assert client.replies() == []
    rig.router.finish(Unknown(OutcomeUnknown("late")), shard=3)
    assert client.replies()[0].startswith("UNCERTAIN ")


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


def test_words_of_cluster_clients_are_accepted(rig: Rig) -> None:
    client = rig.client()
    for word in (b"READONLY", b"READWRITE", b"ASKING"):
        assert client.ask(word) == b"OK"


def test_there_is_one_database_at_this_door(rig: Rig) -> None:
    client = rig.client()
    here, there = key_on(0), key_on(2)
    assert client.ask([b"MOVE", here, b"1"]) == "ERR MOVE is not allowed in cluster mode"
    assert client.ask([b"MOVE", there, b"1"]).startswith("MOVED ")
    assert (
        client.ask([b"COPY", here, b"{%b}2" % here, b"DB", b"1"])
        == "ERR Copying to another database is not allowed in cluster mode"
    )
    assert client.ask([b"COPY", here, b"{%b}2" % here, b"DB", b"0"]) == 0


def test_a_redirection_is_counted_as_a_rejected_call(rig: Rig, router: MemoryRouter) -> None:
    router.leaders[0] = "n2"
    rig.client().ask(b"GET b")  # Of slot 3300, shard 0 of 4.
    stats = rig.door.clients.stats
    assert stats.errors == {"MOVED": 1}
    assert stats.commands[b"GET"].rejected == 1
