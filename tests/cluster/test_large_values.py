"""The largest value there may be: through the doors, replicated, read back, in snapshots; and no
shard loses its leader over it."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from trimaran.node.config import Config

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes
from .command import until
from .raw import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..chaos.cluster import Node

BYTES = Config().bulk_bytes_max
VALUE = random.Random(1).randbytes(BYTES)
OTHER_VALUE = VALUE[::-1]
DATABASE = b"1"
SHARD = 0  # Where it lives, of two.
PATIENCE_S = 60.0
# Every such value is a reason for a snapshot, and nothing is kept of the log behind it.
OPTIONS = ("--snapshot-log-bytes", "1000000", "--log-keep-bytes", "0")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Processes() as processes:
        folder = tmp_path_factory.mktemp("large")
        rng = random.Random("large values")
        one = Cluster(processes, folder, rng=rng, shards=2, options=OPTIONS)
        one.wait_settled()
        yield one


def asked(node: Node, *command: bytes) -> object:
    with Raw(node.any_key_port, timeout_s=PATIENCE_S) as client:
        assert client.ask(b"SELECT", DATABASE) == b"OK"
        return client.ask(*command)


def holds(node: Node, key: bytes, value: bytes) -> bool:
    """Compared here: pytest would take minutes to say how two large values differ."""
    return asked(node, b"GET", key) == value


def test_the_largest_value_through_each_door_and_back_from_every_node(cluster: Cluster) -> None:
    terms = cluster.terms()
    leader = cluster.nodes[cluster.leader_of(SHARD)]
    follower = next(one for one in cluster.nodes.values() if one is not leader)
    assert asked(follower, b"SET", b"passed on", VALUE) == b"OK"
    assert asked(leader, b"SET", b"led here", OTHER_VALUE) == b"OK"
    for node in cluster.nodes.values():
        assert holds(node, b"passed on", VALUE)
        assert holds(node, b"led here", OTHER_VALUE)
    with Raw(leader.cluster_port, timeout_s=PATIENCE_S) as client:
        key = b"aab"  # In slot 6308, so on shard 0.
        assert client.ask(b"SET", key, VALUE) == b"OK"
        assert client.ask(b"GET", key) == VALUE or pytest.fail("another value came back")
    assert cluster.terms() == terms, "an election was held"


def test_who_reads_many_of_them_at_once_without_room_is_disconnected(cluster: Cluster) -> None:
    terms = cluster.terms()
    leader = cluster.nodes[cluster.leader_of(SHARD)]
    assert asked(leader, b"FLUSHALL") == b"OK"
    assert asked(leader, b"SET", b"k", VALUE) == b"OK"
    with Raw(leader.any_key_port, timeout_s=PATIENCE_S) as greedy:
        greedy.ask(b"SELECT", DATABASE)
        with pytest.raises(EOFError):
            greedy.ask_all([(b"GET", b"k")] * 10)
    for _ in range(10):
        assert holds(leader, b"k", VALUE)
    assert cluster.terms() == terms, "an election was held"


def test_a_follower_gets_them_by_snapshot_and_then_leads(cluster: Cluster) -> None:
    leader = cluster.nodes[cluster.leader_of(SHARD)]
    assert asked(leader, b"FLUSHALL") == b"OK"
    late = next(one for one in cluster.nodes.values() if one is not leader)
    late.process.kill()
    taken = count(leader, "snapshot taken shard=0")
    term = cluster.terms()[SHARD]  # The other shard may have lost its leader.
    assert asked(leader, b"SET", b"a", VALUE) == b"OK"
    assert asked(leader, b"SET", b"b", OTHER_VALUE) == b"OK"
    assert asked(leader, b"SET", b"c", b"small") == b"OK"
    until(
        lambda: count(leader, "snapshot taken shard=0") >= taken + 2,
        cluster.tails,
        PATIENCE_S,
    )
    assert cluster.terms()[SHARD] == term, "an election was held"
    late.process.start()
    until(
        lambda: count(late, "snapshot installed shard=0"),
        cluster.tails,
        PATIENCE_S,
    )
    cluster.wait_ready()
    make_leader(cluster, late)
    for node in cluster.running():
        assert holds(node, b"a", VALUE)
        assert holds(node, b"b", OTHER_VALUE)
        assert asked(node, b"GET", b"c") == b"small"


def count(node: Node, event: str) -> int:
    """How often `node` has said so in its log."""
    return node.process.output.read_text().count(event)


def make_leader(cluster: Cluster, node: Node) -> None:
    """Stops whoever leads until it is `node`."""
    deadline = time.monotonic() + PATIENCE_S
    while (name := cluster.leader_of(SHARD)) != node.name:
        assert time.monotonic() < deadline, cluster.tails()
        leader = cluster.nodes[name]
        leader.process.pause()  # The others elect one of themselves.
        cluster.wait(lambda: SHARD in cluster.leaders(), "no other leader", PATIENCE_S)
        leader.process.resume()
        cluster.wait_ready()
