"""INFO and the server commands beside a real Redis: the fields, the kinds of replies, the errors.

What they tell differs, of course; its shape must not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trimaran.proto.reply import (
    ErrorReply,
    MapReply,
    NullArray,
    Reply,
    SetReply,
    Status,
    VerbatimReply,
)

from .targets import RedisTarget, running_node

if TYPE_CHECKING:
    from .redis_server import RedisConnection

# Fields of a real Redis that INFO leaves out here, and why.
GAPS = {
    "facts of a C program": {
        "redis_build_id", "monotonic_clock", "multiplexing_api", "atomicvar_api", "gcc_version",
    },
    "eviction's clock: nothing here is evicted": {"lru_clock"},
    "jemalloc's; Python has another allocator": {
        "allocator_allocated", "allocator_active", "allocator_resident", "allocator_frag_ratio",
        "allocator_frag_bytes", "allocator_rss_ratio", "allocator_rss_bytes", "rss_overhead_ratio",
        "rss_overhead_bytes",
    },
    "used_memory counts keys and values alone, so there is nothing to tell it apart from": {
        "used_memory_overhead", "used_memory_startup", "used_memory_dataset_perc",
    },
    "of a fork's progress and of loading an RDB file: there is neither": {
        "current_save_keys_processed", "current_save_keys_total", "rdb_last_load_keys_expired",
        "rdb_last_load_keys_loaded", "aof_rewrites_consecutive_failures",
    },
    "of replicas that synchronize: followers are not shown": {
        "sync_full", "sync_partial_ok", "sync_partial_err",
    },
    "not measured": {
        "expired_stale_perc", "expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds",
        "total_reads_processed", "total_writes_processed",
        "reply_buffer_shrinks", "reply_buffer_expands",
    },
}  # fmt: skip

PER_COMMAND = ("cmdstat_", "errorstat_", "latency_percentiles_usec_")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisTarget]:
    folder: Path = tmp_path_factory.mktemp("server")
    with running_node(folder, seed=77) as target:
        yield target


@pytest.fixture
def ours(node: RedisTarget) -> RedisTarget:
    node.begin(2)
    return node


@pytest.fixture
def theirs(redis_connection: RedisConnection) -> RedisTarget:
    target = RedisTarget(redis_connection)
    target.begin(2)
    return target


def sections(target: RedisTarget, line: str = "INFO everything") -> dict[str, list[str]]:
    text = target.run(line.encode().split())
    assert isinstance(text, bytes)
    found: dict[str, list[str]] = {}
    for one in text.decode().splitlines():
        if one.startswith("# "):
            fields = found[one[2:]] = []
        elif one:
            fields.append(one.partition(":")[0])
    return found


def fields(told: dict[str, list[str]]) -> set[str]:
    return {
        f"{section}.{name}"
        for section, names in told.items()
        for name in names
        if not name.startswith(PER_COMMAND)
    }


def test_info_has_every_field_of_a_real_redis_but_for_the_gaps_written_down(
    ours: RedisTarget, theirs: RedisTarget
) -> None:
    for target in (ours, theirs):
        target.run([b"SET", target.prefix + b"k", b"v"])
    missing = fields(sections(theirs)) - fields(sections(ours))
    assert {one.partition(".")[2] for one in missing} == set().union(*GAPS.values())


@pytest.mark.parametrize("line", ["INFO", "INFO default", "INFO all", "INFO stats server foo"])
def test_info_tells_the_sections_a_real_redis_tells_in_its_order(
    ours: RedisTarget, theirs: RedisTarget, line: str
) -> None:
    told = list(sections(ours, line))
    assert [one for one in told if one != "Trimaran"] == list(sections(theirs, line))


def kind_of(reply: Reply) -> Hashable:
    """What a reply is, without what it says: errors keep their text, maps their keys' kinds."""
    match reply:
        case ErrorReply() | Status() | None | NullArray():
            return reply
        case MapReply(pairs):
            return ("map", frozenset((kind_of(key), kind_of(value)) for key, value in pairs))
        case SetReply(members):
            return ("set", frozenset(map(kind_of, members)))
        case VerbatimReply(form, _):
            return ("verbatim", form)
        case list():
            return ("array", frozenset(map(kind_of, reply)))
        case _:
            return type(reply).__name__


SAME_KIND = """
ROLE|LASTSAVE|SAVE x|BGSAVE x|SWAPDB a 1|SWAPDB 0 b|SWAPDB 0 99|SHUTDOWN ABORT|SHUTDOWN foo
SHUTDOWN SAVE NOSAVE|SHUTDOWN ABORT NOW|SLOWLOG GET -2|SLOWLOG GET x
SLOWLOG GET 1 2|SLOWLOG LEN|SLOWLOG RESET|SLOWLOG foo|SLOWLOG LEN x|SLOWLOG HELP
LATENCY LATEST|LATENCY HISTORY x|LATENCY GRAPH x|LATENCY DOCTOR|LATENCY RESET|LATENCY RESET x
LATENCY HISTOGRAM x|LATENCY HISTOGRAM config|LATENCY HISTOGRAM|LATENCY foo|LATENCY GRAPH
LATENCY HELP|MEMORY DOCTOR|MEMORY MALLOC-STATS|MEMORY PURGE|MEMORY foo|MEMORY HELP
DEBUG HELP|DEBUG foo|DEBUG sleep|DEBUG SLEEP 0|DEBUG SLEEP x|DEBUG SLEEP -1
DEBUG SET-ACTIVE-EXPIRE 1|DEBUG set-active-expire|LOLWUT|LOLWUT VERSION 5|LOLWUT VERSION 5 x
MODULE LIST|MODULE HELP|MODULE foo|MODULE LIST x|OBJECT HELP|OBJECT foo
ACL WHOAMI|ACL LIST|ACL USERS|ACL GETUSER default|ACL GETUSER x|ACL CAT|ACL CAT string|ACL CAT foo
ACL GENPASS|ACL GENPASS 5|ACL GENPASS x|ACL GENPASS 0|ACL GENPASS 4097|ACL LOG|ACL LOG RESET
ACL LOG x|ACL DRYRUN default get k|ACL DRYRUN x get k|ACL DRYRUN default foo|ACL DELUSER default
ACL DELUSER x|ACL foo|ACL HELP
COMMAND GETKEYSANDFLAGS bitfield k get u8 0|COMMAND GETKEYSANDFLAGS bitfield k get u8
COMMAND GETKEYSANDFLAGS bitfield k overflow wrap|COMMAND GETKEYSANDFLAGS bitfield k set u8 0 1
COMMAND GETKEYSANDFLAGS migrate h 1 k 0 5|COMMAND GETKEYS pfcount a b|COMMAND GETKEYS bitop not a b
COMMAND GETKEYSANDFLAGS set k v|COMMAND GETKEYSANDFLAGS set k v get
COMMAND GETKEYSANDFLAGS mset a 1 b 2|COMMAND GETKEYSANDFLAGS ping x
COMMAND GETKEYSANDFLAGS foo x|COMMAND GETKEYSANDFLAGS get a b|COMMAND INFO get|COMMAND INFO role
COMMAND INFO mset nothing|COMMAND INFO memory|COMMAND DOCS role|COMMAND HELP|INFO|INFO foo
TIME|TIME x|ROLE x|LASTSAVE x
"""


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("line", [line for line in SAME_KIND.replace("\n", "|").split("|") if line])
def test_a_reply_is_of_the_kind_a_real_redis_gives_and_an_error_its_words(
    ours: RedisTarget, theirs: RedisTarget, line: str, protocol: int
) -> None:
    kinds = []
    for target in (ours, theirs):
        target.run([b"HELLO", b"%d" % protocol])
        kinds.append(kind_of(target.run(line.encode().split())))
    mine, real = kinds
    if line.endswith("HELP"):  # The lines are our own.
        assert isinstance(mine, tuple)
        assert isinstance(real, tuple)
        assert mine[0] == real[0]
    else:
        assert mine == real


def test_samples_of_slow_events_and_commands_have_the_real_shape(
    ours: RedisTarget, theirs: RedisTarget
) -> None:
    kinds = []
    for target in (ours, theirs):
        target.run(b"CONFIG SET latency-monitor-threshold 1 slowlog-log-slower-than 1000".split())
        target.run(b"DEBUG SLEEP 0.01".split())
        lines = [b"LATENCY LATEST", b"LATENCY HISTORY command", b"SLOWLOG GET 1"]
        kinds.append([kind_of(target.run(line.split())) for line in lines])
        graph = target.run(b"LATENCY GRAPH command".split())
        assert isinstance(graph, bytes)
        assert graph.startswith(b"command - high ")
        target.run(b"CONFIG SET latency-monitor-threshold 0 slowlog-log-slower-than 10000".split())
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    "name", [b"get", b"set", b"mset", b"mget", b"del", b"rename", b"append", b"expire", b"object"]
)
def test_key_specifications_are_those_of_a_real_redis(
    ours: RedisTarget, theirs: RedisTarget, name: bytes
) -> None:
    specs = []
    for target in (ours, theirs):
        reply = target.run([b"COMMAND", b"INFO", name])
        assert isinstance(reply, list)
        rows = [reply[0], *sorted(reply[0][9], key=lambda row: row[0])]
        specs.append([[_without_notes(spec) for spec in row[8]] for row in rows])
    assert specs[0] == specs[1]


def _without_notes(spec: list[Reply]) -> dict[object, object]:
    told: dict[object, object] = dict(zip(spec[::2], spec[1::2], strict=True))
    told.pop(b"notes", None)
    flags = told[b"flags"]
    assert isinstance(flags, list)
    told[b"flags"] = {one.text for one in flags}
    return told


def test_the_keyspace_is_told_with_its_expiries(ours: RedisTarget, theirs: RedisTarget) -> None:
    told = []
    for target in (ours, theirs):
        key = target.prefix
        target.run([b"SET", key + b"1", b"v"])
        target.run([b"SET", key + b"2", b"v", b"EX", b"100"])
        target.run([b"SET", key + b"3", b"v", b"EX", b"200"])
        target.run([b"PERSIST", key + b"3"])
        target.run([b"EXPIRE", key + b"2", b"300"])
        text = target.run([b"INFO", b"keyspace"])
        assert isinstance(text, bytes)
        (line,) = [one for one in text.decode().splitlines() if one.startswith("db0:")]
        told.append(dict(one.split("=") for one in line.removeprefix("db0:").split(",")))
    assert [one["keys"] for one in told] == ["3", "3"]
    assert [one["expires"] for one in told] == ["1", "1"]
    assert 290_000 < int(told[0]["avg_ttl"]) <= 300_000


def test_what_reads_find_and_do_not_find_is_counted(ours: RedisTarget, theirs: RedisTarget) -> None:
    told = []
    for target in (ours, theirs):
        key = target.prefix
        target.run([b"SET", key + b"1", b"v"])
        target.run([b"CONFIG", b"RESETSTAT"])
        for line in (b"GET %b1", b"GET %b2", b"MGET %b1 %b2 %b1", b"EXISTS %b1 %b2", b"TTL %b1"):
            target.run(line.replace(b"%b", key).split())
        text = target.run([b"INFO", b"stats"])
        assert isinstance(text, bytes)
        lines = dict(one.split(":") for one in text.decode().splitlines() if ":" in one)
        told.append((lines["keyspace_hits"], lines["keyspace_misses"]))
    assert told[0] == told[1] == ("5", "3")
