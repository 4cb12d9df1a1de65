"""FUNCTION, FCALL: libraries of Lua functions, as state of each shard.

A library lies in INTERNAL_DB as its code, and each of its functions as the name of the library with
its flags. It is loaded again for each call, so that nothing but the keyspace lasts: a replica that
was restored from a snapshot has nothing else. DUMP and RESTORE speak Redis's own format.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple  # Any: what msgpack gives.

import msgpack

from ...proto.reply import OK, ErrorReply, MapReply, Reply, SetReply, Status
from ..data.dump import FOOTER_BYTES, WrongFooter, check_footer, with_footer
from ..data.glob import Search
from ..data.keyspace import INTERNAL_DB
from ..data.rdb import Malformed, Reader, write_string
from ..errors import CommandError
from ..scripting.runtime import BudgetSpent, Chunk, Function, ScriptError
from .arguments import parse_int
from .scripting import (
    WRITES_IN_READ,
    check_flush,
    check_memory,
    check_size,
    failed,
    internal_names,
    spent,
    the_host,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

LOAD_FUNCTION: Final = b"_FUNCTION.LOAD"  # _FUNCTION.LOAD LOAD [REPLACE] code
_LIBRARY: Final = b"library:"  # library:<name> -> code.
_FUNCTION: Final = b"function:"  # function:<name> -> library, flags, description.
_BYTES: Final = b"libraries"  # Bytes of all code.
_NAME: Final = re.compile(rb"[A-Za-z0-9_]+")
_FUNCTION_2: Final = 0xF5  # What stands in front of a library in a dump,
_FUNCTION_EARLY: Final = 0xF6  # and stood there before Redis 7.0 was out.
_BAD_NAME: Final = (
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one"
    " character long"
)
_SOURCE: Final = b"@user_function"


class Library(NamedTuple):
    name: bytes
    code: bytes
    functions: list[Function]


# --- Reading code.


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _name_in(code: bytes) -> bytes:
    """What the first line of a library says."""
    if not code.startswith(b"#!"):
        raise CommandError("Missing library metadata")
    line, newline, _ = code.partition(b"\n")
    if not newline:
        raise CommandError("Invalid library metadata")
    engine, *words = line.split() or [b"#!"]
    name: bytes | None = None
    for word in words:
        option, _, value = word.partition(b"=")
        if option.lower() != b"name":
            raise CommandError(f"Invalid metadata value given: {_shown(word)}")
        if name is not None:
            raise CommandError("Invalid metadata value, name argument was given multiple times")
        name = value
    if name is None:
        raise CommandError("Library name was not given")
    if _NAME.fullmatch(name) is None:
        raise CommandError(_BAD_NAME)
    if engine.lower() != b"#!lua":
        raise CommandError(f"Engine '{_shown(engine[2:])}' not found")
    return name


def _compiled(code: bytes) -> Chunk:
    check_size(code)
    try:
        return the_host().runtime.chunk(code, _SOURCE)
    except ScriptError as error:
        raise CommandError(f"Error compiling function: {_shown(error.text)}") from error


def _library_of(name: bytes, code: bytes, keys: Keyspace, ctx: Context) -> Library:
    """What it registers; nothing of a keyspace can be reached meanwhile."""
    chunk = _compiled(code)
    host, budget = the_host(), ctx.settings.lua_budget
    host.begin(keys, ctx, budget, is_read=True, is_read_only=True)
    try:
        functions = host.runtime.functions(chunk, budget)
    except ScriptError as error:
        raise CommandError(f"Error registering functions: {_shown(error.text)}") from error
    except BudgetSpent as error:
        raise CommandError(f"Error registering functions: {spent(ctx)}") from error
    finally:
        host.end()
    if not functions:
        raise CommandError("No functions registered")
    return Library(name, code, functions)


# --- What a shard has.


def _enter(keys: Keyspace, ctx: Context, *, is_read: bool) -> None:
    keys.within(INTERNAL_DB, ctx.now_ms, is_read=is_read)


def _entry_of(keys: Keyspace, name: bytes) -> list[Any] | None:
    """The library of a function, its flags and what it says of itself."""
    packed = keys.find(_FUNCTION + name, bytes)
    return None if packed is None else list(msgpack.unpackb(packed))


def _names(keys: Keyspace) -> list[bytes]:
    """Of the libraries, in order."""
    return sorted(name[len(_LIBRARY) :] for name in internal_names(keys, _LIBRARY))


def _functions_by_library(keys: Keyspace) -> dict[bytes, list[Function]]:
    found: dict[bytes, list[Function]] = {}
    for key in sorted(internal_names(keys, _FUNCTION)):
        name = key[len(_FUNCTION) :]
        entry = _entry_of(keys, name)
        assert entry is not None
        library, flags, told = entry
        found.setdefault(library, []).append(Function(name, told, tuple(flags)))
    return found


def _bytes_kept(keys: Keyspace) -> int:
    packed = keys.find(_BYTES, bytes)
    return 0 if packed is None else int(packed)


def _check_room(ctx: Context, size: int) -> None:
    bound = ctx.settings.lua_scripts_bytes_max
    if size > bound:
        raise CommandError(f"functions take more than {bound} bytes (lua-scripts-bytes-max)")


def _put(keys: Keyspace, library: Library) -> None:
    keys.put(_LIBRARY + library.name, library.code)
    for one in library.functions:
        entry = [library.name, list(one.flags), one.description]
        keys.put(_FUNCTION + one.name, msgpack.packb(entry))
    keys.put(_BYTES, b"%d" % (_bytes_kept(keys) + len(library.code)))


def _remove(keys: Keyspace, name: bytes) -> None:
    code = keys.find(_LIBRARY + name, bytes)
    assert code is not None
    for one in _functions_by_library(keys).get(name, ()):
        keys.delete(_FUNCTION + one.name)
    keys.delete(_LIBRARY + name)
    keys.put(_BYTES, b"%d" % (_bytes_kept(keys) - len(code)))


def _remove_all(keys: Keyspace) -> None:
    for prefix in (_LIBRARY, _FUNCTION):
        for name in list(internal_names(keys, prefix)):
            keys.delete(name)
    keys.delete(_BYTES)


def _check_functions(keys: Keyspace, libraries: Sequence[Library], replaced: set[bytes]) -> None:
    """Names of functions are there once: `replaced` are the libraries that will be gone."""
    for library in libraries:
        for one in library.functions:
            entry = _entry_of(keys, one.name)
            if entry is not None and entry[0] not in replaced:
                raise CommandError(f"Function {_shown(one.name)} already exists")


# --- FUNCTION.


def function_load(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """FUNCTION LOAD [REPLACE] code: the name of the library."""
    is_replacing = False
    for word in args[2:-1]:
        if word.upper() != b"REPLACE":
            raise CommandError(f"Unknown option given: {_shown(word)}")
        is_replacing = True
    code = args[-1]
    name = _name_in(code)
    _enter(keys, ctx, is_read=False)
    old = keys.find(_LIBRARY + name, bytes)
    if old is not None and not is_replacing:
        raise CommandError(f"Library '{_shown(name)}' already exists")
    library = _library_of(name, code, keys, ctx)
    _enter(keys, ctx, is_read=False)
    _check_functions(keys, [library], {name})
    _check_room(ctx, _bytes_kept(keys) + len(code) - len(old or b""))
    if old is not None:
        _remove(keys, name)
    _put(keys, library)
    return name


def load_unless_there(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """As FUNCTION LOAD for a client that tells every node of a cluster: what is there already, byte
    for byte, is no mistake."""
    name = _name_in(args[-1])
    _enter(keys, ctx, is_read=False)
    stored = keys.find(_LIBRARY + name, bytes)
    if len(args) == 3 and stored == args[-1]:
        return name
    return function_load(keys, args, ctx)


def function_delete(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """FUNCTION DELETE library."""
    _enter(keys, ctx, is_read=False)
    if not keys.exists(_LIBRARY + args[2]):
        raise CommandError("Library not found")
    _remove(keys, args[2])
    return OK


def _wrong_count(args: Args) -> CommandError:
    return CommandError(
        f"unknown subcommand or wrong number of arguments for '{_shown(args[1][:128])}'."
        " Try FUNCTION HELP."
    )


def function_flush(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """FUNCTION FLUSH [SYNC | ASYNC]."""
    if len(args) > 3:
        raise _wrong_count(args)
    check_flush(args, "FUNCTION FLUSH only supports SYNC|ASYNC option")
    _enter(keys, ctx, is_read=False)
    _remove_all(keys)
    return OK


def _list_options(args: Args) -> tuple[Search | None, bool]:
    pattern, with_code = None, False
    place = 2
    while place < len(args):
        word = args[place].upper()
        if word == b"WITHCODE" and not with_code:
            with_code = True
        elif word == b"LIBRARYNAME" and pattern is None:
            if place + 1 >= len(args):
                raise CommandError("library name argument was not given")
            place += 1
            pattern = Search(args[place])
        else:
            raise CommandError(f"Unknown argument {_shown(args[place])}")
        place += 1
    return pattern, with_code


def function_list(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]."""
    pattern, with_code = _list_options(args)
    _enter(keys, ctx, is_read=True)
    functions = _functions_by_library(keys)
    found: list[Reply] = []
    for name in _names(keys):
        if pattern is not None and not pattern.matches(name):
            continue
        told = [
            MapReply(
                (
                    (b"name", one.name),
                    (b"description", one.description),
                    (b"flags", SetReply(tuple(map(Status, map(_shown, one.flags))))),
                )
            )
            for one in functions.get(name, ())
        ]
        fields: list[tuple[Reply, Reply]] = [
            (b"library_name", name),
            (b"engine", b"LUA"),
            (b"functions", told),
        ]
        if with_code:
            fields.append((b"library_code", keys.find(_LIBRARY + name, bytes)))
        found.append(MapReply(tuple(fields)))
    return found


def function_stats(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """No script is ever seen running: it runs within one turn."""
    _enter(keys, ctx, is_read=True)
    functions = _functions_by_library(keys)
    counts = MapReply(
        (
            (b"libraries_count", len(_names(keys))),
            (b"functions_count", sum(map(len, functions.values()))),
        )
    )
    return MapReply(((b"running_script", None), (b"engines", MapReply(((b"LUA", counts),)))))


def function_dump(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """FUNCTION DUMP: all libraries, as Redis writes them."""
    _enter(keys, ctx, is_read=True)
    parts: list[bytes] = []
    for name in _names(keys):
        code = keys.find(_LIBRARY + name, bytes)
        assert code is not None
        parts += [bytes([_FUNCTION_2]), write_string(code)]
    return with_footer(parts)


def _codes_in(payload: bytes) -> list[bytes]:
    try:
        check_footer(payload)
    except WrongFooter:
        raise CommandError("DUMP payload version or checksum are wrong") from None
    reader = Reader(payload[:-FOOTER_BYTES])
    codes = []
    try:
        while not reader.is_at_end:
            kind = reader.byte()
            if kind == _FUNCTION_EARLY:
                raise CommandError("Pre-GA function format not supported")
            if kind != _FUNCTION_2:
                raise CommandError("given type is not a function")
            codes.append(reader.string())
    except Malformed:
        raise CommandError("failed loading the given functions payload") from None
    return codes


def function_restore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]."""
    if len(args) > 4:
        raise _wrong_count(args)
    policy = args[3].upper() if len(args) == 4 else b"APPEND"
    if policy not in (b"APPEND", b"REPLACE", b"FLUSH"):
        raise CommandError(
            "Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
        )
    libraries: dict[bytes, Library] = {}
    known: set[bytes] = set()
    for code in _codes_in(args[2]):
        library = _library_of(_name_in(code), code, keys, ctx)
        if library.name in libraries:
            raise CommandError(f"Library {_shown(library.name)} already exists")
        for one in library.functions:
            if one.name in known:
                raise CommandError(f"Function {_shown(one.name)} already exists")
            known.add(one.name)
        libraries[library.name] = library
    _enter(keys, ctx, is_read=False)
    there = set(_names(keys))
    common = there & libraries.keys()
    if policy == b"APPEND" and common:
        raise CommandError(f"Library {_shown(min(common))} already exists")
    gone = there if policy == b"FLUSH" else common
    _check_functions(keys, list(libraries.values()), gone)
    size = sum(len(one.code) for one in libraries.values())
    for name in there - gone:
        size += len(keys.find(_LIBRARY + name, bytes) or b"")
    _check_room(ctx, size)
    if policy == b"FLUSH":
        _remove_all(keys)
    else:
        for name in sorted(gone):
            _remove(keys, name)
    for library in libraries.values():
        _put(keys, library)
    return OK


# --- FCALL.


def _count_of(args: Args) -> int:
    """How many of the words behind it are keys."""
    count = parse_int(args[2])
    if count is None:
        raise CommandError("Bad number of keys provided")
    if count > len(args) - 3:
        raise CommandError("Number of keys can't be greater than number of args")
    if count < 0:
        raise CommandError("Number of keys can't be negative")
    return count


def _call(keys: Keyspace, args: Args, ctx: Context, *, is_read: bool) -> Reply:
    name = args[1]
    _enter(keys, ctx, is_read=is_read)
    entry = _entry_of(keys, name)
    if entry is None:
        raise CommandError("Function not found")
    count = _count_of(args)
    library, flags, _ = entry
    is_reader = b"no-writes" in flags
    check_memory(ctx, flags)
    if is_read and not is_reader:
        raise CommandError(WRITES_IN_READ)
    code = keys.find(_LIBRARY + library, bytes)
    assert code is not None
    chunk = _compiled(code)
    host, db, budget = the_host(), ctx.db, ctx.settings.lua_budget
    keys.within(db, ctx.now_ms, is_read=is_read)
    host.begin(keys, ctx, budget, is_read=is_read, is_read_only=is_reader, may_fill=True)
    try:
        return host.runtime.call(chunk, name, count, args[3:], budget)
    except ScriptError as error:
        return failed(error, name)
    except BudgetSpent:
        return ErrorReply("ERR", f"{spent(ctx, wrote=host.wrote)} script: {_shown(name)}")
    finally:
        host.end()
        ctx.db = db


def fcall(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """FCALL function numkeys key ... arg ..."""
    return _call(keys, args, ctx, is_read=False)


def fcall_ro(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """The same, not logged, of a function that says that it does not write."""
    return _call(keys, args, ctx, is_read=True)
