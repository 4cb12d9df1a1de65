"""Strings: SET and its options, GET, counters. Values are plain `bytes`, integers too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proto.reply import OK, Reply
from ..data.keyspace import KEEP, Keep, Keyspace
from ..errors import CommandError
from .arguments import (
    INT_MAX,
    INT_MIN,
    int_argument,
    invalid_expire,
    not_an_integer,
    parse_int,
    syntax_error,
)

if TYPE_CHECKING:
    from ..request import Args
    from .context import Context

STRING_BYTES_MAX = 512 * 1024 * 1024  # As Redis's; a door's own limit on arguments is lower.

_CONDITIONS = (b"NX", b"XX")
_EXPIRIES = {  # Milliseconds per unit, and whether it counts from now.
    b"EX": (1000, True),
    b"PX": (1, True),
    b"EXAT": (1000, False),
    b"PXAT": (1, False),
}


def get(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GET key: its string, or nil."""
    return keys.find(args[1], bytes)


def mget(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """MGET key ...: their strings; nil for what is absent or no string."""
    values = [keys.peek(key) for key in args[1:]]
    return [value if type(value) is bytes else None for value in values]


def set_(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SET key value [NX|XX] [GET] [EX|PX|EXAT|PXAT time | KEEPTTL]: OK, nil, or the old string."""
    key, value = args[1], args[2]
    if len(args) == 3:
        keys.put(key, value)
        return OK
    condition, is_get, expire_at_ms = _set_options(args, ctx.now_ms)
    old = keys.find(key, bytes) if is_get else None
    if condition is not None and keys.exists(key) != (condition == b"XX"):
        return old
    if isinstance(expire_at_ms, int) and expire_at_ms <= ctx.now_ms:
        keys.delete(key)  # Set, and expired at once.
    else:
        keys.put(key, value, expire_at_ms)
    return old if is_get else OK


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
    return condition, is_get, _expire_at_ms(*time, now_ms)


def _expire_at_ms(option: bytes, text: bytes, now_ms: int) -> int:
    unit_ms, is_relative = _EXPIRIES[option]
    number = int_argument(text) * unit_ms
    if number <= 0:
        raise invalid_expire("set")
    if is_relative:
        number += now_ms
    if number > INT_MAX:
        raise invalid_expire("set")
    return number


def mset(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """MSET key value ...: OK."""
    if len(args) % 2 == 0:
        raise CommandError("wrong number of arguments for 'mset' command")
    for place in range(1, len(args), 2):
        keys.put(args[place], args[place + 1])
    return OK


def strlen(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """STRLEN key: the length of its string, 0 if absent."""
    return len(keys.find(args[1], bytes) or b"")


def append(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """APPEND key value: the length of the string, `value` at its end now."""
    _, key, more = args
    value = keys.find(key, bytes) or b""
    if len(value) + len(more) > STRING_BYTES_MAX:
        raise CommandError("string exceeds maximum allowed size (proto-max-bulk-len)")
    keys.put(key, value + more, KEEP)
    return len(value) + len(more)


def incr(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """INCR key: the integer, one more now."""
    return _add(keys, args[1], 1)


def incrby(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """INCRBY key number: the integer, `number` more now."""
    return _add(keys, args[1], int_argument(args[2]))


def decr(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """DECR key: the integer, one less now."""
    return _add(keys, args[1], -1)


def decrby(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """DECRBY key number: the integer, `number` less now."""
    number = int_argument(args[2])
    if number == INT_MIN:
        raise CommandError("decrement would overflow")
    return _add(keys, args[1], -number)


def _add(keys: Keyspace, key: bytes, change: int) -> int:
    value = keys.find(key, bytes)
    number = 0 if value is None else parse_int(value)
    if number is None:
        raise not_an_integer()
    number += change
    if not INT_MIN <= number <= INT_MAX:
        raise CommandError("increment or decrement would overflow")
    keys.put(key, b"%d" % number, KEEP)
    return number
