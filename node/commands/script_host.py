"""What a script reaches through redis.call: the commands of its shard, run where it runs.

Everything happens within the entry (or the read) that the script is: its time, its randomness, its
settings. Read `scripting.py` for the commands that run scripts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final  # Any: objects of Lua.

from ...cluster.command import FAST, GROWS, NOSCRIPT, WRITE, Spread
from ...cluster.commands import COMMANDS
from ...cluster.routing import databases_apart
from ...cluster.slots import DATABASES, shard_of
from ...proto.reply import (
    OK,
    ErrorReply,
    MapReply,
    PairsMapReply,
    PairsReply,
    Reply,
    SetReply,
    Status,
    size_of_reply,
)
from .. import commands
from ..errors import CommandError
from ..scripting.runtime import FAILED, STATUS, UNCLEAR, VALUE, BudgetSpent, Runtime
from .arguments import int_argument
from .internal import OUT_OF_MEMORY_TEXT

if TYPE_CHECKING:
    from ...cluster.command import Command
    from ..data.keyspace import Keyspace
    from .context import Context, Handler

CALL_COST: Final = 500  # Units of the budget for one command,
BYTES_A_UNIT: Final = 8  # and for what it is given and answers.
_PLAIN_BYTES: Final = 32  # Of an answer that is neither a string nor a list.
ELEMENT_COST: Final = 50  # For each element of an answer, which becomes one of a table.
HEAVY_BYTES_A_UNIT: Final = 64  # Of the keys of commands that go through all of them.
DBSIZE_COST: Final = 16  # For each key that such a command may look at.

_HEAVY: Final = frozenset(
    {
        b"SINTER", b"SINTERCARD", b"SINTERSTORE", b"SUNION", b"SUNIONSTORE", b"SDIFF",
        b"SDIFFSTORE", b"ZINTER", b"ZINTERCARD", b"ZINTERSTORE", b"ZUNION", b"ZUNIONSTORE",
        b"ZDIFF", b"ZDIFFSTORE", b"ZRANGESTORE", b"SORT", b"SORT_RO", b"BITOP", b"BITCOUNT",
        b"BITPOS", b"LREM", b"LINSERT", b"LPOS", b"LCS", b"COPY", b"DUMP", b"PFCOUNT", b"PFMERGE",
        b"GEOSEARCH", b"GEOSEARCHSTORE", b"GEORADIUS", b"GEORADIUSBYMEMBER", b"GEORADIUS_RO",
        b"GEORADIUSBYMEMBER_RO", b"XRANGE", b"XREVRANGE", b"XTRIM", b"RENAME", b"APPEND",
        b"SETRANGE", b"SETBIT", b"XINFO|STREAM", b"OBJECT|ENCODING",
    }
)  # fmt: skip
_WALKS_ALL: Final = frozenset({b"KEYS"})
_ONLY_ALONE: Final = frozenset({b"FLUSHALL"})  # They would do half of it.


def _error(text: str) -> tuple[int, Any, int]:
    return FAILED, b"ERR " + text.encode("utf-8", "surrogateescape"), CALL_COST


class ScriptHost:
    """Of one run."""

    __slots__ = ("_ctx", "_db", "_handlers", "_is_open", "_is_read", "_keys", "_left", "_may_fill",
                 "_owner", "_runtime", "is_read_only", "protocol", "wrote")  # fmt: skip

    def __init__(
        self,
        runtime: Runtime,
        handlers: dict[bytes, Handler],
        keys: Keyspace,
        ctx: Context,
        *,
        is_read: bool,
        is_read_only: bool,
        may_fill: bool = False,
    ) -> None:
        self.protocol = 2
        self.is_read_only = is_read_only  # The script said that it does not write, or EVAL_RO.
        self.wrote = False
        self._may_fill = may_fill  # It said `allow-oom`.
        self._runtime = runtime
        self._handlers = handlers
        self._keys = keys
        self._ctx = ctx
        self._db = ctx.db
        self._is_read = is_read  # It is no entry, or may not write.
        self._open()
        self._left = ctx.settings.lua_budget * BYTES_A_UNIT  # Bytes of replies.

    def _open(self) -> None:
        """Note whether plain commands need to be looked at one by one, and where their keys may be:
        elsewhere only in database 0."""
        ctx, owner = self._ctx, self._keys.owner
        self._is_open = not (ctx.is_full or (ctx.events is not None and ctx.wants_misses))
        self._owner = None if self._db or owner is None or owner[1] == 1 else owner

    def random(self) -> float:
        return self._ctx.rng.random()

    def log(self, level: int, text: bytes) -> None:
        """A script has no log of its own: it runs on every replica, and nowhere for the first
        time."""

    def is_command(self, name: bytes) -> bool:
        return name.upper() in COMMANDS

    def call(self, args: tuple[Any, ...]) -> tuple[int, Any, int]:
        try:
            size = len(b"".join(args))  # The quickest way to see that all of them are strings.
            words = list(args)
        except TypeError:
            words = _texts_of(args)
            size = len(b"".join(words))
        if not words:
            return UNCLEAR, None, 0
        known = _known_by_word.get(words[0]) or _known(words)
        if known is None:
            return _error("Unknown Redis command called from script")
        if not known.least <= len(words) <= known.most:
            return _error("Wrong number of args calling Redis command from script")
        is_usual = (
            known.is_plain
            and self._is_open
            and not (known.writes and self.is_read_only)
            and (self._owner is None or self._is_here(known.row, words))
        )
        if not is_usual:
            refusal = self._refusal(known, words)
            if refusal is not None:
                return refusal
        if known.writes:
            self.wrote = True
        name = words[0] = known.name
        cost = CALL_COST + size // BYTES_A_UNIT
        keys, ctx = self._keys, self._ctx
        try:
            if is_usual:
                ctx.db = self._db
                keys.within(self._db, ctx.now_ms, is_read=self._is_read)
                reply = self._handlers[name](keys, words, ctx)
            else:
                cost += self._cost_of(known.row, words)
                reply = self._run(known, words)
        except CommandError as error:
            reply = ErrorReply(error.code, error.text)
        value: bytes | int
        if reply is OK:
            kind, value, size = STATUS, b"OK", _PLAIN_BYTES
        elif type(reply) is bytes:
            kind, value, size = VALUE, reply, len(reply) + 8
        elif type(reply) is int:
            kind, value, size = VALUE, reply, _PLAIN_BYTES
        else:
            return self._converted(reply, cost)
        self._left -= size
        if self._left < 0:
            raise BudgetSpent
        return kind, value, cost + size // BYTES_A_UNIT

    def _converted(self, reply: Reply, cost: int) -> tuple[int, Any, int]:
        """Of replies that are not plain: what `call` answers."""
        texts = _texts_in(reply) if self.protocol == 2 else None
        size, elements = _measured(reply, texts)
        self._left -= size
        if self._left < 0:
            raise BudgetSpent
        cost += size // BYTES_A_UNIT + elements * ELEMENT_COST
        if texts is not None:
            return VALUE, self._runtime.list_of(texts), cost
        return *self._runtime.to_lua(reply, self.protocol), cost

    def _refusal(self, known: _Known, args: list[bytes]) -> tuple[int, Any, int] | None:
        """What is answered to a command that this script may not use."""
        text = self._barrier(known, args)
        if text is not None:
            return _error(text)
        if self._ctx.is_full and known.row.flags & GROWS and not (self.wrote or self._may_fill):
            # Not in the middle: what has begun to write is to end, as in Redis.
            return FAILED, f"OOM {OUT_OF_MEMORY_TEXT}".encode(), CALL_COST
        return None

    def _barrier(self, known: _Known, args: list[bytes]) -> str | None:
        row = known.row
        is_there = row.name in self._handlers or row.name in _LOCAL
        if row.flags & NOSCRIPT or not is_there:
            return "This Redis command is not allowed from script"
        if known.writes and self.is_read_only:
            return "Write commands are not allowed from read-only scripts."
        owner = self._keys.owner
        if owner is None or row.name in _LOCAL:
            return None
        shards = owner[1]
        if row.spread is Spread.NAMES_DB:
            text = databases_apart(row, self._db, args, shards)
            if text is not None:
                return text
        if shards > 1 and row.name in _ONLY_ALONE:
            return f"{row.name.decode()} is not carried out by scripts: they reach one shard"
        if self._owner is not None and not self._is_here(row, args):
            return "Script attempted to access a non local key in a cluster node"
        return None

    def _is_here(self, row: Command, args: list[bytes]) -> bool:
        """Whether this shard has all its keys in database 0."""
        assert self._owner is not None
        shard, shards = self._owner
        return all(shard_of(0, key, shards) == shard for key in row.keys_of(args))

    def _cost_of(self, row: Command, words: list[bytes]) -> int:
        """Of what no argument and no reply shows."""
        if row.flags & FAST or not (row.name in _HEAVY or row.name in _WALKS_ALL):
            return 0
        self._enter()
        if row.name in _WALKS_ALL:
            return self._keys.count() * DBSIZE_COST
        sizes = [self._keys.size_of(key) or 0 for key in row.keys_of(words)]
        return sum(sizes) // HEAVY_BYTES_A_UNIT

    def _enter(self) -> None:
        self._keys.within(self._db, self._ctx.now_ms, is_read=self._is_read)

    def _run(self, known: _Known, words: list[bytes]) -> Reply:
        if known.local is not None:
            return known.local(self, words)
        self._ctx.db = self._db
        self._enter()
        self._keys.on_miss = self._ctx.on_miss(known.row.name)
        try:
            return self._handlers[known.row.name](self._keys, words, self._ctx)
        finally:
            self._keys.on_miss = None

    # --- What a door answers otherwise.

    def ping(self, words: list[bytes]) -> Reply:
        if len(words) > 2:
            raise CommandError("wrong number of arguments for 'ping' command")
        return words[1] if len(words) == 2 else Status("PONG")

    def echo(self, words: list[bytes]) -> Reply:
        return words[1]

    def time(self, words: list[bytes]) -> Reply:
        """The entry's: it stands still while a script runs."""
        seconds, milliseconds = divmod(self._ctx.now_ms, 1000)
        return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]

    def select(self, words: list[bytes]) -> Reply:
        number = int_argument(words[1])
        if not 0 <= number < DATABASES:
            raise CommandError("DB index is out of range")
        owner = self._keys.owner
        # Database 0 is everywhere; of the others only those are here that live on this shard.
        if owner is not None and number and shard_of(number, b"", owner[1]) != owner[0]:
            raise CommandError(f"database {number} is on another shard than this script")
        self._db = number
        self._open()
        return OK

    def publish(self, words: list[bytes]) -> Reply:
        """Sent by the node that proposed the entry (correctness A7); nobody knows to how many."""
        self._ctx.publish(words, -1)
        return 0


_PUBLISHING: Final = frozenset({b"PUBLISH", b"SPUBLISH"})
_LOCAL: Final = {
    b"PING": ScriptHost.ping,
    b"ECHO": ScriptHost.echo,
    b"TIME": ScriptHost.time,
    b"SELECT": ScriptHost.select,
    b"PUBLISH": ScriptHost.publish,
    b"SPUBLISH": ScriptHost.publish,
}


def _texts_in(reply: Reply) -> Sequence[bytes] | None:
    """Its strings, if it is a flat list of strings alone to a script that speaks RESP 2."""
    texts: Sequence[Any]
    if type(reply) is list:
        texts = reply
    elif type(reply) is MapReply or type(reply) is PairsReply:
        texts = list(chain.from_iterable(reply.pairs))
    elif type(reply) is SetReply:
        texts = reply.members
    else:
        return None
    for text in texts:
        if type(text) is not bytes:
            return None
    return texts


def _measured(reply: Reply, texts: Sequence[bytes] | None) -> tuple[int, int]:
    """About how many bytes it takes, and how many elements it has; `texts` are its strings."""
    if texts is None:
        return size_of_reply(reply), _elements_of(reply)
    size = sum(map(len, texts)) + 8 * len(texts) + 8
    if type(reply) is MapReply or type(reply) is PairsReply:
        pairs = len(reply.pairs)
        return size + 8 * pairs, 3 * pairs
    return size, len(texts)


def _elements_of(reply: object) -> int:
    match reply:
        case list() | tuple():
            return len(reply) + sum(map(_elements_of, reply))
        case MapReply(pairs) | PairsMapReply(pairs) | PairsReply(pairs):
            return _elements_of(pairs)
        case SetReply(members):
            return len(members)
        case _:
            return 0


# --- What there is to know of a command before it runs.


@dataclass(frozen=True, slots=True)
class _Known:
    """Of a command, whatever its arguments."""

    row: Command
    name: bytes
    least: int  # Words,
    most: int  # its name included.
    local: Callable[[ScriptHost, list[bytes]], Reply] | None
    writes: bool
    is_plain: bool  # It costs what its words and its reply show; every script may use it.


_KNOWN_MAX: Final = 4096  # Names, in whatever case scripts write them.
_known_by_word: Final[dict[bytes, _Known]] = {}


def _known(words: list[bytes]) -> _Known | None:
    """Of the command that they name; None if there is none."""
    row = COMMANDS.get(words[0].upper())
    if row is None:
        return None
    if row.subcommands:
        row = row.by_word.get(words[1].upper()) if len(words) > 1 else row
        return None if row is None else _known_of(row)
    known = _known_of(row)
    if len(_known_by_word) == _KNOWN_MAX:
        _known_by_word.clear()
    _known_by_word[words[0]] = known
    return known


def _known_of(row: Command) -> _Known:
    name = row.name
    is_odd = (
        name in _HEAVY | _WALKS_ALL | _ONLY_ALONE
        or name not in commands.HANDLERS
        or name in _LOCAL
        or row.flags & NOSCRIPT
        or row.spread is Spread.NAMES_DB
    )
    writes = bool(row.flags & WRITE) or name in _PUBLISHING
    return _Known(
        row,
        name,
        least=abs(row.arity),
        most=row.arity if row.arity > 0 else sys.maxsize,
        local=_LOCAL.get(name),
        writes=writes,
        is_plain=not is_odd,
    )


# Numbers that become text as C's %.17g writes them; not 0, which may be -0.
_NUMBER_MAX: Final = 10**17


def _texts_of(args: tuple[Any, ...]) -> list[bytes]:
    """The words of a command with numbers among them; none if there is anything else."""
    words: list[bytes] = []
    for one in args:
        if type(one) is bytes:
            words.append(one)
        elif type(one) is int and one and abs(one) < _NUMBER_MAX:
            words.append(b"%d" % one)
        else:
            return []
    return words
