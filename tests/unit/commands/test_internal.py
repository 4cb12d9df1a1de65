"""What the package proposes for itself: sessions and the topology. Expiry: test_expiry.py."""

from __future__ import annotations

import json

from trimaran.node.commands.internal import OPEN_SESSION, PUT_TOPOLOGY, read_topology
from trimaran.node.data.keyspace import INTERNAL_DB
from trimaran.node.data.sessions import Lookup
from trimaran.proto.reply import OK, ErrorReply, Reply

from ...model.driver import Driver


def put(shard: Driver, expected: int, epoch: int) -> Reply:
    value = json.dumps({"epoch": epoch, "nodes": []}).encode()
    return shard.apply([PUT_TOPOLOGY, b"%d" % expected, value], db=INTERNAL_DB)


def test_a_session_is_named_by_the_index_of_its_entry() -> None:
    shard = Driver()
    shard.run("SET", "a", "1")
    assert shard.apply([OPEN_SESSION, b"60000"]) == 2
    assert shard.keys.sessions.lookup(2, 1, 0, shard.now_ms) is Lookup.NEW


def test_a_topology_replaces_only_the_one_it_was_made_from() -> None:
    shard = Driver()
    assert read_topology(shard.keys) is None
    assert put(shard, 0, 1) == OK
    assert put(shard, 1, 2) == OK
    assert put(shard, 1, 2) == ErrorReply("STALEEPOCH", "the topology is at epoch 2, not 1")
    stored = read_topology(shard.keys)
    assert stored is not None
    assert json.loads(stored)["epoch"] == 2


def test_a_topology_has_the_next_epoch() -> None:
    shard = Driver()
    assert isinstance(put(shard, 0, 5), ErrorReply)
    assert read_topology(shard.keys) is None


def test_a_topology_survives_flushall() -> None:
    shard = Driver()
    put(shard, 0, 1)
    shard.run("FLUSHALL")
    assert read_topology(shard.keys) is not None
