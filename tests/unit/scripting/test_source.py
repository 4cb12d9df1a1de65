"""What a script is rewritten to before it is compiled."""

from __future__ import annotations

import pytest

from trimaran.node.scripting.source import rewritten


def inner(body: bytes) -> bytes:
    text = rewritten(body)
    assert text is not None
    head = b"local _K_,_O_,_Q_,_V_=...;return function(...) "
    assert text.startswith(head)
    assert text.endswith(b"\nend")
    return text[len(head) : -4]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"x = a .. b", b"x =  _O_.cat(a , b,\"global 'a'\",\"global 'b'\")"),
        (b"x = 'a' .. 1 .. f()", b"x =  _O_.cats(nil,nil,'a' , 1 , (f()))"),
        (b"x = 'a..b' -- c..d", b"x = 'a..b' -- c..d"),
        (b"x = [[a..b]] --[==[ .. ]==]", b"x = [[a..b]] --[==[ .. ]==]"),
        (b"x = 1 ..2", b"x =  _O_.cat(1 ,2)"),
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


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"x = f() + 1", b"x =  _O_.add_n(f(),1)"),
        (b"x = 1 + f()", b"x =  _O_.n_add(1,f(),nil)"),
        (b"x = -f()", b"x =  _O_.unm(f(),nil)"),
        (b"x = f() < g()", b"x =  _O_.lt(f(),g(),nil)"),
        (b"x = (f()) < f{}[1]", b"x =  _O_.lt(f(),f{}[1])"),
        (b"x = f()\n+ 1", b"x =  _O_.add_n(f()\n,1,nil,nil,2)"),
        (b"local a = f() x = 2 ^ -a ^ 2",
         b"local a = f() x =  _O_.n_pow(2, _O_.unm( _O_.pow_n(a,2,\"local 'a'\")))"),
        (b"for i = f(), 9 do x(i) end", b"for i =  _O_.num(f()), 9 do x(i) end"),
        (b"local a = ... return a - a",
         b"local a =  _V_(...) return ( _O_.sub(a,a,\"local 'a'\",\"local 'a'\"))"),
        (b"local n = f() local function g() n = 1 end x = n * g()",
         b"local n = f() local function g() n = 1 end x =  _O_.late(\"mul\", g(),n,\"local 'n'\")"),
    ],
)  # fmt: skip
def test_operators_that_may_meet_a_string_are_calls(body: bytes, expected: bytes) -> None:
    assert inner(body).replace(b" ", b"") == expected.replace(b" ", b"")


@pytest.mark.parametrize(
    "body",
    [
        b"local x = 0 for i = 1, 9 do x = x + i end",
        b"local n, m = 0, 9 while n < m do n = n + 1 end",
        b"local n = tonumber(KEYS[1]) x = n - 1",
        b"x = #t - 1",
        b"x = f() < 1",
        b"x = f() == g()",
        b"x = f() >= 'abc'",
        b"local a, b = nil, math.floor(c) x = -a / b",
        b"local n = 0 local function f() n = n % 2 end",
        b"local a, b local c = function() end x = a < b ~= c",
    ],
)
def test_operators_that_meet_no_string_stay(body: bytes) -> None:
    assert inner(body) == body


@pytest.mark.parametrize(
    "body",
    [
        b"local function f(n) return {n + 1} end",
        b"local n = 0 local function f(s) n = s end x = {n + 1}",
        b"local n = 0 n, m = f() x = {n + 1}",
        b"local tonumber = f local n = tonumber(1) x = {n + 1}",
        b"local a = 0 local b = a local c = b a = f() x = {c + 1}",
        b"for k, v in pairs(t) do x = {v + 1} end",
        b"for i = 1, 2 do local j = i i = f() x = {j + 1} end",
        b"local n = 1 do local n = f() x = {n + 1} end",
        b"local n = 1 and f() x = {n + 1}",
        b"local n = f() + 1 x = {n + 1}",
        b"local n = {} x = {n + 1}",
    ],
)
def test_a_variable_is_a_number_only_if_nothing_else_gets_there(body: bytes) -> None:
    assert b"_O_.add" in inner(body).partition(b"{")[2]


def test_many_operators_in_a_row_are_not_nested() -> None:
    text = inner(b"x = f()" + b" + 1 - 2" * 1000)
    assert text.startswith(b'x =  _O_.chain(f() )("add", 1 )("sub", 2 )("add",')
    assert text.endswith(b"()")


def test_names_that_are_put_in_are_none_of_the_script() -> None:
    text = rewritten(b"local _K_, _K__ = 1, 2 return _K_ .. _K__")
    assert text is not None
    assert text.startswith(b"local _K___,")


def test_lines_stay_where_they_were() -> None:
    body = b"a = 1\n\nlocal t = {\n [k] = 'x' .. 'y'\n}\nreturn f()"
    assert inner(body).count(b"\n") == body.count(b"\n")
