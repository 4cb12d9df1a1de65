"""EVAL, SCRIPT, FUNCTION and FCALL as state of a shard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.cluster.slots import shard_of
from trimaran.node.commands.internal import WHEN_FULL
from trimaran.node.commands.scripting import EVALUATED_MAX, sha1_of
from trimaran.node.data.keyspace import Keyspace
from trimaran.proto.reply import OK, ErrorReply, Status

from ...model.driver import Driver, copy_of

NO_SCRIPT = ErrorReply("NOSCRIPT", "No matching script. Please use EVAL.")
LIBRARY = """#!lua name=counters
local calls = 0
redis.register_function('hit', function(keys)
  calls = calls + 1
  return {redis.call('INCR', keys[1]), calls}
end)
redis.register_function{function_name='peek', flags={'no-writes'}, callback=function(keys)
  return redis.call('GET', keys[1])
end}
"""


def sha1(body: str) -> str:
    return sha1_of(body.encode()).decode()


def test_a_script_that_was_evaluated_is_found_by_its_hash() -> None:
    driver = Driver()
    body = "return ARGV[1]"
    assert driver.run("EVALSHA", sha1(body), 0, "x") == NO_SCRIPT
    assert driver.run("EVAL", body, 0, "x") == b"x"
    assert driver.run("EVALSHA", sha1(body).upper(), 0, "y") == b"y"
    assert driver.run("SCRIPT", "EXISTS", sha1(body), "x" * 40) == [1, 0]


def test_scripts_are_in_snapshots_and_outlive_flushall() -> None:
    driver = Driver()
    name = driver.run("SCRIPT", "LOAD", "return 7")
    assert isinstance(name, bytes)
    driver.run("FUNCTION", "LOAD", LIBRARY)
    driver.run("FLUSHALL")
    copy = Driver(keys=copy_of(driver.keys))
    assert copy.run("EVALSHA", name, 0) == 7
    assert copy.run("FCALL", "hit", 1, "k") == [1, 1]
    assert driver.run("SCRIPT", "FLUSH") == OK
    assert driver.run("EVALSHA", name, 0) == NO_SCRIPT


def test_the_oldest_evaluated_scripts_make_room_and_loaded_ones_stay() -> None:
    driver = Driver()
    loaded = driver.run("SCRIPT", "LOAD", "return 'loaded'")
    for number in range(EVALUATED_MAX + 2):
        driver.run("EVAL", f"return {number}", 0)
    assert driver.run("SCRIPT", "EXISTS", sha1("return 0"), sha1("return 1")) == [0, 0]
    assert driver.run("SCRIPT", "EXISTS", sha1("return 2")) == [1]
    assert isinstance(loaded, bytes)
    assert driver.run("EVALSHA", loaded, 0) == b"loaded"


def test_loading_an_evaluated_script_keeps_it() -> None:
    driver = Driver()
    driver.run("EVAL", "return 'kept'", 0)
    driver.run("SCRIPT", "LOAD", "return 'kept'")
    for number in range(EVALUATED_MAX + 1):
        driver.run("EVAL", f"return {number}", 0)
    assert driver.run("EVALSHA", sha1("return 'kept'"), 0) == b"kept"


def test_loaded_scripts_have_a_bound_that_the_error_names() -> None:
    driver = Driver()
    driver.settings = replace(DEFAULTS, lua_scripts_bytes_max=100)
    driver.run("DEL", "k")  # The time of an entry is part of the state.
    digest = driver.keys.digest()
    reply = driver.run("SCRIPT", "LOAD", "return '" + "x" * 100 + "'")
    assert isinstance(reply, ErrorReply)
    assert "lua-scripts-bytes-max" in reply.text
    reply = driver.run("FUNCTION", "LOAD", LIBRARY)
    assert isinstance(reply, ErrorReply)
    assert "lua-scripts-bytes-max" in reply.text
    driver.settings = DEFAULTS
    assert driver.run("FUNCTION", "STATS") == Driver().run("FUNCTION", "STATS")
    assert driver.keys.digest() == digest


def test_what_a_script_wrote_before_it_failed_stays() -> None:
    driver = Driver()
    reply = driver.run("EVAL", "redis.call('SET', 'k', 'v') error('boo')", 0)
    assert isinstance(reply, ErrorReply)
    assert driver.run("GET", "k") == b"v"


def test_a_script_that_reads_only_keeps_nothing() -> None:
    driver = Driver()
    driver.run("SET", "k", "v")
    digest = driver.keys.digest()
    assert driver.run("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "k") == b"v"
    assert driver.keys.digest() == digest


def test_a_read_of_a_script_waits_for_an_expiry_to_be_logged() -> None:
    driver = Driver()
    driver.run("SET", "k", "v", "PX", 10)
    driver.now_ms += 20
    script = "return pcall(redis.call, 'GET', KEYS[1]) and redis.call('GET', KEYS[1])"
    assert driver.run("EVAL_RO", script, 1, "k") is None
    assert driver.expiries == 1


def test_select_holds_until_the_script_ends() -> None:
    driver = Driver()
    script = "redis.call('SELECT', 3) redis.call('SET', 'k', 'three') return redis.call('GET', 'k')"
    assert driver.run("EVAL", script, 0, db=1) == b"three"
    assert driver.run("GET", "k", db=1) is None
    assert driver.run("GET", "k", db=3) == b"three"


def test_a_script_reaches_the_keys_of_its_shard_alone() -> None:
    shards = 4
    mine = next(name for name in map(str, range(99)) if shard_of(0, name.encode(), shards) == 2)
    other = next(name for name in map(str, range(99)) if shard_of(0, name.encode(), shards) != 2)
    keys = Keyspace()
    keys.owner = (2, shards)
    driver = Driver(keys=keys)
    script = "return redis.call('SET', ARGV[1], 'v')"
    assert driver.run("EVAL", script, 0, mine) == OK
    reply = driver.run("EVAL", script, 0, other)
    assert isinstance(reply, ErrorReply)
    assert reply.text.startswith("Script attempted to access a non local key in a cluster node")
    assert driver.run("EVAL", script, 0, other, db=8) == OK  # Database 8 is whole on shard 2.
    select = "return redis.call('SELECT', ARGV[1])"
    assert driver.run("EVAL", select, 0, 9, db=8) == OK
    assert isinstance(driver.run("EVAL", select, 0, 1, db=8), ErrorReply)
    assert isinstance(driver.run("EVAL", "return redis.call('FLUSHALL')", 0), ErrorReply)


def test_messages_of_a_script_leave_with_its_entry() -> None:
    driver = Driver()
    script = "return {redis.call('PUBLISH', 'c', 'm'), redis.call('SPUBLISH', 's', 'n')}"
    assert driver.run("EVAL", script, 0) == [0, 0]


def test_a_library_begins_anew_with_each_call() -> None:
    driver = Driver()
    assert driver.run("FUNCTION", "LOAD", LIBRARY) == b"counters"
    assert driver.run("FCALL", "hit", 1, "k") == [1, 1]
    assert driver.run("FCALL", "hit", 1, "k") == [2, 1]
    assert driver.run("FCALL_RO", "peek", 1, "k") == b"2"


def test_a_pattern_that_would_stop_the_node_lists_no_functions() -> None:
    driver = Driver()
    name = "a" * 70_000
    assert driver.run("FUNCTION", "LOAD", LIBRARY.replace("counters", name)) == name.encode()
    costly = "*" + "?" * 1_000 + "c*"
    reply = driver.run("FUNCTION", "LIST", "LIBRARYNAME", costly)
    assert reply == ErrorReply("ERR", "the pattern takes too long on texts that long")
    found = driver.run("FUNCTION", "LIST", "LIBRARYNAME", "a*")
    assert isinstance(found, list)
    assert len(found) == 1


@pytest.mark.parametrize("words", ["FUNCTION DELETE counters", "FUNCTION FLUSH"])
def test_functions_go_with_their_library(words: str) -> None:
    driver = Driver()
    driver.run("DEL", "k")
    digest = driver.keys.digest()
    driver.run("FUNCTION", "LOAD", LIBRARY)
    assert driver.run(*words.split()) == OK
    assert driver.run("FCALL", "hit", 1, "k") == ErrorReply("ERR", "Function not found")
    driver.run("FUNCTION", "FLUSH")
    assert driver.keys.digest() == digest


@pytest.mark.parametrize("words", ["FLUSH SYNC x", "RESTORE x FLUSH y"])
def test_functions_are_asked_for_with_no_word_too_many(words: str) -> None:
    text = f"unknown subcommand or wrong number of arguments for '{words.split()[0]}'."
    reply = Driver().run("FUNCTION", *words.split())
    assert reply == ErrorReply("ERR", f"{text} Try FUNCTION HELP.")


def test_replacing_a_library_removes_what_it_no_longer_has() -> None:
    driver = Driver()
    driver.run("FUNCTION", "LOAD", LIBRARY)
    driver.run(
        *("FUNCTION", "LOAD", "REPLACE"),
        "#!lua name=counters\nredis.register_function('peek', function() return 'new' end)",
    )
    assert driver.run("FCALL", "peek", 0) == b"new"
    assert driver.run("FCALL", "hit", 0) == ErrorReply("ERR", "Function not found")


def test_a_lock_as_clients_write_it() -> None:
    release = """
        local token = redis.call('get', KEYS[1])
        if not token or token ~= ARGV[1] then
            return 0
        end
        redis.call('del', KEYS[1])
        return 1
    """
    driver = Driver()
    assert driver.run("SET", "lock", "me", "NX", "PX", 1000) == Status("OK")
    assert driver.run("EVAL", release, 1, "lock", "you") == 0
    assert driver.run("EVAL", release, 1, "lock", "me") == 1
    assert driver.run("EXISTS", "lock") == 0


def test_without_memory_a_script_may_end_what_it_began_and_begins_nothing() -> None:
    driver = Driver()
    grows = "redis.call('SET', KEYS[1], 'v') return 1"
    shrinks = "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], 'v') return 1"
    oom = "command not allowed when used memory > 'maxmemory'."
    refused = driver.apply([WHEN_FULL, b"EVAL", grows.encode(), b"1", b"k"])
    assert isinstance(refused, ErrorReply)
    assert (refused.code, refused.text[: len(oom)]) == ("OOM", oom)
    assert driver.apply([WHEN_FULL, b"EVAL", shrinks.encode(), b"1", b"k"]) == 1
    declared = b"#!lua\nreturn 1"
    refused = driver.apply([WHEN_FULL, b"EVAL", declared, b"0"])
    assert isinstance(refused, ErrorReply)
    assert refused.text.startswith("allow-oom flag is not set on the script")
    allowed = b"#!lua flags=allow-oom\n" + grows.encode()
    assert driver.apply([WHEN_FULL, b"EVAL", allowed, b"1", b"k"]) == 1
