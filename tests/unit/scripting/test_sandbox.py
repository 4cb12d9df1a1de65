"""No script reaches the host, outlives itself, costs more than its budget, or means two things."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.commands.scripting import the_runtime
from trimaran.node.scripting.guarding import OPERATORS_MAX
from trimaran.proto.reply import ErrorReply, Reply, Status

from ...model.driver import Driver

BUDGET = 2_000_000
ENDLESS = {
    "a loop": "while true do end",
    "a loop in pcall": "while true do pcall(function() while true do end end) end",
    "a loop in an error handler": (
        "while true do xpcall(error, function() while true do end end) end"
    ),
    "a loop in a coroutine": (
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end"
    ),
    "a string that doubles": "local s = 'x' while true do s = s .. s end",
    "string.rep": "return string.rep('x', 1e10)",
    "string.rep of nothing": "return string.rep('', 1e10)",
    "long strings": (
        "local s = string.rep('x', 1e6) local t = {} for i = 1, 1e9 do t[i] = s .. i end"
    ),
    "a list of tables": "local t = {} for i = 1, 1e9 do t[i] = {} end",
    "nils": "local t = {} for i = 1, 1e9 do t[i] = {" + "nil," * 50 + "} end",
    "closures": (
        "local t = {} for i = 1, 1e9 do local a, b, c t[i] = function() return a, b, c end end"
    ),
    "varargs": (
        "local function f(...) local t = {} for i = 1, 1e9 do t[i] = {...} end end"
        " local a = {} for i = 1, 7000 do a[i] = i end f(unpack(a))"
    ),
    "gsub": "return string.gsub(string.rep('a', 1e5), '.', string.rep('b', 1e5))",
    "a pattern of many stars": "return string.find(string.rep('a', 5e4), '.-.-.-.-b')",
    "a pattern of many marks": (
        "return string.find(string.rep('a', 30), string.rep('a?', 30) .. string.rep('a', 30))"
    ),
    "find": (
        "local s, p = string.rep('a', 1e5), string.rep('a', 5e4) .. 'b'"
        " while true do s:find(p, 1, true) end"
    ),
    "sort": "local t = {} for i = 1, 1e5 do t[i] = i % 100 end while true do table.sort(t) end",
    "inserting at the front": "local t = {} for i = 1, 1e9 do table.insert(t, 1, i) end",
    "inserting at no number": (
        "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.insert(t, 0 / 0, 1) end"
    ),
    "removing far beyond": (
        "local t = {} for i = 1, 1e5 do t[i] = i end"
        " while true do table.remove(t, 2 ^ 32 + 1) t[#t + 1] = 1 end"
    ),
    "long strings compared": (
        "local s = string.rep('a', 1e6) local a, b = s .. 'a', s .. 'b'"
        " while true do local x = a < b end"
    ),
    "zeros compared": (
        "local s = string.rep('\\0', 1e5) local a, b = s .. 'a', s .. 'b'"
        " while true do local x = a >= b end"
    ),
    "long strings in arithmetic": (
        "local s = string.rep(' ', 1e6) .. '1' while true do local x = s + 1 end"
    ),
    "a long string with a sign": (
        "local t = {string.rep('1', 1e6) .. 'x'}"
        " while true do pcall(function() return -t[1] end) end"
    ),
    "many in a row": (
        "local s = string.rep('1', 1e5) while true do local x = s" + " * s" * 20 + " end"
    ),
    "long strings to count by": (
        "local s = string.rep('1', 1e6) while true do for i = s, 1, s do end end"
    ),
    "long strings of a metamethod": (
        "local s = string.rep('1', 1e6)"
        " local t = setmetatable({}, {__add = function() return s end})"
        " while true do local x = t + 1 + 1 end"
    ),
    "a literal in arithmetic": "while true do local x = '" + "1" * 10000 + "' % 2 end",
    "long strings in what is loaded": (
        "loadstring('local s = ... while true do local x = s / 2 end')(string.rep('1', 1e6))"
    ),
    "few long strings sorted": (
        "local t = {} for i = 1, 60 do t[i] = string.rep('a', 1e5) .. i end"
        " while true do table.sort(t) end"
    ),
    "long strings for numbers": (
        "local s = string.rep(' ', 1e6) .. '1'"
        " while true do string.byte('x', s) select(s, 1) table.remove({}, s) bit.tobit(s) end"
    ),
    "long numbers": "local s = string.rep('1', 1e6) while true do tonumber(s) end",
    "weak tables": (
        "local t = setmetatable({}, {__mode = 'v'}) while true do t[1] = {1, 2, 3} end"
    ),
    "an emptied table": (
        "local t = {} for i = 1, 1e5 do t[i] = i end for i = 1, 1e5 do t[i] = nil end"
        " while true do next(t) end"
    ),
    "commands": "while true do redis.call('SET', 'k', 'v') end",
    "replies": (
        "for i = 1, 1000 do redis.call('RPUSH', 'l', i) end"
        " while true do redis.call('LRANGE', 'l', 0, -1) end"
    ),
    "cjson": "return cjson.decode('[' .. string.rep('[],', 1e6) .. '1]')",
    "cmsgpack": "while true do cmsgpack.unpack(cmsgpack.pack({1, 2, 3})) end",
    "struct": "while true do struct.pack('>I4', 1) end",
    "format": "while true do string.format('%99.99f', 1e300) end",
    "compiling": "while true do loadstring(string.rep('x=1 ', 1000)) end",
}


def run(script: str, driver: Driver | None = None) -> Reply:
    driver = Driver() if driver is None else driver
    driver.settings = replace(DEFAULTS, lua_budget=BUDGET)
    return driver.run("EVAL", script, 0)


@pytest.mark.parametrize("name", ENDLESS)
def test_what_has_no_end_ends_with_its_budget(name: str) -> None:
    driver = Driver()
    reply = run(ENDLESS[name], driver)
    assert isinstance(reply, ErrorReply)
    assert "lua-budget" in reply.text
    first = the_runtime().spent()
    again = Driver()
    run("return string.rep('x', 100)")  # Nothing of what ran before has a part in it.
    assert run(ENDLESS[name], again) == reply
    assert (the_runtime().spent(), again.keys.digest()) == (first, driver.keys.digest())


def test_memory_stays_bounded() -> None:
    """In a process of its own: what tests before took does not count."""
    code = (
        "from pathlib import Path\n"
        "from trimaran.tests.unit.scripting.test_sandbox import ENDLESS, run\n"
        "for script in ENDLESS.values():\n"
        "    run(script)\n"
        # Not ru_maxrss: that begins at what the process that forked this one had.
        "print(Path('/proc/self/status').read_text())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=100,
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", done.stdout, re.MULTILINE)
    assert peak is not None
    assert int(peak[1]) < 1 << 20  # KiB.


def test_two_processes_agree_on_what_a_script_does() -> None:
    code = (
        "from trimaran.tests.unit.scripting.test_sandbox import ENDLESS, run\n"
        "from trimaran.tests.model.driver import Driver\n"
        "from trimaran.node.commands.scripting import the_runtime\n"
        "driver = Driver()\n"
        "for script in ENDLESS.values():\n"
        "    print(run(script, driver), the_runtime().spent())\n"
        "print(run('local t = {} for i = 1, 50 do t[\"k\" .. i] = i end local r = {}'\n"
        "          ' for k in pairs(t) do r[#r + 1] = k .. math.random() end return r', driver))\n"
        "print(driver.keys.digest())\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, timeout=100,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1


@pytest.mark.parametrize(
    "name", ["os", "io", "debug", "package", "python", "require", "dofile", "loadfile", "newproxy",
             "print", "getfenv", "setfenv", "module", "lupa"],
)  # fmt: skip
def test_a_script_finds_no_way_out(name: str) -> None:
    reply = run(f"return {name}")
    assert isinstance(reply, ErrorReply)
    assert f"nonexistent global variable '{name}'" in reply.text
    assert run(f"return tostring(rawget(_G, '{name}'))") == b"nil"


@pytest.mark.parametrize(
    "script",
    [
        "string.rep = nil",
        "getmetatable('').__index = nil",
        "getmetatable('').__index.rep = nil",
        "rawset(string, 'rep', nil)",
        "rawset(_G, 'x', 1)",
        "setmetatable(_G, nil)",
        "setmetatable(string, {})",
        "table.insert(redis, 1)",
        "_G.redis = nil",
        "x = 1",
        "KEYS = {}",
        "return loadstring('\\27Lua')()",
        "return string.dump(function() end)",
        "end redis.x = 1 do",
        "end return 1 end function f()",
    ],
)
def test_a_script_changes_nothing_of_what_others_see(script: str) -> None:
    assert isinstance(run(script), ErrorReply)
    assert run("return ('x'):rep(2) .. string.rep('y', 2)") == b"xxyy"
    assert run("return tostring(rawget(_G, 'x'))") == b"nil"


def test_bytecode_is_no_script() -> None:
    reply = run("\x1bLua\x51")
    assert isinstance(reply, ErrorReply)
    assert "Error compiling script" in reply.text


@pytest.mark.parametrize("key", ["{}", "print or {}", "function() end", "coroutine.create(type)"])
def test_what_is_known_by_its_address_is_no_key(key: str) -> None:
    # Where it lies would decide in which order a table is walked.
    for script in (
        f"local t = {{}} t[{key.replace('print or ', '')}] = 1",
        f"local t = {{[{key.replace('print or ', '')}] = 1}}",
        f"rawset({{}}, {key.replace('print or ', '')}, 1)",
    ):
        assert isinstance(run(script), ErrorReply)
    assert run("local t, k = {}, {} return tostring(t[k])") == b"nil"


def test_addresses_are_not_told() -> None:
    assert run("return tostring({})") == b"table: 0x0"
    assert run("return tostring(type)") == b"function: 0x0"


@pytest.mark.parametrize("count", [0, 1, 2, 99, 100, 101, 102, 5000])
def test_lists_are_given_back_whole(count: int) -> None:
    fill = f"local t = {{}} for i = 1, {count} do t[i] = "
    assert run(fill + "'x' .. i end return t") == [b"x%d" % one for one in range(1, count + 1)]
    assert run(fill + "i + 0.5 end return t") == list(range(1, count + 1))
    assert run(fill + "i % 2 == 0 end return t") == [None, 1] * (count // 2) + [None] * (count % 2)
    assert run(fill + "{i, {ok = 'fine'}} end return t") == [
        [one, Status("fine")] for one in range(1, count + 1)
    ]
    assert run(fill + "i end t[#t + 1] = {} t[#t + 2] = 1 return t") == [*range(1, count + 1), []]
    third = "redis.setresp(3) " + fill + "i % 2 == 0 end return t"
    assert run(third) == [False, True] * (count // 2) + [False] * (count % 2)


@pytest.mark.parametrize("keys", [0, 1, 2, 99, 100, 101, 7000])
@pytest.mark.parametrize("args", [0, 1, 2, 98, 99, 100])
def test_a_script_has_its_keys_and_arguments(keys: int, args: int) -> None:
    names, values = (
        [b"%b%d" % (one, n) for n in range(count)] for one, count in ((b"k", keys), (b"a", args))
    )
    driver = Driver()
    script = (
        "local t = {#KEYS, #ARGV}"
        " for _, v in ipairs(KEYS) do t[#t + 1] = v end"
        " for _, v in ipairs(ARGV) do t[#t + 1] = v end return t"
    )
    assert driver.run("EVAL", script, keys, *names, *values) == [keys, args, *names, *values]


def test_an_error_in_a_list_is_one_of_its_replies() -> None:
    assert run("return {1, {err = 'NO way'}, nil, 3}") == [1, ErrorReply("NO", "way")]
    assert run("return setmetatable({1}, {__index = {2, 3, ok = 'fine'}})") == [1]


@pytest.mark.parametrize("places", ["2 ^ 31 + 0.5", "-2 ^ 31, 2 ^ 31 - 1", "1, 7901", "-1e5, 1"])
def test_what_does_not_fit_on_the_stack_is_not_unpacked(places: str) -> None:
    reply = run(f"return {{unpack({{1, 2, 3}}, {places})}}")
    assert isinstance(reply, ErrorReply)
    assert "too many results to unpack" in reply.text


def test_many_are_sorted_like_few() -> None:
    numbers = "local t = {} for i = 1, 500 do t[i] = i * 7919 % 503 end table.sort(t) return t"
    assert run(numbers) == sorted(i * 7919 % 503 for i in range(1, 501))
    words = "local t = {} for i = 1, 500 do t[i] = 'w' .. i * 7919 % 503 end table.sort(t) return t"
    assert run(words) == sorted(b"w%d" % (i * 7919 % 503) for i in range(1, 501))
    mixed = "local t = {} for i = 1, 500 do t[i] = i % 2 == 0 and i or 'x' end table.sort(t)"
    reply = run(mixed)
    assert isinstance(reply, ErrorReply)
    assert "attempt to compare" in reply.text


def test_randomness_is_that_of_the_entry() -> None:
    script = "return {tostring(math.random()), math.random(1000)}"
    assert run(script, Driver()) == run(script, Driver())
    driver = Driver()
    assert run(script, driver) != run(script, driver)
    seeded = "math.randomseed(5) return tostring(math.random())"
    assert run(seeded, driver) == run(seeded, driver)


def test_time_is_that_of_the_entry() -> None:
    assert Driver(now_ms=1_234_567).run("EVAL", "return redis.call('TIME')", 0) == [
        b"1234",
        b"567000",
    ]


@pytest.mark.parametrize(
    "script",
    [
        "local a = 'x' return #(a" + " .. a" * 190 + ")",
        "local a = '1' return a" + " + a" * 10000,
        "local a = tostring(1) return a" + "\n + a" * 20,
        "local a, f = tostring(1), type local b = a\n + 1\n(f)(a) b = a\n .. 'b'\n(f)(a) return b",
        "local f = type local b = ...\n(f)(b)",
        "local a = '1' return a" + " < a" * 1000,
        "local a = '1' return " + "(" * 190 + "a" + " + a)" * 190,
        "local a = '1' return " + "(a + " * 90 + "a" + ")" * 90,
        "local a = '1' return " + "a ^ " * 190 + "a",
        "local a = '1' return " + "- " * 190 + "a",
        "local a = '1' " + "if a then " * 190 + "a = a + 1 " + "end " * 190 + "return a",
        "local function f(x) return x end return " + "f(" * 190 + "1" + ")" * 190,
        "".join(f"local v{i} = '{i}' " for i in range(60))
        + "local function f(t, ...) t[v0] = 1 return "
        + " + ".join(f"v{i}" for i in range(60))
        + " .. '' end return f({})",
    ],
)
def test_what_lua_compiles_runs(script: str) -> None:
    reply = run(script)
    assert not isinstance(reply, ErrorReply) or "compare boolean with string" in reply.text


def test_a_script_of_too_many_operators_is_refused_before_it_is_rewritten() -> None:
    reply = run("return (ARGV[1] or 7)" + "+1" * (OPERATORS_MAX + 1))
    assert isinstance(reply, ErrorReply)
    assert reply.text.endswith("user_script: too many operators, there may be 20000")
    assert run("return (ARGV[1] or 7)" + "+1" * OPERATORS_MAX) == OPERATORS_MAX + 7


def test_what_is_nested_too_deep_with_its_guards_is_refused_as_by_lua() -> None:
    reply = run("local a, f = 1, KEYS return " + "f(" * 150 + "a" + " + a)" * 150)
    assert isinstance(reply, ErrorReply)
    assert reply.text.endswith("user_script:1: chunk has too many syntax levels")
    loaded = run("return {loadstring('return " + "f(" * 150 + "a" + " + a)" * 150 + "')}")
    assert loaded == []
