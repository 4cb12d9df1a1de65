"""When keys expire: EXPIRE and its kin, and the questions about it. Stored as Unix milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CommandError
from .arguments import INT_MAX, INT_MIN, int_argument, invalid_expire

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

_NX, _XX, _GT, _LT = 1, 2, 4, 8
_OPTIONS = {b"NX": _NX, b"XX": _XX, b"GT": _GT, b"LT": _LT}


def expire(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """EXPIRE key seconds [NX|XX|GT|LT]: 1 if it will, or did, expire by this."""
    return _expire(keys, args, ctx, "expire", 1000, ctx.now_ms)


def pexpire(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PEXPIRE key milliseconds [NX|XX|GT|LT]."""
    return _expire(keys, args, ctx, "pexpire", 1, ctx.now_ms)


def expireat(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """EXPIREAT key unix-seconds [NX|XX|GT|LT]."""
    return _expire(keys, args, ctx, "expireat", 1000, 0)


def pexpireat(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PEXPIREAT key unix-milliseconds [NX|XX|GT|LT]."""
    return _expire(keys, args, ctx, "pexpireat", 1, 0)


def _expire(keys: Keyspace, args: Args, ctx: Context, name: str, unit_ms: int, from_ms: int) -> int:
    options = _parse_options(args) if len(args) > 3 else 0
    number = int_argument(args[2]) * unit_ms
    if not INT_MIN <= number <= INT_MAX - from_ms:
        raise invalid_expire(name)
    key, at_ms = args[1], number + from_ms
    if not keys.exists(key):
        return 0
    if options and not _is_wanted(options, keys.expiry_of(key), at_ms):
        return 0
    if at_ms <= ctx.now_ms:
        keys.delete(key)
        ctx.notify("g", "del", key)
    else:
        keys.expire(key, at_ms)
        ctx.notify("g", "expire", key)
    return 1


def _parse_options(args: Args) -> int:
    options = 0
    for word in args[3:]:
        option = _OPTIONS.get(word.upper())
        if option is None:
            raise CommandError(f"Unsupported option {_shown(word)}")
        options |= option
    if options & _NX and options != _NX:
        raise CommandError("NX and XX, GT or LT options at the same time are not compatible")
    if options & _GT and options & _LT:
        raise CommandError("GT and LT options at the same time are not compatible")
    return options


def _shown(word: bytes) -> str:
    # A line end inside would end the error reply early.
    return word.decode("utf-8", "replace").replace("\r", " ").replace("\n", " ")


def _is_wanted(options: int, old_ms: int | None, at_ms: int) -> bool:
    """Whether the options let `at_ms` replace `old_ms`; no expiry is later than any."""
    if old_ms is None:
        return not options & (_XX | _GT)
    if options & _NX:
        return False
    if options & _GT:
        return at_ms > old_ms
    return at_ms < old_ms if options & _LT else True


def persist(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PERSIST key: 1 if it had an expiry, which is gone now."""
    if keys.expiry_of(args[1]) is None:
        return 0
    keys.persist(args[1])
    ctx.notify("g", "persist", args[1])
    return 1


def pttl(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PTTL key: milliseconds left; -1 if it does not expire, -2 if it is absent."""
    return _left(keys, args[1], ctx.now_ms)


def ttl(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """TTL key: seconds left, rounded."""
    return _in_seconds(_left(keys, args[1], ctx.now_ms))


def pexpiretime(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PEXPIRETIME key: when it expires, in Unix milliseconds; -1 and -2 as PTTL."""
    return _left(keys, args[1], 0)


def expiretime(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """EXPIRETIME key: when it expires, in Unix seconds, rounded."""
    return _in_seconds(_left(keys, args[1], 0))


def _left(keys: Keyspace, key: bytes, from_ms: int) -> int:
    if keys.examine(key) is None:
        return -2
    at_ms = keys.expiry_of(key)
    return -1 if at_ms is None else max(0, at_ms - from_ms)


def _in_seconds(milliseconds: int) -> int:
    return milliseconds if milliseconds < 0 else (milliseconds + 500) // 1000
