"""A script that is one command does without Lua what it would do with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.commands.scripting import sha1_of, the_runtime
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.scripting.straight import straight_of
from trimaran.proto.reply import ErrorReply, Reply

from ...model.driver import Driver

CALLS = [
    "'SET', KEYS[1], ARGV[1]",
    "'set', KEYS[1], ARGV[1]",
    "'SET', KEYS[1], 0",
    "'SET', KEYS[1], 15, 'EX', '100'",
    "'SET', KEYS[1], ARGV[1], 'GET'",
    "'SET', KEYS[1], ARGV[1], 'NONSENSE'",
    "'SET', KEYS[1]",
    "'SET', KEYS[2], ARGV[1]",
    "'SET', KEYS[1], ARGV[9]",
    "'SET', ARGV[2], KEYS[1]",
    "'MSET', 'a', 1, 'b', 2, KEYS[1], ARGV[1]",
    "'GET', KEYS[1]",
    "'GET', 'number'",
    "'GET', 'nothing'",
    "'GET', 'long'",
    "'GET', 'list'",
    "'INCR', 'number'",
    "'INCRBY', 'number', '9007199254740999'",
    "'INCRBYFLOAT', 'number', '0.5'",
    "'LPUSH', 'list', ARGV[1]",
    "'LRANGE', 'list', 0, '-1'",
    "'LRANGE', 'nothing', 0, '-1'",
    "'HGETALL', 'hash'",
    "'HMGET', 'hash', 'field', 'none'",
    "'ZSCORE', 'sorted', 'm'",
    "'ZADD', 'sorted', ARGV[2], 'm'",
    "'SPOP', 'set'",
    "'TYPE', 'list'",
    "'XADD', 'stream', '*', 'f', ARGV[1]",
    "'BITCOUNT', 'long'",
    "'COPY', 'number', 'copied', 'DB', '3'",
    "'SELECT', '3'",
    "'PING'",
    "'TIME'",
    "'PUBLISH', 'c', ARGV[1]",
    "'DBSIZE'",
    "'OBJECT', 'ENCODING', 'number'",
    "'OBJECT', 'NONSENSE', 'number'",
    "'EVAL', 'return 1', 0",
    "'NONSENSE', KEYS[1]",
    "KEYS[1], ARGV[1]",
    "ARGV[3], 'number'",
]
CROOKED = "local _ = 1 "  # In front of a script: it is run by Lua.


def stocked() -> Driver:
    driver = Driver()
    driver.run("SET", "number", 7)
    driver.run("SET", "long", "x" * 1000)
    driver.run("RPUSH", "list", "a", "b", "")
    driver.run("HSET", "hash", "field", "value")
    driver.run("ZADD", "sorted", "1.25", "m")
    driver.run("SADD", "set", "a", "b", "c")
    # Both of a pair are known, so that the state is the same whichever runs.
    return driver


def played(
    body: str, twin: str, budget: int, command: str = "EVAL", keys: tuple[int, int] | None = None
) -> tuple[str, int, int]:
    """The answer without the script's name, what it cost, and the state behind it."""
    driver = stocked()
    driver.keys.owner = keys
    for one in sorted((body, twin)):
        driver.run("SCRIPT", "LOAD", one)
    driver.settings = replace(DEFAULTS, lua_budget=budget, notify_keyspace_events="")
    name = body if command.startswith("EVAL") and "SHA" not in command else sha1(body)
    reply = driver.run(command, name, 1, "key", "value", "3", "GET")
    return repr(reply).replace(sha1(body), "sha"), the_runtime().spent(), driver.keys.digest()


def sha1(body: str) -> str:
    return sha1_of(body.encode()).decode()


@pytest.mark.parametrize("name", ["call", "pcall"])
@pytest.mark.parametrize("words", CALLS)
def test_what_lua_would_do_is_done_without_it(words: str, name: str) -> None:
    body = f"return redis.{name}({words})"
    twin = CROOKED + body
    for command in ("EVAL", "EVALSHA", "EVAL_RO"):
        assert played(body, twin, 10**6, command) == played(twin, body, 10**6, command)


@pytest.mark.parametrize("words", CALLS)
def test_a_budget_ends_where_it_would_in_lua(words: str) -> None:
    body = f"return redis.call({words})"
    twin = CROOKED + body
    _, cost, _ = played(twin, body, 10**6)
    for budget in (0, cost - 2, cost - 1, cost, cost + 1):
        if budget >= 0:
            assert played(body, twin, budget)[::2] == played(twin, body, budget)[::2]


@pytest.mark.parametrize("words", CALLS)
def test_keys_of_other_shards_are_refused_alike(words: str) -> None:
    body = f"return redis.call({words})"
    twin = CROOKED + body
    for shard in range(3):
        mine = played(body, twin, 10**6, keys=(shard, 3))
        assert mine == played(twin, body, 10**6, keys=(shard, 3))


@pytest.mark.parametrize(
    "body",
    [
        "return redis.call('GET', 'k')",
        "return(redis.call('GET', 'k'))",
        "return redis.call('GET', 'k');",
        "return --[[ it ]] redis . call ( 'GET' , \"k\" ) -- it is",
        "return redis.pcall(KEYS[1])",
    ],
)
def test_one_command_is_found(body: str) -> None:
    assert straight_of(body.encode()) is not None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "return",
        "return 1",
        "redis.call('GET', 'k')",
        "return redis.call()",
        "return redis.call",
        "return redis.call('GET', 'k'), 1",
        "return redis.call('GET', 'k') .. ('x')",
        "return redis.call('GET', ('k'))",
        "return redis.call('GET', 'a\\n')",
        "return redis.call('GET', [[k]])",
        "return redis.call('GET', -1)",
        "return redis.call('GET', 1.5)",
        "return redis.call('GET', 0x10)",
        "return redis.call('GET', 1e3)",
        "return redis.call('GET', 01)",
        "return redis.call('GET', 12345678901234567)",
        "return redis.call('GET', KEYS[0])",
        "return redis.call('GET', KEYS[1.5])",
        "return redis.call('GET', KEYS['1'])",
        "return redis.call('GET', KEYS[#KEYS])",
        "return redis.call('GET', unpack(KEYS))",
        "return redis.call('GET', 'a' .. 'b')",
        "return (redis.call)('GET')",
        "return (redis).call('GET')",
        "return (redis.call('GET', 'k'))('x')",
        "return redis.sha1hex('x')",
        "return redis.call('GET', 'k') == 'v'",
        "if true then return redis.call('GET', 'k') end",
    ],
)
def test_more_than_one_command_is_for_lua(body: str) -> None:
    assert straight_of(body.encode()) is None


def test_a_hash_is_no_script() -> None:
    """What is kept at hand by its hash is not found by a body that looks like one."""
    driver = Driver()
    body = "return redis.call('SET', 'k', 'v')"
    driver.run("EVAL", body, 0)
    driver.run("EVALSHA", sha1(body), 0)
    reply: Reply = driver.run("EVAL", sha1(body), 0)
    assert isinstance(reply, ErrorReply)
    assert "compiling" in reply.text
    assert driver.run("EVALSHA", body.encode()[:40], 0) == ErrorReply(
        "NOSCRIPT", "No matching script. Please use EVAL."
    )


def test_what_was_removed_is_not_at_hand_any_more() -> None:
    driver = Driver()
    body = "return redis.call('GET', 'k')"
    missing = ErrorReply("NOSCRIPT", "No matching script. Please use EVAL.")
    for _ in range(2):
        driver.run("EVAL", body, 0)
        assert driver.run("EVALSHA", sha1(body), 0) is None
        driver.run("SCRIPT", "FLUSH")
        assert driver.run("EVALSHA", sha1(body), 0) == missing
    other = Keyspace()
    assert Driver(keys=other).run("EVALSHA", sha1(body), 0) == missing
