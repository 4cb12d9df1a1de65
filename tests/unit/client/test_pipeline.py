"""In which order and how fresh pipelines ask, seen by a node that answers everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast  # Any: calls of pipelines are chained.

import pytest

from trimaran.client.client import Client
from trimaran.client.errors import NotApplied
from trimaran.client.topology import NodeView, ShardView, TopologyView
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.execute import encode_batch, encode_outcome, encode_result
from trimaran.proto.requests import read_replies

if TYPE_CHECKING:
    from trimaran.client.core import Core
    from trimaran.client.link import Link

VIEW = TopologyView(
    node="n1",
    cluster_id="0",
    epoch=1,
    nodes={"n1": NodeView("n1", "127.0.0.1:1", "", is_reachable=True)},
    shards=tuple(ShardView(("n1",), "n1", 1) for _ in range(4)),
)


class Node:
    """A link to a node that leads all shards, and what it was asked in one turn each."""

    def __init__(self, core: Core) -> None:
        self.address = "127.0.0.1:1"
        self.unsent: list[int] = []
        self.turns: list[list[str]] = []
        self.batches: list[int] = []  # How many commands were in each.
        self.stale_ms: dict[str, int] = {}
        self.refuses = b""  # A batch that begins with that.
        self._core = core
        self._waiting: list[pb.Batch] = []

    def send(self, number: int, data: bytes, commands: int = 1) -> None:
        (batch,) = pb.ExecuteRequest.FromString(data).batches
        if not self._waiting:
            self._core.loop.call_soon(self._answer)
        self._waiting.append(batch)

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        names = []
        for batch in waiting:
            self.batches.append(len(batch.commands))
            for command in batch.commands:
                name = " ".join(word.decode() for word in command.args[:2])
                self.stale_ms[name] = batch.stale_ms
                names.append(name)
            results = [encode_result(7)] * len(batch.commands)
            if batch.commands[0].args[0] == self.refuses:
                results = [encode_outcome(pb.Result(not_applied=pb.NotApplied(text="no")))]
            opened = [(one.shard, 5) for one in batch.sessions if not one.id]
            for answer in read_replies(encode_batch(batch.id, results, opened)):
                self._core.router.answered("n1", answer)
        self.turns.append(sorted(names))

    async def close(self) -> None:
        pass


async def made(**options: Any) -> tuple[Client, Node]:
    client = Client("127.0.0.1:1", **options)
    core = client._home.core()
    core.router.changed(VIEW)
    node = Node(core)
    core._links["n1"] = cast("Link", node)
    return client, node


@pytest.fixture
async def client_and_node() -> AsyncIterator[tuple[Client, Node]]:
    client, node = await made(max_age_ms=500)
    yield client, node
    await client.aclose()


async def test_what_is_read_of_a_watched_key_is_no_older_than_the_watch(
    client_and_node: tuple[Client, Node],
) -> None:
    # Else a change between the two, which came before the watch, is overwritten unnoticed.
    client, node = client_and_node
    async with cast("Any", client.pipeline()) as pipe:
        await pipe.watch("k")
        await pipe.get("k")
        pipe.multi()
        pipe.set("k", 8)
        await pipe.execute()
    assert node.stale_ms == {"WATCH k": 0, "GET k": 0, "SET k": 0}
    await client.get("other")
    assert node.stale_ms["GET other"] == 500


async def test_what_concerns_all_shards_has_its_place_in_a_pipeline(
    client_and_node: tuple[Client, Node],
) -> None:
    client, node = client_and_node
    pipe = cast("Any", client.pipeline(transaction=False))
    pipe.set("a", 1).set("b", 1).flushall().set("a", 2).dbsize()
    await pipe.execute()
    assert node.turns == [["SET a", "SET b"], ["FLUSHALL"], ["SET a"], ["DBSIZE"]]


async def test_nothing_is_in_one_batch_with_what_asks_all_shards(
    client_and_node: tuple[Client, Node],
) -> None:
    # One that has no leader would keep the answers of all.
    client, node = client_and_node
    await asyncio.gather(client.keys(), client.echo("x"), client.echo("y"))
    assert sorted(node.batches) == [1, 2]


async def test_what_concerns_one_shard_each_leaves_together(
    client_and_node: tuple[Client, Node],
) -> None:
    client, node = client_and_node
    pipe = cast("Any", client.pipeline(transaction=False))
    pipe.publish("c", "d").set("a", 1).get("b").set("e", 1)
    await pipe.execute()
    assert len(node.turns) == 1


async def test_who_hears_what_a_pipeline_publishes_sees_what_it_wrote_before(
    client_and_node: tuple[Client, Node],
) -> None:
    client, node = client_and_node
    pipe = cast("Any", client.pipeline(transaction=False))
    pipe.publish("c", "0").set("a", 1).publish("c", "1").get("b").set("b", 2).publish("c", "2")
    assert len(await pipe.execute()) == 6
    assert node.turns == [
        ["GET b", "PUBLISH c", "SET a", "SET b"],
        ["PUBLISH c", "PUBLISH c"],
    ]


async def test_nothing_is_published_of_what_was_not_written(
    client_and_node: tuple[Client, Node],
) -> None:
    client, node = client_and_node
    node.refuses = b"SET"
    pipe = cast("Any", client.with_timeout(0.2).pipeline(transaction=False))
    pipe.set("a", 1).publish("c", "1").get("b")
    wrote, published, read = await pipe.execute(raise_on_error=False)
    assert isinstance(wrote, NotApplied)
    assert isinstance(published, NotApplied)
    assert read == 7
    pipe.set("a", 1).dbsize().publish("c", "1")  # It is not the last one before it, either.
    *_, published = await pipe.execute(raise_on_error=False)
    assert isinstance(published, NotApplied)
    assert not [turn for turn in node.turns if "PUBLISH c" in turn]


async def test_what_waits_for_data_has_its_place_in_a_pipeline(
    client_and_node: tuple[Client, Node],
) -> None:
    client, node = client_and_node
    pipe = cast("Any", client.pipeline(transaction=False))
    pipe.set("a", 1).blmove("q", "q", 1).brpoplpush("q", "q", 0).set("b", 2)
    answers = await pipe.execute(raise_on_error=False)
    assert len(answers) == 4
    assert node.turns == [["SET a"], ["BLMOVE q"], ["BRPOPLPUSH q"], ["SET b"]]


async def test_a_long_pipeline_is_sent_in_parts_and_ends_with_the_first_that_fails(
    client_and_node: tuple[Client, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, node = client_and_node
    monkeypatch.setattr("trimaran.client.pipeline.RUN_COMMANDS_MAX", 2)
    monkeypatch.setattr("trimaran.client.pipeline.RUN_BYTES_MAX", 100)
    pipe = cast("Any", client.with_timeout(0.2).pipeline(transaction=False))
    pipe.set("a", 1).set("b", 1).set("c", "x" * 100).set("d", 1)
    assert len(await pipe.execute()) == 4
    assert node.turns == [["SET a", "SET b"], ["SET c"], ["SET d"]]
    node.refuses = b"SET"
    pipe.set("a", 1).get("b").get("c")
    wrote, read, behind = await pipe.execute(raise_on_error=False)
    assert isinstance(wrote, NotApplied)
    assert read == 7
    assert isinstance(behind, NotApplied)
    assert "not sent" in str(behind)
