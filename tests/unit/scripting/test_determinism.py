"""Random scripts mean the same in every process, whatever ran there before (correctness A3)."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from random import Random
from zlib import crc32

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.commands.scripting import the_runtime
from trimaran.proto.reply import Reply, pack_reply

from ...model.driver import Driver

SCRIPTS = 60
BUDGET = 60_000  # Some of them spend it.

# Pieces of scripts: a word behind @ stands for a number, for 2 or 3, or for a piece of that kind.
_STATEMENTS = [
    "redis.call('SET', 'k' .. @number, @value)",
    "redis.call('INCRBYFLOAT', 'f@number', @number.5)",
    "redis.call('HSET', 'h@number', @value, @value, 'f@number', @number)",
    "redis.call('SADD', 's@number', @value, @value, @number, 0)",
    "redis.call('ZADD', 'z@number', @number, @value, -@number.25, 'm')",
    "redis.call('RPUSH', 'l@number', @value, @value)",
    "redis.call('XADD', 'x', '*', 'a', @value)",
    "redis.pcall('INCR', 's@number')",
    "redis.call('SPOP', 's@number')",
    "redis.setresp(@protocol)",
    "redis.log(redis.LOG_NOTICE, @value)",
    "out[#out + 1] = @value",
    "out['w@number'] = @value",
    "out[@value] = @number",
    "for i = 1, @number do @statement end",
    "for k, v in pairs(out) do text = text .. tostring(k) .. ';' end",
    "for _, v in ipairs(@list) do out[#out + 1] = v end",
    "for word in string.gmatch(text, '%w+') do out[#out + 1] = word end",
    "if #out > @number then @statement else @statement end",
    "out[#out + 1] = tostring(select(2, pcall(function() @statement error(@value) end)))",
    "local f = coroutine.wrap(function(...) coroutine.yield(...) @statement end) f(1) f()",
    "table.sort(out, function(a, b) return tostring(a) < tostring(b) end)",
    "text = text .. string.rep(tostring(@value), @number)",
    "pcall(redis.call, 'GET', @value, @value)",
    "local function f(n) if n == 0 then @statement else f(n - 1) end end f(@number)",
    "while #text < @number * 50 do text = text .. @value end",
    "while true do @statement end",
    "do return @value end",
]
_VALUES = [
    "'w@number'",
    "@number",
    "@number.125",
    "text",
    "#out",
    "KEYS[1]",
    "ARGV[2]",
    "math.random(@number)",
    "math.random()",
    "tostring(@list)",
    "cjson.encode({[@value] = @number, b = @list})",
    "cmsgpack.pack(@list)",
    "struct.pack('>I4', @number)",
    "bit.bxor(@number, @number)",
    "redis.sha1hex(text)",
    "redis.call('TIME')[1]",
    "redis.call('GET', 'k@number') or 'none'",
    "#redis.call('HGETALL', 'h@number')",
    "(redis.call('ZRANGE', 'z@number', 0, -1, 'WITHSCORES')[2] or 1)",
    "string.gsub(text, '%d', {['1'] = 'one', ['2'] = 'two'})",
    "string.format('%5.2f|%s', @number, text)",
    "(string.find(text, '@number') or 0)",
]
_LISTS = [
    "{1, 2, @value}",
    "redis.call('HGETALL', 'h@number')",
    "redis.call('SMEMBERS', 's@number')",
    "redis.call('LRANGE', 'l@number', 0, -1)",
    "redis.call('SRANDMEMBER', 's@number', 3)",
]
_ANSWERS = ["out", "text", "{text, #out, out}", "{ok = text}", "#out", "{map = out}", "nil"]
_KINDS = {"statement": _STATEMENTS, "value": _VALUES, "list": _LISTS}
_LAST = {"statement": "", "value": "7", "list": "{}"}  # Those in which nothing stands.


def _script(rng: Random) -> str:
    def pick(choices: list[str]) -> str:
        return choices[int(rng.random() * len(choices))]

    def filled(form: str, depth: int) -> str:
        def made(found: re.Match[str]) -> str:
            kind = found[1]
            if kind == "number":
                return str(1 + int(rng.random() * 9))
            if kind == "protocol":
                return pick(["2", "3"])
            return filled(pick(_KINDS[kind]), depth - 1) if depth else _LAST[kind]

        return re.sub(r"@([a-z]+)", made, form)

    lines = [f"do {filled('@statement', 4)} end" for _ in range(1 + int(rng.random() * 8))]
    return "\n".join(["local out, text = {}, 'text'", *lines, f"return {pick(_ANSWERS)}"])


def play(seed: int, before: int | None = None) -> str:
    """Runs random scripts, perhaps behind others on other keys; what they did and what it cost."""
    if before is not None:
        play(before)
    rng, driver = Random(seed), Driver()
    driver.settings = replace(DEFAULTS, lua_budget=BUDGET)
    replies: list[Reply] = []
    for number in range(SCRIPTS):
        script = _script(rng)
        driver.now_ms += 7
        replies.append(driver.run("EVAL", script, 1, "key", "a", "b"))
        replies.append(the_runtime().spent())
        if number % 5 == 0:
            name = driver.run("SCRIPT", "LOAD", script)
            assert isinstance(name, bytes)
            replies.append(driver.run("EVALSHA", name, 0))
    return f"{driver.keys.digest():016x} {crc32(pack_reply(replies)):08x}"


def test_the_scripts_do_something_each() -> None:
    rng, driver = Random(5), Driver()
    driver.settings = replace(DEFAULTS, lua_budget=BUDGET)
    told: dict[str, int] = {}
    for _ in range(SCRIPTS):
        reply = driver.run("EVAL", _script(rng), 1, "key", "a", "b")
        text = getattr(reply, "text", "fine")
        kind = next(
            (one for one in ("compiling", "lua-budget", "user_script") if one in text), "fine"
        )
        told[kind] = told.get(kind, 0) + 1
    assert "compiling" not in told
    assert all(told[kind] > SCRIPTS // 20 for kind in ("lua-budget", "user_script", "fine")), told


@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_two_processes_agree_on_random_scripts(hash_seed: str) -> None:
    code = "from trimaran.tests.unit.scripting.test_determinism import play; print(play(11))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=100,
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout.strip() == play(11)


# Ways to a metatable that says so, before it is one and after.
WEAK = [
    "local w = setmetatable({}, {__mode = 'v'})",
    "local w = setmetatable({}, {['__mo\\100e'] = 'v'})",
    'local w = setmetatable({}, cjson.decode(\'{"__mode":"v"}\'))',
    "local w, m = {}, {} setmetatable(w, m) m.__mode = 'v'",
    "local w, m = {}, {} setmetatable(w, m) m['__mo' .. 'de'] = 'v'",
    "local w, m = {}, {} setmetatable(w, m) m['__mo' .. 'de'], m.x = 'v', 1",
    "local w, m = {}, {} setmetatable(w, m) rawset(m, '__mo' .. 'de', 'v')",
    "local w, m = {}, {} setmetatable(w, m) loadstring('(...).__mode = \\'v\\'')(m)",
]


@pytest.mark.parametrize("way", WEAK)
def test_garbage_is_not_seen_to_go(way: str) -> None:
    script = f"""{way}
        for i = 1, 20 do
          w[i] = {{}}
          for j = 1, 200 do local t = {{j, j}} end
        end
        local gone = 0
        for i = 1, 20 do gone = gone + (w[i] == nil and 1 or 0) end
        return {{gone, getmetatable(w).__mode}}"""
    for before in range(0, 5000, 700):
        Driver().run("EVAL", f"local t = {{}} for i = 1, {before} do t[i] = {{i}} end", 0)
        assert Driver().run("EVAL", script, 0) == [0, b"v"]


@pytest.mark.parametrize("seed", range(3))
def test_what_ran_before_has_no_part_in_a_script(seed: int) -> None:
    assert play(seed, before=seed + 100) == play(seed)
