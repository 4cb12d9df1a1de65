"""Hashes: HSET and its kin, counters, random fields, HSCAN. When fields expire is another module's
matter (`hash_expiry.py`), but a field that is due is absent here, too.

Fields that are due and not yet removed still count in HLEN, as in Redis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ...proto.reply import OK, MapReply, PairsReply, Reply
from ..data.buckets import NEVER
from ..data.hash import HASHTABLE, Hash
from ..data.table import Table
from ..errors import CommandError
from . import long_double
from .arguments import (
    INT_MAX,
    INT_MIN,
    int_argument,
    not_a_float,
    not_an_integer,
    parse_int,
    syntax_error,
)
from .context import REPLY_BYTES_MAX
from .scanning import scan_cursor, scan_options, scan_reply
from .strings import tell_new

if TYPE_CHECKING:
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

WHOLE_MAX: Final = 512  # A listpack of no more fields is answered to HSCAN all at once.
REPEATS_MAX: Final = 1_000_000  # How many fields HRANDFIELD draws that may be the same.
TRIES: Final = 3  # Draws for each field wanted, before those that are not due are counted.

Pairs = Iterable[tuple[bytes, bytes]]


# --- What is there: shared with `hash_expiry.py`.


def value_of(keys: Keyspace, key: bytes, value: Hash, field: bytes) -> bytes | None:
    """The value of a field; None if it is absent or due."""
    found = value.get(field)
    due_ms = value.next_due_ms
    if (
        due_ms != NEVER
        and found is not None
        and keys.is_past(key, due_ms)
        and is_due(keys, key, value, field)
    ):
        return None
    return found


def is_due(keys: Keyspace, key: bytes, value: Hash, field: bytes) -> bool:
    at_ms = value.expiry_of(field)
    return at_ms is not None and keys.is_past(key, at_ms)


def values_of(
    keys: Keyspace, key: bytes, value: Hash | None, fields: Sequence[bytes]
) -> list[bytes | None]:
    """As `value_of`, of several fields, which one reply must be able to carry."""
    if value is None:
        return [None] * len(fields)
    found = list(map(value.fields.get, fields))
    if keys.is_past(key, value.next_due_ms):
        found = [
            None if one is None or is_due(keys, key, value, field) else one
            for field, one in zip(fields, found, strict=True)
        ]
    check_reply(one for one in found if one is not None)
    return found


def check_reply(words: Iterable[bytes]) -> None:
    if sum(map(len, words)) > REPLY_BYTES_MAX:
        raise CommandError("the values are larger than a reply may be (512 MiB)")


def drop_due(
    keys: Keyspace, key: bytes, value: Hash, fields: Sequence[bytes], ctx: Context
) -> None:
    """Remove those of the fields that are due, from a value that is going to be changed."""
    if keys.is_past(key, value.next_due_ms):
        due = [field for field in fields if is_due(keys, key, value, field)]
        if value.remove(due):
            ctx.notify("h", "hexpired", key)


def finish(keys: Keyspace, key: bytes, value: Hash, due_ms: int, ctx: Context) -> None:
    """After a hash has lost fields, perhaps the last, or its fields got other expiries; `due_ms` is
    what its `next_due_ms` was before."""
    if not value:
        keys.delete(key)
        ctx.notify("g", "del", key)
    elif due_ms != value.next_due_ms:
        keys.expires_inside(key)


def wrong_arity(name: str) -> CommandError:
    return CommandError(f"wrong number of arguments for '{name}' command")


# --- Setting.


def hset(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HSET key field value ...: how many fields are new."""
    if len(args) % 2:
        raise wrong_arity("hset")
    if len(args) == 4:
        return _set_one(keys, args[1], args[2], args[3], ctx)
    return _set(keys, args[1], args[2:], ctx)


def hmset(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HMSET key field value ...: OK."""
    if len(args) % 2:
        raise wrong_arity("hmset")
    _set(keys, args[1], args[2:], ctx)
    return OK


def hsetnx(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HSETNX key field value: 1, or 0 if the field is there."""
    key = args[1]
    value = keys.find(key, Hash)
    if value is not None and value_of(keys, key, value, args[2]) is not None:
        return 0
    return _set_one(keys, key, args[2], args[3], ctx)


def _set_one(keys: Keyspace, key: bytes, field: bytes, text: bytes, ctx: Context) -> int:
    """As `_set`, of one field: what most are."""
    value = keys.change(key, Hash)
    if value is None or value.next_due_ms != NEVER:
        return _set(keys, key, (field, text), ctx)
    if ctx.events is not None:
        ctx.notify("h", "hset", key)
    return value.put_one(field, text, ctx.settings)


def _set(keys: Keyspace, key: bytes, pairs: Sequence[bytes], ctx: Context) -> int:
    if ctx.events is not None:
        tell_new(keys, key, ctx)
    value = keys.change_or_add(key, Hash)
    due_ms = value.next_due_ms
    if due_ms != NEVER:
        drop_due(keys, key, value, pairs[::2], ctx)
        value.persist(pairs[::2])
    added = value.put(pairs, ctx.settings)
    ctx.notify("h", "hset", key)
    if due_ms != value.next_due_ms:
        keys.expires_inside(key)
    return added


def _look(keys: Keyspace, key: bytes, value: Hash, field: bytes) -> tuple[bytes | None, int]:
    """As `value_of`, and where `put_one` finds the field."""
    if value.next_due_ms != NEVER and is_due(keys, key, value, field):
        return None, 0
    return value.look(field)


def hincrby(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HINCRBY key field number: the integer, `number` more now."""
    _, key, field, text = args
    more = parse_int(text)
    if more is None:
        raise not_an_integer()
    # Who watches is not to be told in vain: what is there may be no number.
    value = keys.find(key, Hash) if keys.watches.watched else keys.change(key, Hash)
    old, place = (None, 0) if value is None else _look(keys, key, value, field)
    number = 0 if old is None else parse_int(old)
    if number is None:
        raise CommandError("hash value is not an integer")
    number += more
    if not INT_MIN <= number <= INT_MAX:
        raise CommandError("increment or decrement would overflow")
    digits = b"%d" % number
    if value is None or value.next_due_ms != NEVER:
        _replace(keys, key, field, digits, ctx)
    else:
        if keys.watches.watched:
            value = keys.change_found(key, value)
        value.put_one(field, digits, ctx.settings, place)
    if ctx.events is not None:
        ctx.notify("h", "hincrby", key)
    return number


def hincrbyfloat(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HINCRBYFLOAT key field number: the decimal number, `number` more now."""
    _, key, field, text = args
    more = long_double.tiny(text)
    if more is None and long_double.short(text) is None:
        _check_increment(text)
    # As in `hincrby`.
    value = keys.find(key, Hash) if keys.watches.watched else keys.change(key, Hash)
    old, place = (None, 0) if value is None else _look(keys, key, value, field)
    number = None if more is None else long_double.tiny(b"0" if old is None else old)
    if more is not None and number is not None:
        result = long_double.tiny_sum(number, more)
    else:
        result = _sum(old, text)
    if value is None or value.next_due_ms != NEVER:
        _replace(keys, key, field, result, ctx)
    else:
        if keys.watches.watched:
            value = keys.change_found(key, value)
        value.put_one(field, result, ctx.settings, place)
    if ctx.events is not None:
        ctx.notify("h", "hincrbyfloat", key)
    return result


def _check_increment(text: bytes) -> None:
    more = long_double.parse(text)
    if more is None:
        raise not_a_float()
    if more == long_double.INFINITE:
        raise CommandError("value is NaN or Infinity")


def _sum(old: bytes | None, text: bytes) -> bytes:
    """Of a field's number and an increment that is one."""
    result = long_double.short_sum(b"0" if old is None else old, long_double.short(text))
    if result is not None:
        return result
    more = long_double.parse(text)
    assert more is not None
    number = 0 if old is None else long_double.parse(old)
    if number is None:
        raise CommandError("hash value is not a float")
    total = long_double.add(number, more)
    if total is None:
        raise CommandError("increment would produce NaN or Infinity")
    return long_double.to_text(total)


def _replace(keys: Keyspace, key: bytes, field: bytes, text: bytes, ctx: Context) -> None:
    """Another value for a field, there or not; its expiry stays."""
    if ctx.events is not None:
        tell_new(keys, key, ctx)
    value = keys.change_or_add(key, Hash)
    due_ms = value.next_due_ms
    if due_ms != NEVER:
        drop_due(keys, key, value, (field,), ctx)
    value.put((field, text), ctx.settings)
    if due_ms != value.next_due_ms:
        keys.expires_inside(key)


def hdel(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HDEL key field ...: how many were there."""
    key = args[1]
    value = keys.find(key, Hash)
    if value is None:
        return 0
    due_ms = value.next_due_ms
    if due_ms == NEVER and len(args) == 3:
        return _delete_one(keys, key, value, args[2], ctx)
    fields = [field for field in args[2:] if field in value]
    if due_ms != NEVER and keys.is_past(key, due_ms):
        fields = [field for field in fields if not is_due(keys, key, value, field)]
    if not fields:
        return 0
    value = keys.change_found(key, value)
    removed = value.remove(fields)
    ctx.notify("h", "hdel", key)
    finish(keys, key, value, due_ms, ctx)
    return removed


def _delete_one(keys: Keyspace, key: bytes, value: Hash, field: bytes, ctx: Context) -> int:
    """As `hdel`, of a hash in which none expires."""
    if field not in value:
        return 0
    value = keys.change_found(key, value)
    value.remove_one(field)
    if ctx.events is not None:
        ctx.notify("h", "hdel", key)
    if not value:
        keys.delete(key)
        ctx.notify("g", "del", key)
    return 1


# --- Reading.


def hget(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HGET key field: its value, or nil."""
    value = keys.find(args[1], Hash)
    return None if value is None else value_of(keys, args[1], value, args[2])


def hmget(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HMGET key field ...: their values, nil for those that are absent."""
    return values_of(keys, args[1], keys.find(args[1], Hash), args[2:])


def hlen(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HLEN key: how many fields there are, those due and not yet removed included."""
    value = keys.find(args[1], Hash)
    return 0 if value is None else len(value)


def hstrlen(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HSTRLEN key field: the length of its value, 0 if it is absent."""
    value = keys.find(args[1], Hash)
    found = None if value is None else value_of(keys, args[1], value, args[2])
    return 0 if found is None else len(found)


def hexists(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HEXISTS key field: 1 if it is there."""
    value = keys.find(args[1], Hash)
    return int(value is not None and value_of(keys, args[1], value, args[2]) is not None)


def hgetall(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HGETALL key: all fields with their values."""
    return MapReply(tuple(_all(keys, args[1])))


def hkeys(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HKEYS key: all fields."""
    return [field for field, _ in _all(keys, args[1])]


def hvals(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HVALS key: all values, in the order in which HKEYS has their fields."""
    return [text for _, text in _all(keys, args[1])]


def _all(keys: Keyspace, key: bytes) -> Pairs:
    """All fields of a hash that are not due, which one reply must be able to carry."""
    value = keys.find(key, Hash)
    if value is None:
        return ()
    if value.size_bytes() > REPLY_BYTES_MAX:
        check_reply(word for pair in value.items() for word in pair)
    return _live(keys, key, value)


def _live(keys: Keyspace, key: bytes, value: Hash) -> Pairs:
    """All fields that are not due, with their values."""
    if not keys.is_past(key, value.next_due_ms):
        return value.items()
    due = {field: None for field, at_ms in value.due(keys.now_ms) if keys.is_past(key, at_ms)}
    return [pair for pair in value.items() if pair[0] not in due]


def hscan(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HSCAN key cursor [MATCH pattern] [COUNT number] [NOVALUES]: the next cursor, and fields."""
    key, cursor = args[1], scan_cursor(args[2])
    value = keys.find(key, Hash)
    if value is None:
        return scan_reply(0, ())
    options = scan_options(args, b"NOVALUES")
    fields = value.fields
    is_whole = value.encoding is not HASHTABLE and len(value) <= WHOLE_MAX
    if is_whole or not isinstance(fields, Table):
        cursor, pairs = 0, list(value.items())
    else:
        cursor, pairs = fields.page(cursor, options.count)
    if keys.is_past(key, value.next_due_ms):
        pairs = [pair for pair in pairs if not is_due(keys, key, value, pair[0])]
    words: list[bytes] = []
    for field, text in pairs:
        if options.matches(field):
            words += (field,) if options.is_alone else (field, text)
    return scan_reply(cursor, words)


# --- Some fields.


def hrandfield(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HRANDFIELD key [count [WITHVALUES]]: a field or nil; or several, different ones if the count
    is not negative."""
    key = args[1]
    if len(args) == 2:
        value = keys.find(key, Hash)
        pairs = [] if value is None else _draw(keys, key, value, 1, ctx)
        return pairs[0][0] if pairs else None
    count = int_argument(args[2])
    if count == INT_MIN:
        raise CommandError(f"value is out of range, value must between {-INT_MAX} and {INT_MAX}")
    if len(args) > 4 or (len(args) == 4 and args[3].upper() != b"WITHVALUES"):
        raise syntax_error()
    with_values = len(args) == 4
    if with_values and abs(count) > INT_MAX // 2:
        raise CommandError("value is out of range")
    value = keys.find(key, Hash)
    if value is None or not count:
        return []
    if count > 0:
        pairs = _draw(keys, key, value, count, ctx)
    else:
        pairs = _draw_repeatedly(keys, key, value, -count, ctx)
    if with_values:
        check_reply(word for pair in pairs for word in pair)
        return PairsReply(tuple(pairs))
    fields = [field for field, _ in pairs]
    check_reply(fields)
    return fields


def _draw(
    keys: Keyspace, key: bytes, value: Hash, count: int, ctx: Context
) -> list[tuple[bytes, bytes]]:
    """At most `count` different fields at random that are not due, with their values."""
    fields = value.fields
    draw = ctx.draws(count)
    if isinstance(fields, Table):
        if not keys.is_past(key, value.next_due_ms):
            return fields.sample(count, draw)
        found: dict[bytes, bytes] = {}
        for _ in range(TRIES * count + 1 if TRIES * count < len(value) else 0):
            field, text = fields.random(draw)
            if not is_due(keys, key, value, field):
                found[field] = text
            if len(found) == count:
                return list(found.items())
    pairs = list(_live(keys, key, value))
    if count >= len(pairs):
        return pairs
    for place in range(count):
        other = place + int(draw() * (len(pairs) - place))
        pairs[place], pairs[other] = pairs[other], pairs[place]
    return pairs[:count]


def _draw_repeatedly(
    keys: Keyspace, key: bytes, value: Hash, count: int, ctx: Context
) -> list[tuple[bytes, bytes]]:
    """`count` fields at random, which may be the same, with their values."""
    if count > REPEATS_MAX:
        raise CommandError(f"no more than {REPEATS_MAX} fields are drawn at a time")
    fields = value.fields
    draw = ctx.draws(count)
    if (
        isinstance(fields, Table)
        and count * 10 < len(fields)
        and not keys.is_past(key, value.next_due_ms)
    ):
        return [fields.random(draw) for _ in range(count)]
    pairs = list(_live(keys, key, value))
    return [pairs[int(draw() * len(pairs))] for _ in range(count)] if pairs else []
