"""EXEC and WAIT at a shard: one entry, alike on all replicas; how many disks have it."""

from __future__ import annotations

from collections.abc import Sequence

from trimaran.cluster.settings import pack_settings
from trimaran.cluster.slots import ShardId
from trimaran.node.commands.transactions import EXEC, EXEC_RO, TOO_LARGE, pack_transaction
from trimaran.node.data.entry import unpack_entry
from trimaran.node.notifications import Notifications
from trimaran.node.pubsub import PubSub
from trimaran.node.raft.types import Heartbeat, HeartbeatReply
from trimaran.node.request import Request
from trimaran.node.shard import WAIT
from trimaran.node.subscriptions import PATTERN
from trimaran.proto.reply import OK, ErrorReply

from ...sim.schedule import MS
from .rig import CLUSTER_ID, Asked, Lone, Rig
from .test_shard import acknowledge, elected
from .test_shard_slices import Alone


def transaction(*commands: str, is_read: bool = False) -> Asked:
    packed = pack_transaction([(0, one.encode().split()) for one in commands])
    return _asked([EXEC_RO if is_read else EXEC, packed, b""], is_read=is_read)


def _asked(args: Sequence[bytes], *, is_read: bool = False) -> Asked:
    return Asked(
        Request(
            ShardId(0),
            0,
            [args],
            has_write=not is_read,
            deadline_ns=1 << 60,
            complete=lambda _: None,
        )
    )


def _write(lone: Lone, one: Asked) -> Asked:
    lone.submit(one)
    lone.shard.propose(lone.now_ns, lone.wall_ms)
    lone.pump()
    return one


def test_a_transaction_is_one_command_of_one_entry_and_answers_all() -> None:
    lone = Lone().lead()
    one = _write(lone, transaction("SET a 1", "INCR a", "SET a x", "INCR a", "GET a"))
    error = ErrorReply("ERR", "value is not an integer or out of range")
    assert one.replies == [[OK, 2, OK, error, b"x"]]
    core = lone.shard.core
    found = [core.entry_at(index) for index in range(1, core.last.index + 1)]
    commands = [
        unpack_entry(entry.data, CLUSTER_ID).commands for entry in found if entry and entry.data
    ]
    assert [len(one) for one in commands] == [1]


class Listener:
    """Keeps the messages it gets."""

    protocol = 2
    is_lost = False

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def push_messages(self, data: bytes, count: int) -> None:
        self.told.append(b" ".join(data.split(b"\r\n")[6::2]).strip())


def _listened_to(events: str) -> tuple[Lone, Listener]:
    """A shard, and who hears all that it tells."""
    pubsub, listener = PubSub(Alone(), lambda: 0), Listener()
    pubsub.subscribe(listener, PATTERN, [b"*"], lambda: None)
    settings = pack_settings((("notify-keyspace-events", events),))
    return Lone(notifications=Notifications(pubsub), settings=settings).lead(), listener


def test_what_a_transaction_publishes_and_does_to_keys_is_told_in_its_order() -> None:
    lone, listener = _listened_to("E$")
    one = _write(lone, transaction("PUBLISH c 1", "SET a 1", "PUBLISH c 2", "SET b 1"))
    assert one.replies == [[1, OK, 1, OK]]
    assert listener.told == [b"c 1", b"__keyevent@0__:set a", b"c 2", b"__keyevent@0__:set b"]


def test_a_read_of_an_absent_key_is_told_of_where_it_is_served() -> None:
    lone, listener = _listened_to("Em")
    lone.write("SET there 1")
    lone.read("GET there")
    assert listener.told == []
    lone.read("GET none", "EXISTS none there")
    assert listener.told == [b"__keyevent@0__:keymiss none"] * 2
    _write(lone, transaction("SET a 1", "GET none"))
    assert len(listener.told) == 3


def test_a_transaction_whose_replies_are_too_large_goes_no_further() -> None:
    lone = Lone().lead()
    lone.write("SET a x")
    value = b"x" * (64 << 20)
    lone.keys.enter(0, lone.wall_ms, is_read=False)
    lone.keys.put(b"a", value)
    one = _write(lone, transaction(*["GET a"] * 8, "SET b 1", "GETEX a", "DEL a"))
    assert one.replies == [[*[value] * 8, TOO_LARGE, TOO_LARGE, TOO_LARGE]]
    assert lone.read("EXISTS a b").replies == [1]


def test_a_key_that_a_reading_transaction_finds_due_is_removed_from_its_own_database() -> None:
    lone = Lone().lead()
    _write(lone, _asked([EXEC, pack_transaction([(1, b"SET a x PX 100".split())]), b""]))
    lone.now_ns += 200 * MS
    lone.wall_ms += 200
    packed = pack_transaction([(0, [b"EXISTS", b"a"]), (1, [b"EXISTS", b"a"])])
    one = lone.submit(_asked([EXEC_RO, packed, b""], is_read=True))
    lone.shard.start_reads(lone.now_ns)
    lone.pump()
    lone.shard.propose(lone.now_ns, lone.wall_ms)
    lone.pump()
    assert one.replies == [[0, 0]]
    assert lone.keys.count(1) == 0


def test_a_transaction_under_a_session_is_applied_once() -> None:
    lone = Lone().lead()
    session = lone.write("_SESSION.OPEN 60000").replies[0]
    assert isinstance(session, int)
    for _ in range(2):
        one = transaction("INCR a", "INCR b")
        one.request.session, one.request.sequence, one.request.floor = session, 1, 1
        assert _write(lone, one).replies == [[1, 1]]


def test_a_transaction_that_reads_meets_a_due_key_only_when_its_expiry_is_logged() -> None:
    lone = Lone().lead()
    lone.write("SET a 1 PX 100", "SET b 1")
    lone.pass_ns(200_000_000)
    before = lone.shard.applied_index
    one = lone.submit(transaction("GET b", "GET a", is_read=True))
    lone.shard.start_reads(lone.now_ns)
    lone.pump()
    assert one.outcome is None
    lone.shard.propose(lone.now_ns, lone.wall_ms)
    lone.pump()
    assert one.replies == [[b"1", None]]
    assert lone.shard.applied_index > before


def test_all_replicas_hold_what_a_transaction_did() -> None:
    rig = Rig().settle()
    leader = rig.leader()
    assert leader is not None
    one = transaction("SET a 1", "INCR a", "APPEND a 5", "DEL nothing", "INCR b")
    one.request.deadline_ns = 1 << 60
    rig.process(leader).ask(one.request, one.outcomes.append)
    rig.until(lambda: one.outcome)
    assert one.replies == [[OK, 2, 2, 0, 1]]
    shards = [rig.shard(name) for name in ("n1", "n2", "n3")]
    rig.until(lambda: len({shard.applied_index for shard in shards}) == 1)
    assert len({shard.digest() for shard in shards}) == 1


def test_wait_counts_the_followers_that_have_it_on_disk() -> None:
    lone = elected(3)
    lone.write("SET a 1")
    acknowledge(lone)
    index = lone.shard.applied_index

    def ask(at: int) -> object:
        one = lone.submit(_asked([WAIT, b"%d" % at], is_read=True))
        lone.shard.start_reads(lone.now_ns)
        lone.pump()
        if one.outcome is None:
            _confirm(lone)
        return one.replies[0]

    assert ask(0) == [index, 1, 2]
    assert ask(index) == [index, 1, 2]
    assert ask(index + 1) == [index + 1, 0, 0]


def _confirm(lone: Lone) -> None:
    """Both followers answer the round that a read waits for."""
    for one in [one for one in lone.sent if isinstance(one, Heartbeat)]:
        lone.receive(
            HeartbeatReply(one.target, one.source, one.term, one.round, is_urgent=one.is_urgent)
        )
