"""SORT: the cluster's rule in database 0, bounds, notifications; tests/model/ compares the rest."""

from __future__ import annotations

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands import sort
from trimaran.proto.reply import ErrorReply

from ...model.driver import Driver

CLUSTER = 0
WHOLE = 9


@pytest.fixture
def shard() -> Driver:
    shard = Driver()
    for db in (CLUSTER, WHOLE):
        shard.run("RPUSH", "{t}l", 3, 1, 2, db=db)
        for number in (1, 2, 3):
            shard.run("SET", f"{{t}}w{number}", -number, db=db)
            shard.run("SET", f"w{number}", -number, db=db)
            shard.run("HSET", f"{{t}}h{number}", "f", number * number, db=db)
    return shard


@pytest.mark.parametrize("db", [CLUSTER, WHOLE])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [b"1", b"2", b"3"]),
        ("DESC LIMIT 1 5", [b"2", b"1"]),
        ("BY {t}w*", [b"3", b"2", b"1"]),
        ("BY {t}h*->f DESC GET # GET {t}h*->f", [b"3", b"9", b"2", b"4", b"1", b"1"]),
        ("BY nosort", [b"3", b"1", b"2"]),
        ("BY nosort DESC LIMIT 0 2 GET {t}absent*", [None, None]),
        ("LIMIT 1 0", []),
    ],
)
def test_patterns_in_the_slot_of_the_key_are_looked_up_anywhere(
    shard: Driver, words: str, expected: list[bytes | None], db: int
) -> None:
    for name in ("SORT", "SORT_RO"):
        assert shard.run(name, "{t}l", *words.split(), db=db) == expected


@pytest.mark.parametrize(
    "words",
    ["BY w*", "GET w*", "GET w", "BY {u}w*", "GET *{t}", "BY {t*}", "GET {}{t}*", "GET ?{t}*"],
)
def test_patterns_that_may_be_in_another_slot_are_refused_in_database_0(
    shard: Driver, words: str
) -> None:
    option = words.split()[0]
    assert shard.run("SORT", "{t}l", *words.split()) == ErrorReply(
        "ERR",
        f"{option} option of SORT denied in cluster mode when keys formed by the pattern may be in"
        " different slots.",
    )
    assert not isinstance(shard.run("SORT", "{t}l", *words.split(), db=WHOLE), ErrorReply)


def test_a_set_that_is_stored_unsorted_is_sorted_all_the_same(shard: Driver) -> None:
    shard.run("SADD", "{t}s", "b", "c", "a")
    assert shard.run("SORT", "{t}s", "BY", "nosort", "STORE", "{t}d") == 3
    assert shard.run("LRANGE", "{t}d", 0, -1) == [b"a", b"b", b"c"]


def test_a_due_field_is_absent(shard: Driver) -> None:
    shard.run("HSET", "{t}h1", "f", 100)
    shard.run("HPEXPIRE", "{t}h1", 5, "FIELDS", 1, "f")
    shard.now_ms += 6
    assert shard.run("SORT", "{t}l", "GET", "{t}h*->f") == [None, b"4", b"9"]


def test_of_no_more_elements_and_keys_than_the_bound(
    shard: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sort, "LOOKUPS_MAX", 8)
    assert shard.run("SORT", "{t}l") == [b"1", b"2", b"3"]
    for words in ("GET #", "GET # GET #"):
        assert isinstance(shard.run("SORT", "{t}l", *words.split()), ErrorReply)
    assert shard.run("SORT", "{t}l", "GET", "#", "LIMIT", 0, 1) == [b"1"]
    monkeypatch.setattr(sort, "REPLY_BYTES_MAX", 2)
    digest = shard.keys.digest()
    for words in ("", "STORE {t}d", "LIMIT 0 1 GET {t}w* GET #"):
        assert isinstance(shard.run("SORT", "{t}l", *words.split()), ErrorReply)
    assert shard.keys.digest() == digest


def test_notifications_are_those_of_redis(shard: Driver) -> None:
    shard.settings = Settings(notify_keyspace_events="AKEn")
    shard.events.clear()
    shard.run("SORT", "{t}l", "STORE", "{t}d")
    shard.run("SORT", "{t}l", "STORE", "{t}d")
    shard.run("SORT", "absent", "STORE", "{t}d")
    shard.run("SORT", "absent", "STORE", "{t}d")
    told = [event for _, event, _ in shard.events]
    assert told == ["new", "sortstore", "sortstore", "del"]


@pytest.mark.parametrize("words", [("BY", "{l}*"), ("BY", "{l}*", "ALPHA"), ("BY", "{l}*->f")])
def test_what_by_names_is_bounded_however_often_it_is_named(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sort, "WEIGHTS_BYTES_MAX", 1000)
    shard = Driver()
    shard.run("RPUSH", "{l}", *["a"] * 11)
    shard.run(
        "HSET" if "->f" in words[1] else "SET", "{l}a", *["f"] * ("->f" in words[1]), "1" * 90
    )
    assert shard.run("SORT", "{l}", *words) == [b"a"] * 11
    shard.run("RPUSH", "{l}", "a")
    reply = shard.run("SORT", "{l}", *words, "STORE", "{l}new")
    assert isinstance(reply, ErrorReply)
    assert reply.text.startswith("what BY names is longer")
    assert shard.run("EXISTS", "{l}new") == 0


@pytest.mark.parametrize("is_descending", [False, True])
def test_numbers_as_most_people_write_them_are_sorted_as_any_others(is_descending: bool) -> None:  # noqa: FBT001 - a parameter of the test.
    texts = ["3", "-2", "10", "2.50", "-0", "0", "00", "2.5", "1e1", " 7", "1" * 17, "0.1"]
    ordinary = [text for text in texts if text not in ("1e1", " 7")]
    for some in (ordinary, texts):
        shard = Driver()
        shard.run("RPUSH", "l", *some)
        expected = sorted(some, key=lambda text: (float(text), text), reverse=is_descending)
        words = ["DESC"] if is_descending else []
        assert shard.run("SORT", "l", *words) == [text.encode() for text in expected]


@pytest.mark.parametrize("text", ["1\n2", "1_0", "9" * 400, "٣", "1.", "."])
def test_what_only_looks_like_numbers_is_read_as_before(text: str) -> None:
    shard = Driver()
    shard.run("RPUSH", "l", "1", text, "2")
    reply = shard.run("SORT", "l")
    if text == "1.":
        assert reply == [b"1", b"1.", b"2"]
    else:
        assert isinstance(reply, ErrorReply)
