"""Which operators of a script may meet a long string, and what stands around them.

A parser of valid Lua 5.1 (manual §2.5, §2.8) over tokens. Of each operator it knows where the
operands begin and end, how Lua names them in its errors, and whether they can be strings at all: a
variable that is only ever given numbers, `nil`, booleans or functions never holds one. All else is
taken for a string. Nothing is decided by what a script does, so every replica finds the same.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORT_BYTES: Final = 66  # Of a literal with its quotes.
END: Final[tuple[str | None, bytes]] = ("end", b"")

_PRIORITIES: Final = {
    b"or": (1, 1), b"and": (2, 2),
    b"<": (3, 3), b">": (3, 3), b"<=": (3, 3), b">=": (3, 3), b"~=": (3, 3), b"==": (3, 3),
    b"..": (5, 4), b"+": (6, 6), b"-": (6, 6), b"*": (7, 7), b"/": (7, 7), b"%": (7, 7),
    b"^": (10, 9),
}  # fmt: skip
_UNARY: Final = 8
_UNARY_SIGNS: Final = frozenset({b"-", b"not", b"#"})
_FRAMES_MAX: Final = 2000
_NONE: Final = (0, 0)
NAMES: Final = {
    b"+": b"add", b"-": b"sub", b"*": b"mul", b"/": b"div", b"%": b"mod", b"^": b"pow",
    b"<": b"lt", b"<=": b"le", b">": b"gt", b">=": b"ge",
}  # fmt: skip
_COMPARISONS: Final = frozenset({b"<", b"<=", b">", b">="})
_LOGICAL: Final = frozenset({b"and", b"or"})
_PLAIN_WORDS: Final = frozenset({b"nil", b"true", b"false"})
_BLOCK_ENDS: Final = frozenset({b"end", b"else", b"elseif", b"until", b""})


class Variable:
    """A local one of the script, or the result of an operator."""

    __slots__ = ("function", "is_assigned", "is_counter", "is_shared", "may_be_text", "users")

    def __init__(self, function: int = 0, *, may_be_text: bool = False) -> None:
        self.function = function
        # It may hold a long string, or something with metamethods, which may give one.
        self.may_be_text = may_be_text
        self.is_counter = False  # Of a numeric `for`: a number as long as nothing is assigned.
        self.is_assigned = False
        self.is_shared = False  # Another function than its own assigns to it.
        self.users: list[Variable] = []  # Those that are given what it holds.


_TEXT: Final = Variable(may_be_text=True)  # Where nothing is known,
_PLAIN: Final = Variable()  # and where it is certain.


class Operand:
    """An expression: the places of its first and last token, and what it may be."""

    __slots__ = (
        "first", "is_in_parentheses", "is_many", "is_number", "is_object", "last", "logical",
        "name", "node", "source", "variable",
    )  # fmt: skip

    def __init__(self, first: int, source: Variable) -> None:
        self.first = self.last = first
        self.source = source
        self.is_number = False
        self.is_object = False  # A table that is made here.
        self.is_many = False  # A call or `...`.
        self.is_in_parentheses = False
        self.name: bytes | None = None  # As in Lua's errors.
        self.variable: Variable | None = None  # That it is, and nothing else.
        self.logical: bytes = b""  # The operator, if it is `and` or `or`.
        self.node: Operator | None = None  # Whose result it is.

    @property
    def may_be_text(self) -> bool:
        return self.source.may_be_text and not self.is_object

    @property
    def is_surely_number(self) -> bool:
        if self.is_number or (self.node is not None and self.node.name in ARITHMETIC):
            return not self.source.may_be_text
        variable = self.variable
        return variable is not None and variable.is_counter and not variable.is_assigned


class Operator:
    """One with its operands: two, or of `..` as many as there are in a row; one if it is unary."""

    __slots__ = ("is_dropped", "name", "operands", "place")

    def __init__(self, name: bytes, place: int, operands: list[Operand]) -> None:
        self.name = name
        self.place = place
        self.operands = operands
        self.is_dropped = False  # Part of another one.

    @property
    def is_guarded(self) -> bool:
        if self.is_dropped:
            return False
        if self.name == b"cat":
            return True
        first, last = self.operands[0].may_be_text, self.operands[-1].may_be_text
        # Of a number and a string Lua compares nothing.
        return first and last if self.name in _ORDERS else first or last


_ORDERS: Final = frozenset(NAMES[sign] for sign in _COMPARISONS)
ARITHMETIC: Final = frozenset(NAMES.values()) - _ORDERS | {b"unm"}


class Parser:
    def __init__(self, tokens: Sequence[tuple[str | None, bytes]]) -> None:
        """Tokens without blanks and comments, with an END behind them."""
        self._tokens = tokens
        self._texts = [b"'" if kind == "string" else text for kind, text in tokens]
        self._at = 0
        self._functions = 0
        self._function = 0
        self._bindings: dict[bytes, list[Variable]] = {}
        self._declared: list[bytes] = []
        self._globals: dict[bytes, bytes] = {}  # As errors name them.
        self._all: list[Variable] = []
        self.operators: list[Operator] = []  # Each behind those in its operands.
        self.counts: list[Operand] = []  # By which loops go.
        self.returned: list[Operand] = []  # The first of each `return`.

    def parse(self) -> None:
        """Lua nests up to 200 deep, each of which takes a few frames here."""
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + _FRAMES_MAX)
        try:
            self._block()
        finally:
            sys.setrecursionlimit(limit)
        waiting = [one for one in self._all if one.may_be_text]
        while waiting:
            for user in waiting.pop().users:
                if not user.may_be_text:
                    user.may_be_text = True
                    waiting.append(user)

    # --- Tokens.

    def _text(self) -> bytes:
        """The token that is next, if it is no string."""
        return self._texts[self._at]

    def _skip(self) -> bytes:
        text = self._tokens[self._at][1]
        self._at += 1
        return text

    def _skip_if(self, text: bytes) -> bool:
        is_there = self._text() == text
        self._at += is_there
        return is_there

    # --- Variables.

    def _declare(self, name: bytes, *, may_be_text: bool = False) -> Variable:
        variable = Variable(self._function, may_be_text=may_be_text)
        self._bindings.setdefault(name, []).append(variable)
        self._declared.append(name)
        self._all.append(variable)
        return variable

    def _leave(self, count: int) -> None:
        while len(self._declared) > count:
            self._bindings[self._declared.pop()].pop()

    def _give(self, variable: Variable, source: Variable) -> None:
        if source.may_be_text:
            variable.may_be_text = True
        elif source is not _PLAIN:
            source.users.append(variable)

    def _result(self, *operands: Operand) -> Variable:
        """Of which it is plain if they all are."""
        variable = _PLAIN
        for one in operands:
            source = one.source
            if source.may_be_text:
                return _TEXT
            if source is not _PLAIN:
                if variable is _PLAIN:
                    variable = Variable()
                    self._all.append(variable)
                source.users.append(variable)
        return variable

    def _give_all(self, variables: Sequence[Variable | None], values: list[Operand]) -> None:
        for place, variable in enumerate(variables):
            if variable is None:
                continue
            if place < len(values):
                self._give(variable, values[place].source)
            elif values and values[-1].is_many:
                self._give(variable, values[-1].source)

    # --- Statements.

    def _block(self) -> None:
        count = len(self._declared)
        self._statements()
        self._leave(count)

    def _statements(self) -> None:
        while (word := self._text()) not in _BLOCK_ENDS:
            if word == b"if":
                self._if()
            elif word == b"local":
                self._local()
            elif word == b"for":
                self._for()
            elif word == b"function":
                self._function_statement()
            elif word == b"return":
                self._skip()
                if self._text() not in _BLOCK_ENDS and self._text() != b";":
                    self.returned += self._list()[:1]
            elif word in (b"while", b"do"):
                self._skip()
                if word == b"while":
                    self._expression(0)
                    self._skip()
                self._block()
                self._skip()
            elif word == b"repeat":
                self._skip()
                count = len(self._declared)
                self._statements()
                self._skip()
                self._expression(0)
                self._leave(count)
            elif word in (b"break", b";"):
                self._skip()
            else:
                self._assignment()

    def _if(self) -> None:
        while self._text() in (b"if", b"elseif"):
            self._skip()
            self._expression(0)
            self._skip()
            self._block()
        if self._skip_if(b"else"):
            self._block()
        self._skip()

    def _local(self) -> None:
        self._skip()
        if self._skip_if(b"function"):
            self._declare(self._skip())
            self._body()
            return
        names = [self._skip()]
        while self._skip_if(b","):
            names.append(self._skip())
        values = self._list() if self._skip_if(b"=") else []
        self._give_all([self._declare(name) for name in names], values)

    def _for(self) -> None:
        self._skip()
        names = [self._skip()]
        while self._skip_if(b","):
            names.append(self._skip())
        is_numeric = self._skip() == b"="
        values = self._list()
        if is_numeric:
            self.counts += values
        self._skip()
        count = len(self._declared)
        for name in names:
            self._declare(name, may_be_text=not is_numeric).is_counter = is_numeric
        self._block()
        self._leave(count)
        self._skip()

    def _function_statement(self) -> None:
        self._skip()
        name, is_method, is_field = self._skip(), False, False
        while self._text() in (b".", b":"):
            is_method, is_field = self._skip() == b":", True
            self._skip()
        if not is_field:
            self._assigned(name)
        self._body(is_method=is_method)

    def _assigned(self, name: bytes) -> Variable | None:
        found = self._bindings.get(name)
        if not found:
            return None
        variable = found[-1]
        variable.is_assigned = True
        variable.is_shared = variable.is_shared or variable.function != self._function
        return variable

    def _assignment(self) -> None:
        targets: list[Variable | None] = []
        while True:
            target = self._primary()
            is_variable = target.variable is not None
            name = self._tokens[target.first][1]
            if self._text() not in (b"=", b","):
                return
            targets.append(self._assigned(name) if is_variable else None)
            if self._skip() == b"=":
                break
        self._give_all(targets, self._list())

    def _body(self, *, is_method: bool = False) -> None:
        outer, count = self._function, len(self._declared)
        self._functions += 1
        self._function = self._functions
        if is_method:
            self._declare(b"self", may_be_text=True)
        self._skip()
        while not self._skip_if(b")"):
            name = self._skip()
            if name not in (b",", b"..."):
                self._declare(name, may_be_text=True)
            elif name == b"...":
                self._declare(b"arg", may_be_text=True)  # Of Lua 5.0, and still there.
        self._block()
        self._skip()
        self._leave(count)
        self._function = outer

    # --- Expressions.

    def _list(self) -> list[Operand]:
        values = [self._expression(0)]
        while self._skip_if(b","):
            values.append(self._expression(0))
        return values

    def _expression(self, limit: int) -> Operand:
        texts, place = self._texts, self._at
        word = texts[place]
        if word in _UNARY_SIGNS:
            self._at += 1
            left = self._unary(word, place, self._expression(_UNARY))
        else:
            left = self._simple()
        while (priority := _PRIORITIES.get(word := texts[self._at], _NONE))[0] > limit:
            place = self._at
            self._at += 1
            left = self._binary(word, place, left, self._expression(priority[1]))
        return left

    def _unary(self, word: bytes, place: int, inner: Operand) -> Operand:
        result = Operand(place, self._result(inner) if word == b"-" else _PLAIN)
        result.last = inner.last
        result.is_number = word == b"#"
        if word == b"-":
            result.node = Operator(b"unm", place, [inner])
            self.operators.append(result.node)
        return result

    def _binary(self, word: bytes, place: int, left: Operand, right: Operand) -> Operand:
        name = NAMES.get(word)
        if word == b"..":
            result = Operand(left.first, _TEXT)
            operands = [left, right]
            if right.node is not None and right.node.name == b"cat" and not right.is_in_parentheses:
                right.node.is_dropped = True
                operands[1:] = right.node.operands
            result.node = Operator(b"cat", place, operands)
            self.operators.append(result.node)
        elif word in _LOGICAL:
            result = Operand(left.first, self._result(left, right))
            result.logical = word
            result.name = _name_of_logical(word, left, right)
        elif name is None:
            result = Operand(left.first, _PLAIN)
        else:
            is_order = word in _COMPARISONS
            result = Operand(left.first, _PLAIN if is_order else self._result(left, right))
            result.node = Operator(name, place, [left, right])
            self.operators.append(result.node)
        result.last = right.last
        return result

    def _simple(self) -> Operand:
        place = self._at
        kind, text = self._tokens[place]
        if kind == "number":
            self._at += 1
            found = Operand(place, _PLAIN)
            found.is_number = True
        elif kind == "string":
            self._at += 1
            found = Operand(place, _PLAIN if len(text) <= SHORT_BYTES else _TEXT)
        elif text in _PLAIN_WORDS:
            self._at += 1
            found = Operand(place, _PLAIN)
        elif text == b"...":
            self._at += 1
            found = Operand(place, _TEXT)
            found.is_many = True
        elif text == b"{":
            self._table()
            found = Operand(place, _TEXT)
            found.is_object = True
        elif text == b"function":
            self._at += 1
            self._body()
            found = Operand(place, _PLAIN)
        else:
            return self._primary()
        found.last = self._at - 1
        return found

    def _table(self) -> None:
        self._skip()
        while not self._skip_if(b"}"):
            if self._skip_if(b"["):
                self._expression(0)
                self._at += 2
            elif self._tokens[self._at][0] == "name" and self._tokens[self._at + 1][1] == b"=":
                self._at += 2
            self._expression(0)
            if self._text() in (b",", b";"):
                self._at += 1

    def _primary(self) -> Operand:
        place = self._at
        if self._skip_if(b"("):
            inner = self._expression(0)
            self._at += 1
            found = inner
            found.is_many, found.is_in_parentheses = False, True
        else:
            found = self._name(self._skip(), place)
        head = self._tokens[place][1]
        calls = 0
        while True:
            kind, text = self._tokens[self._at]
            if kind == "string" or text in (b"(", b"{"):
                self._arguments()
                calls += 1
                is_plain = self._is_of_numbers(head, place, calls)
                found, name = Operand(place, _PLAIN if is_plain else _TEXT), None
                found.is_many = True
            elif text == b".":
                self._at += 2
                name = b"field '%b'" % self._tokens[self._at - 1][1]
                found = Operand(place, _TEXT)
            elif text == b"[":
                self._skip()
                key = self._expression(0)
                name = self._field(key)
                self._skip()
                found = Operand(place, _TEXT)
            elif text == b":":
                self._at += 2
                self._arguments()
                found, name = Operand(place, _TEXT), None
                found.is_many = True
            else:
                break
            found.name = name
        if self._tokens[place][1] == b"(":
            found.first = place
        found.last = self._at - 1
        return found

    def _arguments(self) -> None:
        if self._skip_if(b"("):
            if not self._skip_if(b")"):
                self._list()
                self._skip()
        else:
            self._simple()

    def _name(self, name: bytes, place: int) -> Operand:
        bound = self._bindings.get(name)
        if not bound:
            found = Operand(place, _TEXT)
            found.name = self._globals.get(name)
            if found.name is None:
                found.name = self._globals[name] = b"global '%b'" % name
            return found
        variable = bound[-1]
        # Whether it is plain is known in the end, when all that is assigned to it is.
        found = Operand(place, variable)
        found.variable = variable
        is_own = variable.function == self._function
        found.name = b"%b '%b'" % (b"local" if is_own else b"upvalue", name)
        return found

    def _is_of_numbers(self, head: bytes, place: int, calls: int) -> bool:
        """Whether what was called just now is a function of Lua that gives numbers or nil."""
        if calls != 1 or self._bindings.get(head):
            return False
        following = self._tokens[place + 1]
        if head == b"tonumber":
            return following[0] == "string" or following[1] in (b"(", b"{")
        return (
            head == b"math"
            and following[1] == b"."
            and (
                self._tokens[place + 3][0] == "string" or self._tokens[place + 3][1] in (b"(", b"{")
            )
        )

    def _field(self, key: Operand) -> bytes:
        kind, text = self._tokens[key.first]
        if kind == "string" and key.first == key.last and text[:1] != b"[" and b"\\" not in text:
            return b"field '%b'" % text[1:-1]
        return b"field '?'"


def _name_of_logical(word: bytes, left: Operand, right: Operand) -> bytes | None:
    """Lua looks for the last instruction that gave the value, taking all jumps on its way: one from
    `left` goes behind the whole, or, if that is the other of the two, to `right`."""
    return right.name if left.logical and left.logical != word else None
