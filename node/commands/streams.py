"""Streams: XADD, ranges, XREAD, XTRIM, XDEL. What is about groups stands in `stream_groups.py`.

`*` takes its id from the entry's stamp. For what waits (XREAD BLOCK), `has_entries_behind` says of
a stream whether it would be answered now, and `xread_resolved` gives the command with `$` replaced
by the ids that it stands for at this moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeAlias  # Any: replies nest.

from ...proto.reply import NULL_ARRAY, OK, PairsMapReply, Reply
from ..data.stream import ID_MAX, PART_MAX, Some, Stream, id_text
from ..errors import CommandError
from .arguments import int_argument, parse_int, syntax_error
from .context import REPLY_BYTES_MAX
from .stream_arguments import (
    NEW_ID_BEGINS,
    Reading,
    Trim,
    end_argument,
    id_argument,
    new_id_argument,
    parse_parts,
    read_arguments,
    start_argument,
    trim_arguments,
    trim_limit,
)

if TYPE_CHECKING:
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

Entry: TypeAlias = "tuple[int, list[bytes] | None]"  # Its id, fields and values.

ENTRY_BYTES_MAX = 1 << 30  # Of all fields and values of one entry.
MANY = 1000  # Entries: so many are taken out of their chunks as a whole.
WORD_BYTES = 32  # In a reply, beside the bytes themselves.

_NO_PARTS = (0, 0)  # Of an id that no entry can have.


def xadd(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] bound [LIMIT n]] *|id field value ...: its id."""
    # What most are, with few calls: no option but MAXLEN, one field, and no key is watched.
    length, is_exact = None, True
    if len(args) == 5:
        _, key, text, field, value = args
    else:
        if len(args) == 8:
            _, key, word, sign, bound, text, field, value = args
            is_exact = sign == b"="
        elif len(args) == 7:
            _, key, word, bound, text, field, value = args
            sign = b"="
        else:
            return _add(keys, args, ctx)
        length = parse_int(bound)
        if length is None or length < 0 or (not is_exact and sign != b"~"):
            return _add(keys, args, ctx)
        if word != b"MAXLEN" and word.upper() != b"MAXLEN":
            return _add(keys, args, ctx)
    parts = (ctx.now_ms, 0) if text == b"*" else parse_parts(text)
    if keys.watches.watched or parts is None or parts == _NO_PARTS:
        return _add(keys, args, ctx)
    id_ = parts[0] << 64 | parts[1]
    found = keys.change(key, Stream)
    last_id = 0 if found is None else found.last_id
    if id_ <= last_id:
        id_ = _next_id(last_id, None if text == b"*" else (id_, True), ctx.now_ms)
        parts = id_ >> 64, id_ & PART_MAX
    if len(field) + len(value) > ENTRY_BYTES_MAX:
        raise _too_large_to_store()
    if found is None and ctx.events is not None:
        ctx.notify("n", "new", key)
    stream = Stream() if found is None else found
    settings = ctx.settings
    stream.append_one(
        id_, parts, field, value, settings.stream_node_max_bytes, settings.stream_node_max_entries
    )
    is_trimmed = False
    # Of a bound that is not exact, whole chunks alone are removed: told without a call.
    if length is not None and stream.length - (0 if is_exact else stream.chunks[0].count) >= length:
        limit = 0 if is_exact else trim_limit(settings.stream_node_max_entries)
        is_trimmed = stream.trim_to_length(length, is_exact=is_exact, limit=limit) > 0
    if found is None:
        keys.put(key, stream)
    if ctx.events is not None:
        ctx.notify("t", "xadd", key)
        if is_trimmed:
            ctx.notify("t", "xtrim", key)
    return b"%d-%d" % parts  # `id_text`, without a call.


def _add(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XADD with whatever it may have."""
    settings = ctx.settings
    trim = None
    if args[2][:1] in NEW_ID_BEGINS:  # Most have no options.
        given, pairs = new_id_argument(args[2]), args[3:]
    else:
        trim = trim_arguments(args, settings.stream_node_max_entries, is_add=True)
        given, pairs = trim.id_given, args[trim.id_place + 1 :]
    if not pairs or len(pairs) % 2:
        raise CommandError("wrong number of arguments for 'xadd' command")
    key = args[1]
    if given == (0, True):
        raise CommandError("The ID specified in XADD must be greater than 0-0")
    stream = keys.find(key, Stream)
    if stream is None and trim is not None and not trim.is_creating:
        return None
    id_ = _next_id(0 if stream is None else stream.last_id, given, ctx.now_ms)
    size = sum(map(len, pairs))
    if size > ENTRY_BYTES_MAX:
        raise _too_large_to_store()
    if stream is None:
        ctx.notify("n", "new", key)
        stream = keys.change_or_add(key, Stream)
    else:
        stream = keys.change_found(key, stream)
    stream.append(
        id_, pairs, settings.stream_node_max_bytes, settings.stream_node_max_entries, size
    )
    if ctx.events is not None:
        ctx.notify("t", "xadd", key)
    if trim is not None and _trim(stream, trim):
        ctx.notify("t", "xtrim", key)
    return id_text(id_)


def _next_id(last_id: int, given: tuple[int, bool] | None, now_ms: int) -> int:
    """The id of a new entry."""
    if last_id == ID_MAX:
        raise CommandError(
            "The stream has exhausted the last possible ID, unable to add more items"
        )
    if given is None:
        # Time may stand still, or may have been further on where the last id came from.
        id_ = now_ms << 64
        return id_ if id_ > last_id else last_id + 1
    id_, has_sequence = given
    if not has_sequence and id_ >> 64 == last_id >> 64:
        if last_id & PART_MAX == PART_MAX:
            raise _too_large_to_store()  # What Redis says when the millisecond is full.
        id_ = last_id + 1
    if id_ <= last_id:
        raise CommandError(
            "The ID specified in XADD is equal or smaller than the target stream top item"
        )
    return id_


def _too_large_to_store() -> CommandError:
    return CommandError("Elements are too large to be stored")


def xtrim(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XTRIM key MAXLEN|MINID [=|~] bound [LIMIT n]: how many entries were removed."""
    trim = trim_arguments(args, ctx.settings.stream_node_max_entries, is_add=False)
    stream = keys.change(args[1], Stream)
    if stream is None:
        return 0
    count = _trim(stream, trim)
    if count:
        ctx.notify("t", "xtrim", args[1])
    return count


def _trim(stream: Stream, trim: Trim) -> int:
    if trim.length is not None:
        return stream.trim_to_length(trim.length, is_exact=trim.is_exact, limit=trim.limit)
    if trim.below is not None:
        return stream.trim_below(trim.below, is_exact=trim.is_exact, limit=trim.limit)
    return 0


def xdel(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XDEL key id ...: how many of them were there."""
    key = args[1]
    is_watched = bool(keys.watches.watched)  # Who watches is not to be told of a wrong id.
    stream = keys.find(key, Stream) if is_watched else keys.change(key, Stream)
    if stream is None:
        return 0
    ids = list(map(id_argument, args[2:]))
    if is_watched:
        stream = keys.change_found(key, stream)
    count = 0
    for id_ in ids:
        count += stream.delete(id_)
    if count and ctx.events is not None:
        ctx.notify("t", "xdel", key)
    return count


def xlen(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XLEN key: how many entries it has."""
    stream = keys.find(args[1], Stream)
    return 0 if stream is None else stream.length


def xsetid(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XSETID key id [ENTRIESADDED number] [MAXDELETEDID id]: OK."""
    key, last_id = args[1], id_argument(args[2])
    added, max_deleted_id = _xsetid_options(args, last_id)
    stream = keys.find(key, Stream)
    if stream is None:
        raise CommandError("no such key")
    if stream.length:
        if last_id < stream.top_id:
            raise CommandError(
                "The ID specified in XSETID is smaller than the target stream top item"
            )
        if added is not None and added < stream.length:
            raise CommandError(
                "The entries_added specified in XSETID is smaller than the target stream length"
            )
    stream = keys.change_found(key, stream)
    stream.last_id = last_id
    if added is not None:
        stream.added = added
    if max_deleted_id:
        stream.max_deleted_id = max_deleted_id
    ctx.notify("t", "xsetid", key)
    return OK


def _xsetid_options(args: Args, last_id: int) -> tuple[int | None, int]:
    added: int | None = None
    max_deleted_id = 0
    rest = iter(args[3:])
    for word in rest:
        option = word.upper()
        value = next(rest, None)
        if option == b"ENTRIESADDED" and value is not None:
            added = int_argument(value)
            if added < 0:
                raise CommandError("entries_added must be positive")
        elif option == b"MAXDELETEDID" and value is not None:
            max_deleted_id = id_argument(value)
            if last_id < max_deleted_id:
                raise CommandError(
                    "The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
                )
        else:
            raise syntax_error()
    return added, max_deleted_id


# --- Ranges.


def xrange(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XRANGE key start end [COUNT n]: the entries between, as [id, [field, value ...]]."""
    return _range(keys, args, args[2], args[3], is_reverse=False)


def xrevrange(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XREVRANGE key end start [COUNT n]: the same, the newest first."""
    return _range(keys, args, args[3], args[2], is_reverse=True)


def _range(keys: Keyspace, args: Args, start: bytes, end: bytes, *, is_reverse: bool) -> Reply:
    first, last = start_argument(start), end_argument(end)
    count: int | None = None
    rest = iter(args[4:])
    for word in rest:
        number = next(rest, None)
        if word.upper() != b"COUNT" or number is None:
            raise syntax_error()
        count = max(int_argument(number), 0)
    stream = keys.find(args[1], Stream)
    if stream is None:
        return []
    if count == 0:
        return NULL_ARRAY
    if not is_reverse and (count is None or count > MANY):
        return shown_many(stream.many(first, last), count)[0]
    return bounded(islice(stream.entries(first, last, is_reverse=is_reverse), count))


def shown_many(
    chunks: Iterable[Some],
    count: int | None,
    room: int = REPLY_BYTES_MAX,
    ids: list[int] | None = None,
) -> tuple[list[Any], int]:
    """As `bounded`, a chunk at a time, and the room that is left; `ids` takes the ids."""
    shown: list[Any] = []
    for chunk in chunks:
        some = chunk if count is None else chunk.first(count - len(shown))
        room -= _bytes_of_all(some.flats)
        if room < 0:
            raise too_large()
        shown += map(list, zip(some.texts(), some.flats, strict=True))
        if ids is not None:
            ids += some.ids()
        if len(shown) == count:
            break
    return shown, room


def _bytes_of_all(flats: list[list[bytes]]) -> int:
    """Of `bytes_of` the sum."""
    words = sum(map(len, flats))
    return sum(map(len, chain.from_iterable(flats))) + (words + 3 * len(flats)) * WORD_BYTES


def bounded(entries: Iterable[Entry], room: int | None = None) -> list[Any]:
    """Entries as replies have them; refused if that is more than a reply may be."""
    shown: list[Any] = []
    if room is None:
        room = REPLY_BYTES_MAX
    for id_, flat in entries:
        room -= bytes_of(flat)
        if room < 0:
            raise too_large()
        shown.append(shown_entry(id_, flat))
    return shown


def shown_entry(id_: int, flat: list[bytes] | None) -> list[Any]:
    """One that is gone has no fields."""
    return [id_text(id_), NULL_ARRAY if flat is None else flat]


def bytes_of(flat: list[bytes] | None) -> int:
    """Of an entry in a reply."""
    return 3 * WORD_BYTES if flat is None else sum(map(len, flat)) + (len(flat) + 3) * WORD_BYTES


def too_large() -> CommandError:
    return CommandError("the entries are larger than a reply may be (512 MiB)")


# --- XREAD.


def xread(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """XREAD [COUNT n] [BLOCK ms] STREAMS key ... id ...: the entries behind the ids, by key."""
    reading = read_arguments(args)
    # All are checked before the first is read.
    asked = [(key, _after(keys, key, text)) for key, text in _each(reading)]
    found: list[tuple[bytes, list[Any]]] = []
    room = REPLY_BYTES_MAX
    for key, after in asked:
        stream = keys.find(key, Stream)
        if stream is not None and _has_entries(stream, after):
            count = reading.count or None
            if count is None or count > MANY:
                shown, room = shown_many(stream.many(after + 1), count, room)
            else:
                shown = bounded(islice(stream.entries(after + 1), count), room)
                room -= sum([bytes_of(flat) for _, flat in shown])
            found.append((key, shown))
    return PairsMapReply(tuple(found)) if found else NULL_ARRAY


def has_entries_behind(stream: Stream, id_: bytes) -> bool:
    """Whether XREAD would answer something of a stream behind an id."""
    return _has_entries(stream, id_argument(id_))


def xread_resolved(keys: Keyspace, args: Args) -> list[bytes]:
    """The same command with the ids that `$` and `+` stand for now: what waits from now on."""
    reading = read_arguments(args)
    ids = [id_text(_after(keys, key, text)) for key, text in _each(reading)]
    return [*args[: len(args) - len(ids)], *ids]


def last_ids(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """_LASTIDS command ...: `xread_resolved` of it."""
    return list(xread_resolved(keys, args[1:]))


def _each(reading: Reading) -> Iterator[tuple[bytes, bytes]]:
    return zip(reading.keys, reading.ids, strict=True)


def _has_entries(stream: Stream, after: int) -> bool:
    return stream.length > 0 and stream.top_id > after


def _after(keys: Keyspace, key: bytes, text: bytes) -> int:
    """The id behind which XREAD reads."""
    stream = keys.find(key, Stream)
    if text == b"$":
        return 0 if stream is None else stream.last_id
    if text == b"+":  # The last entry, whatever it is.
        if stream is None:
            return 0
        return stream.top_id - 1 if stream.length else stream.last_id
    if text == b">":
        raise CommandError(
            "The > ID can be specified only when calling XREADGROUP using the GROUP <group>"
            " <consumer> option."
        )
    return id_argument(text)
