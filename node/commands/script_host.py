"""What a script reaches through redis.call: the commands of its shard, run where it runs.

Everything happens within the entry (or the read) that the script is: its time, its randomness, its
settings. Read `scripting.py` for the commands that run scripts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
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
from ..scripting.runtime import ABORT, FAILED, NIL, NO_VALUE, UNCLEAR, Runtime
from ..scripting.straight import RETURN_COST
from .arguments import int_argument
from .internal import OUT_OF_MEMORY_TEXT

if TYPE_CHECKING:
    from ...cluster.command import Command
    from ..data.keyspace import Keyspace
    from .context import Context, Handler

CALL_COST: Final = 500  # Units of the budget for one command,
BYTES_A_UNIT: Final = 8  # and for what it is given and answers.
_PLAIN_UNITS: Final = 4  # Of an answer that is neither a string nor a list.
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
_ODD: Final = _HEAVY | _WALKS_ALL | _ONLY_ALONE


class NotStraight(Enum):
    NOT_STRAIGHT = "not straight"


NOT_STRAIGHT: Final = NotStraight.NOT_STRAIGHT

_EXACT_MAX: Final = 1 << 53  # Lua's numbers are doubles.

_Answer = tuple[int, Any, int | None]


def _error(text: str) -> _Answer:
    return CALL_COST, b"ERR " + text.encode("utf-8", "surrogateescape"), FAILED


class ScriptHost:
    """Of all scripts, one after the other: `begin` and `end` stand around each."""

    __slots__ = ("_ctx", "_db", "_given", "_is_entered", "_is_read", "_is_read_only", "_keys",
                 "_left", "_may_fill", "_may_read", "_may_write", "_owner", "problem", "protocol",
                 "runtime", "wrote")  # fmt: skip

    _ctx: Context
    _keys: Keyspace
    _owner: tuple[int, int] | None

    def __init__(self) -> None:
        self.runtime = Runtime(self)
        self.problem: BaseException | None = None
        self._given: Any = None

    def begin(
        self,
        keys: Keyspace,
        ctx: Context,
        budget: int,
        *,
        is_read: bool,
        is_read_only: bool,
        may_fill: bool = False,
    ) -> None:
        """A script follows, in the database and at the time that `keys` has entered."""
        self.protocol = 2
        self.wrote = False
        self._is_read_only = is_read_only  # The script said that it does not write, or EVAL_RO.
        self._may_fill = may_fill  # It said `allow-oom`.
        self._keys = keys
        self._ctx = ctx
        self._db = db = ctx.db
        self._is_read = is_read  # It is no entry, or may not write.
        self._is_entered = True
        self._left = budget * BYTES_A_UNIT  # Bytes of replies.
        if db == 0 or ctx.is_full or ctx.events is not None:
            self._look_around()
        else:  # Mostly; the same without a call.
            self._owner = None
            self._may_read, self._may_write = True, not is_read_only

    def end(self) -> None:
        """It is over: nothing of its shard is held."""
        self._given = None
        del self._keys, self._ctx

    def run_straight(self, words: tuple[bytes, ...], budget: int) -> Reply | NotStraight:
        """What a script answers that is this command and no more. If there is more to say about
        that, the script is to be run: `call` gives back then what the command has answered here."""
        answer = self.call(*words)
        reply: Reply | NotStraight = NOT_STRAIGHT
        if type(answer) is int:
            cost, reply = answer, OK
        else:
            cost, value, *rest = answer
            kind = rest[0] if rest else None
            if kind == NIL:
                reply = None
            elif kind is None and (
                type(value) is bytes or (type(value) is int and -_EXACT_MAX <= value <= _EXACT_MAX)
            ):
                reply = value
        cost += RETURN_COST
        if reply is NOT_STRAIGHT or cost > budget:
            self._given = answer
            self._may_read = self._may_write = False
            return NOT_STRAIGHT
        self.runtime.skip(cost)
        return reply

    def _look_around(self) -> None:
        """Note whether plain commands need to be looked at one by one, and where their keys may be:
        elsewhere only in database 0."""
        ctx, owner = self._ctx, self._keys.owner
        self._owner = None if self._db or owner is None or owner[1] == 1 else owner
        self._may_read = not (ctx.is_full or (ctx.events is not None and ctx.wants_misses))
        self._may_write = self._may_read and not self._is_read_only

    def random(self) -> float:
        return self._ctx.draws()()

    def log(self, level: int, text: bytes) -> None:
        """A script has no log of its own: it runs on every replica, and nowhere for the first
        time."""

    def is_command(self, name: bytes) -> bool:
        return name.upper() in COMMANDS

    def call(self, *args: Any) -> Any:
        """See `Host`."""
        try:
            try:
                known = _plain[args[0]]
                size = len(b"".join(args))  # The quickest way to see that all of them are strings.
            except (LookupError, TypeError):
                return self._call_any(args)
            if not (
                known.least <= len(args) <= known.most
                and (self._may_write if known.writes else self._may_read)
                and (self._owner is None or self._is_here(known, args))
            ):
                return self._call_any(args)
            # What most calls are: plain commands, with plain answers.
            if known.writes:
                self.wrote = True
            if not self._is_entered:
                self._enter()
            words = args if args[0] == known.name else (known.name, *args[1:])
            try:
                reply = known.handler(self._keys, words, self._ctx)
            except CommandError as error:
                reply = ErrorReply(error.code, error.text)
            cost = CALL_COST + size // BYTES_A_UNIT
            return cost + _PLAIN_UNITS if reply is OK else self._answer(reply, cost)
        except BaseException as problem:  # noqa: BLE001 - raised again when the script is over.
            self.problem = problem
            return 0, b"host", ABORT

    def _call_any(self, args: tuple[Any, ...]) -> Any:
        """Whatever the words are."""
        if self._given is not None:
            answer, self._given = self._given, None
            return answer
        try:
            size = len(b"".join(args))
        except TypeError:
            args = _texts_of(args)
            size = len(b"".join(args))
        if not args:
            return 0, None, UNCLEAR
        known = _known(args)
        if known is None:
            return _error("Unknown Redis command called from script")
        if not known.least <= len(args) <= known.most:
            return _error("Wrong number of args calling Redis command from script")
        refusal = self._refusal(known, args)
        if refusal is not None:
            return refusal
        self.wrote = self.wrote or known.writes
        cost = CALL_COST + size // BYTES_A_UNIT
        try:
            cost += self._cost_of(known.row, args)
            reply = self._run(known, (known.name, *args[1:]))
        except CommandError as error:
            reply = ErrorReply(error.code, error.text)
        return self._answer(reply, cost)

    def _answer(self, reply: Reply, cost: int) -> Any:
        """What `call` gives back for a reply."""
        if type(reply) is int:
            return cost + _PLAIN_UNITS, reply
        if type(reply) is bytes:
            size = len(reply) + 8
            self._left -= size
            if self._left < 0:
                return 0, b"budget", ABORT
            return cost + size // BYTES_A_UNIT, reply
        if reply is None:
            return cost + _PLAIN_UNITS, None, NIL if self.protocol == 2 else NO_VALUE
        if reply is OK:
            return cost + _PLAIN_UNITS
        return self._converted(reply, cost)

    def _converted(self, reply: Reply, cost: int) -> _Answer:
        """Of replies that are not plain: what `call` answers."""
        texts = _texts_in(reply) if self.protocol == 2 else None
        size, elements = _measured(reply, texts)
        self._left -= size
        if self._left < 0:
            return 0, b"budget", ABORT
        cost += size // BYTES_A_UNIT + elements * ELEMENT_COST
        if texts is not None:
            return cost, self.runtime.list_of(texts), None
        return cost, *self.runtime.to_lua(reply, self.protocol)

    def _refusal(self, known: _Known, args: Sequence[bytes]) -> _Answer | None:
        """What is answered to a command that this script may not use."""
        text = self._barrier(known, args)
        if text is not None:
            return _error(text)
        if self._ctx.is_full and known.row.flags & GROWS and not (self.wrote or self._may_fill):
            # Not in the middle: what has begun to write is to end, as in Redis.
            return CALL_COST, f"OOM {OUT_OF_MEMORY_TEXT}".encode(), FAILED
        return None

    def _barrier(self, known: _Known, args: Sequence[bytes]) -> str | None:
        row = known.row
        is_there = row.name in commands.HANDLERS or row.name in _LOCAL
        if row.flags & NOSCRIPT or not is_there:
            return "This Redis command is not allowed from script"
        if known.writes and self._is_read_only:
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
        if self._owner is not None and not self._is_here(known, args):
            return "Script attempted to access a non local key in a cluster node"
        return None

    def _is_here(self, known: _Known, args: Sequence[bytes]) -> bool:
        """Whether this shard has all its keys in database 0."""
        assert self._owner is not None
        shard, shards = self._owner
        if known.key_at:
            return shard_of(0, args[known.key_at], shards) == shard
        return all(shard_of(0, key, shards) == shard for key in known.row.keys_of(args))

    def _cost_of(self, row: Command, words: Sequence[bytes]) -> int:
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
        self._is_entered = True

    def _run(self, known: _Known, words: Sequence[bytes]) -> Reply:
        if known.local is not None:
            return known.local(self, words)
        self._enter()
        self._is_entered = False  # Such commands may leave the keyspace in another database.
        self._keys.on_miss = self._ctx.on_miss(known.name)
        try:
            return known.handler(self._keys, words, self._ctx)
        finally:
            self._keys.on_miss = None

    # --- What a door answers otherwise.

    def ping(self, words: Sequence[bytes]) -> Reply:
        if len(words) > 2:
            raise CommandError("wrong number of arguments for 'ping' command")
        return words[1] if len(words) == 2 else Status("PONG")

    def echo(self, words: Sequence[bytes]) -> Reply:
        return words[1]

    def time(self, words: Sequence[bytes]) -> Reply:
        """The entry's: it stands still while a script runs."""
        seconds, milliseconds = divmod(self._ctx.now_ms, 1000)
        return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]

    def select(self, words: Sequence[bytes]) -> Reply:
        number = int_argument(words[1])
        if not 0 <= number < DATABASES:
            raise CommandError("DB index is out of range")
        owner = self._keys.owner
        # Database 0 is everywhere; of the others only those are here that live on this shard.
        if owner is not None and number and shard_of(number, b"", owner[1]) != owner[0]:
            raise CommandError(f"database {number} is on another shard than this script")
        self._db = self._ctx.db = number
        self._is_entered = False
        self._look_around()
        return OK

    def publish(self, words: Sequence[bytes]) -> Reply:
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
    handler: Handler
    least: int  # Words,
    most: int  # its name included.
    key_at: int  # Where its only key is; 0 if it has none or several.
    local: Callable[[ScriptHost, Sequence[bytes]], Reply] | None
    writes: bool
    is_plain: bool  # It costs what its words and its reply show; every script may use it.


def _no_handler(keys: Keyspace, args: Sequence[bytes], ctx: Context) -> Reply:
    raise AssertionError("a command that scripts may not use")


_WORDS_MAX: Final = 4096  # Names, in whatever case scripts write them.
_plain: Final[dict[bytes, _Known]] = {}  # Of plain ones, once they were called.
_by_name: Final[dict[bytes, _Known]] = {}  # Of all of them.


def _known(words: Sequence[bytes]) -> _Known | None:
    """Of the command that they name; None if there is none."""
    row = COMMANDS.get(words[0].upper())
    if row is not None and row.subcommands and len(words) > 1:
        row = row.by_word.get(words[1].upper())
    if row is None:
        return None
    known = _by_name.get(row.name)
    if known is None:
        known = _by_name[row.name] = _known_of(row)
    if known.is_plain and row.name == words[0].upper():
        if len(_plain) == _WORDS_MAX:
            _plain.clear()
        _plain[words[0]] = known
    return known


def _known_of(row: Command) -> _Known:
    name = row.name
    is_odd = (
        name in _ODD
        or name not in commands.HANDLERS
        or name in _LOCAL
        or row.flags & NOSCRIPT
        or row.spread is Spread.NAMES_DB
    )
    writes = bool(row.flags & WRITE) or name in _PUBLISHING
    has_one_key = row.finder is None and row.keys.first == row.keys.last
    return _Known(
        row,
        name,
        commands.HANDLERS.get(name, _no_handler),
        least=abs(row.arity),
        most=row.arity if row.arity > 0 else sys.maxsize,
        key_at=row.keys.first if has_one_key else 0,
        local=_LOCAL.get(name),
        writes=writes,
        is_plain=not is_odd,
    )


# Numbers that become text as C's %.17g writes them; not 0, which may be -0.
_NUMBER_MAX: Final = 10**17


def _texts_of(args: tuple[Any, ...]) -> tuple[bytes, ...]:
    """The words of a command with numbers among them; none if there is anything else."""
    words: list[bytes] = []
    for one in args:
        if type(one) is bytes:
            words.append(one)
        elif type(one) is int and one and abs(one) < _NUMBER_MAX:
            words.append(b"%d" % one)
        else:
            return ()
    return tuple(words)
