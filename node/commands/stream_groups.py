"""Consumer groups: XGROUP, XREADGROUP, XACK, XPENDING. Claims stand in `stream_claims.py`.

Who is served by a command is seen at its entry's stamp. A consumer comes to be with the first entry
it gets, or its history; a command that answers nothing leaves no trace. For what waits (XREADGROUP
BLOCK), `has_news` says of a stream whether it would be answered now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any  # Replies nest.

from ...proto.reply import NULL_ARRAY, OK, PairsMapReply, Reply
from ..data.consumer_group import UNKNOWN
from ..data.stream import ID_MAX, Stream, id_text
from ..errors import CommandError
from .arguments import INT_MAX, int_argument, syntax_error
from .context import REPLY_BYTES_MAX, Context
from .stream_arguments import (
    Reading,
    any_id_argument,
    c_text,
    end_argument,
    id_argument,
    read_arguments,
    start_argument,
)
from .streams import MANY, WORD_BYTES, Entry, bytes_of, shown_entry, shown_many, too_large

if TYPE_CHECKING:
    from ..data.consumer_group import Consumer, Group
    from ..data.keyspace import Keyspace
    from ..request import Args

CREATE_WORDS_MAX = 8  # Of XGROUP, with all options once.
SETID_WORDS_MAX = 7

# --- XGROUP.


def xgroup_create(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD n]: OK."""
    key, name, text = args[2:5]
    is_creating, entries_read = _group_options(args, is_create=True)
    stream = keys.find(key, Stream)
    if stream is None and not is_creating:
        raise _no_stream()
    if len(args) > CREATE_WORDS_MAX:
        raise no_subcommand(args)
    now = 0 if stream is None else stream.last_id
    last_id = now if text == b"$" else id_argument(text)
    if stream is None:
        ctx.notify("n", "new", key)
    elif name in stream.groups:
        raise CommandError("Consumer Group name already exists", "BUSYGROUP")
    keys.change_or_add(key, Stream).add_group(name, last_id, entries_read)
    ctx.notify("t", "xgroup-create", key)
    return OK


def xgroup_setid(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XGROUP SETID key group id|$ [ENTRIESREAD n]: OK."""
    key, name, text = args[2:5]
    _, entries_read = _group_options(args, is_create=False)
    stream, _ = _stream_of(keys, key, name)
    if len(args) > SETID_WORDS_MAX:
        raise no_subcommand(args)
    last_id = stream.last_id if text == b"$" else any_id_argument(text)
    group = group_to_change(keys, key, name)
    group.last_id = last_id
    group.entries_read = entries_read
    ctx.notify("t", "xgroup-setid", key)
    return OK


def _group_options(args: Args, *, is_create: bool) -> tuple[bool, int]:
    """(MKSTREAM, ENTRIESREAD) of CREATE and SETID."""
    is_creating = False
    entries_read = UNKNOWN
    place = 5
    while place < len(args):
        option = args[place].upper()
        if is_create and option == b"MKSTREAM":
            is_creating = True
            place += 1
        elif option == b"ENTRIESREAD" and place + 1 < len(args):
            entries_read = int_argument(args[place + 1])
            if entries_read < 0 and entries_read != UNKNOWN:
                raise CommandError("value for ENTRIESREAD must be positive or -1")
            place += 2
        else:
            raise no_subcommand(args)
    return is_creating, entries_read


def xgroup_destroy(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XGROUP DESTROY key group: 1, or 0 if there is no such group."""
    key, name = args[2], args[3]
    stream = keys.find(key, Stream)
    if stream is None:
        raise _no_stream()
    if name not in stream.groups:
        return 0
    stream = keys.change(key, Stream)
    assert stream is not None
    stream.remove_group(name)
    ctx.notify("t", "xgroup-destroy", key)
    return 1


def xgroup_createconsumer(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XGROUP CREATECONSUMER key group consumer: 1, or 0 if it is there already."""
    _, _, key, name, consumer = args
    _, group = _stream_of(keys, key, name)
    if consumer in group.consumers:
        return 0
    consumer_to_change(group_to_change(keys, key, name), consumer, key, ctx)
    return 1


def xgroup_delconsumer(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XGROUP DELCONSUMER key group consumer: how many entries were pending with it."""
    _, _, key, name, consumer = args
    _, group = _stream_of(keys, key, name)
    if consumer not in group.consumers:
        return 0
    count = group_to_change(keys, key, name).remove_consumer(consumer)
    ctx.notify("t", "xgroup-delconsumer", key)
    return count


def _stream_of(keys: Keyspace, key: bytes, name: bytes) -> tuple[Stream, Group]:
    """For reading, with XGROUP's errors where something is missing."""
    stream = keys.find(key, Stream)
    if stream is None:
        raise _no_stream()
    group = stream.groups.get(name)
    if group is None:
        raise no_group(key, name)
    return stream, group


def group_to_change(keys: Keyspace, key: bytes, name: bytes) -> Group:
    """A group that is there."""
    stream = keys.change(key, Stream)
    assert stream is not None
    return stream.change_group(name)


def consumer_to_change(group: Group, name: bytes, key: bytes, ctx: Context) -> Consumer:
    """A consumer, seen now; made if it is not there."""
    consumer = group.change_consumer(name)
    if consumer is None:
        consumer = group.add_consumer(name, ctx.now_ms)
        ctx.notify("t", "xgroup-createconsumer", key)
    consumer.seen_ms = ctx.now_ms
    return consumer


def _no_stream() -> CommandError:
    return CommandError(
        "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use"
        " the MKSTREAM option to create an empty stream automatically."
    )


def no_group(key: bytes, name: bytes) -> CommandError:
    return CommandError(
        f"No such consumer group '{c_text(name)}' for key name '{c_text(key)}'", "NOGROUP"
    )


def no_subcommand(args: Args) -> CommandError:
    container = args[0].partition(b"|")[0].decode()
    return CommandError(
        f"unknown subcommand or wrong number of arguments for '{c_text(args[1][:128])}'."
        f" Try {container} HELP."
    )


# --- XREADGROUP.


@dataclass(slots=True)
class _Delivery:
    """What a consumer gets of one key."""

    key: bytes
    is_history: bool
    ids: list[int]
    entries: list[Any]  # As replied.


def xreadgroup(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] [NOACK] STREAMS key ... id ...: the
    entries behind those delivered last (`>`), or what is pending with the consumer, by key."""
    reading = read_arguments(args)
    asked = [
        (key, _group_id(keys, key, reading.group, text))
        for key, text in zip(reading.keys, reading.ids, strict=True)
    ]
    if len(dict.fromkeys(reading.keys)) == len(asked):
        deliveries = _find_deliveries(keys, asked, reading)
        for one in deliveries:
            _deliver(_change(keys, one.key), one, reading, ctx)
    else:
        deliveries = _deliver_in_turn(keys, asked, reading, ctx)
    if not deliveries:
        return NULL_ARRAY
    return PairsMapReply(tuple([(one.key, one.entries) for one in deliveries]))


def has_news(stream: Stream, group: bytes) -> bool:
    """Whether XREADGROUP with `>` would answer something of a stream; an error, without the
    group."""
    found = stream.groups.get(group)
    return found is None or _has_news(stream, found)


def _group_id(keys: Keyspace, key: bytes, name: bytes | None, text: bytes) -> int:
    """The id behind which XREADGROUP reads; the highest one stands for `>`."""
    stream = keys.find(key, Stream)
    if stream is None or name not in stream.groups:
        raise CommandError(
            f"No such key '{c_text(key)}' or consumer group '{c_text(name or b'')}' in XREADGROUP"
            " with GROUP option",
            "NOGROUP",
        )
    if text == b"$":
        raise CommandError(
            "The $ ID is meaningless in the context of XREADGROUP: you want to read the history of"
            " this consumer by specifying a proper ID, or use the > ID to get new messages. The $"
            " ID would just return an empty result set."
        )
    return ID_MAX if text == b">" else id_argument(text)


def _has_news(stream: Stream, group: Group) -> bool:
    return stream.length > 0 and stream.top_id > group.last_id


def _find_deliveries(
    keys: Keyspace, asked: list[tuple[bytes, int]], reading: Reading
) -> list[_Delivery]:
    """What each key has for the consumer; nothing is changed."""
    found: list[_Delivery] = []
    room = REPLY_BYTES_MAX
    for key, id_ in asked:
        stream = keys.find(key, Stream)
        assert stream is not None
        delivery, room = _find_delivery(stream, key, id_, reading, room)
        if delivery is not None:
            found.append(delivery)
    return found


def _deliver_in_turn(
    keys: Keyspace, asked: list[tuple[bytes, int]], reading: Reading, ctx: Context
) -> list[_Delivery]:
    """Where a key is named twice, what comes first changes what comes then. It is tried on copies,
    so that a reply that is too large is refused before anything is changed."""
    streams = {key: _change(keys, key) for key, _ in asked}
    tried = Context(ctx.db, ctx.now_ms, 0)
    _deliver_each({key: one.copy() for key, one in streams.items()}, asked, reading, tried)
    return _deliver_each(streams, asked, reading, ctx)


def _deliver_each(
    streams: dict[bytes, Stream], asked: list[tuple[bytes, int]], reading: Reading, ctx: Context
) -> list[_Delivery]:
    found: list[_Delivery] = []
    room = REPLY_BYTES_MAX
    for key, id_ in asked:
        delivery, room = _find_delivery(streams[key], key, id_, reading, room)
        if delivery is not None:
            _deliver(streams[key], delivery, reading, ctx)
            found.append(delivery)
    return found


def _find_delivery(
    stream: Stream, key: bytes, id_: int, reading: Reading, room: int
) -> tuple[_Delivery | None, int]:
    """What the consumer gets of a stream, if it gets an answer, and the room left in the reply."""
    assert reading.group is not None
    group = stream.groups[reading.group]
    is_history = id_ != ID_MAX
    if not is_history and not _has_news(stream, group):
        return None, room
    found: Iterable[Entry]
    if is_history:
        consumer = group.consumers.get(reading.consumer)
        pending = () if consumer is None else consumer.pending.walk(id_ + 1)
        found = stream.find_entries(one for (one,) in pending)
    else:
        found = stream.entries(group.last_id + 1)
    ids: list[int] = []
    entries: list[Any] = []
    count = reading.count or None
    if not is_history and (count is None or count > MANY):
        entries, room = shown_many(stream.many(group.last_id + 1), count, room, ids)
        return _Delivery(key, is_history, ids, entries), room
    for one, flat in islice(found, count):
        room -= bytes_of(flat)
        if room < 0:
            raise too_large()
        ids.append(one)
        entries.append(shown_entry(one, flat))
    return _Delivery(key, is_history, ids, entries), room


def _deliver(stream: Stream, delivery: _Delivery, reading: Reading, ctx: Context) -> None:
    assert reading.group is not None
    group = stream.change_group(reading.group)
    consumer = consumer_to_change(group, reading.consumer, delivery.key, ctx)
    if delivery.is_history:
        for id_, (_, flat) in zip(delivery.ids, delivery.entries, strict=True):
            if flat is not NULL_ARRAY:
                row = group.pending_of(id_)
                assert row is not None
                group.assign(id_, consumer, ctx.now_ms, min(row[2] + 1, INT_MAX))
        return
    ids = delivery.ids
    if group.entries_read != UNKNOWN and not stream.has_gap_from(ids[0]):
        group.entries_read += len(ids)  # Nor is there one behind the others.
        ids = []
    for id_ in ids:
        if group.entries_read != UNKNOWN and not stream.has_gap_from(id_):
            group.entries_read += 1
        elif stream.added:
            group.entries_read = stream.read_until(id_)
    group.last_id = delivery.ids[-1]
    if reading.needs_ack:
        group.assign_all(delivery.ids, consumer, ctx.now_ms, 1)
        consumer.active_ms = ctx.now_ms


def _change(keys: Keyspace, key: bytes) -> Stream:
    """A stream that is there."""
    stream = keys.change(key, Stream)
    assert stream is not None
    return stream


# --- What is pending: XACK, XPENDING.


def xack(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XACK key group id ...: how many of them were pending."""
    key, name = args[1], args[2]
    stream = keys.find(key, Stream)
    if stream is None or name not in stream.groups:
        return 0
    ids = [id_argument(text) for text in args[3:]]
    group = _change(keys, key).change_group(name)
    return sum([group.acknowledge(id_) for id_ in ids])


def xpending(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XPENDING key group [[IDLE ms] start end count [consumer]]: how many entries are pending, or
    which, with whom, for how long, and how often they were delivered."""
    if len(args) == 3:
        return _pending_summary(group_to_read(keys, args[1], args[2]))
    if not 6 <= len(args) <= 9:
        raise syntax_error()
    place = 3
    idle_ms = 0
    if args[3].upper() == b"IDLE":
        idle_ms = int_argument(args[4])
        if len(args) < 8:
            raise syntax_error()
        place = 5
    count = max(int_argument(args[place + 2]), 0)
    start, end = start_argument(args[place]), end_argument(args[place + 1])
    group = group_to_read(keys, args[1], args[2])
    entries = group.pending
    if place + 3 < len(args):
        consumer = group.consumers.get(args[place + 3])
        if consumer is None:
            return []
        entries = consumer.pending
    ids = (row[0] for row in entries.walk(start))
    return _pending_entries(group, ids, end, count, ctx.now_ms, idle_ms)


def _pending_summary(group: Group) -> Reply:
    if not group.pending:
        return [0, None, None, NULL_ARRAY]
    counts = [[one.name, b"%d" % len(one.pending)] for one in group.in_order() if len(one.pending)]
    ends = id_text(group.pending.first()), id_text(group.pending.last())
    return [len(group.pending), *ends, counts]


def _pending_entries(
    group: Group, ids: Iterable[int], end: int, count: int, now_ms: int, idle_ms: int
) -> Reply:
    found: list[Any] = []
    room = REPLY_BYTES_MAX
    for id_ in ids:
        if id_ > end or len(found) >= count:
            break
        row = group.pending_of(id_)
        assert row is not None
        name, delivered_ms, deliveries = row
        if idle_ms and now_ms - delivered_ms < idle_ms:
            continue
        room -= len(name) + 5 * WORD_BYTES
        if room < 0:
            raise too_large()
        found.append([id_text(id_), name, max(now_ms - delivered_ms, 0), deliveries])
    return found


def group_to_read(keys: Keyspace, key: bytes, name: bytes) -> Group:
    stream = keys.find(key, Stream)
    group = None if stream is None else stream.groups.get(name)
    if group is None:
        raise CommandError(
            f"No such key '{c_text(key)}' or consumer group '{c_text(name)}'", "NOGROUP"
        )
    return group
