"""Lists: both ends, the middle, and moves from one to another.

The blocking forms wait for what `pop_from` and `move` find nothing of; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...proto.reply import NULL_ARRAY, OK, Reply
from ..data.quicklist import ListValue
from ..errors import CommandError
from .arguments import INT_MAX, int_argument, parse_int, syntax_error
from .context import REPLY_BYTES_MAX

if TYPE_CHECKING:
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

_SIDES = {b"LEFT": True, b"RIGHT": False}
_RANK_0 = (
    "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use"
    " negative to start from the end of the list"
)


# --- Pushes.


def lpush(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LPUSH key element ...: the length; the last element is the first of the list then."""
    return _push(keys, ctx, args[1], args[2:], at_head=True)


def rpush(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RPUSH key element ...: the length."""
    return _push(keys, ctx, args[1], args[2:], at_head=False)


def lpushx(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LPUSHX key element ...: as LPUSH, but 0 if there is no list."""
    return _push_if_there(keys, ctx, args, at_head=True)


def rpushx(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RPUSHX key element ...: as RPUSH, but 0 if there is no list."""
    return _push_if_there(keys, ctx, args, at_head=False)


def _push_if_there(keys: Keyspace, ctx: Context, args: Args, *, at_head: bool) -> Reply:
    value = keys.change(args[1], ListValue)
    if value is None:
        return 0
    value.push(args[2:], ctx.settings.list_max_listpack_size, at_head=at_head)
    ctx.notify("l", "lpush" if at_head else "rpush", args[1])
    return len(value)


def _push(
    keys: Keyspace, ctx: Context, key: bytes, elements: Sequence[bytes], *, at_head: bool
) -> int:
    fill = ctx.settings.list_max_listpack_size
    value = keys.change(key, ListValue)
    if value is not None:
        value.push(elements, fill, at_head=at_head)
    else:
        value = ListValue()
        value.push(elements, fill, at_head=at_head)
        keys.put(key, value)
        ctx.notify("n", "new", key)
    ctx.notify("l", "lpush" if at_head else "rpush", key)
    return len(value)


# --- Pops.


def lpop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LPOP key [count]: the first element, or with a count the first ones; nil if absent."""
    return _pop_command(keys, args, ctx, at_head=True)


def rpop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RPOP key [count]: the same from the other end."""
    return _pop_command(keys, args, ctx, at_head=False)


def _pop_command(keys: Keyspace, args: Args, ctx: Context, *, at_head: bool) -> Reply:
    if len(args) == 2:
        found = pop_from(keys, ctx, args[1], 1, at_head=at_head)
        return None if found is None else found[0]
    if len(args) > 3:
        raise CommandError(f"wrong number of arguments for '{args[0].decode().lower()}' command")
    count = _positive(args[2], "value is out of range, must be positive")
    found = pop_from(keys, ctx, args[1], count, at_head=at_head)
    return NULL_ARRAY if found is None else found


def pop_from(
    keys: Keyspace, ctx: Context, key: bytes, count: int, *, at_head: bool
) -> list[bytes] | None:
    """Remove up to `count` elements from one end; None if there is no list."""
    value = keys.find(key, ListValue)
    if value is None:
        return None
    if count != 1:
        count = min(count, len(value))
        if not count:
            return []
        start = 0 if at_head else len(value) - count
        _check_reply(value, start, start + count)
    value = keys.change_found(key, value)
    found = value.pop(count, ctx.settings.list_max_listpack_size, at_head=at_head)
    _removed(keys, ctx, key, value, "lpop" if at_head else "rpop")
    return found


def _removed(keys: Keyspace, ctx: Context, key: bytes, value: ListValue, event: str) -> None:
    ctx.notify("l", event, key)
    if not value:
        keys.delete(key)
        ctx.notify("g", "del", key)


def _check_reply(value: ListValue, start: int, stop: int) -> None:
    """Raise if these elements are more than a reply may be."""
    if value.content_bytes <= REPLY_BYTES_MAX:
        return
    size = 0
    for piece in value.between(start, stop):
        size += sum(map(len, piece))
        if size > REPLY_BYTES_MAX:
            raise CommandError("the elements are larger than a reply may be (512 MiB)")


def lmpop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LMPOP numkeys key ... LEFT|RIGHT [COUNT count]: the first key that has elements, with up to
    so many of them; nil if none has."""
    return pop_from_first(keys, ctx, *mpop_arguments(args, 1))


def mpop_arguments(args: Args, at: int) -> tuple[Sequence[bytes], bool, int]:
    """(keys, whether from the head, how many) behind the number of keys at place `at`."""
    numkeys = _in_range(args[at], 1, INT_MAX, "numkeys should be greater than 0")
    where = at + numkeys + 1
    if where >= len(args):
        raise syntax_error()
    at_head = side(args[where])
    count = 1
    rest = args[where + 1 :]
    if rest:
        if len(rest) != 2 or rest[0].upper() != b"COUNT":
            _refuse_count(rest)
        count = _in_range(rest[1], 1, INT_MAX, "count should be greater than 0")
    return args[at + 1 : where], at_head, count


def _refuse_count(rest: Args) -> None:
    """Redis reads a COUNT before it looks at what is behind."""
    if rest[0].upper() == b"COUNT" and len(rest) > 1:
        _in_range(rest[1], 1, INT_MAX, "count should be greater than 0")
    raise syntax_error()


def pop_from_first(
    keys: Keyspace,
    ctx: Context,
    names: Sequence[bytes],
    at_head: bool,  # noqa: FBT001 - as `mpop_arguments` has them.
    count: int,
) -> Reply:
    """What LMPOP answers."""
    for key in names:
        found = pop_from(keys, ctx, key, count, at_head=at_head)
        if found is not None:
            return [key, found]
    return NULL_ARRAY


# --- Moves.


def lmove(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LMOVE source target LEFT|RIGHT LEFT|RIGHT: the element that was moved, or nil."""
    from_head, to_head = side(args[3]), side(args[4])
    return move(keys, ctx, args[1], args[2], from_head=from_head, to_head=to_head)


def rpoplpush(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RPOPLPUSH source target: the last element of one list, the first of the other now."""
    return move(keys, ctx, args[1], args[2], from_head=False, to_head=True)


def move(
    keys: Keyspace, ctx: Context, source: bytes, target: bytes, *, from_head: bool, to_head: bool
) -> bytes | None:
    """Move an element from one list to another, or in one; None if there is none."""
    value = keys.find(source, ListValue)
    if value is None:
        return None  # Whatever the target is.
    fill = ctx.settings.list_max_listpack_size
    if source == target:
        value = keys.change_found(source, value)
        (element,) = value.pop(1, fill, at_head=from_head)
        value.push((element,), fill, at_head=to_head)
        ctx.notify("l", "lpush" if to_head else "rpush", target)
    else:
        keys.find(target, ListValue)  # It may have another type.
        value = keys.change_found(source, value)
        (element,) = value.pop(1, fill, at_head=from_head)
        _push(keys, ctx, target, (element,), at_head=to_head)
    _removed(keys, ctx, source, value, "lpop" if from_head else "rpop")
    return element


def side(word: bytes) -> bool:
    """Whether LEFT or RIGHT is the head."""
    at_head = _SIDES.get(word.upper())
    if at_head is None:
        raise syntax_error()
    return at_head


# --- Reading.


def llen(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LLEN key: how many elements it has, 0 if absent."""
    value = keys.find(args[1], ListValue)
    return 0 if value is None else len(value)


def lindex(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LINDEX key index: the element there, counted from the end if negative, or nil."""
    value = keys.find(args[1], ListValue)
    if value is None:
        return None
    index = _index(args[2], value)
    return None if index is None else value.at(index)


def _index(text: bytes, value: ListValue) -> int | None:
    index = int_argument(text)
    count = len(value)
    if index < 0:
        index += count
    return index if 0 <= index < count else None


def lrange(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LRANGE key start stop: the elements between, both included."""
    start, stop = int_argument(args[2]), int_argument(args[3])
    value = keys.find(args[1], ListValue)
    if value is None:
        return []
    start, stop = _range(start, stop, len(value))
    _check_reply(value, start, stop)
    found: list[bytes] = []
    for piece in value.between(start, stop):
        found += piece
    return found


def _range(start: int, stop: int, count: int) -> tuple[int, int]:
    """From what to before what, in the list; (0, 0) if that is nothing."""
    if start < 0:
        start = max(0, start + count)
    if stop < 0:
        stop += count
    stop = min(stop + 1, count)
    return (start, stop) if start < stop else (0, 0)


def lpos(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LPOS key element [RANK rank] [COUNT count] [MAXLEN looks]: where it is; with COUNT a list."""
    rank, count, looks = _lpos_options(args)
    value = keys.find(args[1], ListValue)
    if value is None:
        return None if count is None else []
    found: list[int] = []
    wanted = 1 if count is None else count or len(value)
    skipped = abs(rank) - 1
    for index in value.find(args[2], is_reversed=rank < 0, looks=looks or len(value)):
        if skipped:
            skipped -= 1
            continue
        found.append(index)
        if len(found) == wanted:
            break
    if count is not None:
        return found
    return found[0] if found else None


def _lpos_options(args: Args) -> tuple[int, int | None, int]:
    rank, looks = 1, 0
    count: int | None = None
    rest = iter(args[3:])
    for word in rest:
        option = word.upper()
        number = next(rest, None)
        if number is None:
            raise syntax_error()
        if option == b"RANK":
            rank = _in_range(number, -INT_MAX, INT_MAX)
            if rank == 0:
                raise CommandError(_RANK_0)
        elif option == b"COUNT":
            count = _positive(number, "COUNT can't be negative")
        elif option == b"MAXLEN":
            looks = _positive(number, "MAXLEN can't be negative")
        else:
            raise syntax_error()
    return rank, count, looks


# --- Changes inside.


def linsert(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LINSERT key BEFORE|AFTER pivot element: the length; -1 if the pivot is not in it, 0 if there
    is no list."""
    _, key, where, pivot, element = args
    side = where.upper()
    if side not in (b"BEFORE", b"AFTER"):
        raise syntax_error()
    value = keys.find(key, ListValue)
    if value is None:
        return 0
    if pivot not in value:
        return -1
    value = keys.change_found(key, value)
    fill = ctx.settings.list_max_listpack_size
    value.insert_beside(pivot, element, fill, is_behind=side == b"AFTER")
    ctx.notify("l", "linsert", key)
    return len(value)


def lset(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LSET key index element: OK."""
    _, key, number, element = args
    value = keys.find(key, ListValue)
    if value is None:
        raise CommandError("no such key")
    index = _index(number, value)
    if index is None:
        raise CommandError("index out of range")
    value = keys.change_found(key, value)
    value.set_at(index, element, ctx.settings.list_max_listpack_size)
    ctx.notify("l", "lset", key)
    return OK


def lrem(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LREM key count element: how many were removed; from the end if `count` is negative, all of
    them if it is 0."""
    _, key, number, element = args
    count = int_argument(number)
    value = keys.find(key, ListValue)
    is_reversed = count < 0
    if value is None or element not in value:
        return 0
    value = keys.change_found(key, value)
    removed = value.remove(
        element,
        abs(count) or len(value),
        ctx.settings.list_max_listpack_size,
        is_reversed=is_reversed,
    )
    _removed(keys, ctx, key, value, "lrem")
    return removed


def ltrim(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LTRIM key start stop: OK; only the elements between are left, both included."""
    start, stop = int_argument(args[2]), int_argument(args[3])
    key = args[1]
    value = keys.find(key, ListValue)
    if value is None:
        return OK
    start, stop = _range(start, stop, len(value))
    value = keys.change_found(key, value)
    fill = ctx.settings.list_max_listpack_size
    value.drop(len(value) - stop, fill, at_head=False)
    value.drop(start, fill, at_head=True)
    _removed(keys, ctx, key, value, "ltrim")
    return OK


# --- Numbers, with the texts that the commands here have.


def _in_range(text: bytes, low: int, high: int, error: str = "") -> int:
    number = parse_int(text)
    if number is None:
        raise CommandError(error or "value is not an integer or out of range")
    if not low <= number <= high:
        raise CommandError(error or f"value is out of range, value must between {low} and {high}")
    return number


def _positive(text: bytes, error: str) -> int:
    return _in_range(text, 0, INT_MAX, error)
