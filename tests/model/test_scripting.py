"""Scripts answer as in a real Redis: one of `scripts.txt` after the other, in both."""

from __future__ import annotations

from pathlib import Path
from typing import Any  # Any: replies nest.

import pytest

from .driver import Driver, words
from .redis_server import RedisConnection, as_received

SCRIPTS = [
    line
    for line in Path(__file__).with_name("scripts.txt").read_text().split("\n")
    if line and not line.startswith("-- ")
]
COMMANDS: list[tuple[str | int, ...]] = [
    ("EVAL", "return 1", -1),
    ("EVAL", "return 1", 3, "a"),
    ("EVAL", "return 1", "x"),
    ("EVAL", "return {KEYS[1], KEYS[2], ARGV[1], ARGV[2]}", 2, "a", "b", "c", "d"),
    ("EVALSHA", "abc", 0),
    ("EVALSHA", "a" * 40, 0),
    ("EVALSHA", "a" * 40, "x"),
    ("EVAL_RO", "return redis.call('set', 'a', 1)", 0),
    ("EVAL_RO", "return redis.call('get', KEYS[1])", 1, "absent"),
    ("EVAL", "#!lua flags=no-writes\nreturn redis.call('set', 'a', 1)", 0),
    ("EVAL", "#!lua flags=no-writes,allow-oom\n\nreturn x", 0),
    ("EVAL", "#!lua flags=bogus\nreturn 1", 0),
    ("EVAL", "#!python\nreturn 1", 0),
    ("EVAL", "#!lua name=x\nreturn 1", 0),
    ("EVAL", "#!lua", 0),
    ("SCRIPT", "LOAD", "return x y"),
    ("SCRIPT", "LOAD", "return 7"),
    ("EVALSHA", "59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9", 0),
    ("SCRIPT", "EXISTS", "59B6AB2FBE0EE4B25733DE0F62E6CDA4899EF8E9", "x"),
    ("SCRIPT", "FLUSH", "bogus"),
    ("SCRIPT", "FLUSH"),
    ("SCRIPT", "EXISTS", "59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9"),
]
LIBRARY = """#!lua name=mylib
redis.register_function('give', function(keys, args) return {keys[1], args[1]} end)
redis.register_function{function_name='reads', flags={'no-writes'}, description='told',
  callback=function(keys) return redis.call('get', keys[1]) end}
redis.register_function('bad', function() return nosuch end)
redis.register_function('write', function(keys) return redis.call('set', keys[1], 'x') end)
"""
LIBRARIES = [
    "return 1",
    "#!lua",
    "#!lua name=x y=z\nreturn 1",
    "#!lua name=x\nlocal a <",
    "#!lua name=x\nreturn nosuch",
    "#!lua name=x-y\nreturn 1",
    "#!python name=x\nreturn 1",
    "#!lua name=a name=b\nreturn 1",
    "#!lua\nreturn 1",
    "#!lua name=x\nreturn 1",
    "#!lua name=x\nx=1",
    "#!lua name=x\nredis.call('get', 'x')",
    "#!lua name=x\nreturn math.random()",
    *(
        f"#!lua name=x\nredis.register_function{arguments}"
        for arguments in [
            "('give', function() end)",
            "('a b', function() end)",
            "('g')",
            "(1, 2, 3)",
            "('g', 5)",
            "{function_name='g'}",
            "{callback=function() end}",
            "{function_name='g', callback=function() end, flags={'bogus'}}",
            "{function_name='g', callback=function() end, bogus=1}",
            "{function_name='g', callback=function() end, flags=5}",
            "{function_name='g', callback=5}",
            "{function_name={}, callback=function() end}",
            "({}, function() end)",
            "()",
            "('g', function() end) redis.register_function('g', function() end)",
        ]
    ),
]


def _both(driver: Driver, connection: RedisConnection, *args: str | int | bytes) -> None:
    theirs = connection.run(words(*args))
    assert as_received(driver.run(*args), 2) == theirs, args


def test_scripts_answer_as_in_a_real_redis(redis_connection: RedisConnection) -> None:
    redis_connection.run([b"FLUSHALL"])
    driver = Driver()
    for script in SCRIPTS:
        for _ in range(2):  # One that comes again is known.
            _both(driver, redis_connection, "EVAL", script, 0)
    for command in COMMANDS:
        _both(driver, redis_connection, *command)


def test_functions_answer_as_in_a_real_redis(redis_connection: RedisConnection) -> None:
    redis_connection.run([b"FLUSHALL"])
    redis_connection.run([b"FUNCTION", b"FLUSH"])
    driver = Driver()
    _both(driver, redis_connection, "FUNCTION", "LOAD", LIBRARY)
    _both(driver, redis_connection, "FUNCTION", "LOAD", LIBRARY)
    _both(driver, redis_connection, "FUNCTION", "LOAD", "REPLACE", LIBRARY)
    for text in [
        *("FCALL give 1 k a", "FCALL_RO give 1 k a", "FCALL_RO reads 1 k", "FCALL bad 0"),
        *("FCALL absent 0", "FCALL give x", "FCALL give 5 a", "FCALL give -1 a"),
        *("FUNCTION STATS", "FUNCTION DELETE absent", "FCALL write 1 k", "FCALL reads 1 k"),
        *("FUNCTION LOAD REPLACE x", "FUNCTION LOAD BOGUS x", "FUNCTION RESTORE x"),
        *("FUNCTION LIST BOGUS", "FUNCTION LIST LIBRARYNAME", "FUNCTION FLUSH BOGUS"),
        *("FUNCTION LIST WITHCODE WITHCODE", "FUNCTION RESTORE x BOGUS"),
    ]:
        _both(driver, redis_connection, *text.split())
    for code in LIBRARIES:
        _both(driver, redis_connection, "FUNCTION", "LOAD", code)
    assert _listed(driver.run("FUNCTION", "LIST", "WITHCODE")) == _listed(
        redis_connection.run([b"FUNCTION", b"LIST", b"WITHCODE"])
    )


def _listed(reply: Any) -> dict[bytes, Any]:
    """What FUNCTION LIST says, where order does not count."""
    received: Any = as_received(reply, 2)
    (library,) = received
    fields = dict(zip(library[::2], library[1::2], strict=True))
    fields[b"functions"] = sorted(fields[b"functions"], key=repr)
    return fields


@pytest.mark.parametrize("policy", ["APPEND", "REPLACE", "FLUSH"])
def test_dumped_functions_restore_both_ways(redis_connection: RedisConnection, policy: str) -> None:
    redis_connection.run([b"FUNCTION", b"FLUSH"])
    driver = Driver()
    _both(driver, redis_connection, "FUNCTION", "LOAD", LIBRARY)
    theirs, ours = redis_connection.run([b"FUNCTION", b"DUMP"]), driver.run("FUNCTION", "DUMP")
    assert ours == theirs
    assert isinstance(ours, bytes)
    _both(driver, redis_connection, "FUNCTION", "RESTORE", ours, policy)
    _both(driver, redis_connection, "FUNCTION", "FLUSH")
    _both(driver, redis_connection, "FUNCTION", "RESTORE", ours, policy)
    _both(driver, redis_connection, "FUNCTION", "STATS")
    _both(driver, redis_connection, "FCALL", "give", 1, "k", "a")
