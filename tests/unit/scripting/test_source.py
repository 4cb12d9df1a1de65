"""What a script is rewritten to before it is compiled."""

from __future__ import annotations

import pytest

from trimaran.node.scripting.source import rewritten


def inner(body: bytes) -> bytes:
    text = rewritten(body)
    head = b"local _G_,_K_,_Q_,_V_=...;return function(...) "
    assert text.startswith(head)
    assert text.endswith(b"\nend")
    return text[len(head) : -4]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"x = a .. b", b"x = a .._G_.. b"),
        (b"x = 'a..b' -- c..d", b"x = 'a..b' -- c..d"),
        (b"x = [[a..b]] --[==[ .. ]==]", b"x = [[a..b]] --[==[ .. ]==]"),
        (b"x = 1 ..2", b"x = 1 .._G_..2"),
        (b"t[k] = v", b"t[_K_(k)] = v"),
        (b"t[1] = v t['k'] = v", b"t[1] = v t['k'] = v"),
        (b"t[a], t[b] = 1, 2", b"t[_Q_(a)], t[_K_(b)] = 1, 2"),
        (b"x = t[k] == v", b"x = t[k] == v"),
        (b"x = {[k] = v}", b"x = {[_K_(k)] = v}"),
        (b"t[a[b]].c = 1", b"t[a[b]].c = 1"),
        (b"local function f(...) end", b"local function f(...) end"),
        (b"x = {...}", b"x = { _V_(...)}"),
        (b"return f(x)", b"return _V_( f(x))"),
        (b"return x", b"return x"),
        (b"return f{1} -- c", b"return _V_( f{1}) -- c"),
        (b"if a then return f() else return g() end",
         b"if a then return _V_( f()) else return _V_( g()) end"),
        (b"return function() return f() end, h()",
         b"return _V_( function() return _V_( f()) end, h())"),
    ],
)  # fmt: skip
def test_what_can_cost_much_is_guarded(body: bytes, expected: bytes) -> None:
    assert inner(body) == expected


def test_names_that_are_put_in_are_none_of_the_script() -> None:
    text = rewritten(b"local _G_, _G__ = 1, 2 return _G_ .. _G__")
    assert text.startswith(b"local _G___,")


def test_lines_stay_where_they_were() -> None:
    body = b"a = 1\n\nlocal t = {\n [k] = 'x' .. 'y'\n}\nreturn f()"
    assert inner(body).count(b"\n") == body.count(b"\n")
