"""What a script reaches through redis.call: the commands of its shard, run where it runs.

Everything happens within the entry (or the read) that the script is: its time, its randomness, its
settings. Read `scripting.py` for the commands that run scripts.
"""

from __future__ import annotations

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
from ..errors import CommandError
from ..scripting.runtime import FAILED, BudgetSpent, Runtime
from .arguments import int_argument
from .context import Publication
from .internal import OUT_OF_MEMORY_TEXT

if TYPE_CHECKING:
    from ...cluster.command import Command
    from ..data.keyspace import Keyspace
    from .context import Context, Handler

CALL_COST: Final = 500  # Units of the budget for one command,
BYTES_A_UNIT: Final = 8  # and for what it is given and answers.
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

    __slots__ = ("_ctx", "_db", "_handlers", "_is_read", "_keys", "_left", "_may_fill", "_runtime",
                 "is_read_only", "protocol", "wrote")  # fmt: skip

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
        self._left = ctx.settings.lua_budget * BYTES_A_UNIT  # Bytes of replies.

    def random(self) -> float:
        return self._ctx.rng.random()

    def log(self, level: int, text: bytes) -> None:
        """A script has no log of its own: it runs on every replica, and nowhere for the first
        time."""

    def is_command(self, name: bytes) -> bool:
        return name.upper() in COMMANDS

    def call(self, args: tuple[bytes, ...]) -> tuple[int, Any, int]:
        row = _row_of(args)
        if row is None:
            return _error("Unknown Redis command called from script")
        if not row.accepts(len(args)):
            return _error("Wrong number of args calling Redis command from script")
        refusal = self._refusal(row, args)
        if refusal is not None:
            return _error(refusal)
        if self._ctx.is_full and row.flags & GROWS and not (self.wrote or self._may_fill):
            # Not in the middle: what has begun to write is to end, as in Redis.
            return FAILED, f"OOM {OUT_OF_MEMORY_TEXT}".encode(), CALL_COST
        self.wrote = self.wrote or bool(row.flags & WRITE) or row.name in _PUBLISHING
        words = [row.name, *args[1:]]
        cost = CALL_COST + sum(map(len, words)) // BYTES_A_UNIT + self._cost_of(row, words)
        try:
            reply = self._run(row, words)
        except CommandError as error:
            reply = ErrorReply(error.code, error.text)
        size = size_of_reply(reply)
        self._left -= size
        if self._left < 0:
            raise BudgetSpent
        kind, value = self._runtime.to_lua(reply, self.protocol)
        return kind, value, cost + size // BYTES_A_UNIT + _elements_of(reply) * ELEMENT_COST

    def _refusal(self, row: Command, args: tuple[bytes, ...]) -> str | None:
        is_there = row.name in self._handlers or row.name in _LOCAL
        if row.flags & NOSCRIPT or not is_there:
            return "This Redis command is not allowed from script"
        if (row.flags & WRITE or row.name in _PUBLISHING) and self.is_read_only:
            return "Write commands are not allowed from read-only scripts."
        owner = self._keys.owner
        if owner is None or row.name in _LOCAL:
            return None
        shard, shards = owner
        if row.spread is Spread.NAMES_DB:
            text = databases_apart(row, self._db, args, shards)
            if text is not None:
                return text
        if shards > 1 and row.name in _ONLY_ALONE:
            return f"{row.name.decode()} is not carried out by scripts: they reach one shard"
        if not self._db and any(shard_of(0, key, shards) != shard for key in row.keys_of(args)):
            return "Script attempted to access a non local key in a cluster node"
        return None

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

    def _run(self, row: Command, words: list[bytes]) -> Reply:
        local = _LOCAL.get(row.name)
        if local is not None:
            return local(self, words)
        self._ctx.db = self._db
        self._enter()
        return self._handlers[row.name](self._keys, words, self._ctx)

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
        return OK

    def publish(self, words: list[bytes]) -> Reply:
        """Sent by the node that proposed the entry (correctness A7); nobody knows to how many."""
        is_sharded = words[0] == b"SPUBLISH"
        self._ctx.publications.append(Publication(is_sharded, words[1], words[2], -1))
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


def _row_of(args: tuple[bytes, ...]) -> Command | None:
    row = COMMANDS.get(args[0]) or COMMANDS.get(args[0].upper())
    if row is not None and row.subcommands:
        return row.by_word.get(args[1].upper()) if len(args) > 1 else row
    return row
