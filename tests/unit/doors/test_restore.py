"""What RESTORE and its kin mean to a door: nothing that cannot be read is put into a log."""

from __future__ import annotations

from trimaran.node.data.dump import with_footer

from .fakes import MemoryRouter, Rig, Router

GOOD = with_footer([b"\0\x01x"])
MALFORMED = with_footer([b"\x02\0" + b"x" * 1000])


def _restore(payload: bytes) -> list[bytes]:
    return [b"restore", b"k", b"0", payload]


def test_a_payload_goes_on_only_if_it_can_be_read() -> None:
    rig = Rig(Router())
    rig.client().send([b"SELECT", b"1"], _restore(GOOD))
    assert list(rig.router.take().commands[0]) == [b"RESTORE", b"k", b"0", GOOD]
    rig.client().send([b"SELECT", b"1"], _restore(MALFORMED))
    assert MALFORMED not in rig.router.take().commands[0]


def test_so_it_is_in_a_transaction() -> None:
    rig = Rig(Router())
    rig.client().send(*(b"SELECT 1", b"MULTI"), _restore(MALFORMED), _restore(GOOD), b"EXEC")
    packed = rig.router.take().commands[0][1]
    assert GOOD in packed
    assert MALFORMED not in packed


def test_the_answer_is_the_same_as_if_it_had() -> None:
    client = Rig(MemoryRouter()).client()
    client.send(b"SELECT 1", _restore(MALFORMED), _restore(b"x" * 100), b"SET k 1")
    client.send(_restore(MALFORMED), b"DEL k", _restore(GOOD), b"GET k", b"DUMP k")
    assert client.replies() == [
        *(b"OK", "ERR Bad data format", "ERR DUMP payload version or checksum are wrong", b"OK"),
        *("BUSYKEY Target key name already exists.", 1, b"OK", b"x", GOOD),
    ]


def test_migrate_names_the_way_out() -> None:
    client = Rig(MemoryRouter()).client()
    answer = client.ask([b"MIGRATE", b"host", b"6379", b"k", b"0", b"1000"])
    assert answer.startswith("ERR MIGRATE is not supported")
    assert "RESTORE" in answer
    assert client.ask(b"COMMAND GETKEYS MIGRATE h 1 k 0 5") == [b"k"]
    words = [b"COMMAND", b"GETKEYS", b"MIGRATE", b"h", b"1", b"", b"0", b"5", b"KEYS", b"a", b"b"]
    assert client.ask(words) == [b"a", b"b"]


def test_the_self_test_of_counting_is_answered_here() -> None:
    assert Rig(MemoryRouter()).client().ask(b"PFSELFTEST") == b"OK"
