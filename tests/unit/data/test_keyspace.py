"""The keyspace's contract: time, expiry, what reading leaves alone, counting, digests."""

from __future__ import annotations

import pytest

from trimaran.node.data.buckets import BUCKET_KEYS_MAX, place_of
from trimaran.node.data.keyspace import INTERNAL_DB, KEEP, ExpiryPending, Keyspace
from trimaran.node.errors import CommandError


def writing(now_ms: int = 1000, db: int = 0, keys: Keyspace | None = None) -> Keyspace:
    keys = Keyspace() if keys is None else keys
    keys.enter(db, now_ms, is_read=False)
    return keys


def test_a_key_lives_in_its_database_only() -> None:
    keys = writing(db=1)
    keys.put(b"a", b"one")
    keys.enter(2, 1000, is_read=True)
    assert keys.find(b"a", bytes) is None
    keys.enter(1, 1000, is_read=True)
    assert keys.find(b"a", bytes) == b"one"


def test_finding_another_type_is_refused() -> None:
    keys = writing()
    keys.put(b"a", b"text")
    with pytest.raises(CommandError, match="WRONGTYPE Operation against a key"):
        keys.find(b"a", list)


# --- Time (correctness A2).


def test_time_never_goes_back() -> None:
    keys = Keyspace()
    assert keys.begin_entry(1, 5000) == 5000
    assert keys.begin_entry(2, 4000) == 5000
    keys.enter(0, 4000, is_read=False)
    keys.put(b"a", b"", 4500)
    assert not keys.exists(b"a")


def test_a_key_is_absent_from_its_expiry_on() -> None:
    keys = writing(1000)
    keys.put(b"a", b"x", 2000)
    writing(1999, keys=keys)
    assert keys.exists(b"a")
    writing(2000, keys=keys)
    assert not keys.exists(b"a")
    assert keys.expiry_of(b"a") is None


def test_a_read_ahead_of_the_log_does_not_call_a_due_key_absent() -> None:
    # Absent now and there again after a failover to a slower clock would be a lost update.
    keys = writing(1000)
    keys.put(b"a", b"x", 2000)
    keys.enter(0, 2500, is_read=True)
    for read in (keys.exists, keys.expiry_of, keys.type_of):
        with pytest.raises(ExpiryPending) as caught:
            read(b"a")
        assert caught.value.key == b"a"
    with pytest.raises(ExpiryPending):
        keys.page(0, 10)


def test_a_due_key_is_absent_for_reads_once_an_applied_stamp_is_past_it() -> None:
    keys = writing(1000)
    keys.put(b"a", b"x", 2000)
    keys.begin_entry(2, 2000)
    keys.enter(0, 2000, is_read=True)
    assert not keys.exists(b"a")
    assert keys.page(0, 10) == (0, [])


def test_reading_changes_nothing() -> None:
    keys = writing(1000)
    keys.put(b"due", b"x", 2000)
    keys.put(b"a", b"x", 9000)
    keys.begin_entry(2, 3000)
    before = keys.digest(), keys.memory_bytes, keys.count()
    keys.enter(0, 3500, is_read=True)
    keys.find(b"due", bytes)
    keys.find(b"absent", bytes)
    keys.expiry_of(b"due")
    keys.page(0, 10)
    keys.due(99_999, 10)
    assert (keys.digest(), keys.memory_bytes, keys.count()) == before


def test_a_read_that_writes_is_stopped() -> None:
    keys = Keyspace()
    keys.enter(0, 1000, is_read=True)
    with pytest.raises(AssertionError):
        keys.put(b"a", b"")
    with pytest.raises(AssertionError):
        keys.flush()


# --- Writing.


def test_put_takes_the_expiry_away_unless_told_to_keep_it() -> None:
    keys = writing()
    keys.put(b"a", b"1", 5000)
    keys.put(b"a", b"2", KEEP)
    assert keys.expiry_of(b"a") == 5000
    keys.put(b"a", b"3")
    assert keys.expiry_of(b"a") is None


def test_the_expiry_of_a_due_key_is_not_kept() -> None:
    keys = writing(1000)
    keys.put(b"a", b"1", 2000)
    writing(3000, keys=keys)
    keys.put(b"a", b"2", KEEP)
    assert keys.exists(b"a")
    assert keys.expiry_of(b"a") is None


def test_deleting_a_due_key_removes_it_but_it_was_not_there() -> None:
    keys = writing(1000)
    keys.put(b"a", b"1", 2000)
    writing(3000, keys=keys)
    assert keys.delete(b"a") is False
    assert keys.count() == 0


def test_persist_and_expire_change_the_expiry_alone() -> None:
    keys = writing()
    keys.put(b"a", b"1")
    keys.expire(b"a", 4000)
    assert keys.expiry_of(b"a") == 4000
    keys.persist(b"a")
    assert keys.expiry_of(b"a") is None
    assert keys.find(b"a", bytes) == b"1"


def test_flush_spares_what_the_package_keeps_for_itself() -> None:
    keys = writing(db=INTERNAL_DB)
    keys.put(b"topology", b"{}")
    for db in (0, 5):
        writing(db=db, keys=keys)
        keys.put(b"a", b"1")
    keys.flush()
    assert keys.databases == [INTERNAL_DB]
    assert keys.count(5) == 0


def test_flush_of_one_database_leaves_the_others() -> None:
    keys = writing(db=1)
    keys.put(b"a", b"1")
    writing(db=2, keys=keys)
    keys.put(b"a", b"1")
    keys.flush(2)
    keys.put(b"b", b"1")
    assert keys.databases == [1, 2]
    assert not keys.exists(b"a")


# --- Counting and digests.


def test_memory_is_counted_exactly_back_to_nothing() -> None:
    keys = writing()
    assert keys.memory_bytes == 0
    keys.put(b"a", b"x" * 100)
    one = keys.memory_bytes
    keys.put(b"a", b"x" * 150)
    assert keys.memory_bytes == one + 50
    keys.put(b"a", b"x" * 100, 5000)
    assert keys.memory_bytes > one
    keys.persist(b"a")
    assert keys.memory_bytes == one
    keys.expire(b"a", 5000)
    keys.delete(b"a")
    assert keys.memory_bytes == 0


def test_digest_does_not_depend_on_the_way_to_a_state() -> None:
    one, other = writing(), writing()
    for number in range(50):
        one.put(b"%d" % number, b"x")
        one.digest()  # What is cached in between must not matter.
    for number in reversed(range(60)):
        other.put(b"%d" % number, b"y", 9000)
    for number in range(60):
        other.put(b"%d" % number, b"x")
        if number >= 50:
            other.delete(b"%d" % number)
    assert one.digest() == other.digest()


def test_digest_tells_every_part_of_the_state_apart() -> None:
    def digest(db: int, key: bytes, value: bytes, expire_at_ms: int | None, stamp: int) -> int:
        keys = writing(stamp, db)
        keys.put(key, value, expire_at_ms)
        return keys.digest()

    digests = {
        digest(0, b"a", b"x", None, 1000),
        digest(1, b"a", b"x", None, 1000),
        digest(0, b"b", b"x", None, 1000),
        digest(0, b"a", b"y", None, 1000),
        digest(0, b"a", b"x", 2000, 1000),
        digest(0, b"a", b"x", 2001, 1000),
        digest(0, b"a", b"x", None, 1001),
        digest(0, b"", b"ax", None, 1000),
        Keyspace().digest(),
    }
    assert len(digests) == 9


def test_digest_covers_sessions_and_their_replies() -> None:
    keys = writing()
    digests = {keys.digest()}
    keys.sessions.register(7, 60_000, 1000)
    digests.add(keys.digest())
    keys.sessions.lookup(7, 1, 0, 1000)
    keys.sessions.keep(7, 1, b"reply")
    digests.add(keys.digest())
    keys.sessions.lookup(7, 2, 2, 1000)
    digests.add(keys.digest())
    assert len(digests) == 4


# --- What comes due.


def test_due_keys_are_found_in_every_database_and_stay_until_removed() -> None:
    keys = writing(1000, 0)
    keys.put(b"soon", b"", 2000)
    keys.put(b"later", b"", 3000)
    keys.put(b"never", b"")
    writing(1000, 4, keys)
    keys.put(b"other", b"", 1500)
    assert keys.next_due_ms() == 1500
    assert keys.due(1499, 10) == []
    for _ in range(2):
        assert keys.due(2000, 10) == [(0, b"soon"), (4, b"other")]
    assert keys.due(2000, 1) == [(0, b"soon")]
    assert len(keys.due(9000, 10)) == 3


def test_a_key_is_due_by_its_last_expiry_only() -> None:
    keys = writing()
    keys.put(b"a", b"", 2000)
    keys.expire(b"a", 5000)
    assert keys.due(4999, 10) == []
    keys.expire(b"a", 3000)
    assert keys.due(4999, 10) == [(0, b"a")]
    keys.persist(b"a")
    assert keys.due(9999, 10) == []
    assert keys.next_due_ms() is None


def test_expiries_that_come_and_go_leave_nothing_behind() -> None:
    # A lock taken and released a million times with a far timeout is one key.
    keys = writing()
    for number in range(5000):
        keys.put(b"lock", b"", 100_000 + number)
        keys.delete(b"lock")
    assert len(keys._database.due) < 10


def test_keys_with_an_expiry_are_counted_and_their_expiries_summed_up() -> None:
    keys = writing()
    for number in range(3000):  # Enough for buckets to be split.
        keys.put(b"{tag}%d" % number, b"", 1_000_000 + number if number % 2 else None)
    keys.put(b"{tag}1", b"again", KEEP)
    keys.put(b"{tag}3", b"no more")
    keys.persist(b"{tag}5")
    keys.expire(b"{tag}7", 5_000_000)
    keys.expire(b"{tag}0", 6_000_000)
    keys.delete(b"{tag}9")
    wanted = {number: 1_000_000 + number for number in range(1, 3000, 2)} | {0: 6_000_000}
    wanted[7] = 5_000_000
    for gone in (3, 5, 9):
        del wanted[gone]
    assert keys.expiring(0) == (len(wanted), sum(wanted.values()))
    assert keys.expiring(4) == (0, 0)
    keys.flush(0)
    assert keys.expiring(0) == (0, 0)


def test_expiries_moved_ever_earlier_stay_bounded() -> None:
    keys = writing()
    keys.put(b"a", b"")
    for number in range(20_000):
        keys.expire(b"a", 100_000 - number)
    assert len(keys._database.due) < 2000
    assert keys.due(100_000 - 19_999, 10) == [(0, b"a")]


def test_due_keys_of_a_split_slot_are_found() -> None:
    keys = writing()
    count = 3 * BUCKET_KEYS_MAX
    for number in range(count):
        keys.put(b"{tag}%d" % number, b"", 2000 + number)
    assert len(keys.due(2000 + count // 2 - 1, 10 * count)) == count // 2
    assert keys.next_due_ms() == 2000


# --- Walking.


def walk(keys: Keyspace, count: int) -> list[bytes]:
    found: list[bytes] = []
    cursor = 0
    while True:
        cursor, page = keys.page(cursor, count)
        found += page
        if cursor == 0:
            return found


@pytest.mark.parametrize("tag", [b"", b"{tag}"])
@pytest.mark.parametrize("count", [1, 10, 997, 100_000])
def test_pages_hold_every_key_once(tag: bytes, count: int) -> None:
    keys = writing()
    names = [b"%s%d" % (tag, number) for number in range(3 * BUCKET_KEYS_MAX)]
    for name in names:
        keys.put(name, b"")
    found = walk(keys, count)
    assert len(found) == len(names)
    assert set(found) == set(names)


def test_the_order_of_pages_is_the_same_whatever_the_order_of_writes() -> None:
    names = [b"{tag}%d" % number for number in range(3000)] + [b"%d" % one for one in range(3000)]
    one, other = writing(), writing()
    for name in names:
        one.put(name, b"")
    for name in reversed([*names, b"{tag}gone", b"gone"]):
        other.put(name, b"")
    other.delete(b"{tag}gone")
    other.delete(b"gone")
    assert walk(one, 100) == walk(other, 100)


@pytest.mark.parametrize("tag", [b"", b"{tag}"])
def test_keys_that_stay_are_met_once_while_others_come_and_go(tag: bytes) -> None:
    keys = writing()
    stay = {b"%sstay%d" % (tag, number) for number in range(2000)}
    for name in stay:
        keys.put(name, b"")
    found: list[bytes] = []
    cursor = place = 0
    while True:
        cursor, page = keys.page(cursor, 20)
        found += [key for key in page if key in stay]
        for _ in range(30):  # Enough to split the slot many times on the way.
            keys.put(b"%sgo%d" % (tag, place), b"")
            keys.delete(b"%sgo%d" % (tag, place - 50))
            place += 1
        if cursor == 0:
            break
    assert sorted(found) == sorted(stay)


def test_a_cursor_is_good_on_any_replica() -> None:
    leader = writing()
    for number in range(4000):
        leader.put(b"{tag}%d" % number, b"")
    replica = writing()  # It saw more, and its slot is split otherwise.
    for number in range(9000):
        replica.put(b"{tag}%d" % number, b"")
    for number in range(4000, 9000):
        replica.delete(b"{tag}%d" % number)
    cursor, first = leader.page(0, 1500)
    assert 0 < cursor < 1 << 53
    found = list(first)
    while cursor:
        cursor, page = replica.page(cursor, 100)
        found += page
    assert sorted(found) == sorted(walk(leader, 100_000))


def test_keys_with_equal_hashes_come_in_one_page() -> None:
    # Two of the keys of one slot that share all 32 bits of the hash.
    one, other = b"{t}91119", b"{t}140457"
    assert place_of(one) == place_of(other)
    keys = writing()
    for name in (one, other, b"{t}x", b"{t}y"):
        keys.put(name, b"")
    assert sorted(walk(keys, 1)) == sorted([one, other, b"{t}x", b"{t}y"])


def test_every_key_can_be_had_by_its_number() -> None:
    keys = writing()
    for number in range(1500):
        keys.put(b"{tag}%d" % number, b"")
        keys.put(b"%d" % number, b"")
    assert [keys.nth_key(number) for number in range(0, 3000, 7)] == walk(keys, 100)[::7]


def test_emptied_buckets_are_looked_at_a_part_at_a_time() -> None:
    keys = Keyspace()
    keys.enter(0, 1, is_read=False)
    names = [b"%d" % number for number in range(20_000)]
    for name in names:
        keys.put(name, b"", 1000)
    for name in names[:-1]:
        keys.delete(name)
    looks = 0
    while not (due := keys.due(2000, 10)):
        looks += 1
    assert due == [(0, names[-1])]
    assert looks > 1
