"""Room for keys: who is evicted, what is refused, and that both are the same on every replica."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random

import pytest

from trimaran.cluster.settings import Settings, pack_settings
from trimaran.cluster.slots import SLOTS, ShardId
from trimaran.node.commands.functions import LOAD_FUNCTION
from trimaran.node.commands.internal import EVICT, OUT_OF_MEMORY, WHEN_FULL
from trimaran.node.commands.transactions import EXEC, pack_transaction
from trimaran.node.data.buckets import SLOT_BITS, Bucket
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.uses import TICKS_PER_S, Kind, Uses
from trimaran.node.evicting import HOLD_MAX_NS, Evictor, when_full
from trimaran.node.request import Done, Outcome
from trimaran.node.shard import ShardLimits
from trimaran.proto.reply import OK, ErrorReply, Reply

from ...model.driver import Driver, copy_of
from ...sim.schedule import MS, SECOND
from .rig import Lone, Rig

REFUSED = ErrorReply("OOM", "command not allowed when used memory > 'maxmemory'.")


class Room:
    """A shard of one that leads, and the evictor of its node."""

    def __init__(self, policy: str = "allkeys-lru", samples: int = 5) -> None:
        self.lone = Lone(limits=ShardLimits(1 << 20, 1 << 16)).lead()
        self.shard = self.lone.shard
        self.evictor = Evictor({ShardId(0): self.shard}, "n1")
        self.shard._pressure = self.evictor.pressure
        self.policy = policy
        self.samples = samples
        self.limit(0)
        self.tick()

    def limit(self, bytes_: int) -> None:
        settings = Settings(
            maxmemory=bytes_, maxmemory_policy=self.policy, maxmemory_samples=self.samples
        )
        self.evictor.settings = settings
        self.shard._settings = lambda: pack_settings(settings.changed())

    def tick(self, seconds: int = 0) -> None:
        self.lone.now_ns += seconds * SECOND
        self.evictor.tick(self.lone.now_ns)

    def turn(self) -> None:
        self.lone.now_ns += MS
        self.evictor.turn(self.lone.now_ns, 1 << 60)

    def settle(self) -> None:
        """Rounds until none begins."""
        self.turn()
        while self.shard.has_waiting_writes:
            self.shard.propose(self.lone.now_ns, self.lone.wall_ms)
            self.lone.pump()
            self.turn()

    def write(self, *commands: str) -> Sequence[object]:
        return self.lone.write(*commands).replies

    def names(self) -> set[bytes]:
        self.lone.keys.enter(0, self.lone.wall_ms, is_read=True)
        return set(self.lone.keys.page(0, 10_000)[1])


def filled(policy: str, keys: int = 40, samples: int = 5) -> Room:
    room = Room(policy, samples)
    room.write(*[f"SET k{number} {'v' * 100}" for number in range(keys)])
    return room


# --- Who goes.


def test_what_was_used_last_stays_under_lru() -> None:
    room = filled("allkeys-lru", samples=64)
    room.tick(seconds=10)
    kept = {b"k%d" % number for number in range(0, 40, 4)}
    for name in sorted(kept):
        room.lone.read(f"GET {name.decode()}")
    room.limit(room.evictor.used_bytes() // 2)
    room.settle()
    assert room.evictor.used_bytes() <= room.evictor.settings.maxmemory
    assert kept <= room.names()
    assert 15 <= len(room.names()) <= 20  # No more than has to go.


def test_what_is_used_often_stays_under_lfu() -> None:
    room = filled("allkeys-lfu", samples=64)
    kept = {b"k%d" % number for number in range(0, 40, 4)}
    for name in sorted(kept) * 20:
        room.lone.read(f"GET {name.decode()}")
    room.limit(room.evictor.used_bytes() // 2)
    room.settle()
    assert kept <= room.names()


@pytest.mark.parametrize("rest", ["lru", "lfu", "random", "ttl"])
def test_a_volatile_policy_spares_what_does_not_expire(rest: str) -> None:
    room = filled(f"volatile-{rest}")
    room.write(*[f"SET t{number} {'v' * 100} EX 1000" for number in range(40)])
    room.limit(room.evictor.used_bytes() * 3 // 4)
    room.settle()
    names = room.names()
    assert {b"k%d" % number for number in range(40)} <= names
    assert 18 <= len(names) - 40 <= 25
    assert not room.evictor.pressure.is_full


def test_what_expires_first_goes_first_under_volatile_ttl() -> None:
    room = Room("volatile-ttl", samples=64)
    room.write(*[f"SET t{number} {'v' * 100} EX {1000 + number}" for number in range(40)])
    room.limit(room.evictor.used_bytes() // 2)
    room.settle()
    assert {int(name[1:]) for name in room.names()} >= set(range(25, 40))


def test_under_random_any_key_goes() -> None:
    room = filled("allkeys-random")
    room.limit(room.evictor.used_bytes() // 2)
    room.settle()
    assert 15 <= len(room.names()) <= 20


def test_a_round_names_no_more_keys_than_needed_and_the_next_waits_for_it() -> None:
    room = filled("allkeys-lru")
    room.limit(room.evictor.used_bytes() - 1)
    for _ in range(3):
        room.turn()
    assert room.shard.waiting_commands == 1
    room.settle()
    assert len(room.names()) == 39
    assert room.evictor.rounds == 1


def test_databases_share_the_room_and_the_clusters_own_keys_stay() -> None:
    room = Room("allkeys-random")
    keys = room.lone.keys
    keys.enter(255, 0, is_read=False)
    keys.put(b"own", b"x" * 1000)
    room.write("SET a 1")
    room.limit(1)
    room.settle()
    assert keys.databases == [255]
    assert room.evictor.pressure.is_full  # Nothing else is left to go.


# --- What waits, and what is refused.


def test_far_over_the_limit_writes_wait_for_evictions() -> None:
    room = filled("allkeys-lru")
    room.limit(room.evictor.used_bytes() // 2)
    room.turn()
    one = room.lone.write("SET new 1")
    assert one.outcome is None
    assert len(room.names()) < 40
    room.settle()
    room.shard.propose(room.lone.now_ns, room.lone.wall_ms)
    room.lone.pump()
    assert one.replies == [OK]


def test_evictions_that_do_not_come_about_are_not_waited_for_long() -> None:
    room = filled("allkeys-lru")
    room.limit(room.evictor.used_bytes() // 2)
    room.turn()
    assert room.evictor.pressure.is_holding
    room.lone.now_ns += HOLD_MAX_NS + 1
    room.turn()
    assert not room.evictor.pressure.is_holding
    assert room.write("SET new 1", "DEL k1", "GET k2")[0] == REFUSED


def test_without_a_policy_what_grows_is_refused_and_what_shrinks_is_not() -> None:
    room = filled("noeviction", keys=4)
    room.limit(100)
    room.turn()
    answers = room.write("SET k1 1", "GET k1", "DEL k1", "APPEND k2 x", "EXPIRE k3 100")
    assert answers == [REFUSED, b"v" * 100, 1, REFUSED, 1]
    room.limit(1 << 30)
    room.turn()
    assert room.write("SET k1 1") == [OK]


def test_a_refusal_is_an_answer_that_a_retry_gets_again() -> None:
    room = filled("noeviction", keys=4)
    session = room.lone.write("_SESSION.OPEN 60000").replies[0]
    assert isinstance(session, int)
    first = room.lone.write("SET k1 1", session=(session, 1, 1)).replies
    room.limit(100)
    room.turn()
    assert room.lone.write("SET k1 1", session=(session, 1, 1)).replies == first == [OK]
    assert room.lone.write("SET k2 1", session=(session, 2, 1)).replies == [REFUSED]
    room.limit(1 << 30)
    room.turn()
    assert room.lone.write("SET k2 1", session=(session, 2, 1)).replies == [REFUSED]
    assert room.lone.write("SET k2 1", session=(session, 3, 1)).replies == [OK]


def test_a_transaction_with_something_that_grows_is_refused_as_a_whole() -> None:
    growing = [EXEC, pack_transaction([(0, [b"DEL", b"a"]), (0, [b"SET", b"a", b"1"])]), b"a"]
    assert when_full(growing) == (OUT_OF_MEMORY, EXEC)
    shard = Driver()
    assert shard.apply([OUT_OF_MEMORY, EXEC]) == ErrorReply(
        "EXECABORT",
        "Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
    )
    others = [EXEC, pack_transaction([(0, [b"DEL", b"a"])]), b"a"]
    assert when_full(others) == others


@pytest.mark.parametrize(
    "name", [b"FUNCTION|LOAD", b"FUNCTION|RESTORE", LOAD_FUNCTION, b"XGROUP|CREATE"]
)
def test_subcommands_that_grow_are_refused(name: bytes) -> None:
    assert when_full([name, b"WORD", b"rest"]) == (OUT_OF_MEMORY,)


@pytest.mark.parametrize("name", [b"SCRIPT|LOAD", b"FUNCTION|FLUSH", b"FUNCTION|DELETE"])
def test_subcommands_that_do_not_grow_are_carried_out(name: bytes) -> None:
    assert when_full([name, b"WORD", b"rest"]) == [name, b"WORD", b"rest"]


def test_scripts_run_and_know_that_there_is_no_memory() -> None:
    assert when_full([b"EVAL", b"return 1", b"0"]) == (WHEN_FULL, b"EVAL", b"return 1", b"0")
    inside = [EXEC, pack_transaction([(0, [b"EVAL", b"return 1", b"0"])]), b"a"]
    assert when_full(inside) == (WHEN_FULL, *inside)


def test_a_command_that_is_carried_out_without_memory_answers_as_ever() -> None:
    shard = Driver()
    shard.run("SET", "a", "1")
    packed = pack_transaction([(0, [b"DEL", b"a"]), (0, [b"EXISTS", b"a"])])
    assert shard.apply([WHEN_FULL, EXEC, packed, b"a"]) == [1, 0]


# --- As it is applied.


def evicted(shard: Driver, policy: str, *names: bytes) -> Reply:
    shard.settings = Settings(maxmemory=1, maxmemory_policy=policy, notify_keyspace_events="KEA")
    return shard.apply([EVICT, *names])


def test_an_eviction_spares_what_was_made_to_stay_meanwhile() -> None:
    shard = Driver()
    shard.run("SET", "a", "1", "EX", "100")
    shard.run("SET", "b", "1", "EX", "100")
    shard.run("PERSIST", "b")
    assert evicted(shard, "volatile-lru", b"a", b"b", b"absent") == 1
    assert shard.run("EXISTS", "b") == 1
    assert evicted(shard, "noeviction", b"b") == 0
    assert evicted(shard, "allkeys-lru", b"b") == 1
    assert [event for event in shard.events if event[1] == "evicted"] == [
        (0, "evicted", b"a"),
        (0, "evicted", b"b"),
    ]
    assert shard.keys.evicted == 2


def test_how_keys_are_used_is_no_part_of_the_state() -> None:
    shard = Driver()
    shard.run("SET", "a", "1")
    copy = copy_of(shard.keys)
    shard.keys.uses = Uses(Kind(is_frequency=False), clock=5, keys=1)
    shard.keys.clock = 77
    shard.run("GET", "a")
    assert shard.keys.digest() == copy.digest()


# --- What is known of uses.


def test_a_table_that_grows_forgets_nothing() -> None:
    uses = Uses(Kind(is_frequency=False), clock=0, keys=0)
    names = [b"%d" % number for number in range(20_000)]
    for number, name in enumerate(names):
        uses.clock = number
        uses.added(0, name, number + 1)
    uses.clock = len(names)
    idle = [uses.idle(0, name) for name in names]
    exact = sum(one == len(names) - number for number, one in enumerate(idle))
    assert exact > len(names) // 2  # The others share their place with one that came later.
    assert all(one <= len(names) - number for number, one in enumerate(idle))


def test_frequencies_decay_with_time_and_rise_ever_more_slowly() -> None:
    uses = Uses(Kind(is_frequency=True), clock=0, keys=10)
    uses.added(0, b"k", 1)
    counts = []
    for _ in range(3):
        for _ in range(1_000):
            uses.used(0, b"k")
        counts.append(uses.frequency(0, b"k"))
    assert counts[1] - counts[0] > counts[2] - counts[1] > 0
    uses.clock += 10 * 60 * TICKS_PER_S
    assert uses.frequency(0, b"k") == counts[2] - 10
    uses.clock += 1_000 * 60 * TICKS_PER_S
    assert uses.frequency(0, b"k") == 0


def test_a_sample_is_of_keys_that_are_there() -> None:
    keys = Keyspace()
    keys.enter(0, 1, is_read=False)
    for number in range(3_000):
        keys.put(b"{t}%d" % number, b"v", 10_000 + number if number % 10 == 0 else None)
    random = Random(1).random
    found = keys.candidates(0, "allkeys-random", 50, random)
    assert len({key for _, key, _ in found}) == 50
    found = keys.candidates(0, "volatile-ttl", 20, random)
    assert all(int(key[3:]) % 10 == 0 for _, key, _ in found)
    assert all(rank == -(10_000 + int(key[3:])) for rank, key, _ in found)


# --- Whole nodes.


def test_three_nodes_stay_at_the_limit_and_have_the_same_keys() -> None:
    rig = Rig(3, 3).settle()
    done: list[Outcome] = []
    node = rig.node("n1")
    pairs = (("maxmemory", "100000"), ("maxmemory-policy", "allkeys-lru"))
    node.settings.change(pairs, done.append)
    rig.run(2 * SECOND)
    assert [one.replies for one in done if isinstance(one, Done)] == [[OK]]
    for batch in range(40):
        for shard in range(3):
            commands = [f"SET {shard}:{batch}:{number} {'v' * 100}" for number in range(25)]
            rig.ask("n1", *commands, shard=shard)
        rig.run(50 * MS)
    rig.run(SECOND)
    used = [rig.node(name).engine.evictor.used_bytes() for name in ("n1", "n2", "n3")]
    assert 60_000 < used[0] <= 100_000, used
    assert used[0] == used[1] == used[2]
    digests = {
        tuple(one.digest() for one in rig.node(name).engine.shards.values())
        for name in ("n1", "n2", "n3")
    }
    assert len(digests) == 1


def test_when_the_limit_is_taken_away_what_grows_is_carried_out_again() -> None:
    rig = Rig(1, 1).settle()
    rig.do("n1", "SET k v")
    for limit, reply in (("1", REFUSED), ("0", OK)):
        done: list[Outcome] = []
        rig.node("n1").settings.change((("maxmemory", limit),), done.append)
        rig.until(partial(bool, done))
        assert rig.do("n1", "SET k v") == [reply]


def test_what_was_removed_is_freed_a_part_at_each_tick() -> None:
    rig = Rig(1, 1).settle()
    keys = rig.shard("n1").keys
    keys.trash.add_database([Bucket(SLOT_BITS, None) for _ in range(SLOTS)])  # Of many keys.
    rig.run(40 * MS)
    assert keys.trash
    rig.run(200 * MS)
    assert not keys.trash


def test_a_keyspace_that_a_snapshot_replaces_is_freed_by_the_new_one() -> None:
    old = Driver()
    old.run("SET", "a", "1")
    new = copy_of(old.keys)
    new.replace(old.keys)
    assert new.trash
    while new.trash:
        new.trash.free_some(1)
    assert new.count(0) == 1
