"""Runs scripts. One Lua state for the process; nothing of a script stays in it.

A script gets its keys, its arguments and a `Host`, through which alone it reaches anything. What it
answers, how it fails and where its budget ends follow from these and from nothing else, so that all
replicas agree (correctness A3). `sandbox.lua` is what it sees; `decisions/0017` says why so.
"""

from __future__ import annotations

import hashlib
import pkgutil
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol  # Any: objects of Lua.

from lupa.lua51 import LuaRuntime

from ...proto.reply import OK, ErrorReply, MapReply, Reply, SetReply, Status, VerbatimReply
from .convert import object_of
from .guarding import OPERATORS_MAX
from .source import rewritten
from .weight import weight_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

VERSION: Final = "7.0.15"
CHUNKS_MAX: Final = 256  # Compiled scripts that are kept, by hash of their bodies.
WORDS_MAX: Final = 100  # Keys and arguments that are handed over one by one.

# How the host answers redis.call if not by a value or OK; as in sandbox.lua.
# NO_VALUE is the nil of RESP3, FAILED an error that a command has answered, UNCLEAR that the words
# are to be looked at there first.
NIL, STATUS, ERROR, ABORT, NO_VALUE, FAILED, UNCLEAR = range(1, 8)

# What a script gives back that is no string, number, nil or OK; as in sandbox.lua.
(_INTEGER, _TRUE, _FALSE, _STRING, _OK, _ERR, _LIST, _DOUBLE, _MAP, _SET, _VERBATIM, _BIG,
 _DEEP, _NOTHING, _FLAT, _MANY_FLAT) = range(1, 17)  # fmt: skip
_MANY, _FAILED, _DEAD = 0, -1, -2
_FLOAT, _LOW_BITS = struct.Struct("<d"), struct.Struct("<I")
_TO_LOW_BITS: Final = 1.5 * 2.0**52  # Added to a number it leaves the whole part in its low bits.
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1


class BudgetSpent(Exception):
    """The script has used up what it may cost."""


class ScriptError(Exception):
    """The script has failed: what it said, and where in it that was."""

    def __init__(self, text: bytes, source: bytes = b"", line: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.source = source
        self.line = line


class Host(Protocol):
    """What scripts reach through `redis`, whichever runs. Nothing here may raise: the script could
    catch it."""

    problem: BaseException | None  # With which the script ended; raised when it is over.
    protocol: int

    def call(self, *args: Any) -> Any:
        """Carry out a command. The words may be anything that a script has; what is neither a
        string nor a plain number is UNCLEAR. What it cost in units of the budget, alone if the
        answer is OK; else behind it the value, and the kind of one that is not taken as it is."""

    def is_command(self, name: bytes) -> bool: ...

    def log(self, level: int, text: bytes) -> None: ...

    def random(self) -> float: ...


@dataclass(slots=True)
class Chunk:
    """A script that is compiled."""

    main: Any  # A function of Lua.
    weight: int


@dataclass(frozen=True, slots=True)
class Function:
    """One that a library has registered."""

    name: bytes
    description: bytes | None
    flags: tuple[bytes, ...]


class _Random:
    """As drand48: seeded for each script, so that math.randomseed means the same everywhere."""

    def __init__(self) -> None:
        self.state: int | None = None

    def seed(self, number: int) -> None:
        self.state = (number & 0xFFFFFFFF) << 16 | 0x330E

    def next(self) -> float:
        assert self.state is not None
        self.state = (self.state * 0x5DEECE66D + 0xB) & 0xFFFFFFFFFFFF
        number = self.state >> 17
        return (number % 0x7FFFFFFF) / 0x7FFFFFFF


def error_text(text: bytes) -> bytes:
    """What redis.error_reply makes of a text: with a code in front."""
    text = text.removeprefix(b"-").rstrip(b"\r\n")
    return text if b" " in text else b"ERR " + text


def _seed(number: float) -> int:
    """A number cut to 32 bits, as C on x86-64 has it."""
    if not -(2.0**63) <= number < 2.0**63:  # Nor is what is no number.
        return 0
    return int(number) & 0xFFFFFFFF


def _bits(number: float) -> int:
    """As the library `bit` reads a number: what is out of range gets some bits, always the same."""
    low: int
    (low,) = _LOW_BITS.unpack_from(_FLOAT.pack(float(number) + _TO_LOW_BITS))
    return low if number == number else 0


def _signed(number: int) -> int:
    number &= 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number


_BIT_OPERATIONS: Final[dict[bytes, Callable[[int, int], int]]] = {
    b"tobit": lambda a, _: a,
    b"bnot": lambda a, _: ~a,
    b"bswap": lambda a, _: int.from_bytes(a.to_bytes(4, "little"), "big"),
    b"band": lambda a, b: a & b,
    b"bor": lambda a, b: a | b,
    b"bxor": lambda a, b: a ^ b,
    b"lshift": lambda a, b: a << (b & 31),
    b"rshift": lambda a, b: a >> (b & 31),
    b"arshift": lambda a, b: _signed(a) >> (b & 31),
    b"rol": lambda a, b: a << (b & 31) | a >> (32 - (b & 31)),
    b"ror": lambda a, b: a >> (b & 31) | a << (32 - (b & 31)),
}


class Runtime:
    def __init__(self, host: Host) -> None:
        self._lua = LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
        )
        self._host = host
        self._random = _Random()
        self._spent: int | None = None  # By one that was run without Lua.
        self._chunks: OrderedDict[tuple[bytes, bytes], Chunk] = OrderedDict()
        self._load: Any = self._lua.eval(
            b"function(text) return assert(loadstring(text, '=trimaran')) end"
        )
        patterns = self._load_file("patterns")()
        self._api = self._load_file("sandbox")(self._hosted(), patterns, self._library)
        self._table = self._lua.table
        self._listed: Any = self._lua.eval(b"function(...) return {...} end")  # Sooner than that.
        self._run, self._run_few = self._api[b"run"], self._api[b"run_few"]
        self._run_one = self._api[b"run_one"]

    def _load_file(self, name: str) -> Any:
        return self._load(pkgutil.get_data(__package__, f"{name}.lua"))

    def _library(self, name: bytes, tools: Any) -> Any:
        return self._load_file(name.decode())(tools)

    # --- What sandbox.lua is given. Nothing here may raise: the script could catch it.

    def _hosted(self) -> Any:
        return self._lua.table_from(
            {
                b"version": VERSION.encode(),
                b"version_number": 0x07000F,
                b"rewritten": rewritten,
                b"operators_max": OPERATORS_MAX,
                b"weight": weight_of,
                b"error_text": error_text,
                b"sha1hex": lambda text: hashlib.sha1(text).hexdigest().encode(),
                b"call": self._host.call,
                b"is_command": self._host.is_command,
                b"log": self._host.log,
                b"setresp": self._setresp,
                b"random": self._next_random,
                b"chance": lambda: self._host.random(),  # Which no script sees.
                b"randomseed": lambda number: self._random.seed(_seed(number)),
                b"bit": lambda name, a, b: _signed(_BIT_OPERATIONS[name](_bits(a), _bits(b))),
                b"float_bytes": lambda form, number: _packed_float(form, number),
                b"bytes_float": lambda form, text: struct.unpack(form.decode(), text)[0],
            }
        )

    def _setresp(self, protocol: int) -> None:
        self._host.protocol = protocol

    def _next_random(self) -> float:
        if self._random.state is None:
            self._random.seed(int(self._host.random() * 0x100000000))
        return self._random.next()

    # --- Scripts.

    def chunk(self, body: bytes, name: bytes) -> Chunk:
        """`body` compiled, under the name its errors will bear; raises ScriptError if it is no Lua.

        The body's first line may be a shebang: it is passed over."""
        key = (hashlib.sha1(body).digest(), name)
        chunk = self._chunks.get(key)
        if chunk is None:
            source = body
            if body[:2] == b"#!":
                end = body.find(b"\n")
                source = b"" if end < 0 else body[end:]
            answer = self._api[b"compile"](source, name)
            if isinstance(answer, bytes):
                raise ScriptError(answer)
            _, main, weight = answer
            chunk = self._chunks[key] = Chunk(main, weight)
            if len(self._chunks) > CHUNKS_MAX:
                self._chunks.popitem(last=False)
        else:
            self._chunks.move_to_end(key)
        return chunk

    def run(self, chunk: Chunk, count: int, words: Sequence[bytes], budget: int) -> Reply:
        """What the script answers, whose keys are the first `count` words; raises ScriptError,
        BudgetSpent, or what the host has met."""
        self._random.state = self._spent = None
        if len(words) > WORDS_MAX:
            keys, args = self._table(*words[:count]), self._table(*words[count:])
            answer = self._run(chunk.main, chunk.weight, budget, keys, args)
        elif count == 1:
            answer = self._run_one(chunk.main, chunk.weight, budget, *words)
        else:
            answer = self._run_few(chunk.main, chunk.weight, budget, count, *words)
        if type(answer) is bytes or answer is None:
            return answer
        return OK if answer is True else self._outcome(answer)

    def functions(self, chunk: Chunk, budget: int) -> list[Function]:
        """What the library that `chunk` is registers; raises as `run`."""
        self._random.state = self._spent = None
        answer = self._api[b"load"](chunk.main, chunk.weight, budget)
        if answer[0] != 0:
            self._outcome(answer)
        names, descriptions, flags = (list(one.values()) for one in answer[1:])
        return [
            Function(name, None if told is False else told, tuple(words.split()))
            for name, told, words in zip(names, descriptions, flags, strict=True)
        ]

    def call(
        self, chunk: Chunk, name: bytes, count: int, words: Sequence[bytes], budget: int
    ) -> Reply:
        """What a function of the library answers; words and what is raised as with `run`."""
        self._random.state = self._spent = None
        keys, args = self._table(*words[:count]), self._table(*words[count:])
        answer = self._api[b"call"](chunk.main, chunk.weight, budget, name, keys, args)
        return self._outcome(answer)

    def _outcome(self, answer: Any) -> Reply:
        if answer is None or isinstance(answer, bytes):
            return answer
        if answer is True:
            return OK
        if not isinstance(answer, tuple):
            return _whole(answer)
        kind = answer[0]
        if kind == _FLAT:
            return self._list_of(answer[1:])
        value = answer[1]
        if kind == _MANY_FLAT:
            return self._list_of(value.values())
        if kind == _DEAD:
            problem, self._host.problem = self._host.problem, None
            self._api[b"collect"]()
            if value == b"host" and problem is not None:
                raise problem
            raise BudgetSpent
        if kind == _FAILED:
            source, line = (*answer[2:], None, None)[:2]
            raise ScriptError(value, source or b"", int(line or 0))
        items = value.values() if kind == _MANY else answer
        return _Reader(items, self._host.protocol).read()  # type: ignore[no-any-return]  # Of Lua.

    def _list_of(self, items: Iterable[Any]) -> list[Reply]:
        return [item if type(item) is bytes else self._single(item) for item in items]

    def _single(self, item: float) -> Reply:
        """A number or a boolean that a script gives back in a list."""
        if isinstance(item, bool):
            return item if self._host.protocol == 3 else 1 if item else None
        return _whole(item)

    def skip(self, units: int) -> None:
        """A script was run without Lua, at this cost."""
        self._spent = units

    def spent(self) -> int:
        """What the last script has cost, in units."""
        return int(self._api[b"spent"]()) if self._spent is None else self._spent

    # --- Values for scripts.

    def list_of(self, texts: Sequence[bytes]) -> Any:
        return (self._listed if len(texts) <= WORDS_MAX else self._table)(*texts)

    def to_lua(self, reply: Reply, protocol: int) -> tuple[Any, int | None]:
        """A reply as redis.call gives it: value, and kind if it has one."""
        match reply:
            case bytes() | int() if not isinstance(reply, bool):
                return reply, None
            case None:
                return None, NIL if protocol == 2 else NO_VALUE
            case Status(text):
                return text.encode("utf-8", "surrogateescape"), STATUS
            case ErrorReply(code, text):
                return f"{code} {text}".encode("utf-8", "surrogateescape"), FAILED
            case _:
                return object_of(self._lua, reply, protocol), None


def _packed_float(form: bytes, number: float) -> bytes:
    try:
        return struct.pack(form.decode(), number)
    except OverflowError:  # More than a float of 32 bits holds.
        return struct.pack(form.decode(), float("inf") if number > 0 else float("-inf"))


def _whole(number: float) -> int:
    """A number of Lua as an integer reply: cut off, as a conversion of C."""
    if isinstance(number, float):
        if number != number or number in (float("inf"), float("-inf")):
            return _INT_MIN
        number = int(number)
    return number if _INT_MIN <= number <= _INT_MAX else _INT_MIN


def _line(text: bytes) -> str:
    return text.replace(b"\r", b" ").replace(b"\n", b" ").decode("utf-8", "surrogateescape")


def error_of(text: bytes) -> ErrorReply:
    code, _, rest = _line(text).partition(" ")
    return ErrorReply(code, rest)


class _Reader:
    """Replies out of the kinds and values that sandbox.lua makes, one behind the other."""

    def __init__(self, items: Iterable[Any], protocol: int) -> None:
        self._items = iter(items)
        self._protocol = protocol

    def read(self) -> Any:
        return self._reply(next(self._items), next(self._items))

    def _several(self, count: int) -> list[Any]:
        items, replies = self._items, []
        for _ in range(count):
            kind, value = next(items), next(items)
            if kind == _STRING:
                replies.append(value)
            elif kind == _OK and value == b"OK":
                replies.append(OK)
            else:
                replies.append(self._reply(kind, value))
        return replies

    def _reply(self, kind: int, value: Any) -> Any:
        match kind:
            case 4:
                return value
            case 1:
                return _whole(value)
            case 2:
                return 1 if self._protocol == 2 else True
            case 3:
                return None if self._protocol == 2 else False
            case 5:
                return Status(_line(value))
            case 6:
                return error_of(value)
            case 7:
                return self._several(value)
            case 8:
                return float(value)
            case 9:
                return MapReply(tuple((self.read(), self.read()) for _ in range(value)))
            case 10:
                return SetReply(tuple(self._several(value)))
            case 11:
                return VerbatimReply(value[:3].decode("latin-1"), value[3:])
            case 12:
                return value
            case 14:
                return None
            case _:
                return ErrorReply("ERR", "reached lua stack limit")
