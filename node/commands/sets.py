"""Sets: members added and removed, random ones, and what several sets have in common.

Values are `SetValue`; how they are kept is in `data/set.py`, the algebra in `data/set_algebra.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from ...proto.reply import Reply, SetReply
from ..data.keyspace import wrong_type
from ..data.set import SetValue
from ..data.set_algebra import (
    difference,
    difference_value,
    distinct,
    intersection,
    intersection_value,
    union,
    union_value,
)
from ..errors import CommandError
from .arguments import INT_MAX, int_argument, parse_int, syntax_error
from .context import REPLY_BYTES_MAX
from .scanning import scan_cursor, scan_options, scan_reply

if TYPE_CHECKING:
    from ...cluster.settings import Settings
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

RANDOM_MAX: Final = 1_000_000  # Members that SRANDMEMBER answers if the same may come again.
# Members that one command compares: nothing else runs meanwhile.
ALGEBRA_MEMBERS_MAX: Final = 4_000_000
STORED_MEMBERS_MAX: Final = 2_000_000  # To make a set of them takes longer than to compare them.
STORED_BYTES_MAX: Final = 512 << 20

_NONE: Final = SetReply(())


def sadd(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SADD key member ...: how many of them are new."""
    key, members = args[1], args[2:]
    value = keys.find(key, SetValue)
    if value is None:
        ctx.notify("n", "new", key)
        added = _add_new(keys, key, members, ctx)
    elif len(members) == 1:
        if value.find(members[0]) >= 0:
            return 0
        keys.change_found(key, value).insert(members[0], ctx.settings)
        added = 1
    else:
        new = [member for member in members if member not in value]
        if not new:
            return 0
        value = keys.change_found(key, value)
        value.expect(new[0], len(members), ctx.settings)
        added = sum([value.add(member, ctx.settings) for member in new])
    ctx.notify("s", "sadd", key)
    return added


def _add_new(keys: Keyspace, key: bytes, members: Sequence[bytes], ctx: Context) -> int:
    """A set of these, of which there is at least one; how many different ones they are."""
    if len(members) == 1:
        keys.put(key, SetValue.of_one(members[0], ctx.settings))
        return 1
    value = SetValue()
    value.expect(members[0], len(members), ctx.settings)
    value.insert(members[0], ctx.settings)
    for member in members[1:]:
        value.add(member, ctx.settings)
    keys.put(key, value)
    return len(value)


def srem(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SREM key member ...: how many of them were there."""
    key, members = args[1], args[2:]
    value = keys.find(key, SetValue)
    if value is None:
        return 0
    if len(members) == 1:
        place = value.find(members[0])
        if place < 0:
            return 0
        value = keys.change_found(key, value)
        value.remove(members[0], place)
        removed = 1
    else:
        there = [member for member in members if member in value]
        if not there:
            return 0
        value = keys.change_found(key, value)
        removed = sum([value.discard(member) for member in there])
    if ctx.events is not None:
        ctx.notify("s", "srem", key)
    if not value:
        _drop_empty(keys, key, ctx)
    return removed


def smove(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SMOVE source target member: 1 if it moved, 0 if source does not hold it."""
    _, source_key, target_key, member = args
    target = keys.peek(target_key)  # First, so that the source is found and changed in one go.
    is_watched = bool(keys.watches.watched)  # Who watches the source is not to be told in vain.
    source = keys.find(source_key, SetValue) if is_watched else keys.change(source_key, SetValue)
    if source is None:
        return 0  # Even when target has the wrong type.
    if target is not None and type(target) is not SetValue:
        raise wrong_type()
    if source_key == target_key:  # `change` may have made another object of what was peeked at.
        return int(member in source)
    if is_watched:
        if member not in source:
            return 0
        source = keys.change_found(source_key, source)
    if not source.discard(member):
        return 0
    if ctx.events is not None:
        ctx.notify("s", "srem", source_key)
    if not source:
        _drop_empty(keys, source_key, ctx)
    if target is None:
        if ctx.events is not None:
            ctx.notify("n", "new", target_key)
        _add_new(keys, target_key, (member,), ctx)
    else:
        if is_watched and target.find(member) >= 0:
            return 1
        if not keys.change_found(target_key, target).add(member, ctx.settings):
            return 1
    if ctx.events is not None:
        ctx.notify("s", "sadd", target_key)
    return 1


def _drop_empty(keys: Keyspace, key: bytes, ctx: Context) -> None:
    keys.delete(key)
    ctx.notify("g", "del", key)


def scard(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SCARD key: how many members it has."""
    value = keys.find(args[1], SetValue)
    return 0 if value is None else len(value)


def sismember(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SISMEMBER key member: 1 or 0."""
    value = keys.find(args[1], SetValue)
    return int(value is not None and args[2] in value)


def smismember(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SMISMEMBER key member ...: 1 or 0 for each."""
    value = keys.find(args[1], SetValue)
    if value is None:
        return [0] * (len(args) - 2)
    return [int(member in value) for member in args[2:]]


def smembers(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SMEMBERS key: all members."""
    value = keys.find(args[1], SetValue)
    return _NONE if value is None else _set_reply(value.members(), [value])


def sscan(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SSCAN key cursor [MATCH pattern] [COUNT number]: the next cursor, and members."""
    cursor = scan_cursor(args[2])
    value = keys.find(args[1], SetValue)
    if value is None:
        return [b"0", []]
    options = scan_options(args)
    next_cursor, members = value.page(cursor, options.count)
    if options.pattern is not None:
        members = list(filter(options.pattern.matches, members))
    return scan_reply(next_cursor, members)


# --- Random members.


def spop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SPOP key [count]: a random member, or several, which are removed."""
    key = args[1]
    if len(args) != 2:
        if len(args) > 3:
            raise syntax_error()
        return _pop_several(keys, key, _pop_count(args[2]), ctx)
    value = keys.change(key, SetValue)
    if value is None:
        return None
    popped, left = value.pop(ctx.draws())
    if ctx.events is not None:
        ctx.notify("s", "spop", key)
    if not left:
        _drop_empty(keys, key, ctx)
    return popped


def _pop_several(keys: Keyspace, key: bytes, count: int, ctx: Context) -> Reply:
    value = keys.find(key, SetValue)
    if value is None or count == 0:
        return _NONE
    if count < len(value) and value.size_bytes() <= REPLY_BYTES_MAX:
        popped = keys.change_found(key, value).pop_several(count, ctx.draws(count))
        ctx.notify("s", "spop", key)
        return SetReply(tuple(popped))
    # Whether a reply has room for them is to be known before they are removed.
    popped = value.sample(count, ctx.draws(count))
    reply = _set_reply(popped, [value])
    ctx.notify("s", "spop", key)
    if len(popped) == len(value):
        keys.delete(key)
        ctx.notify("g", "del", key)
    else:
        keys.change_found(key, value).remove_all(popped)
    return reply


def _pop_count(text: bytes) -> int:
    count = parse_int(text)
    if count is None or count < 0:
        raise CommandError("value is out of range, must be positive")
    return count


def srandmember(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SRANDMEMBER key [count]: a random member, or different ones; -count: the same may recur."""
    if len(args) > 3:
        raise syntax_error()
    count = _random_count(args[2]) if len(args) == 3 else None
    value = keys.find(args[1], SetValue)
    if count is None:
        return None if value is None else value.random(ctx.draws())
    if value is None or count == 0:
        return []
    draw = ctx.draws(abs(count))
    if count > 0:
        found = value.sample(count, draw)
    elif -count > RANDOM_MAX:
        raise CommandError(f"more than {RANDOM_MAX} random members are not answered at once")
    else:
        found = value.random_many(-count, draw)
    _check_reply(found)
    return found


def _random_count(text: bytes) -> int:
    count = int_argument(text)
    if count < -INT_MAX:
        raise CommandError(f"value is out of range, value must between {-INT_MAX} and {INT_MAX}")
    return count


# --- Algebra of sets.


def sinter(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SINTER key ...: what is in all of them."""
    values = _common(keys, args[1:])
    return _NONE if values is None else _set_reply(intersection(values), [min(values, key=len)])


def sintercard(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SINTERCARD numkeys key ... [LIMIT limit]: how many are in all of them, up to the limit."""
    names, limit = _card_arguments(args)
    values = _common(keys, names)
    if values is None:
        return 0
    count = len(intersection(values, limit))
    return min(count, limit) if limit else count


def _card_arguments(args: Args) -> tuple[Sequence[bytes], int]:
    numkeys = parse_int(args[1])
    if numkeys is None or numkeys < 1:
        raise CommandError("numkeys should be greater than 0")
    if numkeys > len(args) - 2:
        raise CommandError("Number of keys can't be greater than number of args")
    limit: int | None = 0
    rest = iter(args[2 + numkeys :])
    for word in rest:
        number = next(rest, None)
        if word.upper() != b"LIMIT" or number is None:
            raise syntax_error()
        limit = parse_int(number)
        if limit is None or limit < 0:
            raise CommandError("LIMIT can't be negative")
    return args[2 : 2 + numkeys], limit or 0


def sunion(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SUNION key ...: what is in any of them."""
    values = _all_of(keys, args[1:])
    return _set_reply(union(values), values)


def sdiff(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SDIFF key ...: what is in the first and in none of the others."""
    values = _first_and_others(keys, args[1:])
    return _NONE if values is None else _set_reply(difference(values), values[:1])


def sinterstore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SINTERSTORE target key ...: how many are in all of them, now the members of target."""
    values = _common(keys, args[2:])
    if values is not None:
        _check_stored(min(map(len, values)))
    return _store(keys, args[1], values, intersection_value, "sinterstore", ctx)


def sunionstore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SUNIONSTORE target key ...: how many are in any of them, now the members of target."""
    values = _all_of(keys, args[2:])
    _check_stored(sum(map(len, values)))
    return _store(keys, args[1], values, union_value, "sunionstore", ctx)


def sdiffstore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SDIFFSTORE target key ...: how many are in the first alone, now the members of target."""
    values = _first_and_others(keys, args[2:])
    if values is not None:
        _check_stored(len(values[0]))
    return _store(keys, args[1], values, difference_value, "sdiffstore", ctx)


def _common(keys: Keyspace, names: Sequence[bytes]) -> list[SetValue] | None:
    """The sets of these keys, or None if one of them is absent."""
    values = [keys.find(name, SetValue) for name in names]
    found = [value for value in values if value is not None]
    if len(found) < len(values):
        return None
    _check_work(min(map(len, found)) * len(distinct(found)))
    return found


def _all_of(keys: Keyspace, names: Sequence[bytes]) -> list[SetValue]:
    """The sets of those keys that are there."""
    values = [keys.find(name, SetValue) for name in names]
    found = distinct([value for value in values if value is not None])
    _check_work(sum(map(len, found)))
    return found


def _first_and_others(keys: Keyspace, names: Sequence[bytes]) -> list[SetValue] | None:
    """The sets of those keys that are there, or None if the first is not."""
    values = [keys.find(name, SetValue) for name in names]
    if values[0] is None:
        return None
    found = [value for value in values if value is not None]
    _check_work(len(found[0]) * len(distinct(found)))
    return found


def _check_work(members: int) -> None:
    if members > ALGEBRA_MEMBERS_MAX:
        raise CommandError(
            f"more than {ALGEBRA_MEMBERS_MAX} members would have to be compared at once"
        )


def _check_stored(members: int) -> None:
    if members > STORED_MEMBERS_MAX:
        raise CommandError(f"the result could have more than {STORED_MEMBERS_MAX} members")


def _store(
    keys: Keyspace,
    target: bytes,
    values: list[SetValue] | None,
    make: Callable[[list[SetValue], Settings], SetValue],
    event: str,
    ctx: Context,
) -> int:
    value = make(values, ctx.settings) if values else None
    if not value:
        if keys.delete(target):
            ctx.notify("g", "del", target)
        return 0
    if value.size_bytes() > STORED_BYTES_MAX:
        raise CommandError(f"the result would take more than {STORED_BYTES_MAX >> 20} MiB")
    if not keys.exists(target):
        ctx.notify("n", "new", target)
    keys.put(target, value)
    ctx.notify("s", event, target)
    return len(value)


def _set_reply(members: Sequence[bytes], sources: Sequence[SetValue]) -> SetReply:
    """The members, which come from these sets."""
    if sum([source.size_bytes() for source in sources]) > REPLY_BYTES_MAX:
        _check_reply(members)
    return SetReply(tuple(members))


def _check_reply(members: Sequence[bytes]) -> None:
    if sum(map(len, members)) > REPLY_BYTES_MAX:
        raise CommandError("the members are larger than a reply may be (512 MiB)")
