"""What a consumer of a group does when it is not told what became of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast  # Any: what commands take and answer.

import pytest

from trimaran.client.errors import NotApplied, OutcomeUnknown, Refused
from trimaran.client.stream import Stream

if TYPE_CHECKING:
    from trimaran.client.client import Client

ENTRY = (b"1-0", {b"n": b"1"})


class Scripted:
    """A client whose calls fail as it is told, and then answer."""

    def __init__(self, **failures: list[Exception]) -> None:
        self.calls: list[str] = []
        self._failures = failures
        self._home = self

    def core(self) -> Scripted:
        return self

    def jitter(self, _: float) -> float:
        return 0.0

    def _call(self, name: str, answer: Any) -> Any:
        self.calls.append(name)
        if self._failures.get(name):
            raise self._failures[name].pop(0)
        return answer

    async def xgroup_create(self, *_: Any, **__: Any) -> Any:
        return self._call("create", answer=True)

    async def xreadgroup(self, *_: Any, **options: Any) -> Any:
        is_new = options["block"] is not None
        return self._call("read" if is_new else "look back", [[b"s", [ENTRY]]] if is_new else [])

    async def xautoclaim(self, *_: Any) -> Any:
        return self._call("claim", [b"0-0", [], []])


def unknown() -> Exception:
    return OutcomeUnknown("the node has died")


async def first(client: Scripted) -> None:
    group = Stream(cast("Client", client), "s").group("g", "c")
    async for entry in group:
        assert entry.id == b"1-0"
        return


async def test_a_group_is_created_again_if_nobody_knows_whether_it_was() -> None:
    there = Refused("Consumer Group name already exists")
    there.code = "BUSYGROUP"
    client = Scripted(create=[unknown(), NotApplied("no leader"), there])
    await first(client)
    assert client.calls == ["create"] * 3 + ["look back", "claim", "read"]


async def test_entries_in_an_answer_that_was_lost_are_looked_for() -> None:
    client = Scripted(read=[unknown()])
    await first(client)
    assert client.calls == ["create", "look back", "claim", "read", "look back", "read"]


async def test_what_is_wrong_is_raised() -> None:
    with pytest.raises(Refused):
        await first(Scripted(create=[Refused("wrong kind of value")]))
