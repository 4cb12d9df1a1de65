"""Planted bugs in the SDK's retries and in the sessions they count on (correctness A8)."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from trimaran.client.errors import NotApplied
from trimaran.client.router import Router
from trimaran.node.data.sessions import Session, Sessions

from .planted import Bug

if TYPE_CHECKING:
    from trimaran.client.batch import Batch


def _anew(self: Router, batch: Batch) -> None:
    """Also what may have been applied gets another number."""
    self._release(batch)


def _sure(self: Router, batch: Batch) -> None:
    self._fail(batch, NotApplied("its time is up"))


def _another(
    self: Sessions, index: int, timeout_ms: int, stamp_ms: int, client: int = 0, age_ms: int = 0
) -> int:
    nth = 0
    while (session_id := nth << 48 | index) in self._sessions:
        nth += 1
    self._add(Session(session_id, timeout_ms, stamp_ms, client))
    return session_id


_STALE = "not linearizable|answered|published again"

BUGS = (
    Bug(
        "a retry takes another number",
        "A8",
        _STALE,
        patches=((Router, "_give_back", _anew),),
        needs=attrgetter("has_sdk"),
    ),
    Bug(
        "time is up, so nothing happened",
        "A8",
        _STALE,
        patches=((Router, "_expire", _sure),),
        needs=attrgetter("has_sdk"),
        first=210,
    ),
    Bug(
        "a session asked for again is another one",
        "A8",
        _STALE,
        patches=((Sessions, "register", _another),),
        caught_by="test_so_is_the_one_that_opens_the_session",
    ),
)
