"""Keys of any type: DEL, EXISTS, TYPE, and walks over a whole database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.routing import parse_cursor
from ...proto.reply import OK, Reply, Status
from ..data.glob import Glob
from ..errors import CommandError
from .arguments import int_argument, syntax_error

if TYPE_CHECKING:
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

SCAN_COUNT = 10
SCAN_COUNT_MAX = 10_000  # COUNT is a hint; more at once would stop the loop for too long.
_PAGE = 1000
_RANDOM_TRIES = 10
_NONE = Status("none")


def del_(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """DEL key ...: how many were there."""
    return sum([keys.delete(key) for key in args[1:]])


def unlink(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """UNLINK key ...: as DEL."""
    return sum([keys.delete(key) for key in args[1:]])


def exists(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """EXISTS key ...: how many are there; one named twice counts twice."""
    return sum([keys.exists(key) for key in args[1:]])


def touch(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """TOUCH key ...: as EXISTS; how recently a key was used is not kept."""
    return sum([keys.exists(key) for key in args[1:]])


def type_(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """TYPE key: the name of its type, or none."""
    name = keys.type_of(args[1])
    return _NONE if name is None else Status(name)


def dbsize(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """DBSIZE: how many keys the database has here, due ones not yet removed included."""
    return keys.count()


def flushall(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """FLUSHALL [ASYNC|SYNC]: OK."""
    _check_flush(args)
    keys.flush()
    return OK


def flushdb(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """FLUSHDB [ASYNC|SYNC]: OK."""
    _check_flush(args)
    keys.flush(ctx.db)
    return OK


def _check_flush(args: Args) -> None:
    if len(args) > 2 or (len(args) == 2 and args[1].upper() not in (b"ASYNC", b"SYNC")):
        raise syntax_error()


def keys_(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """KEYS pattern: all keys that match, in an order that is the same on every replica."""
    matches = Glob(args[1]).matches
    found: list[bytes] = []
    cursor = 0
    while True:
        cursor, page = keys.page(cursor, _PAGE)
        found.extend(filter(matches, page))
        if cursor == 0:
            return found


def scan(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SCAN cursor [MATCH pattern] [COUNT number] [TYPE name]: the next cursor, and keys."""
    cursor = parse_cursor(args[1])
    if cursor is None:
        raise CommandError("invalid cursor")
    pattern, kind, count = None, None, SCAN_COUNT
    for place in range(2, len(args), 2):
        if place + 1 == len(args):
            raise syntax_error()
        option, value = args[place].upper(), args[place + 1]
        if option == b"COUNT":
            count = int_argument(value)
            if count < 1:
                raise syntax_error()
        elif option == b"MATCH":
            pattern = value
        elif option == b"TYPE":
            kind = value.lower().decode("latin-1")
        else:
            raise syntax_error()
    cursor, page = keys.page(cursor, min(count, SCAN_COUNT_MAX))
    if pattern is not None and pattern != b"*":
        page = list(filter(Glob(pattern).matches, page))
    if kind is not None:
        page = [key for key in page if keys.type_of(key) == kind]
    return [b"%d" % cursor, page]


def randomkey(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RANDOMKEY: some key, or nil if there is none."""
    for _ in range(_RANDOM_TRIES):
        if not keys.count():
            return None
        key = keys.nth_key(int(ctx.rng.random() * keys.count()))
        if key is not None:
            return key
    # Nearly all of them are due: take the first that is not.
    cursor = 0
    while True:
        cursor, page = keys.page(cursor, _PAGE)
        if page or cursor == 0:
            return page[0] if page else None
