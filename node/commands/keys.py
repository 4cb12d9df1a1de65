"""Keys of any type: DEL, RENAME, COPY, TYPE, and walks over a whole database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.routing import parse_cursor
from ...proto.reply import OK, Reply, Status
from ..data.glob import Search
from ..errors import CommandError
from .arguments import database_argument, int_argument, syntax_error

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
    return _delete(keys, args, ctx)


def unlink(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """UNLINK key ...: as DEL."""
    return _delete(keys, args, ctx)


def _delete(keys: Keyspace, args: Args, ctx: Context) -> int:
    count = 0
    for key in args[1:]:
        if keys.delete(key):
            count += 1
            ctx.notify("g", "del", key)
    return count


def exists(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """EXISTS key ...: how many are there; one named twice counts twice."""
    return sum([keys.examine(key) is not None for key in args[1:]])


def touch(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """TOUCH key ...: as EXISTS, and each was used now."""
    return sum([keys.exists(key) for key in args[1:]])


def type_(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """TYPE key: the name of its type, or none."""
    name = keys.type_of(args[1])
    return _NONE if name is None else Status(name)


# --- To another name or another database. The expiry goes along; what was at the target is gone.


def rename(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RENAME key newkey: OK; whatever was there makes room."""
    _, source, target = args
    _check_there(keys, source)
    if source != target:
        _rename(keys, source, target, ctx)
    return OK


def renamenx(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RENAMENX key newkey: 1, or 0 if something is there already."""
    _, source, target = args
    _check_there(keys, source)
    if keys.exists(target):  # Also the key itself under its own name.
        return 0
    _rename(keys, source, target, ctx)
    return 1


def _rename(keys: Keyspace, source: bytes, target: bytes, ctx: Context) -> None:
    keys.put(target, *keys.take(source))
    ctx.notify("n", "new", target)
    ctx.notify("g", "rename_from", source)
    ctx.notify("g", "rename_to", target)


def _check_there(keys: Keyspace, key: bytes) -> None:
    if not keys.exists(key):
        raise CommandError("no such key")


def move(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """MOVE key database: 1, or 0 if it is absent here or present there."""
    key, target_db = args[1], database_argument(args[2])
    if target_db == ctx.db:
        raise same_object()
    if not keys.exists(key):
        return 0
    keys.switch(target_db)
    is_taken = keys.exists(key)
    keys.switch(ctx.db)
    if is_taken:
        return 0
    value, expire_at_ms = keys.take(key)
    keys.switch(target_db)
    keys.put(key, value, expire_at_ms)
    keys.switch(ctx.db)
    ctx.notify("n", "new", key, target_db)
    ctx.notify("g", "move_from", key)
    ctx.notify("g", "move_to", key, target_db)
    return 1


def copy(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """COPY source target [DB database] [REPLACE]: 1, or 0 if there is nothing or no room."""
    source, target = args[1], args[2]
    target_db, is_replacing = _copy_options(args, ctx.db)
    if target_db == ctx.db and source == target:
        raise same_object()
    if not keys.exists(source):
        return 0
    if not is_replacing and keys.look(target_db, target) is not None:
        return 0
    value, expire_at_ms = keys.copy_of(source)
    keys.switch(target_db)
    keys.put(target, value, expire_at_ms)
    keys.switch(ctx.db)
    ctx.notify("n", "new", target, target_db)
    ctx.notify("g", "copy_to", target, target_db)
    return 1


def _copy_options(args: Args, db: int) -> tuple[int, bool]:
    is_replacing = False
    rest = iter(args[3:])
    for word in rest:
        option = word.upper()
        if option == b"REPLACE":
            is_replacing = True
        elif option == b"DB" and (number := next(rest, None)) is not None:
            db = database_argument(number)
        else:
            raise syntax_error()
    return db, is_replacing


def same_object() -> CommandError:
    return CommandError("source and destination objects are the same")


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
    """KEYS pattern: all keys that match; in a write, in an order that all replicas share."""
    matches = Search(args[1]).matches
    found: list[bytes] = []
    for some in keys.all_keys():
        found += some if args[1] == b"*" else filter(matches, some)
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
        page = list(filter(Search(pattern).matches, page))
    if kind is not None:
        page = [key for key in page if keys.type_of(key) == kind]
    return [b"%d" % cursor, page]


def randomkey(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RANDOMKEY: some key, or nil if there is none."""
    for _ in range(_RANDOM_TRIES):
        if not keys.count():
            return None
        key = keys.nth_key(int(ctx.draws()() * keys.count()))
        if key is not None:
            return key
    # Nearly all of them are due: take the first that is not.
    cursor = 0
    while True:
        cursor, page = keys.page(cursor, _PAGE)
        if page or cursor == 0:
            return page[0] if page else None
