"""Where the operators of a script are written as calls of those that count; see operators.lua.

Lua nests 200 deep, and so must what is written here as long as the script does: many operators in a
row are `O.chain(a)("add", b)("sub", c)()`, and parentheses on the left of one are left out, for the
call has its own. Line numbers stay, and what is told by an error is told with its line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .expressions import ARITHMETIC, END, Operand, Operator, Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW_MAX: Final = 6  # Operators that are nested into each other.
OPERATORS_MAX: Final = 20_000  # Of a script: each takes some 10 us to rewrite, while all wait.

_SILENT: Final = ("space", "comment")
_LONG: Final = ("space", "comment", "string")  # What may go over several lines.
_NEEDED: Final = re.compile(rb"[-+*/%^<>]|[<>]=|\.\.|for")
_LINE: Final = re.compile(rb"\r\n|\n\r|\r|\n")


class TooManyOperators(Exception):
    """The script has more than OPERATORS_MAX."""


class Guards:
    """What is to be written before, instead of, and after tokens."""

    def __init__(self, tokens: Sequence[tuple[str | None, bytes]], guard: bytes) -> None:
        self.before: dict[int, bytes] = {}
        self.instead: dict[int, bytes] = {}
        self.after: dict[int, bytes] = {}
        self._guard = b" " + guard + b"."
        self._tokens = tokens
        # Places of tokens among those that mean something -> among all.
        self._numbers = [at for at, (kind, _) in enumerate(tokens) if kind not in _SILENT]
        count = sum([_NEEDED.fullmatch(tokens[at][1]) is not None for at in self._numbers])
        if count > OPERATORS_MAX:
            raise TooManyOperators
        if count:
            self._find()

    def _find(self) -> None:
        self._lines = [1]  # In which tokens begin.
        line = 1
        for kind, text in self._tokens:
            if kind in _LONG and (b"\n" in text or b"\r" in text):
                line += len(_LINE.findall(text))
            self._lines.append(line)
        parser = Parser([*(self._tokens[at] for at in self._numbers), END])
        parser.parse()
        rows: dict[Operator, list[Operator]] = {}  # By their last.
        for node in parser.operators:
            if not node.is_guarded:
                continue
            left = node.operands[0]
            row: list[Operator] = []
            if node.name not in _ALONE and left.node is not None and not left.is_in_parentheses:
                row = rows.pop(left.node, row) if left.node.name not in _ALONE else row
            row.append(node)
            rows[node] = row
        for node, row in rows.items():
            if node.name == b"unm":
                self._write_minus(node)
            elif len(node.operands) > 2:
                self._write_many(node)
            else:
                self._write_row(row)
        for count in parser.counts:
            if count.may_be_text:
                self._open(count, b"num(")
                self._close(count, b")")
        for one in parser.returned:
            if one.node is not None and one.node.is_guarded:
                self._enclose(one)  # A tail call would lose its line.

    # --- Putting things in: what is written later stands farther outside.

    def _open(self, operand: Operand, text: bytes) -> None:
        number = self._numbers[operand.first]
        self.before[number] = self._guard + text + self.before.get(number, b"")

    def _close(self, operand: Operand, text: bytes) -> None:
        number = self._numbers[operand.last]
        self.after[number] = self.after.get(number, b"") + text

    def _enclose(self, operand: Operand) -> None:
        number = self._numbers[operand.first]
        self.before[number] = b"(" + self.before.get(number, b"")
        self._close(operand, b")")

    def _replace(self, place: int, text: bytes) -> None:
        self.instead[self._numbers[place]] = text

    def _line(self, opening: int, operand: Operand) -> bytes | None:
        """Where Lua says that an operator is: where its last operand ends. None if the call, which
        is opened at that token, is there too."""
        line = self._lines[self._numbers[operand.last] + 1]
        return None if line == self._lines[self._numbers[opening]] else b"%d" % line

    # --- The operators.

    def _write_row(self, row: list[Operator]) -> None:
        """Each is the left operand of the next."""
        first = row[0]
        left, right = first.operands
        if first.name != b"cat" and _is_read_late(left, right):
            start = left.first
            for place in range(left.first, left.last + 1):
                self._replace(place, b"")
            self._replace(first.place, b"")
            self._open(left, b'late("%b",' % first.name)
            self._close(right, b"," + self._tokens[self._numbers[_name_of(left)]][1])
            self._close(right, self._rest(first, start, is_first=True))
        elif len(row) <= ROW_MAX:
            self._leave_parentheses(left)
            self._open(left, _variant(first) + b"(")
            self._replace(first.place, b",")
            self._close(right, self._rest(first, left.first, is_first=True))
        else:
            self._leave_parentheses(left)
            self._write_chain(left, row)
            return
        if len(row) - 1 <= ROW_MAX:
            for node in row[1:]:
                self._open(left, _variant(node) + b"(")
                self._replace(node.place, b",")
                self._close(node.operands[1], self._rest(node, left.first, is_first=False))
        else:
            self._write_chain(left, row[1:])

    def _write_chain(self, left: Operand, row: list[Operator]) -> None:
        self._open(left, b"chain(")
        closing = b")"  # In the line of the parenthesis behind it, as Lua wants it.
        for node in row:
            self._replace(node.place, b'%b("%b",' % (closing, node.name))
            is_first = left is node.operands[0]
            closing = self._rest(node, node.place, is_first=is_first)
        self._close(row[-1].operands[1], closing + b"()")

    def _rest(self, node: Operator, opening: int, *, is_first: bool) -> bytes:
        """What stands behind the operands: their names and the line, as far as they are needed."""
        left, right = node.operands
        told: list[bytes | None] = [None, None]
        if node.name in ARITHMETIC or node.name == b"cat":
            told = [_quoted(left.name) if is_first else None, _quoted(right.name)]
        told.append(self._line(opening, right))
        return _closed(told, right)

    def _write_minus(self, node: Operator) -> None:
        (inner,) = node.operands
        self._replace(node.place, self._guard + b"unm(")
        told = [_quoted(inner.name), self._line(node.place, inner)]
        self._close(inner, _closed(told, inner))

    def _write_many(self, node: Operator) -> None:
        operands = node.operands
        first, last = operands[0], operands[-1]
        names = [one.name or b"" for one in operands]
        told = b'"%b"' % b"".join(map(_escaped, [name + b"\n" for name in names]))
        line = self._line(first.first, last) or b"nil"
        self._open(first, b"cats(%b,%b," % (line, told if any(names) else b"nil"))
        for one in operands[1:]:
            self._replace(one.first - 1, b",")
        if last.is_many:
            self._enclose(last)
        self._close(last, b")")

    def _leave_parentheses(self, operand: Operand) -> None:
        if operand.is_in_parentheses:
            self._replace(operand.first, b"")
            self._replace(operand.last, b"")


_ALONE: Final = frozenset({b"cat", b"unm"})  # No operators of rows.


def _is_read_late(left: Operand, right: Operand) -> bool:
    """Whether what stands on the right may change the variable on the left: Lua reads it after."""
    variable = left.variable
    return (
        variable is not None
        and variable.is_shared
        and left.name is not None
        and left.name.startswith(b"local")
        and right.first != right.last
    )


def _name_of(operand: Operand) -> int:
    return (operand.first + operand.last) // 2  # With as many parentheses on both sides.


def _variant(node: Operator) -> bytes:
    if node.name in ARITHMETIC:
        left, right = node.operands
        if right.is_surely_number:
            return node.name + b"_n"
        if left.is_surely_number:
            return b"n_" + node.name
    return node.name


def _escaped(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")


def _quoted(name: bytes | None) -> bytes | None:
    return None if name is None else b'"%b"' % _escaped(name)


def _closed(told: list[bytes | None], last: Operand) -> bytes:
    while told and told[-1] is None:
        told.pop()
    if last.is_many and not told:
        told = [None]  # Else all its values would be handed over.
    return b"".join(b"," + (one or b"nil") for one in told) + b")"
