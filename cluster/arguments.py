"""The arguments of commands: what COMMAND DOCS tells of them, and what tests make them from.

A row's arguments are one line, in a notation close to that of Redis's own pages:

    key  name  name:integer       an argument; without a type, `key` is a key and others strings
    NX  change=CH                 a word as it stands; its name is its own, in lower case, or said
    EX seconds:integer            an argument behind a word of its own
    unit(M|KM)                    one of several
    pair{field value}             several together
    [x]  x...  x...+              may be left out; may come again; may, with its word each time
    x:key#2  x:pattern#1          names keys of another specification than its place among them says
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..proto.reply import MapReply, Reply, SetReply, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY, STRING, TOKEN, ONEOF, BLOCK = "key", "string", "pure-token", "oneof", "block"
INTEGER, DOUBLE, PATTERN, UNIX_TIME = "integer", "double", "pattern", "unix-time"
_TYPES = {KEY, STRING, INTEGER, DOUBLE, PATTERN, UNIX_TIME}

_LEXEME = re.compile(r" +|\.\.\.\+?|[\[\](){}|]|[^\s\[\](){}|]+?(?=\.\.\.|[\s\[\](){}|]|$)")
_WORD = re.compile(r"[A-Z][A-Z0-9-]*")


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    type: str
    token: str | None = None  # A word that is sent as it is; in front of the value, if it has one.
    parts: tuple[Argument, ...] = ()  # Of a oneof or a block.
    spec: int = -1  # The key specification it follows, if it names keys.
    is_optional: bool = False
    is_multiple: bool = False
    is_token_repeated: bool = False  # Whether its word comes again with each value.


def parse_arguments(text: str) -> tuple[Argument, ...]:
    """The arguments that a line in the notation above means."""
    parser = _Parser(_LEXEME.findall(text))
    found = parser.sequence()
    if not parser.is_at_end:
        raise ValueError(f"not understood: {text!r}")
    return found


def arguments_reply(arguments: Sequence[Argument]) -> Reply:
    """As COMMAND DOCS has them."""
    return [MapReply(tuple(_fields(one))) for one in arguments]


def _fields(argument: Argument) -> Iterator[tuple[bytes, Reply]]:
    yield b"name", argument.name.encode()
    yield b"type", argument.type.encode()
    if argument.spec >= 0:
        yield b"key_spec_index", argument.spec
    if argument.token is not None:
        yield b"token", argument.token.encode()
    flags = {
        "optional": argument.is_optional,
        "multiple": argument.is_multiple,
        "multiple_token": argument.is_token_repeated,
    }
    if any(flags.values()):
        yield b"flags", SetReply(tuple(Status(name) for name, is_set in flags.items() if is_set))
    if argument.parts:
        yield b"arguments", arguments_reply(argument.parts)


class _Parser:
    """One line: each method takes what it is named after."""

    def __init__(self, lexemes: list[str]) -> None:
        self._rest = [*reversed(lexemes)]
        self._keys = 0

    @property
    def is_at_end(self) -> bool:
        return not self._rest

    def sequence(self) -> tuple[Argument, ...]:
        found: list[Argument] = []
        while self._rest and self._rest[-1] not in ")]}|":
            if self._rest[-1].isspace():
                self._rest.pop()
            else:
                found.append(self._argument())
        return tuple(found)

    def _argument(self) -> Argument:
        if self._rest[-1] == "[":
            self._rest.pop()
            argument = replace(self._argument(), is_optional=True)
            self._close("]")
            return argument
        word = self._rest.pop()
        name, equals, token = word.partition("=")
        if equals:
            argument = Argument(name, TOKEN, token)
        elif _WORD.fullmatch(word):
            argument = self._behind(word)
        else:
            argument = self._value(word)
        again = self._rest.pop() if self._rest and self._rest[-1].startswith("...") else ""
        return replace(
            argument,
            is_multiple=argument.is_multiple or bool(again),
            is_token_repeated=argument.is_token_repeated or again == "...+",
        )

    def _behind(self, word: str) -> Argument:
        """A word alone, or the value that follows it."""
        if len(self._rest) > 1 and self._rest[-1].isspace():
            follower = self._rest[-2]
            if follower not in "[])}|" and not _WORD.fullmatch(follower) and "=" not in follower:
                self._rest.pop()
                return replace(self._argument(), token=word)
        return Argument(word.lower(), TOKEN, word)

    def _value(self, word: str) -> Argument:
        if self._rest and self._rest[-1] == "(":
            parts: list[Argument] = []
            while self._rest and self._rest[-1] in "(|":
                self._rest.pop()
                parts += self.sequence()
            self._close(")")
            return Argument(word, ONEOF, parts=tuple(parts))
        if self._rest and self._rest[-1] == "{":
            self._rest.pop()
            inside = self.sequence()
            self._close("}")
            return Argument(word, BLOCK, parts=inside)
        word, hash_, spec = word.partition("#")
        name, _, type_ = word.rpartition(":")
        if type_ not in _TYPES or not name:
            name, type_ = word, KEY if word == KEY else STRING
        place = self._keys if type_ == KEY else -1
        self._keys += type_ == KEY
        return Argument(name, type_, spec=int(spec) if hash_ else place)

    def _close(self, lexeme: str) -> None:
        if not self._rest or self._rest.pop() != lexeme:
            raise ValueError(f"{lexeme} is missing")
