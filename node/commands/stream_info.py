"""XINFO: what there is in a stream, its groups and their consumers.

Idle times are told as Redis does from 7.2 on, beside its older fields: `inactive` and `active-time`
are of the last time a consumer got something. Of the tree that Redis keeps a stream in, the number
of keys is that of the chunks here, which are cut where its nodes are; inner nodes are not counted.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any  # Replies nest.

from ...proto.reply import MapReply, Reply
from ..data.consumer_group import NEVER_MS, UNKNOWN
from ..data.stream import Stream, id_text
from ..errors import CommandError
from .arguments import int_argument
from .context import REPLY_BYTES_MAX
from .stream_groups import no_group, no_subcommand
from .streams import WORD_BYTES, bounded, bytes_of, too_large

if TYPE_CHECKING:
    from ..data.consumer_group import Consumer, Group
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

FULL_COUNT = 10


def xinfo_stream(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XINFO STREAM key [FULL [COUNT n]]: its length, ids, first and last entry; or with FULL its
    entries, groups, consumers and what is pending."""
    stream = _stream_of(keys, args[2])
    options = [word.upper() for word in args[3:]]
    fields = [
        (b"length", stream.length),
        (b"radix-tree-keys", len(stream.chunks)),
        (b"radix-tree-nodes", len(stream.chunks) + 1),
        (b"last-generated-id", id_text(stream.last_id)),
        (b"max-deleted-entry-id", id_text(stream.max_deleted_id)),
        (b"entries-added", stream.added),
        (b"recorded-first-entry-id", id_text(stream.first_id)),
    ]
    if not options:
        ends = [next(stream.entries(is_reverse=one), None) for one in (False, True)]
        first, last = [None if one is None else bounded([one])[0] for one in ends]
        more: list[tuple[bytes, Reply]] = [
            (b"groups", len(stream.groups)),
            (b"first-entry", first),
            (b"last-entry", last),
        ]
        return MapReply((*fields, *more))
    if options[0] != b"FULL" or len(options) not in (1, 3) or options[1:2] not in ([], [b"COUNT"]):
        raise no_subcommand(args)
    count = int_argument(args[5]) if len(options) == 3 else FULL_COUNT
    shown = _Full(FULL_COUNT if count < 0 else count)
    entries = shown.entries(stream)
    groups = [shown.group(stream, one) for one in stream.groups_in_order()]
    return MapReply((*fields, (b"entries", entries), (b"groups", groups)))


class _Full:
    """All of a stream, at most `count` entries of each kind unless it is 0."""

    def __init__(self, count: int) -> None:
        self._count = count or None
        self._room = REPLY_BYTES_MAX

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise too_large()

    def entries(self, stream: Stream) -> list[Any]:
        entries = bounded(islice(stream.entries(), self._count))
        for _, flat in entries:
            self._take(bytes_of(flat))
        return entries

    def group(self, stream: Stream, group: Group) -> Reply:
        pending: list[Any] = []
        for id_, name, delivered_ms, deliveries in islice(group.pending.walk(), self._count):
            self._take(len(name) + 5 * WORD_BYTES)
            pending.append([id_text(id_), name, delivered_ms, deliveries])
        self._take(len(group.name) + 14 * WORD_BYTES)
        return MapReply(
            (
                (b"name", group.name),
                (b"last-delivered-id", id_text(group.last_id)),
                (b"entries-read", _known(group.entries_read)),
                (b"lag", stream.lag(group)),
                (b"pel-count", len(group.pending)),
                (b"pending", pending),
                (b"consumers", [self._consumer(group, one) for one in group.in_order()]),
            )
        )

    def _consumer(self, group: Group, consumer: Consumer) -> Reply:
        pending: list[Any] = []
        for (id_,) in islice(consumer.pending.walk(), self._count):
            row = group.pending_of(id_)
            assert row is not None
            self._take(4 * WORD_BYTES)
            pending.append([id_text(id_), row[1], row[2]])
        self._take(len(consumer.name) + 10 * WORD_BYTES)
        return MapReply(
            (
                (b"name", consumer.name),
                (b"seen-time", consumer.seen_ms),
                (b"active-time", consumer.active_ms),
                (b"pel-count", len(consumer.pending)),
                (b"pending", pending),
            )
        )


def xinfo_groups(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XINFO GROUPS key: of each group how many consumers and pending entries, and how far it is."""
    stream = _stream_of(keys, args[2])
    return [
        MapReply(
            (
                (b"name", group.name),
                (b"consumers", len(group.consumers)),
                (b"pending", len(group.pending)),
                (b"last-delivered-id", id_text(group.last_id)),
                (b"entries-read", _known(group.entries_read)),
                (b"lag", stream.lag(group)),
            )
        )
        for group in stream.groups_in_order()
    ]


def xinfo_consumers(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XINFO CONSUMERS key group: of each how many entries are pending, and for how long it was not
    seen and got nothing, in milliseconds."""
    key, name = args[2], args[3]
    group = _stream_of(keys, key).groups.get(name)
    if group is None:
        raise no_group(key, name)
    return [
        MapReply(
            (
                (b"name", one.name),
                (b"pending", len(one.pending)),
                (b"idle", max(ctx.now_ms - one.seen_ms, 0)),
                (b"inactive", _since(one.active_ms, ctx.now_ms)),
            )
        )
        for one in group.in_order()
    ]


def _since(at_ms: int, now_ms: int) -> int:
    return NEVER_MS if at_ms == NEVER_MS else max(now_ms - at_ms, 0)


def _known(entries_read: int) -> int | None:
    return None if entries_read == UNKNOWN else entries_read


def _stream_of(keys: Keyspace, key: bytes) -> Stream:
    stream = keys.find(key, Stream)
    if stream is None:
        raise CommandError("no such key")
    return stream
