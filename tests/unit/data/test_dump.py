"""The RDB format: what a real Redis (7.0.15) wrote is read, and written again to the same bytes."""

from __future__ import annotations

from random import Random
from typing import Any  # Values of every type.

import anycrc
import pytest

from trimaran.cluster.settings import DEFAULTS, Settings
from trimaran.node.data import rdb
from trimaran.node.data.dump import (
    VERSION_MAX,
    WrongFooter,
    check_footer,
    dump,
    restore,
    with_footer,
)
from trimaran.node.data.hash import Hash
from trimaran.node.data.large_string import LargeString
from trimaran.node.data.quicklist import ListValue
from trimaran.node.data.rdb import Malformed, write_listpack, write_string
from trimaran.node.data.set import SetValue
from trimaran.node.data.sorted_set import SortedSet
from trimaran.node.data.stream import Stream, id_of
from trimaran.node.errors import CommandError
from trimaran.proto.reply import OK

from ...model.driver import Driver

# By a Redis with small limits for its listpacks, so that every form is there.
REDIS_7 = {
    "integer": "00c290eefeff0a002875de7b13eb2800",
    "text": "000568656c6c6f0a006372df766534200a",
    "compressed": "00c30e40780668656c6c6f2068e06605016f200a00916ac33315a1e96c",
    "intset": "0b140400000003000000fbffffff01000000701101000a0086a0bbcf3a22ed25",
    "set": "020101610a006296e97e44d21a6d",
    "hash": "0402016201780161c0010a000b1bd48fa0f78dfb",
    "long hash": "04010161c3094041017878e034000178780a00e3496e07cf51c843",
    "sorted set": "05030163000000000000f07f016200000000000004400161000000000000f03f0a00d05d23af3e"
    "180fa6",
    "long sorted set": "0501c3094041017979e03400017979000000000000f8bf0a00e81ccfea58e07652",
    "list": "1204020a0a0000000100816102ff02090900000001000501ff020c0c0000000100f290eefe04ff02c3"
    "10405008500000000100e04662e03c000148ff0a00fe07dba62e04a745",
    "stream": "130110000000000000000100000000000000013b3b000000180002010101010181610200010201000100"
    "01010104010301000101010201040100010401dfff020201816202030181630204010801ff0205000101010203010167"
    "000081ffffffffffffffff00000a00363acc3175a0906b",
}
SMALL = Settings(hash_max_listpack_entries=1, zset_max_listpack_entries=0)


def _plain(value: Any) -> Any:
    """What is in a value."""
    match value:
        case ListValue():
            return list(value)
        case SetValue():
            return sorted(value.members())
        case SortedSet():
            return list(value.items())
        case Hash():
            return dict(value.fields.items())
        case Stream():
            return list(value.entries())
        case _:
            return value


PLAIN = {
    "integer": b"-70000",
    "text": b"hello",
    "compressed": b"hello " * 20,
    "intset": [b"-5", b"1", b"70000"],
    "set": [b"a"],
    "hash": {b"b": b"x", b"a": b"1"},
    "long hash": {b"a": b"x" * 65},
    "sorted set": [(b"a", 1.0), (b"b", 2.5), (b"c", float("inf"))],
    "long sorted set": [(b"y" * 65, -1.5)],
    "list": [b"a", b"5", b"-70000", b"b" * 70],
    "stream": [(id_of(1, 1), [b"a", b"1"]), (id_of(5, 0), [b"b", b"3", b"c", b"4"])],
}


@pytest.mark.parametrize("name", REDIS_7)
def test_what_redis_wrote_is_read(name: str) -> None:
    payload = bytes.fromhex(REDIS_7[name])
    check_footer(payload)
    assert _plain(restore(payload, SMALL)) == PLAIN[name]


@pytest.mark.parametrize("name", [name for name in REDIS_7 if name not in ("list", "stream")])
def test_what_redis_wrote_is_written_again(name: str) -> None:
    payload = bytes.fromhex(REDIS_7[name])
    assert dump(restore(payload, SMALL)).hex() == payload.hex()


def test_what_groups_know_is_read_and_written() -> None:
    stream = restore(bytes.fromhex(REDIS_7["stream"]), SMALL)
    assert isinstance(stream, Stream)
    group = stream.change_group(b"g")
    alice = group.add_consumer(b"alice", 1000, 2000)
    group.add_consumer(b"bob", 3000)
    group.assign(id_of(1, 1), alice, 1500, 3)
    group.assign(id_of(5, 0), alice, 1600, 1)
    copy = restore(dump(stream), SMALL)
    assert isinstance(copy, Stream)
    assert (copy.last_id, copy.added, copy.length) == (id_of(5, 0), 3, 2)
    assert (copy.max_deleted_id, copy.first_id, copy.top_id) == (
        id_of(1, 2),
        id_of(1, 1),
        id_of(5, 0),
    )
    found = copy.groups[b"g"]
    assert [one.name for one in found.in_order()] == [b"alice", b"bob"]
    assert found.pending_of(id_of(1, 1)) == (b"alice", 1500, 3)
    assert found.pending_of(id_of(5, 0)) == (b"alice", 1600, 1)
    assert copy.size_bytes() > 0


# --- Forms that the installed Redis reads or wrote once, but does not write.

WORDS = [b"a", b"300", b"", b"-5", b"70000", b"-9223372036854775808", b"x" * 70, b"y" * 5000]
PAIRS = [b"a", b"1", b"b", b"2.5"]
SCORES = [(b"a", 1.0), (b"b", 2.5)]


def _ziplist(words: list[bytes]) -> bytes:
    body, before = b"", 0
    for word in words:
        head = bytes((before,)) if before < 254 else b"\xfe" + before.to_bytes(4, "little")
        if word in (b"0", b"5", b"12"):
            entry = head + bytes((0xF1 + int(word),))
        elif word in (b"70000",):
            entry = head + b"\xd0" + int(word).to_bytes(4, "little")
        elif word in (b"300", b"-500"):
            entry = head + b"\xc0" + int(word).to_bytes(2, "little", signed=True)
        elif len(word) < 64:
            entry = head + bytes((len(word),)) + word
        elif len(word) < 1 << 14:
            entry = head + bytes((0x40 | len(word) >> 8, len(word) & 255)) + word
        else:
            entry = head + b"\x80" + len(word).to_bytes(4, "big") + word
        body, before = body + entry, len(entry)
    head = (len(body) + 11).to_bytes(4, "little") + bytes(4) + len(words).to_bytes(2, "little")
    return write_string(head + body + b"\xff")


def _paired(words: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(words[::2], words[1::2], strict=True))


ZIPPED = [b"a", b"5", b"300", b"x" * 300, b"70000", b"y" * 20_000, b"0", b"-500"]
_FIRST_MS = (10**12).to_bytes(8, "little")
OTHERS: dict[str, tuple[bytes, Any]] = {
    "list": (b"\x01\x02" + write_string(b"a") + write_string(b"12"), [b"a", b"12"]),
    "old sorted set": (b"\x03\x02\x01a\x031.5\x01b\xfe", [(b"a", 1.5), (b"b", float("inf"))]),
    "list in a ziplist": (b"\x0a" + _ziplist(ZIPPED), ZIPPED),
    "sorted set in a ziplist": (b"\x0c" + _ziplist([b"a", b"5", b"b", b"5.5"]),
                                [(b"a", 5.0), (b"b", 5.5)]),
    "hash in a ziplist": (b"\x0d" + _ziplist(ZIPPED), _paired(ZIPPED)),
    "quicklist of ziplists": (b"\x0e\x02" + _ziplist(ZIPPED) + _ziplist([b"z"]), [*ZIPPED, b"z"]),
    "hash in a listpack": (b"\x10" + write_string(write_listpack(PAIRS)),
                           _paired(PAIRS)),
    "sorted set in a listpack": (b"\x11" + write_string(write_listpack(PAIRS)), SCORES),
    "plain node of a list": (b"\x12\x01\x01\x03abc", [b"abc"]),
    "set in a listpack": (b"\x14" + write_string(write_listpack(WORDS)), sorted(WORDS)),
    "hash with expiries": (b"\x18" + _FIRST_MS + b"\x02\0\x01f\x01v\x05\x01g\x01w",
                           {b"f": b"v", b"g": b"w"}),
    "hash with expiries in a listpack": (
        b"\x19" + _FIRST_MS + write_string(
            write_listpack([b"f", b"v", b"0", b"g", b"w", b"1000000000004"])
        ),
        {b"f": b"v", b"g": b"w"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_forms_are_read(name: str) -> None:
    body, expected = OTHERS[name]
    value = restore(with_footer([body]), DEFAULTS)
    assert _plain(value) == expected
    if "expiries" in name:
        assert (value.expiry_of(b"f"), value.expiry_of(b"g")) == (None, 10**12 + 4)


def test_a_hash_whose_fields_expire_is_written_as_later_versions_do() -> None:
    value = restore(with_footer([OTHERS["hash with expiries"][0]]), DEFAULTS)
    value.expire(b"f", 10**12 - 7)
    payload = dump(value)
    assert payload[-10:-8] == b"\x0c\0"
    copy = restore(payload, DEFAULTS)
    assert _plain(copy) == _plain(value)
    assert (copy.expiry_of(b"f"), copy.expiry_of(b"g")) == (10**12 - 7, 10**12 + 4)


def test_a_stream_of_the_first_version_is_read() -> None:
    # Of Redis 5 and 6: no first id, no deleted id, no count of all entries, none of those read.
    node = write_listpack(
        [b"2", b"0", b"1", b"f", b"0", b"2", b"0", b"0", b"v", b"4", b"2", b"1", b"0", b"w", b"4"]
    )
    body = b"\x0f\x01\x10" + id_of(7, 1).to_bytes(16, "big") + write_string(node)
    body += b"\x02\x08\x01" + b"\x01\x01g\x07\x01" + b"\x01" + id_of(7, 1).to_bytes(16, "big")
    body += (5000).to_bytes(8, "little") + b"\x03" + b"\x01\x01c" + (6000).to_bytes(8, "little")
    body += b"\x01" + id_of(7, 1).to_bytes(16, "big")
    stream = restore(with_footer([body], 9), DEFAULTS)
    assert list(stream.entries()) == [(id_of(7, 1), [b"f", b"v"]), (id_of(8, 1), [b"f", b"w"])]
    assert (stream.added, stream.last_id, stream.groups[b"g"].entries_read) == (2, id_of(8, 1), 1)
    assert stream.groups[b"g"].pending_of(id_of(7, 1)) == (b"c", 5000, 3)


@pytest.mark.parametrize("element", [b"x" * length for length in (63, 64, 4095, 4096, 70_000)])
def test_long_elements_survive_a_listpack(element: bytes) -> None:
    words = [*WORDS, element, b"4095", b"-4096", b"4096", b"-4097", b"8388608", b"2147483648"]
    assert rdb.read_listpack(write_listpack(words), 100) == words


def test_a_large_string_is_written_as_a_plain_one() -> None:
    text = b"hello" * 100_000
    assert dump(LargeString(text)) == dump(text)
    assert restore(dump(text), DEFAULTS) == text
    long = Random(1).randbytes(3 << 20)
    assert restore(dump(long), DEFAULTS) == long


# --- What is wrong with a payload.


def _crc(payload: bytes) -> bytes:
    crc = anycrc.CRC(64, 0xAD93D23594C935A9, 0, True, True, 0)  # noqa: FBT003
    return payload + int(crc.calc(payload)).to_bytes(8, "little")


@pytest.mark.parametrize(
    "payload",
    [b"", b"x" * 9, b"\1" * 10, with_footer([b"\0\x01x"])[:-1] + b"!", with_footer([b""])[1:]],
)
def test_a_wrong_footer_is_seen(payload: bytes) -> None:
    with pytest.raises(WrongFooter):
        check_footer(payload)


def test_payloads_of_later_versions_are_refused() -> None:
    check_footer(_crc(b"\0\x01x" + VERSION_MAX.to_bytes(2, "little")))
    with pytest.raises(WrongFooter):
        check_footer(_crc(b"\0\x01x" + (VERSION_MAX + 1).to_bytes(2, "little")))


BAD = {
    "nothing": b"",
    "no such type": b"\x06\x01x",
    "a string that ends early": b"\0\x0eabc",
    "an empty list": b"\x12\0",
    "an empty listpack": b"\x12\x01\x02" + write_string(write_listpack([])),
    "a set with a member twice": b"\x02\x02\x01a\x01a",
    "a hash with a field twice": b"\x04\x02\x01a\x01b\x01a\x01c",
    "a hash with a field alone": b"\x10" + write_string(write_listpack([b"a"])),
    "a score that is none": b"\x05\x01\x01a" + b"\xff" * 8,
    "a score that Python alone reads": b"\x11" + write_string(write_listpack([b"a", b"1_0"])),
    "a kind of node that is none": b"\x12\x01\x03\x01a",
    "integers out of order": b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x02\0\x01\0",
    "a listpack with a wrong count": b"\x14\x0a\x0a\0\0\0\x02\0\x01\x01\xff\xff",
    "a length that is a number": b"\x02\xc0\x01",
    "more elements than bytes": b"\x02\x80\xff\xff\xff\xff\x01a",
    "text that expands to nothing": b"\0\xc3\x02\x40\x64ab",
    "a stream shorter than it says": b"\x13\0\x05\x01\0\0\0\0\0\0\0",
    "a stream with two groups of a name": b"\x13\0\0\x01\0\0\0\0\0\0\x02"
    + b"\x01g\0\0\0\0\0" * 2,
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        restore(with_footer([BAD[name]]), DEFAULTS)


@pytest.mark.parametrize("seed", range(3))
def test_bytes_that_changed_on_the_way_end_in_a_value_or_a_refusal(seed: int) -> None:
    rng = Random(seed)
    bodies = [bytes.fromhex(text)[:-10] for text in REDIS_7.values()]
    bodies += [body for body, _ in OTHERS.values()]
    for _ in range(4000):
        body = bytearray(rng.choice(bodies))
        for _ in range(1 + int(rng.random() * 3)):
            place = int(rng.random() * len(body))
            if rng.random() < 0.8:
                body[place] = rng.choice([0, 1, 0x7F, 0x80, 0xC3, 0xF0, 0xFF, rng.getrandbits(8)])
            else:
                del body[place : place + 1 + int(rng.random() * 3)]
                body = body or bytearray(1)
        try:
            value = restore(with_footer([bytes(body)]), DEFAULTS)
        except Malformed:
            continue
        assert _plain(restore(dump(value), DEFAULTS)) == _plain(value)


def test_a_value_is_bounded_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdb, "ELEMENTS_MAX", 100)
    monkeypatch.setattr(rdb, "EXPANDED_BYTES_MAX", 10_000)
    words = [b"%d" % number for number in range(101)]
    too_large = [
        b"\x02" + rdb.write_length(101) + b"".join(map(write_string, words)),
        b"\x14" + write_string(write_listpack(words)),
        b"\x0b" + write_string(rdb.write_intset(list(range(101)))),
        b"\x12\x02" + (b"\x02" + write_string(write_listpack(words[:60]))) * 2,
        b"\0" + write_string(b"x" * 20_000),
    ]
    for body in too_large:
        with pytest.raises(CommandError, match="larger than RESTORE takes"):
            restore(with_footer([body]), DEFAULTS)


def test_ids_of_a_stream_may_be_as_far_apart_as_they_can() -> None:
    driver = Driver()
    most = 18446744073709551615
    for text in ("5-7", f"5-{most}", "9223372036854775900-0", f"{most}-3"):
        driver.run("XADD", "a", text, "field", "1")
    payload = driver.run("DUMP", "a")
    assert isinstance(payload, bytes)
    # In Redis's node the differences to the first id are numbers of 64 bits with a sign.
    assert b"-18446744073709551608" not in payload
    assert driver.run("RESTORE", "b", 0, payload) == OK
    assert driver.run("XRANGE", "b", "-", "+") == driver.run("XRANGE", "a", "-", "+")
