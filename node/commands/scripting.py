"""EVAL and its kin, SCRIPT: Lua in the log. `node/scripting` runs it, `script_host.py` is what it
reaches.

Scripts are state of their shard: in INTERNAL_DB, so that they are in the log, in snapshots and on
every replica, after every restart. Applying EVALSHA asks nothing but that (correctness A1). Bodies
of SCRIPT LOAD stay until SCRIPT FLUSH; of those that EVAL brought, the oldest make room.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final  # Any: what msgpack gives.

import msgpack

from ...proto.reply import OK, ErrorReply, Reply
from ..data.keyspace import INTERNAL_DB
from ..errors import CommandError
from ..scripting.runtime import CHUNKS_MAX, BudgetSpent, Chunk, Runtime, ScriptError, error_of
from ..scripting.straight import Straight, straight_of
from .arguments import int_argument
from .script_host import NOT_STRAIGHT, ScriptHost

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

EVALUATED_MAX: Final = 500  # Scripts that EVAL brought and that EVALSHA still finds,
EVALUATED_BYTES_MAX: Final = 16 << 20  # and the bytes of all of them.
BODY_BYTES_MAX: Final = 512 << 10  # Of any script.

_SHORT_BYTES: Final = 16 << 10  # Of one that is found again by its body, without a hash of it.
AT_HAND_MAX: Final = 64  # Scripts of a shard that are found without a look at its state.

_SCRIPT: Final = b"script:"  # script:<sha1> -> how it came (one byte), body.
_LOADED, _EVALUATED = b"L", b"E"
_INDEX: Final = b"scripts"  # Bytes of the loaded ones, of the others, and these in their order.
_SHA_DIGITS: Final = 40
_PAGE: Final = 1000

NO_SCRIPT: Final = CommandError("No matching script. Please use EVAL.", "NOSCRIPT")
WRITES_IN_READ: Final = "Can not execute a script with write flag using *_ro command."
SCRIPT_NAME: Final = b"@user_script"


@cache
def the_host() -> ScriptHost:
    """The one of this process, with what runs scripts; nothing of a script stays in it."""
    return ScriptHost()


def the_runtime() -> Runtime:
    return the_host().runtime


# --- Running.


_COUNTS: Final = {b"%d" % count: count for count in range(20)}  # Read already.


def _count_of(args: Args) -> int:
    """How many of the words of EVAL and its kin are keys."""
    count = _COUNTS.get(args[2])
    if count is None:
        count = int_argument(args[2])
    if count > len(args) - 3:
        raise CommandError("Number of keys can't be greater than number of args")
    if count < 0:
        raise CommandError("Number of keys can't be negative")
    return count


def spent(ctx: Context, *, wrote: bool = False) -> str:
    text = f"the script has used up its budget of {ctx.settings.lua_budget} units (lua-budget)"
    return text + "; what it wrote before stays" if wrote else text


def failed(error: ScriptError, name: bytes) -> ErrorReply:
    text = error.text
    if error.source:
        text += b" script: %b, on %b:%d." % (name, error.source, error.line)
    else:
        text += b" script: %b" % name
    return error_of(text)


def check_size(body: bytes) -> None:
    """To compile one takes time too."""
    if len(body) > BODY_BYTES_MAX:
        raise CommandError(f"a script has at most {BODY_BYTES_MAX} bytes")


def _compiled(body: bytes) -> Chunk:
    check_size(body)
    try:
        return the_runtime().chunk(body, SCRIPT_NAME)
    except ScriptError as error:
        reply = error_of(error.text)
        text = f"{reply.code} {reply.text}".rstrip()
        raise CommandError(f"Error compiling script (new function): {text}") from error


_FLAGS: Final = frozenset(
    {b"no-writes", b"allow-oom", b"allow-stale", b"no-cluster", b"allow-cross-slot-keys"}
)


def _flags_of(body: bytes) -> set[bytes] | None:
    """What its first line says of it, if it does; raises CommandError for a bad one."""
    if not body.startswith(b"#!"):
        return None
    line, newline, _ = body.partition(b"\n")
    words = line.split()
    if not newline:
        raise CommandError("Invalid script shebang")
    if words[0] != b"#!lua":
        shown = words[0].decode("utf-8", "surrogateescape")
        raise CommandError(f"Unexpected engine in script shebang: {shown}")
    flags: set[bytes] = set()
    for word in words[1:]:
        option, _, value = word.partition(b"=")
        if option != b"flags":
            shown = word.decode("utf-8", "surrogateescape")
            raise CommandError(f"Unknown lua shebang option: {shown}")
        flags.update(value.split(b",") if value else ())
    for flag in sorted(flags - _FLAGS):
        shown = flag.decode("utf-8", "surrogateescape")
        raise CommandError(f"Unexpected flag in script shebang: {shown}")
    return flags


def check_memory(ctx: Context, flags: Container[bytes]) -> None:
    """A script that says what it does is refused as a whole when there is no memory."""
    if ctx.is_full and b"allow-oom" not in flags and b"no-writes" not in flags:
        raise CommandError(
            "allow-oom flag is not set on the script, can not run it when used memory >"
            " 'maxmemory'",
            "OOM",
        )


@dataclass(frozen=True, slots=True)
class _Script:
    """All that follows from a body alone."""

    name: bytes
    key: bytes  # Under which its shard knows it.
    chunk: Chunk
    flags: set[bytes] | None
    straight: Straight | None


def _script_of(body: bytes) -> _Script:
    flags = _flags_of(body)
    chunk, name = _compiled(body), sha1_of(body)
    straight = straight_of(body) if flags is None else None
    return _Script(name, _SCRIPT + name, chunk, flags, straight)


_known_script = lru_cache(CHUNKS_MAX)(_script_of)


def _script(body: bytes) -> _Script:
    return (_known_script if len(body) <= _SHORT_BYTES else _script_of)(body)


def _put_at_hand(scripts: dict[bytes, _Script], name: bytes, body: bytes, script: _Script) -> None:
    """It is in the state: it need not be looked for again before one is removed."""
    if len(scripts) >= AT_HAND_MAX:
        scripts.clear()
    if len(body) <= _SHORT_BYTES:
        scripts[name] = script


def _run(
    keys: Keyspace, args: Args, ctx: Context, script: _Script, count: int, *, is_read: bool
) -> Reply:
    flags, host, straight = script.flags, the_host(), script.straight
    is_read_only, may_fill = is_read, False
    if flags is not None:
        if is_read and b"no-writes" not in flags:
            raise CommandError(WRITES_IN_READ)
        check_memory(ctx, flags)
        is_read_only = is_read or b"no-writes" in flags
        may_fill = b"allow-oom" in flags
    db, budget = ctx.db, ctx.settings.lua_budget
    host.begin(keys, ctx, budget, is_read=is_read, is_read_only=is_read_only, may_fill=may_fill)
    try:
        if straight is not None and (words := straight.words(count, args)) is not None:
            reply = host.run_straight(words, budget)
            if reply is not NOT_STRAIGHT:
                return reply
        return host.runtime.run(script.chunk, count, args[3:], budget)
    except ScriptError as error:  # What it wrote before stays, as in Redis.
        return failed(error, script.name)
    except BudgetSpent:
        text = f"{spent(ctx, wrote=host.wrote)} script: {script.name.decode()}"
        return ErrorReply("ERR", text)
    finally:
        host.end()
        ctx.db = db


def eval_(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """EVAL body numkeys key ... arg ...: run a script."""
    count, body = _COUNTS.get(args[2]), args[1]
    if count is None or count > len(args) - 3:
        count = _count_of(args)
    script = keys.scripts.get(body)
    if script is None:
        script = _script(body)
        if keys.look(INTERNAL_DB, script.key) is None:
            _keep(keys, ctx, script.name, body, _EVALUATED)
            keys.within(ctx.db, ctx.now_ms, is_read=False)
        _put_at_hand(keys.scripts, body, body, script)
    return _run(keys, args, ctx, script, count, is_read=False)


def eval_ro(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """The same, not logged; it may not write."""
    count = _count_of(args)
    return _run(keys, args, ctx, _script(args[1]), count, is_read=True)


def _by_sha(keys: Keyspace, args: Args, ctx: Context, *, is_read: bool) -> Reply:
    script = keys.scripts_by_sha1.get(args[1])
    if script is None:
        body = _body_of(keys, args)
        script = _script(body)
        _put_at_hand(keys.scripts_by_sha1, args[1], body, script)
    return _run(keys, args, ctx, script, _count_of(args), is_read=is_read)


def evalsha(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """As EVAL, by the hash of a body that this shard knows."""
    return _by_sha(keys, args, ctx, is_read=False)


def evalsha_ro(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    return _by_sha(keys, args, ctx, is_read=True)


# --- The bodies that a shard knows.


def sha1_of(body: bytes) -> bytes:
    return hashlib.sha1(body).hexdigest().encode()


def _body_of(keys: Keyspace, args: Args) -> bytes:
    if len(args[1]) != _SHA_DIGITS:
        raise NO_SCRIPT
    stored: bytes | None = keys.look(INTERNAL_DB, _SCRIPT + args[1].lower())
    if stored is None:
        _count_of(args)
        raise NO_SCRIPT
    return stored[1:]


def _index(keys: Keyspace) -> list[Any]:
    packed = keys.find(_INDEX, bytes)
    return [0, 0, []] if packed is None else list(msgpack.unpackb(packed))


def _keep(keys: Keyspace, ctx: Context, name: bytes, body: bytes, how: bytes) -> None:
    """Remember a body, if it is not known yet or known only as one that may be forgotten."""
    keys.within(INTERNAL_DB, ctx.now_ms, is_read=False)
    key = _SCRIPT + name
    stored = keys.find(key, bytes)
    if stored is not None and (how == _EVALUATED or stored[:1] == _LOADED):
        return
    loaded, evaluated, order = _index(keys)
    if how == _LOADED:
        loaded += len(body)
        if loaded > ctx.settings.lua_scripts_bytes_max:
            raise CommandError(
                f"scripts take more than {ctx.settings.lua_scripts_bytes_max} bytes"
                " (lua-scripts-bytes-max): SCRIPT FLUSH removes them"
            )
        if stored is not None:
            order.remove(name)
            evaluated -= len(body)
    else:
        order.append(name)
        evaluated += len(body)
        while len(order) > EVALUATED_MAX or evaluated > EVALUATED_BYTES_MAX:
            oldest = _SCRIPT + order.pop(0)
            forgotten = keys.find(oldest, bytes)
            assert forgotten is not None
            evaluated -= len(forgotten) - 1
            _remove(keys, oldest)
    keys.put(key, how + body)
    keys.put(_INDEX, msgpack.packb([loaded, evaluated, order]))


def _remove(keys: Keyspace, key: bytes) -> None:
    keys.delete(key)
    keys.scripts.clear()
    keys.scripts_by_sha1.clear()


def internal_names(keys: Keyspace, prefix: bytes) -> Iterator[bytes]:
    """What there is of a kind in INTERNAL_DB, which must be entered."""
    cursor = 0
    while True:
        cursor, found = keys.page(cursor, _PAGE)
        yield from [name for name in found if name.startswith(prefix)]
        if not cursor:
            return


def script_load(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SCRIPT LOAD body: its hash, by which EVALSHA finds it from now on."""
    body = args[2]
    _flags_of(body)
    _compiled(body)
    name = sha1_of(body)
    _keep(keys, ctx, name, body, _LOADED)
    return name


def script_exists(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SCRIPT EXISTS sha1 ...: for each, 1 if this shard knows it."""
    keys.within(INTERNAL_DB, ctx.now_ms, is_read=True)
    return [int(keys.exists(_SCRIPT + name.lower())) for name in args[2:]]


def check_flush(args: Args, text: str) -> None:
    """SYNC and ASYNC are the same here: what is removed is freed a little at a time."""
    if len(args) > 3 or (len(args) == 3 and args[2].upper() not in (b"SYNC", b"ASYNC")):
        raise CommandError(text)


def script_flush(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SCRIPT FLUSH [SYNC | ASYNC]: forget all of them."""
    check_flush(args, "SCRIPT FLUSH only support SYNC|ASYNC option")
    keys.within(INTERNAL_DB, ctx.now_ms, is_read=False)
    for name in list(internal_names(keys, _SCRIPT)):
        _remove(keys, name)
    keys.delete(_INDEX)
    return OK
