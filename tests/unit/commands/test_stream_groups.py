"""Consumer groups; what Redis 7.0 answers is compared in tests/model/."""

from __future__ import annotations

from typing import Any  # Replies nest.

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands.stream_groups import has_news
from trimaran.proto.reply import NULL_ARRAY, OK, ErrorReply, MapReply, PairsMapReply

from ...model.driver import Driver

NOW_MS = 1_000_000


@pytest.fixture
def shard() -> Driver:
    shard = Driver(NOW_MS)
    for number in range(1, 6):
        shard.run("XADD", "s", f"{number}-0", "field", number)
    shard.run("XGROUP", "CREATE", "s", "g", "0")
    return shard


def read(shard: Driver, consumer: str, *options: str, after: str = ">") -> list[bytes]:
    """The ids that a consumer gets."""
    reply = shard.run("XREADGROUP", "GROUP", "g", consumer, *options, "STREAMS", "s", after)
    if reply is NULL_ARRAY:
        return []
    assert isinstance(reply, PairsMapReply)
    return [one[0] for one in reply.pairs[0][1]]


def pending(shard: Driver, *options: str) -> list[Any]:
    reply = shard.run("XPENDING", "s", "g", *options, "-", "+", "100")
    assert isinstance(reply, list)
    return reply


def told(shard: Driver, what: str, *more: str) -> dict[bytes, Any]:
    """Of the first group, or the first consumer."""
    reply = shard.run("XINFO", what, "s", *more)
    assert isinstance(reply, list)
    assert isinstance(reply[0], MapReply)
    return dict(reply[0].pairs)


def test_each_entry_goes_to_one_consumer(shard: Driver) -> None:
    assert read(shard, "c", "COUNT", "2") == [b"1-0", b"2-0"]
    assert read(shard, "d") == [b"3-0", b"4-0", b"5-0"]
    assert read(shard, "c") == []
    assert shard.run("XPENDING", "s", "g") == [5, b"1-0", b"5-0", [[b"c", b"2"], [b"d", b"3"]]]


def test_history_is_what_is_not_acknowledged(shard: Driver) -> None:
    read(shard, "c", "COUNT", "3")
    assert shard.run("XACK", "s", "g", "2-0", "2-0", "9-0") == 1
    shard.run("XDEL", "s", "3-0")
    reply = shard.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "0")
    assert reply == PairsMapReply(((b"s", [[b"1-0", [b"field", b"1"]], [b"3-0", NULL_ARRAY]]),))
    assert read(shard, "c", after="1") == [b"3-0"]
    assert read(shard, "nobody", after="0") == []


def test_deliveries_are_counted_with_the_time_of_the_last(shard: Driver) -> None:
    read(shard, "c", "COUNT", "1")
    shard.now_ms += 70
    read(shard, "c", after="0")
    shard.now_ms += 5
    assert pending(shard) == [[b"1-0", b"c", 5, 2]]
    assert pending(shard, "IDLE", "6") == []


def test_what_needs_no_acknowledgement_is_not_pending(shard: Driver) -> None:
    assert len(read(shard, "c", "NOACK")) == 5
    assert pending(shard) == []
    assert told(shard, "GROUPS")[b"entries-read"] == 5


def test_a_key_named_twice_is_read_on_where_it_was_left(shard: Driver) -> None:
    streams = ("STREAMS", "s", "s", "s", ">", ">", "0")
    reply = shard.run("XREADGROUP", "GROUP", "g", "c", "COUNT", "2", *streams)
    assert isinstance(reply, PairsMapReply)
    assert [[one[0] for one in entries] for _, entries in reply.pairs] == [
        [b"1-0", b"2-0"],
        [b"3-0", b"4-0"],
        [b"1-0", b"2-0"],
    ]
    assert len(pending(shard)) == 4


def test_lag_counts_what_is_ahead_while_that_can_be_told(shard: Driver) -> None:
    assert told(shard, "GROUPS")[b"lag"] == 5
    read(shard, "c", "COUNT", "2")
    assert (told(shard, "GROUPS")[b"entries-read"], told(shard, "GROUPS")[b"lag"]) == (2, 3)
    shard.run("XDEL", "s", "4-0")
    assert told(shard, "GROUPS")[b"lag"] is None
    read(shard, "c")
    assert told(shard, "GROUPS")[b"lag"] == 0


def test_a_consumer_comes_with_its_first_entry(shard: Driver) -> None:
    read(shard, "c")
    read(shard, "d")
    assert told(shard, "GROUPS")[b"consumers"] == 1
    assert shard.run("XGROUP", "CREATECONSUMER", "s", "g", "d") == 1
    assert shard.run("XGROUP", "CREATECONSUMER", "s", "g", "d") == 0
    assert shard.run("XGROUP", "DELCONSUMER", "s", "g", "c") == 5
    assert pending(shard) == []


def test_a_consumer_is_seen_when_it_comes_and_active_when_it_gets_something(
    shard: Driver,
) -> None:
    shard.run("XGROUP", "CREATECONSUMER", "s", "g", "c")
    assert told(shard, "CONSUMERS", "g")[b"inactive"] == -1
    read(shard, "c", "COUNT", "1")
    shard.now_ms += 30
    read(shard, "c", after="0")
    shard.now_ms += 5
    consumer = told(shard, "CONSUMERS", "g")
    assert (consumer[b"idle"], consumer[b"inactive"]) == (5, 35)
    full = shard.run("XINFO", "STREAM", "s", "FULL")
    assert isinstance(full, MapReply)
    shown = dict(dict(dict(full.pairs)[b"groups"][0].pairs)[b"consumers"][0].pairs)
    assert (shown[b"seen-time"], shown[b"active-time"]) == (NOW_MS + 30, NOW_MS)


def test_claiming_takes_what_was_idle_for_long_enough(shard: Driver) -> None:
    read(shard, "c")
    shard.now_ms += 100
    assert shard.run("XCLAIM", "s", "g", "d", "101", "1-0") == []
    reply = shard.run("XCLAIM", "s", "g", "d", "100", "1-0", "9-0", "2-0", "JUSTID")
    assert reply == [b"1-0", b"2-0"]
    assert shard.run("XCLAIM", "s", "g", "d", "100", "1-0") == []
    assert pending(shard)[:3] == [
        [b"1-0", b"d", 0, 1],
        [b"2-0", b"d", 0, 1],
        [b"3-0", b"c", 100, 1],
    ]


def test_claiming_drops_what_is_gone(shard: Driver) -> None:
    read(shard, "c")
    shard.run("XDEL", "s", "1-0", "3-0")
    assert shard.run("XCLAIM", "s", "g", "d", "0", "1-0", "JUSTID") == []
    assert shard.run("XAUTOCLAIM", "s", "g", "d", "0", "0", "COUNT", "2", "JUSTID") == [
        b"4-0",
        [b"2-0"],
        [b"3-0"],
    ]
    assert len(pending(shard)) == 3


def test_a_claim_can_make_an_entry_pending_and_move_the_group(shard: Driver) -> None:
    options = ("FORCE", "TIME", "999000", "RETRYCOUNT", "7", "LASTID", "4")
    assert shard.run("XCLAIM", "s", "g", "c", "0", "2-0", *options, "JUSTID") == [b"2-0"]
    assert pending(shard) == [[b"2-0", b"c", 1000, 7]]
    assert read(shard, "c") == [b"5-0"]


def test_deliveries_are_counted_up_to_what_fits(shard: Driver) -> None:
    read(shard, "c", "COUNT", "1")
    most = (1 << 63) - 1
    shard.run("XCLAIM", "s", "g", "c", "0", "1-0", "RETRYCOUNT", str(most))
    shard.run("XCLAIM", "s", "g", "c", "0", "1-0")
    read(shard, "c", after="0")
    assert pending(shard) == [[b"1-0", b"c", 0, most]]


def test_a_group_set_back_delivers_again(shard: Driver) -> None:
    read(shard, "c")
    assert shard.run("XGROUP", "SETID", "s", "g", "3", "ENTRIESREAD", "3") == OK
    assert read(shard, "d") == [b"4-0", b"5-0"]
    assert shard.run("XPENDING", "s", "g") == [5, b"1-0", b"5-0", [[b"c", b"3"], [b"d", b"2"]]]


def test_groups_are_asked_whether_they_have_news(shard: Driver) -> None:
    def answers(group: bytes = b"g") -> bool:
        return has_news(shard.keys.look(0, b"s"), group)

    assert answers()
    read(shard, "c")
    assert not answers()
    assert answers(b"none")
    shard.run("XADD", "s", "*", "a", "1")
    assert answers()


def test_groups_have_events(shard: Driver) -> None:
    shard.settings = Settings(notify_keyspace_events="KEAn")
    for command in (
        *("XGROUP CREATE t g $ MKSTREAM", "XADD t 1-1 a 1", "XADD t 2-1 a 1"),
        *("XREADGROUP GROUP g c COUNT 1 STREAMS t >", "XREADGROUP GROUP g c STREAMS t >"),
        *("XCLAIM t g d 0 1-1", "XACK t g 1-1", "XAUTOCLAIM t g e 0 0"),
        *("XGROUP CREATECONSUMER t g c", "XGROUP DELCONSUMER t g c", "XGROUP DELCONSUMER t g c"),
        *("XGROUP SETID t g 0", "XGROUP DESTROY t g", "XGROUP DESTROY t g"),
    ):
        shard.run(*command.split())
    assert [event for _, event, _ in shard.events] == [
        *("new", "xgroup-create", "xadd", "xadd", "xgroup-createconsumer"),
        *("xgroup-createconsumer", "xgroup-createconsumer"),
        *("xgroup-delconsumer", "xgroup-setid", "xgroup-destroy"),
    ]


def test_errors_show_names_that_are_no_text() -> None:
    reply = Driver().run("XPENDING", b"a\xff", b"g\r\n\0x")
    assert reply == ErrorReply("NOGROUP", "No such key 'a\udcff' or consumer group 'g\r\n'")


def test_what_is_claimed_at_once_is_bounded_and_the_cursor_goes_on(
    shard: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimaran.node.commands.stream_claims.CLAIMS_MAX", 3)
    read(shard, "c")
    claim = ("XAUTOCLAIM", "s", "g", "d", "0")
    assert shard.run(*claim, "0", "COUNT", 1 << 40, "JUSTID") == [
        b"4-0",
        [b"1-0", b"2-0", b"3-0"],
        [],
    ]
    assert shard.run(*claim, "4-0", "COUNT", 1 << 40, "JUSTID") == [b"0-0", [b"4-0", b"5-0"], []]
