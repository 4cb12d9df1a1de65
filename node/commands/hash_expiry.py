"""When fields of a hash expire: HEXPIRE and its kin, the questions about it, and HGETEX, HSETEX,
HGETDEL. Times are Unix milliseconds by the log's clock, as those of keys.

A field that is due is absent for every command. It is removed by an entry of the leader
(`expire_fields`), or by the first command that writes to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..data.buckets import NEVER
from ..data.hash import Hash
from ..errors import CommandError
from .arguments import int_argument, invalid_expire, not_an_integer, parse_int
from .hashes import drop_due, finish, is_due, value_of, values_of, wrong_arity
from .strings import tell_new

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

AT_MS_MAX: Final = (1 << 46) - 1
COUNT_MAX: Final = (1 << 31) - 1

_NO_FIELD, _NO_EXPIRY = -2, -1
_NOT_WANTED, _DONE, _REMOVED = 0, 1, 2

_CONDITIONS: Final = (b"NX", b"XX", b"GT", b"LT")
_EXPIRIES: Final = {  # Milliseconds per unit, and whether it counts from now.
    b"EX": (1000, True),
    b"PX": (1, True),
    b"EXAT": (1000, False),
    b"PXAT": (1, False),
}
_POSITIVE: Final = "Number of fields must be a positive integer"


def expire_fields(keys: Keyspace, key: bytes, limit: int, ctx: Context) -> int:
    """Remove at most `limit` fields of `key` that are due by the entry's stamp; how many were."""
    found = keys.peek(key)
    if type(found) is not Hash or found.next_due_ms > ctx.now_ms or limit < 1:
        return 0
    due_ms = found.next_due_ms
    value = keys.change_found(key, found)
    removed = value.remove_due(ctx.now_ms, limit)
    if removed:
        ctx.notify("h", "hexpired", key)
    finish(keys, key, value, due_ms, ctx)
    return removed


# --- Arguments.


def _time_argument(text: bytes, unit_ms: int, from_ms: int, name: str) -> int:
    number = parse_int(text)
    if number is None:
        raise not_an_integer()
    if number < 0:
        raise CommandError("invalid expire time, must be >= 0")
    if number * unit_ms > AT_MS_MAX - from_ms:
        raise invalid_expire(name)
    return number * unit_ms + from_ms


def _fields_argument(args: Args, place: int, not_positive: str) -> Sequence[bytes]:
    """What `FIELDS numfields field ...` at `place` names, the end of the command."""
    if args[place] != b"FIELDS" and args[place].upper() != b"FIELDS":
        raise CommandError("Mandatory argument FIELDS is missing or not at the right position")
    if len(args) == place + 3 and args[place + 1] == b"1":  # What most are.
        return args[place + 2 :]
    count = parse_int(args[place + 1]) if place + 1 < len(args) else None
    if count is None or count < 1:
        raise CommandError(not_positive)
    fields = args[place + 2 :]
    if count != len(fields):
        raise CommandError("The `numfields` parameter must match the number of arguments")
    return fields


# --- When a field expires.


def hexpire(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HEXPIRE key seconds [NX|XX|GT|LT] FIELDS numfields field ...: of each field 1 if it will
    expire by this, 2 if it did, 0 if the condition is not met, -2 if it is absent."""
    return _expire(keys, args, ctx, "hexpire", 1000, ctx.now_ms)


def hpexpire(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HPEXPIRE key milliseconds [NX|XX|GT|LT] FIELDS numfields field ..."""
    return _expire(keys, args, ctx, "hpexpire", 1, ctx.now_ms)


def hexpireat(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HEXPIREAT key unix-seconds [NX|XX|GT|LT] FIELDS numfields field ..."""
    return _expire(keys, args, ctx, "hexpireat", 1000, 0)


def hpexpireat(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HPEXPIREAT key unix-milliseconds [NX|XX|GT|LT] FIELDS numfields field ..."""
    return _expire(keys, args, ctx, "hpexpireat", 1, 0)


def _expire(
    keys: Keyspace, args: Args, ctx: Context, name: str, unit_ms: int, from_ms: int
) -> list[int]:
    key = args[1]
    is_watched = bool(keys.watches.watched)  # Who watches is not to be told in vain.
    value = keys.find(key, Hash) if is_watched else keys.change(key, Hash)
    at_ms = _time_argument(args[2], unit_ms, from_ms, name)
    condition, place = args[3], 3
    if len(args) == 6 and condition == b"FIELDS" and args[4] == b"1":
        fields: Sequence[bytes] = (args[5],)  # What most are, without a call.
    else:
        condition = condition.upper()
        place = 4 if condition in _CONDITIONS else 3
        fields = _fields_argument(args, place, "Parameter `numFields` should be greater than 0")
    if value is None:
        return [_NO_FIELD] * len(fields)
    codes: list[int] = []
    due_ms, is_past = value.next_due_ms, at_ms <= ctx.now_ms
    is_changing = False
    for field in fields:
        if field not in value or (due_ms != NEVER and is_due(keys, key, value, field)):
            codes.append(_NO_FIELD)
        elif place == 4 and not _is_wanted(condition, value.expiry_of(field), at_ms):
            codes.append(_NOT_WANTED)
        else:
            if is_watched and not is_changing:
                value = keys.change_found(key, value)
            is_changing = True
            if is_past:
                value.remove((field,))
                codes.append(_REMOVED)
            else:
                value.expire(field, at_ms)
                codes.append(_DONE)
    if is_changing:
        if ctx.events is not None:
            ctx.notify("h", "hdel" if is_past else "hexpire", key)
        if is_past:
            finish(keys, key, value, due_ms, ctx)
        elif due_ms != value.next_due_ms:
            keys.expires_inside(key)
    return codes


def _is_wanted(condition: bytes, old_ms: int | None, at_ms: int) -> bool:
    """Whether the condition lets `at_ms` replace `old_ms`; no expiry is later than any."""
    match condition:
        case b"NX":
            return old_ms is None
        case b"XX":
            return old_ms is not None
        case b"GT":
            return old_ms is not None and at_ms > old_ms
        case b"LT":
            return old_ms is None or at_ms < old_ms
        case _:
            return True


def _set_expiry(value: Hash, field: bytes, at_ms: int, ctx: Context) -> int:
    if at_ms <= ctx.now_ms:
        value.remove((field,))
        return _REMOVED
    value.expire(field, at_ms)
    return _DONE


def _event(at_ms: int, ctx: Context) -> str:
    return "hdel" if at_ms <= ctx.now_ms else "hexpire"


def hpersist(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HPERSIST key FIELDS numfields field ...: of each field 1 if it had an expiry, which is gone
    now, -1 if it had none, -2 if it is absent."""
    key = args[1]
    value = keys.find(key, Hash)
    fields = _fields_argument(args, 2, _POSITIVE)
    if value is None:
        return [_NO_FIELD] * len(fields)
    codes: list[int] = []
    due_ms = value.next_due_ms
    is_changing = False
    for field in fields:
        if value_of(keys, key, value, field) is None:
            codes.append(_NO_FIELD)
        elif value.expiry_of(field) is None:
            codes.append(_NO_EXPIRY)
        else:
            if not is_changing:
                is_changing = True
                value = keys.change_found(key, value)
            value.persist((field,))
            codes.append(_DONE)
    if is_changing:
        ctx.notify("h", "hpersist", key)
        finish(keys, key, value, due_ms, ctx)
    return codes


# --- The questions about it.


def httl(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HTTL key FIELDS numfields field ...: of each field the seconds left, -1 if it does not
    expire, -2 if it is absent."""
    return _in_seconds(_left(keys, args, ctx.now_ms))


def hpttl(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HPTTL key FIELDS numfields field ...: in milliseconds."""
    return _left(keys, args, ctx.now_ms)


def hexpiretime(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HEXPIRETIME key FIELDS numfields field ...: when each expires, in Unix seconds; else as HTTL
    answers."""
    return _in_seconds(_left(keys, args, 0))


def hpexpiretime(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HPEXPIRETIME key FIELDS numfields field ...: in Unix milliseconds."""
    return _left(keys, args, 0)


def _left(keys: Keyspace, args: Args, from_ms: int) -> list[int]:
    key = args[1]
    value = keys.find(key, Hash)
    fields = _fields_argument(args, 2, _POSITIVE)
    if value is None:
        return [_NO_FIELD] * len(fields)
    answers: list[int] = []
    for field in fields:
        if value_of(keys, key, value, field) is None:
            answers.append(_NO_FIELD)
        else:
            at_ms = value.expiry_of(field)
            answers.append(_NO_EXPIRY if at_ms is None else at_ms - from_ms)
    return answers


def _in_seconds(milliseconds: list[int]) -> list[int]:
    return [one if one < 0 else (one + 999) // 1000 for one in milliseconds]


# --- Values and expiries in one.


def hgetdel(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HGETDEL key FIELDS numfields field ...: their values, nil for those that are absent; the
    fields are removed."""
    key = args[1]
    value = keys.find(key, Hash)
    fields = _fields_argument(args, 2, _POSITIVE)
    # One that is named twice is gone at the second time.
    found = dict(zip(fields, values_of(keys, key, value, fields), strict=True))
    texts = [found.pop(field, None) for field in fields]
    there = [field for field, text in zip(fields, texts, strict=True) if text is not None]
    if value is not None and there:
        due_ms = value.next_due_ms
        value = keys.change_found(key, value)
        value.remove(there)
        ctx.notify("h", "hdel", key)
        finish(keys, key, value, due_ms, ctx)
    return texts


def hgetex(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HGETEX key [EX|PX|EXAT|PXAT time|PERSIST] FIELDS numfields field ...: their values, nil for
    those that are absent; those there expire by this."""
    key, word = args[1], args[2].upper()
    value = keys.find(key, Hash)
    at_ms, place = None, 2
    if word in _EXPIRIES:
        at_ms, place = _expiry_option(word, args[3], ctx, "hgetex"), 4
    elif word == b"PERSIST":
        place = 3
    fields = _fields_argument(args, place, _POSITIVE)
    if value is None:
        return [None] * len(fields)
    texts = values_of(keys, key, value, fields)
    if place == 2:
        return texts
    there = [field for field, text in zip(fields, texts, strict=True) if text is not None]
    if at_ms is None:
        there = [field for field in there if value.expiry_of(field) is not None]
    if not there:
        return texts
    due_ms = value.next_due_ms
    value = keys.change_found(key, value)
    for field in there:
        if at_ms is None:
            value.persist((field,))
        else:
            _set_expiry(value, field, at_ms, ctx)
    event = "hpersist" if at_ms is None else _event(at_ms, ctx)
    ctx.notify("h", event, key)
    finish(keys, key, value, due_ms, ctx)
    return _without_repeats(fields, texts) if event == "hdel" else texts


def _without_repeats(fields: Sequence[bytes], texts: Sequence[bytes | None]) -> list[bytes | None]:
    """Nil for a field that is named again: it is gone by then."""
    found = dict(zip(fields, texts, strict=True))
    return [found.pop(field, None) for field in fields]


def _expiry_option(word: bytes, text: bytes, ctx: Context, name: str) -> int:
    unit_ms, is_from_now = _EXPIRIES[word]
    return _time_argument(text, unit_ms, ctx.now_ms if is_from_now else 0, name)


def hsetex(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """HSETEX key [FNX|FXX] [EX|PX|EXAT|PXAT time|KEEPTTL] FIELDS numfields field value ...: 1, or 0
    if the condition is not met, which is about all of the fields."""
    key = args[1]
    condition, at_ms, is_keeping, place = _hsetex_options(args, ctx)
    pairs = args[place:]
    fields = pairs[::2]
    value = keys.find(key, Hash)
    there = [] if value is None else [value_of(keys, key, value, field) for field in fields]
    count = len([text for text in there if text is not None])
    if (condition == b"FNX" and count) or (condition == b"FXX" and count < len(fields)):
        return 0
    tell_new(keys, key, ctx)
    value = keys.change_or_add(key, Hash)
    due_ms = value.next_due_ms
    drop_due(keys, key, value, fields, ctx)
    if at_ms is None and not is_keeping:
        value.persist(fields)
    value.put(pairs, ctx.settings)
    ctx.notify("h", "hset", key)
    if at_ms is not None:
        for field in fields:
            _set_expiry(value, field, at_ms, ctx)
        ctx.notify("h", _event(at_ms, ctx), key)
    finish(keys, key, value, due_ms, ctx)
    return 1


def _hsetex_options(args: Args, ctx: Context) -> tuple[bytes, int | None, bool, int]:
    """Condition, expiry, whether the old one stays, and where the fields begin."""
    condition, at_ms, is_keeping = b"", None, False
    place = 2
    while place < len(args):
        word = args[place].upper()
        if word == b"FIELDS":
            _check_pairs(args, place)
            return condition, at_ms, is_keeping, place + 2
        if word in _EXPIRIES or word == b"KEEPTTL":
            if at_ms is not None or is_keeping:
                raise CommandError(
                    "Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
                )
            if word == b"KEEPTTL":
                is_keeping = True
            elif place + 1 == len(args):
                raise CommandError("missing expire time")
            else:
                place += 1
                at_ms = _expiry_option(word, args[place], ctx, "hsetex")
        elif word in (b"FNX", b"FXX"):
            if condition:
                raise CommandError("Only one of FXX or FNX arguments can be specified")
            condition = word
        else:
            shown = args[place].decode("utf-8", "replace").replace("\r", " ").replace("\n", " ")
            raise CommandError(f"unknown argument: {shown}")
        place += 1
    raise wrong_arity("hsetex")


def _check_pairs(args: Args, place: int) -> None:
    """What stands behind FIELDS at `place` must be as many fields with values as it says."""
    if place >= len(args) - 3:
        raise wrong_arity("hsetex")
    try:
        count = int_argument(args[place + 1])
    except CommandError:
        count = 0
    if not 1 <= count <= COUNT_MAX:
        raise CommandError("invalid number of fields")
    if count * 2 != len(args) - place - 2:
        raise wrong_arity("hsetex")
