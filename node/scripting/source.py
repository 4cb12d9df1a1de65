"""A script's source, rewritten so that everything in it is counted and means the same everywhere.

Lua counts instructions, but one `..` may double a string, `<` and `+` may read one of many bytes,
one `...` may fill a table, and an object as a key would put its address into the order of a table.
So `a + b` becomes `O.add(a, b)` where one of them may be a string (expressions.py, guarding.py);
`...` in an expression becomes `V(...)`; `t[k] = v` becomes `t[K(k)] = v`; and what returns a call
passes it through V. Line numbers stay. The source was compiled as it is before it comes here, so it
is valid Lua; and nothing of it can bear the names that are put in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .guarding import Guards, TooManyOperators

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKENS: Final = re.compile(
    rb"""
      (?P<space>\s+)
    | (?P<comment>--(?:\[(?P<level>=*)\[.*?\](?P=level)\]|[^\r\n]*))
    | (?P<string>\[(?P<depth>=*)\[.*?\](?P=depth)\]
        | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*')
    | (?P<number>(?:\d|\.\d)(?:[eE][+-]|[\w.])*)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<sign>\.\.\.|\.\.|==|~=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SILENT: Final = ("space", "comment")
_OPENERS: Final = frozenset({b"function", b"do", b"if", b"repeat"})
_CLOSERS: Final = frozenset({b"end", b"until"})
_ENDS: Final = frozenset({b"end", b"else", b"elseif", b"until"})


def tokens_of(body: bytes) -> list[bytes]:
    """Without blanks and comments; of what is valid Lua."""
    return [one.group() for one in _TOKENS.finditer(body) if one.lastgroup not in _SILENT]


class _Brackets:
    """An open `[` of the source: where it stands, and how many tokens came behind it."""

    __slots__ = ("is_literal", "place", "tokens")

    def __init__(self, place: int) -> None:
        self.place = place  # Among the parts of the output.
        self.tokens = 0
        self.is_literal = False


GLOBAL: Final = b"_GUARDS_"  # A table with the guards that scripts see like a variable of Lua's.


class Rewriter:
    def __init__(self, body: bytes, *, is_global: bool = False) -> None:
        self._body = body
        # `lastgroup` is the outermost of those that matched.
        self._tokens = [(one.lastgroup, one.group()) for one in _TOKENS.finditer(body)]
        self._names = [self._unused(base) for base in (b"_K_", b"_O_", b"_Q_", b"_V_")]
        self._is_global = is_global
        self.key, self.operators, self.maybe, self.values = (
            [GLOBAL + b"." + name for name in (b"key", b"operators", b"maybe_key", b"values")]
            if is_global
            else self._names
        )

    def _unused(self, base: bytes) -> bytes:
        while base in self._body:
            base += b"_"
        return base

    def rewrite(self) -> bytes:
        """A chunk that takes the guards and returns the function that the script is."""
        self._find_returns()
        guards = Guards(self._tokens, self.operators)
        out: list[bytes] = []
        self._write(out, guards.before, guards.instead, guards.after)
        # A table may be weak then: the guard is told.
        told = b"%b('__mode');" % self.key if b"__mode" in self._body else b""
        head = b"" if self._is_global else b"local %b=...;" % b",".join(self._names)
        return b"%breturn function(...) %b%b\nend" % (head, told, b"".join(out))

    def _write(
        self,
        out: list[bytes],
        before: Mapping[int, bytes],
        instead: Mapping[int, bytes],
        after: Mapping[int, bytes],
    ) -> None:
        open_brackets: list[_Brackets] = []
        is_function_head = is_parameters = False
        for number, (kind, text) in enumerate(self._tokens):
            if number in self._return_ends:
                out.append(b")")
            if kind in _SILENT:
                out.append(text)
                continue
            if number in before:
                out.append(before[number])
            if open_brackets and text != b"]":
                innermost = open_brackets[-1]
                innermost.tokens += 1
                # What stands for other characters is looked at by the guard.
                innermost.is_literal = kind == "number" or (kind == "string" and b"\\" not in text)
            if kind == "name" and text == b"function":
                is_function_head = True
            elif is_function_head and text == b"(":
                is_function_head, is_parameters = False, True
            elif is_parameters and text == b")":
                is_parameters = False
            if number in instead:
                out.append(instead[number])
            elif text == b"..." and not is_parameters:
                out.append(b" " + self.values + b"(...)")
            elif text == b"[":
                open_brackets.append(_Brackets(len(out)))
                out.append(text)
            elif text == b"]":
                self._close(open_brackets.pop(), out, self._next(number))
                out.append(text)
            else:
                out.append(text)
                if number in self._returns:
                    out.append(b" " + self.values + b"(")
            if number in after:
                out.append(after[number])
            # What was no call may be one now, which a `(` would call: here it begins a statement.
            is_value = number in after or (kind == "sign" and text == b"...")
            if is_value and self._next(number) == b"(":
                out.append(b";")
        if len(self._tokens) in self._return_ends:
            out.append(b")")

    def _find_returns(self) -> None:
        """Where calls are returned. They are made ordinary calls, so that an error in one still
        finds the line it was called from: `return f(x)` becomes `return V(f(x))`."""
        self._returns: set[int] = set()
        self._return_ends: set[int] = set()
        blocks = braces = 0
        # Of the innermost `return`: its place, how deep it stands, the first and last token behind.
        open_returns: list[list[int]] = []
        for number, (kind, text) in enumerate(self._tokens):
            if kind in _SILENT:
                continue
            if open_returns:
                current = open_returns[-1]
                is_over = current[1] == blocks and (
                    (kind == "name" and text in _ENDS) or (text == b";" and current[2] == braces)
                )
                if is_over:
                    self._end_return(open_returns.pop())
                else:
                    current[3] = current[3] if current[3] >= 0 else number
                    current[4] = number
            if kind == "name":
                blocks += (text in _OPENERS) - (text in _CLOSERS)
                if text == b"return":
                    open_returns.append([number, blocks, braces, -1, -1])
            elif kind == "sign":
                braces += (text == b"{") - (text == b"}")
        while open_returns:
            self._end_return(open_returns.pop())

    def _end_return(self, found: list[int]) -> None:
        place, _, _, first, last = found
        if first < 0 or first == last:
            return
        kind, text = self._tokens[last]
        if kind == "string" or text in (b")", b"}"):
            self._returns.add(place)
            self._return_ends.add(last + 1)

    def _next(self, number: int) -> bytes:
        while (number := number + 1) < len(self._tokens):
            kind, text = self._tokens[number]
            if kind not in _SILENT:
                return text
        return b""

    def _close(self, bracket: _Brackets, out: list[bytes], following: bytes) -> None:
        """Guard what stood between the brackets if something may be assigned to it."""
        if following not in (b"=", b",") or (bracket.is_literal and bracket.tokens == 1):
            return
        guard = self.key if following == b"=" else self.maybe
        out[bracket.place] = b"[" + guard + b"("
        out.append(b")")


def rewritten(body: bytes, is_global: bool = False) -> bytes | None:  # noqa: FBT001, FBT002
    """The chunk for a script that compiles; None if it has too many operators.

    A function has at most 60 variables of others: where the guards are too many, they are found as
    `is_global`, which takes longer."""
    try:
        return Rewriter(body, is_global=is_global).rewrite()
    except TooManyOperators:  # It could be caught there.
        return None
