"""Strings: SET and its kin, GET and its, pieces, counters. Values are plain `bytes`, integers too;
long ones that are changed in place are in chunks (`data/large_string.py`).

LCS has a module of its own, and so has the arithmetic of INCRBYFLOAT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proto.reply import OK, Reply
from ..data.keyspace import KEEP, Keep, Keyspace
from ..data.large_string import LARGE_BYTES, LargeString, String, piece, spliced, whole
from ..errors import CommandError
from . import long_double
from .arguments import (
    INT_MAX,
    INT_MIN,
    int_argument,
    invalid_expire,
    not_a_float,
    not_an_integer,
    parse_int,
    syntax_error,
)
from .context import REPLY_BYTES_MAX

if TYPE_CHECKING:
    from ..request import Args
    from .context import Context

STRING_BYTES_MAX = 512 * 1024 * 1024  # Also when proto-max-bulk-len is larger.

_STRINGS = (bytes, LargeString)
_CONDITIONS = (b"NX", b"XX")
_EXPIRIES = {  # Milliseconds per unit, and whether it counts from now.
    b"EX": (1000, True),
    b"PX": (1, True),
    b"EXAT": (1000, False),
    b"PXAT": (1, False),
}


def get(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GET key: its string, or nil."""
    value = keys.string(args[1])
    return value.whole() if isinstance(value, LargeString) else value


def mget(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """MGET key ...: their strings; nil for what is absent or no string."""
    values = [keys.peek(key) for key in args[1:]]
    strings = [value if type(value) in _STRINGS else None for value in values]
    if sum([len(value) for value in strings if value is not None]) > REPLY_BYTES_MAX:
        raise CommandError("the values are larger than a reply may be (512 MiB)")
    return [_whole(value) for value in strings]


def _whole(value: String | None) -> bytes | None:
    return None if value is None else whole(value)


def set_(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SET key value [NX|XX] [GET] [EX|PX|EXAT|PXAT time | KEEPTTL]: OK, nil, or the old string."""
    key, value = args[1], args[2]
    if len(args) == 3:
        put(keys, key, value, ctx, "set")
        return OK
    condition, is_get, expire_at_ms = _set_options(args, ctx.now_ms)
    old = _whole(keys.string(key)) if is_get else None
    if is_get and old is None:
        ctx.notify("m", "keymiss", key)
    if condition is not None and keys.exists(key) != (condition == b"XX"):
        return old
    if isinstance(expire_at_ms, int):
        _put_until(keys, key, value, expire_at_ms, ctx)
    else:
        put(keys, key, value, ctx, "set", expire_at_ms)
    return old if is_get else OK


def put(
    keys: Keyspace,
    key: bytes,
    value: bytes,
    ctx: Context,
    event: str,
    expire_at_ms: int | Keep | None = None,
) -> None:
    """Set the string of a key, and tell so."""
    if ctx.events is None:
        keys.put(key, value, expire_at_ms)
        return
    tell_new(keys, key, ctx)
    keys.put(key, value, expire_at_ms)
    ctx.notify("$", event, key)


def tell_new(keys: Keyspace, key: bytes, ctx: Context) -> None:
    """Before a key is written to: say so if it is not there yet."""
    if ctx.events is not None and keys.look(ctx.db, key) is None:
        ctx.notify("n", "new", key)


def _put_until(keys: Keyspace, key: bytes, value: bytes, expire_at_ms: int, ctx: Context) -> None:
    put(keys, key, value, ctx, "set", expire_at_ms)
    ctx.notify("g", "expire", key)
    if expire_at_ms <= ctx.now_ms:
        keys.delete(key)  # Set, and expired at once.


def setnx(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SETNX key value: 1, or 0 if it is there already."""
    if keys.exists(args[1]):
        return 0
    put(keys, args[1], args[2], ctx, "set")
    return 1


def setex(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SETEX key seconds value: OK."""
    _put_until(keys, args[1], args[3], _expire_at_ms(b"EX", args[2], ctx.now_ms, "setex"), ctx)
    return OK


def psetex(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PSETEX key milliseconds value: OK."""
    _put_until(keys, args[1], args[3], _expire_at_ms(b"PX", args[2], ctx.now_ms, "psetex"), ctx)
    return OK


def getset(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GETSET key value: the old string, or nil."""
    old = _whole(keys.string(args[1]))
    put(keys, args[1], args[2], ctx, "set")
    return old


def getdel(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GETDEL key: its string, which is removed, or nil."""
    value = _whole(keys.string(args[1]))
    if value is not None:
        keys.delete(args[1])
        ctx.notify("g", "del", args[1])
    return value


def getex(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GETEX key [EX|PX|EXAT|PXAT time | PERSIST]: its string, or nil; changes when it expires."""
    key = args[1]
    time, is_persist = _getex_options(args)
    value = _whole(keys.string(key))
    if value is None:
        return None  # Even if the time is none: Redis has not looked at it yet.
    if time is not None:
        expire_at_ms = _expire_at_ms(*time, ctx.now_ms, "getex")
        if expire_at_ms <= ctx.now_ms:
            keys.delete(key)
            ctx.notify("g", "del", key)
        else:
            keys.expire(key, expire_at_ms)
            ctx.notify("g", "expire", key)
    elif is_persist and keys.expiry_of(key) is not None:
        keys.persist(key)
        ctx.notify("g", "persist", key)
    return value


def _getex_options(args: Args) -> tuple[tuple[bytes, bytes] | None, bool]:
    """(expiry option and its time, whether PERSIST) of a GETEX command."""
    time: tuple[bytes, bytes] | None = None
    is_persist = False
    rest = iter(args[2:])
    for word in rest:
        option = word.upper()
        if option == b"PERSIST" and time is None:
            is_persist = True
        elif option in _EXPIRIES and not is_persist and (time is None or time[0] == option):
            number = next(rest, None)
            if number is None:
                raise syntax_error()
            time = (option, number)
        else:
            raise syntax_error()
    return time, is_persist


def _set_options(args: Args, now_ms: int) -> tuple[bytes | None, bool, int | Keep | None]:
    """(NX or XX, whether GET, expiry) of a SET command."""
    condition: bytes | None = None
    time: tuple[bytes, bytes] | None = None
    is_get = is_keep = False
    rest = iter(args[3:])
    for word in rest:
        option = word.upper()
        if option in _CONDITIONS and condition in (None, option):
            condition = option
        elif option == b"GET":
            is_get = True
        elif option == b"KEEPTTL" and time is None:
            is_keep = True
        elif option in _EXPIRIES and not is_keep and (time is None or time[0] == option):
            number = next(rest, None)
            if number is None:
                raise syntax_error()
            time = (option, number)
        else:
            raise syntax_error()
    if time is None:
        return condition, is_get, KEEP if is_keep else None
    return condition, is_get, _expire_at_ms(*time, now_ms, "set")


def _expire_at_ms(option: bytes, text: bytes, now_ms: int, command: str) -> int:
    unit_ms, is_relative = _EXPIRIES[option]
    number = int_argument(text) * unit_ms
    if number <= 0:
        raise invalid_expire(command)
    if is_relative:
        number += now_ms
    if number > INT_MAX:
        raise invalid_expire(command)
    return number


def mset(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """MSET key value ...: OK."""
    _check_pairs(args, "mset")
    _put_pairs(keys, args, ctx)
    return OK


def msetnx(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """MSETNX key value ...: 1, or 0 and nothing is set if one of them is there already."""
    _check_pairs(args, "msetnx")
    if any(keys.exists(key) for key in args[1::2]):
        return 0
    _put_pairs(keys, args, ctx)
    return 1


def _check_pairs(args: Args, command: str) -> None:
    if len(args) % 2 == 0:
        raise CommandError(f"wrong number of arguments for '{command}' command")


def _put_pairs(keys: Keyspace, args: Args, ctx: Context) -> None:
    for place in range(1, len(args), 2):
        put(keys, args[place], args[place + 1], ctx, "set")


def strlen(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """STRLEN key: the length of its string, 0 if absent."""
    return len(keys.string(args[1]) or b"")


def append(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """APPEND key value: the length of the string, `value` at its end now."""
    _, key, more = args
    value = keys.string(key)
    old_length = 0
    if value is not None:
        old_length = len(value)
        check_length(old_length + len(more), ctx)
    write(keys, key, value, old_length, more, ctx, "append")
    return old_length + len(more)


def write(
    keys: Keyspace,
    key: bytes,
    value: String | None,
    start: int,
    text: bytes,
    ctx: Context,
    event: str,
) -> None:
    """Put `text` into the string of a key, which is `value` now, and tell so."""
    tell_new(keys, key, ctx)
    write_string(keys, key, value, start, text)
    ctx.notify("$", event, key)


def write_string(keys: Keyspace, key: bytes, value: String | None, start: int, text: bytes) -> None:
    """The same, and it is not told. Its expiry stays."""
    if not isinstance(value, LargeString):
        old = b"" if value is None else value
        end = max(len(old), start + len(text))
        if end < LARGE_BYTES or (value is None and not start):
            keys.put(key, spliced(old, start, text), KEEP)
            return
        keys.put(key, LargeString(old), KEEP)
    large = keys.change(key, LargeString)
    assert large is not None
    large.write(start, text)


def string_bytes_max(ctx: Context) -> int:
    """How long a string may become."""
    return min(ctx.settings.proto_max_bulk_len, STRING_BYTES_MAX)


def check_length(length: int, ctx: Context) -> None:
    """Raises if a string may not become so long."""
    if length > string_bytes_max(ctx):
        raise CommandError("string exceeds maximum allowed size (proto-max-bulk-len)")


def setrange(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SETRANGE key offset value: the length of the string, with zero bytes in a gap."""
    _, key, offset, text = args
    start = int_argument(offset)
    if start < 0:
        raise CommandError("offset is out of range")
    value = keys.string(key)
    length = 0 if value is None else len(value)
    if not text:
        return length
    check_length(start + len(text), ctx)
    write(keys, key, value, start, text, ctx, "setrange")
    return max(length, start + len(text))


def getrange(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GETRANGE key start end: that piece of its string, counted from the end if negative."""
    start, end = int_argument(args[2]), int_argument(args[3])
    value = keys.string(args[1]) or b""
    if start < 0 and end < 0 and start > end:
        return b""
    if start < 0:
        start = max(0, len(value) + start)
    if end < 0:
        end = max(0, len(value) + end)  # The first byte, not nothing: as Redis has it.
    return piece(value, start, end + 1)


def substr(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SUBSTR key start end: the old name of GETRANGE."""
    return getrange(keys, args, ctx)


def incr(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """INCR key: the integer, one more now."""
    return _add(keys, args[1], 1, ctx)


def incrby(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """INCRBY key number: the integer, `number` more now."""
    return _add(keys, args[1], int_argument(args[2]), ctx)


def decr(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """DECR key: the integer, one less now."""
    return _add(keys, args[1], -1, ctx)


def decrby(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """DECRBY key number: the integer, `number` less now."""
    number = int_argument(args[2])
    if number == INT_MIN:
        raise CommandError("decrement would overflow")
    return _add(keys, args[1], -number, ctx)


def _add(keys: Keyspace, key: bytes, change: int, ctx: Context) -> int:
    value = keys.string(key)
    if isinstance(value, LargeString):
        raise not_an_integer()
    number = 0 if value is None else parse_int(value)
    if number is None:
        raise not_an_integer()
    number += change
    if not INT_MIN <= number <= INT_MAX:
        raise CommandError("increment or decrement would overflow")
    put(keys, key, b"%d" % number, ctx, "incrby", KEEP)
    return number


def incrbyfloat(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """INCRBYFLOAT key number: the decimal number, `number` more now."""
    _, key, change = args
    value = keys.string(key)
    if isinstance(value, LargeString):
        raise not_a_float()
    more = long_double.tiny(change)
    old = None if more is None else long_double.tiny(b"0" if value is None else value)
    text = None if more is None or old is None else long_double.tiny_sum(old, more)
    if text is None:
        text = long_double.short_sum(b"0" if value is None else value, long_double.short(change))
    if text is None:
        number = 0 if value is None else long_double.parse(value)
        if number is None:
            raise not_a_float()
        more = long_double.parse(change)
        if more is None:
            raise not_a_float()
        total = long_double.add(number, more)
        if total is None:
            raise CommandError("increment would produce NaN or Infinity")
        text = long_double.to_text(total)
    put(keys, key, text, ctx, "incrbyfloat", KEEP)
    return text
