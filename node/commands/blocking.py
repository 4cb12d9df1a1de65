"""Commands that wait: what they do when they need not, and what a door must know to wait for them.

A handler here never waits: it takes what is there or answers nothing, as in a transaction, and
nothing (`is_nothing`) is never what a success answers. Who waits is the shard's leader's business
(`data/waiters.py`), and the door that has the client goes from the wait to the pop. What it needs
to know of a command `waiting_of` tells; a command whose arguments are wrong waits for nothing, and
its handler says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf
from typing import TYPE_CHECKING, Final

from ...proto.reply import NULL_ARRAY, NullArray, Reply
from ..data.quicklist import ListValue
from ..data.sorted_set import SortedSet
from ..data.stream import Stream
from ..data.waiters import ALL, Need, Waiter, WaiterId
from ..errors import CommandError
from . import lists, sorted_sets
from .arguments import INT_MAX
from .doubles import parse_double
from .stream_arguments import id_argument, read_arguments
from .stream_groups import has_news
from .streams import has_entries_behind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context


OPEN_IDS: Final = (b"$", b"+")  # Of a stream as it is now.


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a command waits for."""

    keys: tuple[bytes, ...]  # Each once, in order.
    need: Need
    timeout_ms: int  # 0: for ever.
    takes: int = 1  # Elements at most; 0 if it leaves them there.
    group: bytes = b""  # Of a stream.
    behind: tuple[bytes, ...] = ()  # Of streams: an id for each key.
    has_others: bool = False  # A stream is named more than once; behind another id may be more.


def is_nothing(reply: Reply) -> bool:
    """Whether a command that may wait has found nothing."""
    return reply is None or isinstance(reply, NullArray)


# --- Handlers.


def blpop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BLPOP key ... timeout: the first key that has elements, and its first one."""
    return _pop_one(keys, args, ctx, at_head=True)


def brpop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BRPOP key ... timeout: the first key that has elements, and its last one."""
    return _pop_one(keys, args, ctx, at_head=False)


def _pop_one(keys: Keyspace, args: Args, ctx: Context, *, at_head: bool) -> Reply:
    timeout_argument(args[-1])
    for key in args[1:-1]:
        found = lists.pop_from(keys, ctx, key, 1, at_head=at_head)
        if found is not None:
            return [key, found[0]]
    return NULL_ARRAY


def blmove(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BLMOVE source target LEFT|RIGHT LEFT|RIGHT timeout: as LMOVE."""
    from_head, to_head = lists.side(args[3]), lists.side(args[4])
    timeout_argument(args[5])
    return lists.move(keys, ctx, args[1], args[2], from_head=from_head, to_head=to_head)


def brpoplpush(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BRPOPLPUSH source target timeout: as RPOPLPUSH."""
    timeout_argument(args[3])
    return lists.move(keys, ctx, args[1], args[2], from_head=False, to_head=True)


def blmpop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BLMPOP timeout numkeys key ... LEFT|RIGHT [COUNT count]: as LMPOP."""
    asked = lists.mpop_arguments(args, 2)
    timeout_argument(args[1])  # Looked at last, as in Redis.
    return lists.pop_from_first(keys, ctx, *asked)


def bzpopmin(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BZPOPMIN key ... timeout: the first key that has members, and that of the lowest score."""
    return _pop_member(keys, args, ctx, is_max=False)


def bzpopmax(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BZPOPMAX key ... timeout: the first key that has members, and that of the highest score."""
    return _pop_member(keys, args, ctx, is_max=True)


def _pop_member(keys: Keyspace, args: Args, ctx: Context, *, is_max: bool) -> Reply:
    timeout_argument(args[-1])
    for key in args[1:-1]:
        popped = sorted_sets.pop_from(keys, key, 1, ctx, is_max=is_max)
        if popped:
            return [key, *popped[0]]
    return NULL_ARRAY


def bzmpop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BZMPOP timeout numkeys key ... MIN|MAX [COUNT count]: as ZMPOP."""
    sorted_sets.mpop_arguments(args[2:])
    timeout_argument(args[1])
    return sorted_sets.zmpop(keys, [b"ZMPOP", *args[2:]], ctx)


def timeout_argument(text: bytes) -> int:
    """Milliseconds of a timeout in seconds, perhaps with a fraction; 0 is for ever."""
    seconds = parse_double(text)
    if seconds is None:
        raise CommandError("timeout is not a float or out of range")
    # What does not fit comes out negative in Redis as well.
    if not 0 <= seconds < inf or seconds * 1000 > INT_MAX:
        raise CommandError("timeout is negative")
    return ceil(seconds * 1000)


# --- For who waits.


def waiting_of(args: Args) -> Waiting | None:
    """What a command waits for if it finds nothing; None if it does not wait."""
    find = _WAITING.get(args[0])
    try:
        return None if find is None else find(args)
    except CommandError:
        return None  # Its handler will say it.


def _of_streams(args: Args) -> Waiting | None:
    reading = read_arguments(args)
    is_history = reading.group is not None and any(id_ != b">" for id_ in reading.ids)
    if reading.block_ms is None or is_history:
        return None  # What a consumer was given before is there, or it is not.
    pairs = zip(reversed(reading.keys), reversed(reading.ids), strict=True)
    behind = dict(pairs)  # Of a key that is named twice the first id.
    keys = tuple(dict.fromkeys(reading.keys))
    ids = tuple([behind[key] for key in keys])
    if reading.group is None:
        for id_ in ids:
            if id_ not in OPEN_IDS:
                id_argument(id_)
        has_others = len(keys) < len(reading.keys)
        return Waiting(keys, Need.STREAM, reading.block_ms, 0, b"", ids, has_others)
    takes = reading.count or ALL
    return Waiting(keys, Need.GROUP, reading.block_ms, takes, reading.group, ids)


def _waiting(keys: Sequence[bytes], need: Need, timeout: bytes, takes: int = 1) -> Waiting:
    return Waiting(tuple(dict.fromkeys(keys)), need, timeout_argument(timeout), takes)


def _of_move(args: Args) -> Waiting:
    for word in args[3:5]:
        lists.side(word)
    return _waiting(args[1:2], Need.LIST, args[5])


def _of_lmpop(args: Args) -> Waiting:
    names, _, count = lists.mpop_arguments(args, 2)
    return _waiting(names, Need.LIST, args[1], count)


def _of_zmpop(args: Args) -> Waiting:
    names, _, count = sorted_sets.mpop_arguments(args[2:])
    return _waiting(names, Need.SORTED_SET, args[1], count)


_WAITING: Final[dict[bytes, Callable[[Args], Waiting | None]]] = {
    b"BLPOP": lambda args: _waiting(args[1:-1], Need.LIST, args[-1]),
    b"BRPOP": lambda args: _waiting(args[1:-1], Need.LIST, args[-1]),
    b"BLMOVE": _of_move,
    b"BRPOPLPUSH": lambda args: _waiting(args[1:2], Need.LIST, args[3]),
    b"BLMPOP": _of_lmpop,
    b"BZPOPMIN": lambda args: _waiting(args[1:-1], Need.SORTED_SET, args[-1]),
    b"BZPOPMAX": lambda args: _waiting(args[1:-1], Need.SORTED_SET, args[-1]),
    b"BZMPOP": _of_zmpop,
    b"XREAD": _of_streams,
    b"XREADGROUP": _of_streams,
}


def narrowed(args: Args, key: bytes) -> list[bytes]:
    """The same command on one of the keys it waits for: what its turn is for."""
    match args[0]:
        case b"BLPOP" | b"BRPOP" | b"BZPOPMIN" | b"BZPOPMAX":
            return [args[0], key, args[-1]]
        case b"BLMPOP" | b"BZMPOP":
            behind = 3 + int(args[2])
            return [args[0], args[1], b"1", key, *args[behind:]]
        case b"XREAD" | b"XREADGROUP":
            reading = read_arguments(args)
            options = args[: len(args) - 2 * len(reading.keys)]
            return [*options, key, reading.ids[list(reading.keys).index(key)]]
        case _:
            return list(args)


# --- What is there for who waits.


_TYPES: Final = {
    Need.LIST: ListValue,
    Need.SORTED_SET: SortedSet,
    Need.STREAM: Stream,
    Need.GROUP: Stream,
}


def available(keys: Keyspace, waiter: Waiter, key: bytes) -> int:
    """How many elements it could take from a key now. Of a stream 1 stands for any number."""
    value = keys.look(waiter.db, key)
    match waiter.need:
        case Need.STREAM:
            behind = waiter.behind[waiter.keys.index(key)]
            return int(isinstance(value, Stream) and has_entries_behind(value, behind))
        case Need.GROUP:
            # Where the stream or the group is gone it has to be told.
            return int(not isinstance(value, Stream) or has_news(value, waiter.group))
        case Need.LIST:
            return len(value) if isinstance(value, ListValue) else 0
        case Need.SORTED_SET:
            return len(value) if isinstance(value, SortedSet) else 0


def is_refused(keys: Keyspace, db: int, need: Need, names: Sequence[bytes]) -> bytes | None:
    """The first of the keys that holds something of another type: a command that has not waited yet
    is told so."""
    for key in names:
        value = keys.look(db, key)
        if value is not None and not isinstance(value, _TYPES[need]):
            return key
    return None


def may_have(keys: Keyspace, db: int, waiting: Waiting) -> bool:
    """Whether the command would answer something now, or be refused."""
    probe = Waiter(
        WaiterId("", 0), db, waiting.keys, waiting.need, waiting.takes, waiting.group,
        waiting.behind,
    )  # fmt: skip
    if waiting.has_others or is_refused(keys, db, waiting.need, waiting.keys) is not None:
        return True
    return any(available(keys, probe, key) for key in waiting.keys)
