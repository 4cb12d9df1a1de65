"""XCLAIM and XAUTOCLAIM: what is pending with one consumer goes to another.

What is going to change is gathered first, so that a reply that is too large is refused before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Replies nest.

from ..data.stream import Stream, id_text
from ..errors import CommandError
from .arguments import INT_MAX, parse_int, syntax_error
from .context import REPLY_BYTES_MAX
from .stream_arguments import (
    c_text,
    id_argument,
    named_int_argument,
    parse_id,
    start_argument,
)
from .stream_groups import consumer_to_change, group_to_change, group_to_read
from .streams import WORD_BYTES, bytes_of, shown_entry, too_large

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..data.consumer_group import Group
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

CLAIM_COUNT = 100  # Of XAUTOCLAIM without COUNT.
CLAIM_LOOKS = 10  # Pending entries it looks at, for each that it may claim.
CLAIM_COUNT_MAX = ((1 << 63) - 1) // 16
CLAIMS_MAX = 20_000  # At once, whatever COUNT says: its reply tells where to go on.


@dataclass(slots=True)
class _Claim:
    """What is asked of entries that are claimed."""

    idle_ms: int  # At least.
    delivered_ms: int
    deliveries: int | None = None  # None: one more, unless only ids are answered.
    is_forced: bool = False
    is_just_id: bool = False
    last_id: int = 0


class _Claims:
    """What a claim is going to change, gathered before anything is."""

    def __init__(self, group: Group, consumer: bytes, claim: _Claim, now_ms: int) -> None:
        self._group = group
        self._consumer = consumer
        self._claim = claim
        self._now_ms = now_ms
        self._room = REPLY_BYTES_MAX
        # In place of the group's; None of what is gone.
        self._rows: dict[int, tuple[bytes, int, int] | None] = {}
        self.entries: list[Any] = []  # As replied.

    def take(self, id_: int, flat: list[bytes] | None) -> bool | None:
        """Whether an entry is claimed; None if it is gone, and not pending any more."""
        group, claim = self._group, self._claim
        row = self._rows[id_] if id_ in self._rows else group.pending_of(id_)
        if flat is None:
            if row is not None:
                self._rows[id_] = None
            return None
        if row is None:
            if not claim.is_forced:
                return False
            row = (b"", 0, 1)
        elif claim.idle_ms and self._now_ms - row[1] < claim.idle_ms:
            return False
        deliveries = row[2] if claim.is_just_id else min(row[2] + 1, INT_MAX)
        if claim.deliveries is not None:
            deliveries = claim.deliveries
        self._rows[id_] = (self._consumer, claim.delivered_ms, deliveries)
        self._room -= WORD_BYTES if claim.is_just_id else bytes_of(flat)
        if self._room < 0:
            raise too_large()
        self.entries.append(id_text(id_) if claim.is_just_id else shown_entry(id_, flat))
        return True

    def apply(self, keys: Keyspace, key: bytes, ctx: Context) -> None:
        claim, group = self._claim, self._group
        if not self._rows and claim.last_id <= group.last_id:
            return
        group = group_to_change(keys, key, group.name)
        group.last_id = max(group.last_id, claim.last_id)
        if self.entries:
            consumer_to_change(group, self._consumer, key, ctx).active_ms = ctx.now_ms
        for id_, row in self._rows.items():
            if row is None:
                group.acknowledge(id_)
                continue
            consumer = group.change_consumer(self._consumer)
            assert consumer is not None
            group.assign(id_, consumer, row[1], row[2])


def xclaim(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XCLAIM key group consumer min-idle-time id ... [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE]
    [JUSTID] [LASTID id]: the entries that are now pending with the consumer, or their ids."""
    _, key, name, consumer = args[:4]
    group = group_to_read(keys, key, name)
    stream = keys.find(key, Stream)
    assert stream is not None
    idle_ms = _min_idle_argument(args, "XCLAIM")
    ids: list[int] = []
    for text in args[5:]:
        id_ = parse_id(text)
        if id_ is None:
            break
        ids.append(id_)
    claim = _claim_options(args, 5 + len(ids), _Claim(idle_ms, ctx.now_ms), ctx.now_ms)
    claims = _Claims(group, consumer, claim, ctx.now_ms)
    for id_, flat in stream.find_entries(ids):
        claims.take(id_, flat)
    claims.apply(keys, key, ctx)
    return claims.entries


def _min_idle_argument(args: Args, command: str) -> int:
    return max(named_int_argument(args[4], f"Invalid min-idle-time argument for {command}"), 0)


def _claim_options(args: Args, place: int, claim: _Claim, now_ms: int) -> _Claim:
    """`claim` with what the words from `place` on say."""
    rest = iter(args[place:])
    for word in rest:
        option = word.upper()
        if option == b"FORCE":
            claim.is_forced = True
            continue
        if option == b"JUSTID":
            claim.is_just_id = True
            continue
        value = next(rest, None)
        if value is None or option not in (b"IDLE", b"TIME", b"RETRYCOUNT", b"LASTID"):
            raise CommandError(f"Unrecognized XCLAIM option '{c_text(word)}'")
        if option == b"LASTID":
            claim.last_id = id_argument(value)
            continue
        error = f"Invalid {option.decode()} option argument for XCLAIM"
        number = named_int_argument(value, error)
        if option == b"RETRYCOUNT":
            claim.deliveries = number if number >= 0 else None
            continue
        at_ms = number if option == b"TIME" else now_ms - number
        # A time that cannot be is no error: clients reckon it by clocks of their own.
        claim.delivered_ms = at_ms if 0 <= at_ms <= now_ms else now_ms
    return claim


def xautoclaim(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XAUTOCLAIM key group consumer min-idle-time start [COUNT n] [JUSTID]: where to go on, the
    entries that are now pending with the consumer, and the ids of those that were gone."""
    _, key, name, consumer, _, first = args[:6]
    claim = _Claim(_min_idle_argument(args, "XAUTOCLAIM"), ctx.now_ms)
    start = start_argument(first)
    count = _autoclaim_options(args, claim)
    group = group_to_read(keys, key, name)
    stream = keys.find(key, Stream)
    assert stream is not None
    claims = _Claims(group, consumer, claim, ctx.now_ms)
    gone: list[bytes] = []
    next_id = 0
    looks = count * CLAIM_LOOKS
    pending = (row[0] for row in group.pending.walk(start))
    for id_, flat in stream.find_entries(pending):
        if looks == 0 or count == 0:
            next_id = id_
            break
        looks -= 1
        is_claimed = claims.take(id_, flat)
        if is_claimed is None:
            gone.append(id_text(id_))
        if is_claimed is not False:
            count -= 1
    claims.apply(keys, key, ctx)
    return [id_text(next_id), claims.entries, gone]


def _autoclaim_options(args: Args, claim: _Claim) -> int:
    """The COUNT; JUSTID goes into `claim`."""
    count = CLAIM_COUNT
    rest = iter(args[6:])
    for word in rest:
        option = word.upper()
        if option == b"JUSTID":
            claim.is_just_id = True
        elif option == b"COUNT" and (value := next(rest, None)) is not None:
            number = parse_int(value)
            if number is None or not 1 <= number <= CLAIM_COUNT_MAX:
                raise CommandError("COUNT must be > 0")
            count = min(number, CLAIMS_MAX)
        else:
            raise syntax_error()
    return count
