"""Commands that wait for data: BLPOP and its like, XREAD and XREADGROUP with BLOCK.

A read waits at the leader of its shard, and again at the next one: nothing is lost by asking twice.
What takes something is done in two steps, so that it takes it once: wait for a turn, which can be
repeated likewise, then take it by an ordinary write under the session. Who found something at once
the last time tries that first. A time-out is the command's own, and the client's comes on top for
finding the leader and for taking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Final

from ..proto.requests import encode_command, outcome_of
from .errors import error_of
from .replies import ReplyReader

if TYPE_CHECKING:
    from .batch import Batch
    from .core import Core
    from .options import Options

NOTHING: Final = b"\x62\x00"  # A Value: what is answered when the time is over.
NO_TURN: Final = 1  # It just does not wait.
AT_ONCE_S: Final = 0.02  # A turn that comes so soon was there already.
REMEMBERED_MAX: Final = 1_000  # Keys that had something at once.

_NULLS: Final = (NOTHING, b"\x2a\x00")
_LAST: Final = frozenset(
    {b"BLPOP", b"BRPOP", b"BZPOPMIN", b"BZPOPMAX", b"BLMOVE", b"BRPOPLPUSH"}
)  # Their time-out is the last word,
_FIRST: Final = frozenset({b"BLMPOP", b"BZMPOP"})  # and theirs the first.
_STREAMS: Final = frozenset({b"XREAD", b"XREADGROUP"})
_PLAIN = ReplyReader(3, error_of)


@dataclass(frozen=True, slots=True)
class Wait:
    """A command that waits."""

    words: tuple[bytes, ...]
    place: int  # Of its time-out among them.
    seconds: float  # Infinite: for ever.
    takes: bool  # It changes something.
    streams_at: int = 0  # Of the first key of a stream.

    @property
    def name(self) -> bytes:
        return self.words[0].upper()

    @property
    def key(self) -> bytes:
        """The first of its keys."""
        at = self.streams_at or (3 if self.name in _FIRST else 1)
        return self.words[at]

    def for_seconds(self, seconds: float) -> bytes:
        """It, encoded, with that time-out."""
        words = list(self.words)
        if seconds == inf:
            words[self.place] = b"0"
        elif self.streams_at:
            words[self.place] = b"%d" % max(1, round(seconds * 1000))
        else:
            words[self.place] = b"%.3f" % max(0.001, seconds)
        return encode_command(words)

    def narrowed(self, key: bytes) -> list[bytes]:
        """It on one of its keys, which has something."""
        words, name = self.words, self.name
        if name in _FIRST:
            behind = 3 + int(words[2])
            return [*words[:2], b"1", key, *words[behind:]]
        if self.streams_at:
            keys, ids = self._keys_and_ids()
            return [*words[: self.streams_at], key, ids[keys.index(key)]]
        if name in (b"BLMOVE", b"BRPOPLPUSH"):
            return list(words)
        return [words[0], key, words[-1]]

    def _keys_and_ids(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        behind = self.words[self.streams_at :]
        half = len(behind) // 2
        return behind[:half], behind[half:]

    @property
    def open_places(self) -> list[int]:
        """Where it says `$`: what is added from now on, whenever that is read."""
        half = (len(self.words) - self.streams_at) // 2
        first = self.streams_at + half
        return [at for at in range(first, len(self.words)) if self.words[at] == b"$"]

    def closed(self, ids: dict[int, bytes]) -> Wait:
        """It with ids at those places."""
        return replace(self, words=tuple([ids.get(at, one) for at, one in enumerate(self.words)]))


def wait_of(words: Sequence[bytes]) -> Wait | None:
    """What a command waits for; None if it does not wait, or if its words are wrong, which a node
    says."""
    name = words[0].upper()
    if name in _STREAMS:
        return _wait_of_streams(name, words)
    place = len(words) - 1 if name in _LAST else 1
    seconds = _seconds(words[place]) if len(words) > place else None
    if seconds is None or len(words) < 3:
        return None
    if name in _FIRST and not (words[2].isdigit() and 0 < int(words[2]) <= len(words) - 4):
        return None
    return Wait(tuple(words), place, seconds or inf, takes=True)


def _seconds(text: bytes) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < inf else None


def _wait_of_streams(name: bytes, words: Sequence[bytes]) -> Wait | None:
    block_at = 0
    at = 4 if name == b"XREADGROUP" else 1
    while at < len(words):
        word = words[at].upper()
        if word == b"STREAMS":
            break
        if word == b"BLOCK":
            block_at = at + 1
        at += 1 if word == b"NOACK" else 2
    streams_at, count = at + 1, len(words) - at - 1
    if not block_at or count < 2 or count % 2 or not words[block_at].isdigit():
        return None
    takes = name == b"XREADGROUP"
    if takes and any(id_ != b">" for id_ in words[streams_at + count // 2 :]):
        return None  # What a consumer was given before is there, or it is not.
    seconds = int(words[block_at]) / 1000
    return Wait(tuple(words), block_at, seconds or inf, takes=takes, streams_at=streams_at)


# --- Carrying it out.


async def carry_out(core: Core, options: Options, shard: int, wait: Wait) -> bytes:
    """The Value it answers. Raises what a command raises; NotApplied as well if no leader was found
    for all its time and the client's."""
    if not wait.takes:
        if wait.open_places:
            wait = await _close(core, options, shard, wait)
        waiting = _waiting(core, options, shard, wait, wait.seconds, asks_for_turn=False)
        return await _answered(core, waiting, wait.for_seconds(wait.seconds))
    start = core.loop.time()
    known = (options.db, wait.key)
    if known in core.had_at_once:
        value = await _take(core, options, shard, wait.words, is_behind_others=True)
        if value not in _NULLS:
            return value
        core.had_at_once.pop(known, None)
    is_sure = True
    while (left := start + wait.seconds - core.loop.time()) > 0:
        waiting = _waiting(core, options, shard, wait, left, asks_for_turn=True)
        told = await _answered(core, waiting, wait.for_seconds(left))
        reply = _PLAIN.read(told)
        if not isinstance(reply, list):
            return told  # The time is over, or there is something wrong with it.
        key, turn = reply
        is_at_once = core.loop.time() - start < AT_ONCE_S
        narrowed = wait.narrowed(key)
        is_used = False
        try:
            value = await _take(core, options, shard, narrowed, turn if is_sure else NO_TURN)
            is_used = is_sure
        finally:
            if not is_used:
                core.router.give_up(waiting)  # Somebody else's turn it is, at once.
        if value not in _NULLS:
            if is_at_once:
                core.had_at_once[known] = None
                if len(core.had_at_once) > REMEMBERED_MAX:
                    core.had_at_once.popitem(last=False)
            return value
        # Somebody else took it; or the turn was lost, and nobody else may be let in front for ever.
        is_sure = not is_sure
    return NOTHING


def _waiting(
    core: Core, options: Options, shard: int, wait: Wait, seconds: float, *, asks_for_turn: bool
) -> Batch:
    return core.router.batch(
        shard,
        options.db,
        is_write=False,
        timeout_s=options.timeout,
        wait=wait.for_seconds,
        wait_s=seconds,
        asks_for_turn=asks_for_turn,
    )


async def _take(
    core: Core,
    options: Options,
    shard: int,
    words: Sequence[bytes],
    turn: int = NO_TURN,
    *,
    is_behind_others: bool = False,
) -> bytes:
    """What is there, under the session; it does not wait."""
    batch = core.router.batch(
        shard,
        options.db,
        is_write=True,
        timeout_s=options.timeout,
        turn=turn,
        is_behind_others=is_behind_others,
    )
    return await _answered(core, batch, encode_command(words))


async def _answered(core: Core, batch: Batch, command: bytes) -> bytes:
    future: asyncio.Future[bytes] = core.loop.create_future()
    batch.add(command, future)
    core.router.submit(batch)
    try:
        return outcome_of(await future)
    except asyncio.CancelledError:
        if batch.wait is not None:
            core.router.give_up(batch)
        raise


async def _close(core: Core, options: Options, shard: int, wait: Wait) -> Wait:
    """With the last id of a stream instead of `$`: it is read again after a failure, and nothing
    that was added meanwhile may be skipped."""
    half = (len(wait.words) - wait.streams_at) // 2
    ids: dict[int, bytes] = {}
    for at in wait.open_places:
        batch = core.router.batch(shard, options.db, is_write=False, timeout_s=options.timeout)
        words = [b"XREVRANGE", wait.words[at - half], b"+", b"-", b"COUNT", b"1"]
        reply = _PLAIN.read(await _answered(core, batch, encode_command(words)))
        if isinstance(reply, list):
            ids[at] = reply[0][0] if reply else b"0-0"
    return wait.closed(ids)
