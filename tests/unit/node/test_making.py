"""Values that are made beside the loop before their entry is applied: the large ones of RESTORE."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any  # Work of any type goes through one thread.

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.commands import dumping
from trimaran.node.commands.dumping import LONG_BYTES
from trimaran.node.data.dump import dump, with_footer
from trimaran.node.data.hash import Hash
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.errors import OutcomeUnknown
from trimaran.node.raft.types import EntryId, InstallSnapshot, ReplicaId, SnapshotMeta
from trimaran.node.shard import ShardLimits
from trimaran.node.slices import Endless
from trimaran.proto.reply import OK, ErrorReply

from ...sim.schedule import SECOND
from .rig import Asked, Lone, Rig, asked
from .test_shard_slices import committed, finish, read_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimaran.node.making import Making

ME, OTHER = ReplicaId(1), ReplicaId(2)
FIELDS = [b"field:%05d" % number for number in range(3_000)]
PAYLOAD = dump(Hash.of(FIELDS, FIELDS, DEFAULTS))
LIMITS = ShardLimits(1 << 24, 1 << 20)


class Thread:
    """Does what it is given when the test says so."""

    def __init__(self, making: Making) -> None:
        making.aside = self.run
        self._jobs: list[tuple[Callable[[], None], Callable[[], None]]] = []

    def run(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        self._jobs.append((work, done))

    def work(self) -> None:
        (job,) = self._jobs
        self._jobs.clear()
        for step in job:
            step()

    @property
    def is_idle(self) -> bool:
        return not self._jobs


def led() -> tuple[Lone, Thread]:
    lone = Lone(limits=LIMITS).lead()
    return lone, Thread(lone.shard.making)


def restoring(*keys: bytes, payload: bytes = PAYLOAD) -> Asked:
    one = asked("EXISTS k")
    one.request.commands = [[b"RESTORE", key, b"0", payload] for key in keys]
    one.request.has_write = True
    return one


def count(lone: Lone, key: bytes) -> int:
    value = lone.keys.find(key, Hash)
    return 0 if value is None else len(value)


def test_an_entry_waits_for_what_is_made_aside_and_its_shard_has_nothing_to_do_meanwhile() -> None:
    lone, thread = led()
    before = lone.shard.applied_index
    first, second = restoring(b"h"), asked("HLEN h", "SET k 1")
    second.request.has_write = True
    committed(lone, first)
    committed(lone, second)
    finish(lone)
    assert (first.outcome, second.outcome) == (None, None)
    assert (lone.shard.applied_index, count(lone, b"h")) == (before, 0)
    assert not lone.shard.can_cut
    assert not lone.shard.is_idle
    thread.work()
    assert lone.shard.is_behind
    finish(lone)
    assert (first.replies, second.replies) == ([OK], [len(FIELDS), OK])
    assert lone.shard.applied_index == before + 2


def test_reads_are_served_while_a_value_is_made_aside() -> None:
    lone, thread = led()
    lone.write("SET k 1")
    committed(lone, restoring(b"h"))
    read = lone.submit(asked("GET k"))
    lone.shard.start_reads(lone.now_ns)
    finish(lone)
    late = read_now(lone, "GET k")
    thread.work()
    finish(lone)
    assert (read.replies, late.replies) == ([b"1"], [b"1"])


def test_the_handler_takes_what_was_made_and_reads_no_payload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lone, thread = led()
    one = restoring(b"h", b"twin")  # Of the same payload: two values.
    committed(lone, one)
    finish(lone)
    thread.work()
    monkeypatch.setattr(dumping, "value_of", lambda *_: pytest.fail("it is read again"))
    finish(lone)
    assert one.replies == [OK, OK]
    assert lone.keys.find(b"h", Hash) is not lone.keys.find(b"twin", Hash)


def test_what_is_made_aside_is_what_is_made_in_place() -> None:
    lone, thread = led()
    plain = Lone(limits=LIMITS).lead()
    for one in (lone, plain):
        committed(one, restoring(b"h"))
        finish(one)
    thread.work()
    finish(lone)
    assert lone.shard.digest() == plain.shard.digest()


def test_small_values_are_made_in_place() -> None:
    lone, thread = led()
    payload = dump(b"v" * 100)
    one = restoring(*[b"%d" % number for number in range(500)], payload=payload)
    committed(lone, one)
    finish(lone)
    assert thread.is_idle
    assert one.replies == [OK] * 500


def test_a_payload_that_cannot_be_read_is_answered_by_its_handler() -> None:
    lone, thread = led()
    one = restoring(b"h", payload=with_footer((b"\xff" * LONG_BYTES,)))
    committed(lone, one)
    finish(lone)
    thread.work()
    finish(lone)
    assert one.replies == [ErrorReply("ERR", "Bad data format")]


def test_a_fault_that_shows_in_the_thread_halts_the_replica_when_it_is_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> object:
        raise ZeroDivisionError

    lone, thread = led()
    monkeypatch.setattr(dumping, "restore", fail)
    committed(lone, restoring(b"h"))
    finish(lone)
    thread.work()
    assert lone.shard.halted is None
    finish(lone)
    assert isinstance(lone.shard.halted, ZeroDivisionError)


@pytest.mark.parametrize("is_made", [False, True])
def test_a_snapshot_that_comes_meanwhile_stands_and_what_is_made_is_dropped(
    is_made: bool,  # noqa: FBT001 - pytest gives it.
) -> None:
    lone, thread = led()
    one = restoring(b"h")
    committed(lone, one)
    finish(lone)
    if is_made:
        thread.work()
    old, new = lone.keys, Keyspace()
    meta = SnapshotMeta(EntryId(8, lone.shard.core.last.index + 5), lone.voters)
    lone.shard.core.receive(InstallSnapshot(OTHER, ME, 9, meta), lone.now_ns)
    while (ready := lone.shard.core.ready()) is not None and ready.snapshot is None:
        lone.shard.core.saved(ready.ticket)
    lone.shard.install(meta, new, lone.now_ns)
    if not is_made:
        thread.work()
    lone.shard.apply_some(Endless(), lone.now_ns)
    assert isinstance(one.error, OutcomeUnknown)
    assert old.find(b"h", Hash) is None
    assert (new.count(0), lone.shard.applied_index) == (0, meta.id.index)


class Slow:
    """The threads of all nodes in which values are made: they get nothing done until let."""

    def __init__(self, rig: Rig) -> None:
        self._jobs: list[tuple[Callable[..., None], Callable[[Any], None], Any]] = []
        for name in rig.machines:
            runtime = rig.process(name).runtime
            runtime.run_aside = partial(self._keep, runtime.run_aside)  # type: ignore[method-assign]

    def _keep(self, run: Callable[..., None], work: Any, done: Any) -> None:
        self._jobs.append((run, work, done))

    def go_on(self) -> None:
        for run, work, done in self._jobs:
            run(work, done)


def test_beside_a_large_restore_shards_keep_their_leaders_and_the_others_go_on() -> None:
    rig = Rig(3, 2).settle()
    slow = Slow(rig)
    leader = rig.leader(0)
    assert leader is not None
    terms = [rig.shard(name).core.term for name in rig.machines]
    one = restoring(b"h")
    one.request.deadline_ns = 1 << 60
    rig.process(leader).ask(one.request, one.outcomes.append)
    rig.run(5 * SECOND)  # Of election time-outs eight.
    assert one.outcome is None
    assert rig.do(leader, "SET k 1", shard=1) == [OK]
    slow.go_on()
    rig.until(lambda: one.outcome)
    assert one.replies == [OK]
    shards = [rig.shard(name) for name in rig.machines]
    rig.until(lambda: len({shard.applied_index for shard in shards}) == 1)
    assert len({shard.digest() for shard in shards}) == 1
    assert [shard.core.term for shard in shards] == terms
