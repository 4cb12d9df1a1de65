"""Streams; what Redis 7.0 answers is compared in tests/model/."""

from __future__ import annotations

from typing import Any  # Replies nest.

import pytest

from trimaran.cluster.commands import COMMANDS
from trimaran.cluster.settings import Settings
from trimaran.node.commands import stream_claims, stream_groups, stream_info, streams
from trimaran.node.commands.streams import has_entries_behind, xread_resolved
from trimaran.node.data.stream import ID_MAX, Stream
from trimaran.proto.reply import NULL_ARRAY, OK, ErrorReply, MapReply, PairsMapReply

from ...model.driver import Driver, copy_of, words

NOW_MS = 1_000_000


@pytest.fixture
def shard() -> Driver:
    shard = Driver(NOW_MS)
    for number in range(1, 6):
        shard.run("XADD", "s", f"{number}-0", "field", number)
    return shard


def ids(reply: object) -> list[bytes]:
    """Those of entries, of one stream."""
    if isinstance(reply, PairsMapReply):
        reply = reply.pairs[0][1]
    assert isinstance(reply, list)
    return [one[0] for one in reply]


def fields(reply: Any) -> dict[bytes, Any]:
    assert isinstance(reply, MapReply)
    return dict(reply.pairs)


# --- Ids.


def test_an_id_of_the_clock_is_that_of_the_entry_and_rises() -> None:
    shard = Driver(NOW_MS)
    assert shard.run("XADD", "s", "*", "a", "1") == b"1000000-0"
    assert shard.run("XADD", "s", "*", "a", "1") == b"1000000-1"
    shard.now_ms += 5
    assert shard.run("XADD", "s", "*", "a", "1") == b"1000005-0"


@pytest.mark.parametrize(
    "command",
    [
        "XADD s 7-1 field v",
        "XADD s 5-0 field v",
        "XADD s 0-0 field v",
        "XADD s 6 field 12",
        "XADD s * other v",
        "XADD s 9-* field v",
        "XADD new * field v",
        "XADD s NOMKSTREAM * field v",
        "XADD s MAXLEN 2 9-1 field v",
        "XADD s maxlen = 0 * field v",
        "XADD new MAXLEN 0 * field v",
        "XADD s MAXLEN ~ 2 * field v",
        "XADD s MAXLEN -1 * field v",
        "XADD s MAXLEN x * field v",
        "XADD s MAXLEN ~ 2 field v",
        "XADD s MINID 3 * field v",
        "XADD text 0-0 field v",
        "XADD text 1-1 field v",
    ],
)
def test_an_entry_is_added_alike_whether_a_key_is_watched_or_not(command: str) -> None:
    told: list[tuple[object, object, int]] = []
    for is_watched in (False, True):
        shard = Driver(NOW_MS)
        shard.settings = Settings(notify_keyspace_events="KEAn")
        for number in range(1, 6):
            shard.run("XADD", "s", f"{number}-0", "field", number)
        shard.run("SET", "text", "x")
        keys = shard.keys
        if is_watched:
            keys.watches.watch(0, b"s", shard.now_ms, keys.stamp)
        reply = shard.run(*command.split())
        assert keys.memory_bytes == copy_of(keys).memory_bytes
        told.append((reply, shard.events, keys.memory_bytes))
    assert told[0] == told[1]


def test_an_id_of_the_clock_follows_one_that_was_given_ahead_of_it() -> None:
    shard = Driver(NOW_MS)
    shard.run("XADD", "s", "2000000-7", "a", "1")
    assert shard.run("XADD", "s", "*", "a", "1") == b"2000000-8"
    shard.run("XADD", "s", "2000000-18446744073709551615", "a", "1")
    assert shard.run("XADD", "s", "*", "a", "1") == b"2000001-0"


def test_a_sequence_alone_can_be_left_to_the_stream() -> None:
    shard = Driver(NOW_MS)
    assert shard.run("XADD", "s", "0-*", "a", "1") == b"0-1"
    assert shard.run("XADD", "s", "7-*", "a", "1") == b"7-0"
    assert shard.run("XADD", "s", "7-*", "a", "1") == b"7-1"
    assert isinstance(shard.run("XADD", "s", "6-*", "a", "1"), ErrorReply)
    shard.run("XADD", "s", "7-18446744073709551615", "a", "1")
    assert isinstance(shard.run("XADD", "s", "7-*", "a", "1"), ErrorReply)


def test_after_the_last_id_there_is_none() -> None:
    shard = Driver(NOW_MS)
    last = b"%d-%d" % (ID_MAX >> 64, ID_MAX >> 64)
    assert shard.run("XADD", "s", last, "a", "1") == last
    refused = shard.run("XADD", "s", "*", "a", "1")
    assert isinstance(refused, ErrorReply)
    assert "exhausted" in refused.text
    assert ids(shard.run("XRANGE", "s", last, "+")) == [last]


# --- Nodes: what `~` removes, and how entries are kept.


def test_whole_nodes_alone_are_trimmed_where_that_will_do() -> None:
    shard = Driver(NOW_MS)
    for number in range(250):
        shard.run("XADD", "s", "*", "a", number)
    assert shard.run("XTRIM", "s", "MAXLEN", "~", 160) == 0
    assert shard.run("XTRIM", "s", "MAXLEN", "~", 150) == 100
    assert shard.run("XTRIM", "s", "MAXLEN", "~", 0, "LIMIT", "99") == 0
    assert shard.run("XTRIM", "s", "MAXLEN", "=", 149) == 1


def test_nodes_are_as_long_as_the_settings_of_the_entry_say() -> None:
    shard = Driver(NOW_MS)
    shard.settings = Settings(stream_node_max_entries=3, stream_node_max_bytes=0)
    for number in range(10):
        shard.run("XADD", "s", "*", "a", number)
    assert fields(shard.run("XINFO", "STREAM", "s"))[b"radix-tree-keys"] == 4
    shard.settings = Settings(stream_node_max_bytes=50)
    shard.run("XADD", "s", "*", "a", "b" * 60)
    shard.run("XADD", "s", "*", "a", "b")
    assert fields(shard.run("XINFO", "STREAM", "s"))[b"radix-tree-keys"] == 6


def test_a_node_without_any_bound_has_one() -> None:
    shard = Driver(NOW_MS)
    shard.settings = Settings(stream_node_max_entries=0, stream_node_max_bytes=0)
    for number in range(2500):
        shard.run("XADD", "s", "*", "a", number)
    assert fields(shard.run("XINFO", "STREAM", "s"))[b"radix-tree-keys"] == 3


def test_entries_of_other_fields_share_a_node(shard: Driver) -> None:
    pairs = [b"other", b"1", b"field", b"2", b"field", b""]
    shard.run("XADD", "s", "9-1", *pairs)
    assert shard.run("XRANGE", "s", "9", "9") == [[b"9-1", pairs]]
    assert fields(shard.run("XINFO", "STREAM", "s"))[b"radix-tree-keys"] == 1


def test_an_emptied_stream_stays(shard: Driver) -> None:
    assert shard.run("XDEL", "s", *[f"{number}-0" for number in range(9)]) == 5
    assert shard.run("EXISTS", "s") == 1
    assert shard.run("XLEN", "s") == 0
    assert shard.run("XADD", "s", "5-0", "a", "1") == ErrorReply(
        "ERR", "The ID specified in XADD is equal or smaller than the target stream top item"
    )


# --- Ranges and XREAD.


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("-", "+", "12345"),
        ("2", "4", "234"),
        ("(2", "(4-0", "3"),
        ("2-1", "3", "3"),
        ("4", "2", ""),
    ],
)
def test_ranges_have_both_their_ends(shard: Driver, start: str, end: str, found: str) -> None:
    expected = [b"%s-0" % number.encode() for number in found]
    if start == "(2":
        expected = [b"3-0"]
        start = "(2-0"
    assert ids(shard.run("XRANGE", "s", start, end)) == expected
    assert ids(shard.run("XREVRANGE", "s", end, start)) == expected[::-1]


def test_a_range_of_none_is_null_and_of_nothing_is_empty(shard: Driver) -> None:
    assert shard.run("XRANGE", "s", "-", "+", "COUNT", "0") is NULL_ARRAY
    assert shard.run("XRANGE", "absent", "-", "+", "COUNT", "0") == []


def test_xread_answers_what_is_behind_its_ids(shard: Driver) -> None:
    shard.run("XADD", "t", "1-0", "a", "1")
    reply = shard.run("XREAD", "COUNT", "2", "STREAMS", "s", "t", "u", "3", "1", "0")
    assert reply == PairsMapReply(
        ((b"s", [[b"4-0", [b"field", b"4"]], [b"5-0", [b"field", b"5"]]]),)
    )
    assert shard.run("XREAD", "STREAMS", "s", "$") is NULL_ARRAY


def test_xread_can_be_asked_for_the_last_entry(shard: Driver) -> None:
    assert ids(shard.run("XREAD", "STREAMS", "s", "+")) == [b"5-0"]
    shard.run("XDEL", "s", "5-0")
    assert ids(shard.run("XREAD", "STREAMS", "s", "+")) == [b"4-0"]
    shard.run("XTRIM", "s", "MAXLEN", "0")
    assert shard.run("XREAD", "STREAMS", "s", "+") is NULL_ARRAY
    assert shard.run("XREAD", "STREAMS", "absent", "+") is NULL_ARRAY


def test_xread_that_waits_keeps_the_ids_of_when_it_came(shard: Driver) -> None:
    command = words("XREAD", "BLOCK", "0", "STREAMS", "s", "t", "$", "3")
    resolved = xread_resolved(shard.keys, command)
    assert resolved == words("XREAD", "BLOCK", "0", "STREAMS", "s", "t", "5-0", "3-0")

    def has_entries(key: bytes, id_: bytes) -> bool:
        return has_entries_behind(shard.keys.look(0, key), id_)

    assert not has_entries(b"s", resolved[-2])
    shard.run("XADD", "s", "6-0", "a", "1")
    assert has_entries(b"s", resolved[-2])
    assert ids(shard.run(*resolved)) == [b"6-0"]


@pytest.mark.parametrize("command", ["XREAD", "XREADGROUP"])
def test_keys_are_found_behind_their_options(command: str) -> None:
    row = COMMANDS[command.encode()]
    options = ["BLOCK", "streams", "count", "5", "STREAMS", "a", "b", "0", "0"]
    assert row.keys_of(words(command, *options)) == [b"a", b"b"]
    options = ["NOACK", "GROUP", "streams", "streams", "Streams", "a", "0"]
    assert row.keys_of(words(command, *options)) == [b"a"]
    assert row.keys_of(words(command, "STREAMS", "a", "b", "0")) == ()
    assert row.keys_of(words(command, "BOGUS", "STREAMS", "a", "0")) == ()


def test_a_reply_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Driver(NOW_MS)
    for name in ("s", "t"):
        for _ in range(20):
            shard.run("XADD", name, "*", "a", "x" * 100)
        shard.run("XGROUP", "CREATE", name, "g", "0")
    refused = ErrorReply("ERR", "the entries are larger than a reply may be (512 MiB)")
    for module in (streams, stream_groups, stream_claims, stream_info):
        monkeypatch.setattr(module, "REPLY_BYTES_MAX", 6_000)
    before = shard.keys.digest()
    assert len(ids(shard.run("XRANGE", "s", "-", "+", "COUNT", "20"))) == 20
    both = ("STREAMS", "s", "t")
    assert shard.run("XREAD", *both, "0", "0") == refused
    assert shard.run("XREADGROUP", "GROUP", "g", "c", *both, ">", ">") == refused
    assert shard.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "s", ">", "0") == refused
    assert shard.keys.digest() == before
    shard.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
    shard.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "t", ">")
    before = shard.keys.digest()
    for module in (streams, stream_groups, stream_claims, stream_info):
        monkeypatch.setattr(module, "REPLY_BYTES_MAX", 2_000)
    assert shard.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "0") == refused
    assert shard.run("XAUTOCLAIM", "s", "g", "d", "0", "0") == refused
    assert shard.run("XCLAIM", "s", "g", "d", "0", *[f"{NOW_MS}-{n}" for n in range(20)]) == refused
    assert shard.run("XPENDING", "s", "g", "-", "+", "100") == refused
    assert shard.run("XINFO", "STREAM", "s", "FULL", "COUNT", "0") == refused
    assert shard.keys.digest() == before


# --- What a stream tells.


def test_a_stream_tells_its_numbers(shard: Driver) -> None:
    shard.run("XDEL", "s", "1-0", "3-0")
    told = fields(shard.run("XINFO", "STREAM", "s"))
    assert told[b"length"] == 3
    assert told[b"entries-added"] == 5
    assert told[b"recorded-first-entry-id"] == b"2-0"
    assert told[b"max-deleted-entry-id"] == b"3-0"
    assert told[b"first-entry"] == [b"2-0", [b"field", b"2"]]
    assert told[b"last-entry"] == [b"5-0", [b"field", b"5"]]


def test_xsetid_moves_what_comes_next(shard: Driver) -> None:
    assert shard.run("XSETID", "s", "9-5", "ENTRIESADDED", "7", "MAXDELETEDID", "2-0") == OK
    assert shard.run("XADD", "s", "9-*", "a", "1") == b"9-6"
    told = fields(shard.run("XINFO", "STREAM", "s"))
    assert (told[b"entries-added"], told[b"max-deleted-entry-id"]) == (8, b"2-0")


def test_a_copy_is_a_stream_of_its_own(shard: Driver) -> None:
    shard.run("XGROUP", "CREATE", "s", "g", "0")
    shard.run("XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", "s", ">")
    shard.run("COPY", "s", "t")
    shard.run("XDEL", "s", "1-0")
    shard.run("XACK", "s", "g", "2-0")
    shard.run("XADD", "t", "6-0", "a", "1")
    assert ids(shard.run("XRANGE", "t", "-", "+")) == [b"%d-0" % number for number in range(1, 7)]
    assert ids(shard.run("XRANGE", "s", "-", "+")) == [b"%d-0" % number for number in range(2, 6)]
    pending = [shard.run("XPENDING", name, "g") for name in ("s", "t")]
    assert pending == [
        [1, b"1-0", b"1-0", [[b"c", b"1"]]],
        [2, b"1-0", b"2-0", [[b"c", b"2"]]],
    ]


def test_a_stream_has_events(shard: Driver) -> None:
    shard.settings = Settings(notify_keyspace_events="KEAn")
    for command in (
        *("XADD new MAXLEN 0 1-1 a 1", "XADD s 9-1 a 1", "XDEL s 8-1", "XDEL s 9-1 1-0"),
        *("XTRIM s MAXLEN 100", "XTRIM s MAXLEN 1", "XSETID s 20"),
    ):
        shard.run(*command.split())
    told = [event for _, event, _ in shard.events]
    assert told == ["new", "xadd", "xtrim", "xadd", "xdel", "xtrim", "xsetid"]


def test_what_is_no_stream_is_refused(shard: Driver) -> None:
    shard.run("SET", "text", "x")
    assert shard.keys.find(b"s", Stream) is not None
    for command in ("XLEN text", "XADD text * a b", "XRANGE text - +", "XINFO STREAM text"):
        reply = shard.run(*command.split())
        assert isinstance(reply, ErrorReply)
        assert reply.code == "WRONGTYPE"


# --- Many entries at once.


@pytest.mark.parametrize("count", [1001, 1500, 2900, 5000])
def test_many_entries_are_those_of_several_smaller_ranges(shard: Driver, count: int) -> None:
    for number in range(6, 3000):
        shard.run("XADD", "s", f"{number // 2}-{number % 2 + 9}", "field", number)
    for number in range(300, 1400, 3):
        shard.run("XDEL", "s", f"{number}-9")
    expected: list[Any] = []
    start = "100-5"
    while len(expected) < count:
        some = shard.run("XRANGE", "s", start, "1400", "COUNT", min(900, count - len(expected)))
        assert isinstance(some, list)
        if not some:
            break
        expected += some
        start = "(" + some[-1][0].decode()
    assert shard.run("XRANGE", "s", "100-5", "1400", "COUNT", count) == expected
    if count == 5000:
        assert shard.run("XRANGE", "s", "100-5", "1400") == expected
        reply = shard.run("XREAD", "STREAMS", "s", "100-4")
        assert isinstance(reply, PairsMapReply)
        assert reply.pairs[0][1][: len(expected)] == expected


@pytest.mark.parametrize("deleted", ["", "700-9", "5-0"])
def test_a_group_reads_many_entries_as_it_reads_few(shard: Driver, deleted: str) -> None:
    for number in range(6, 3000):
        shard.run("XADD", "s", f"{number // 2 + 6}-{number % 2 + 9}", "field", number)
    if deleted:
        shard.run("XDEL", "s", deleted)
    for group in ("all", "some"):
        shard.run("XGROUP", "CREATE", "s", group, "0")
    whole = shard.run("XREADGROUP", "GROUP", "all", "me", "STREAMS", "s", ">")
    assert isinstance(whole, PairsMapReply)
    parts: list[Any] = []
    while len(parts) < len(whole.pairs[0][1]):
        some = shard.run("XREADGROUP", "GROUP", "some", "me", "COUNT", 500, "STREAMS", "s", ">")
        assert isinstance(some, PairsMapReply)
        parts += some.pairs[0][1]
    assert whole.pairs[0][1] == parts
    told = [fields(one) for one in words_of_groups(shard)]
    assert [{**one, b"name": b""} for one in told] == [{**told[0], b"name": b""}] * 2


def words_of_groups(shard: Driver) -> list[Any]:
    reply = shard.run("XINFO", "GROUPS", "s")
    assert isinstance(reply, list)
    return reply
