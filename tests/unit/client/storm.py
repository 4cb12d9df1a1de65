"""A router on a very bad day: all kinds of batches, tries that arrive long after their connection
broke, entries that are applied when nobody waits for them any more, sessions that end, a machine
that sleeps. What each command was told must be true of the shards in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from trimaran.client.errors import NotApplied, OutcomeUnknown, WatchedChanged
from trimaran.node.data.sessions import FULL, Lookup, Sessions
from trimaran.node.errors import CommandError
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.execute import encode_batch, encode_outcome, encode_result
from trimaran.proto.reply import NULL_ARRAY, Reply
from trimaran.proto.requests import REPLY, encode_command, encode_watched, outcome_of

from .rig import NODES, SHARDS, Outcome, Rig, ShardState, not_applied

if TYPE_CHECKING:
    from trimaran.client.batch import Batch

UNKNOWN = encode_outcome(pb.Result(unknown=pb.OutcomeUnknown(text="no majority in time")))
LATE_S = 3.0  # So long after its connection broke a try may arrive, if its time is not up.
REPLIES_MAX = 60
WINDOW = 30  # Less, so that the shard never has to refuse for it; `test_storm.py` sets it.


@dataclass(frozen=True)
class Told:
    """A Result that is no reply."""

    result: bytes


class StormShard(ShardState):
    """It also knows transactions, and what was watched."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = Sessions(replies_max=REPLIES_MAX)
        self.order: list[bytes] = []  # What was applied.
        self.changed: dict[bytes, int] = {}  # Keys, and by which entry.
        self.values: dict[bytes, int] = {}

    def carry_out(
        self, args: Sequence[bytes], session: int, sequence: int, floor: int, now_ms: int
    ) -> bytes:
        """The Result of one write."""
        known = self._known(session, sequence, floor, now_ms)
        if isinstance(known, Told):
            return known.result
        if known is Lookup.NEW:
            known = self._run(args)
            self._keep(session, sequence, known)
        assert not isinstance(known, Lookup)
        return encode_result(known)

    def transaction(
        self,
        commands: Sequence[Sequence[bytes]],
        watched: Sequence[tuple[bytes, int]],
        numbers: tuple[int, int, int],
        now_ms: int,
    ) -> list[bytes]:
        session, sequence, floor = numbers
        known = self._known(session, sequence, floor, now_ms)
        if isinstance(known, Told):
            return [known.result] * len(commands)
        if known is Lookup.NEW:
            is_changed = any(self.changed.get(key, 0) > index for key, index in watched)
            known = NULL_ARRAY if is_changed else [self._run(args) for args in commands]
            self._keep(session, sequence, known)
        if known is NULL_ARRAY:
            return [not_applied(pb.NotApplied.WATCHED)] * len(commands)
        assert isinstance(known, list)
        return [encode_result(one) for one in known]

    def _known(self, session: int, sequence: int, floor: int, now_ms: int) -> Lookup | Reply | Told:
        """The kept reply, or NEW, or what else it is told."""
        self.index += 1
        if not session:
            return Lookup.NEW
        known = self.sessions.lookup(session, sequence, floor, now_ms)
        if known is Lookup.UNKNOWN_SESSION:
            return Told(not_applied(pb.NotApplied.SESSION_UNKNOWN))
        if known is Lookup.BELOW_FLOOR:
            return Told(UNKNOWN)
        return Told(not_applied(pb.NotApplied.OVERLOADED)) if known is FULL else known

    def _keep(self, session: int, sequence: int, reply: Reply) -> None:
        if session:
            self.sessions.keep(session, sequence, reply)

    def _run(self, args: Sequence[bytes]) -> int:
        name, key = args[0], args[1]
        if name == b"INCR":
            self.applied[key] += 1
            self.order.append(key)
            self.values[key] = self.values.get(key, 0) + 1
        elif name == b"SET":
            self.applied[key + b"=" + args[2]] += 1
            self.values[key] = int(args[2])
        if name != b"GET":
            self.changed[key] = self.index
        return self.values.get(key, 0)


@dataclass
class Asked:
    """Commands that were given together."""

    kind: str
    shard: int
    keys: list[bytes]
    outcomes: list[Outcome]
    batch: Batch | None = None
    is_dropped: bool = False
    reads: list[int] = field(default_factory=list)  # Places of reads among them.


class Storm(Rig):
    def __init__(self, seed: int) -> None:
        rng = Random(seed)
        config = {"timeout_s": 6.0, "session_timeout_ms": rng.choice((24_000, 600_000))}
        if rng.random() < 0.2:
            config["pending_max"] = 40
        super().__init__(seed, **config)
        self.shards: list[StormShard] = [StormShard() for _ in range(SHARDS)]  # type: ignore[assignment]
        self.storm = rng
        self.asked: list[Asked] = []
        self.waiting: dict[int, str] = {}  # Tries that have not left, and their node.
        self.generation = dict.fromkeys(NODES, 0)
        self.lose = self.partly = 0.0
        self.delay_s = lambda: rng.random() ** 3 * 0.3
        self.committed = [0] * SHARDS  # Optimistic additions that were answered,
        self.doubtful = [0] * SHARDS  # and those that were not.
        self._names = 0

    # --- The network.

    def _send(self, node: str, number: int, data: bytes) -> None:
        (batch,) = pb.ExecuteRequest.FromString(data).batches
        self.sent.append((node, batch))
        self.waiting[number] = node
        sent_at = self.now
        generation = self.generation[node]

        def leave() -> None:
            if self.waiting.pop(number, None) is None:
                return  # It never left.
            if node in self.cut:
                return
            if self.storm.random() < self.lose:
                self.break_link(node)
                if self.storm.random() < 0.5:
                    return
                self.at(self.storm.random() * LATE_S, arrive)
                return
            self.at(self.delay_s(), arrive)

        def arrive() -> None:
            if node in self.cut:
                return
            if self.now > sent_at + batch.timeout_ms / 1000:
                late = [not_applied(pb.NotApplied.NO_QUORUM)] * len(batch.commands)
                answer = encode_batch(batch.id, late, [])
            else:
                answer = self._carry_out(node, batch)
            if self.storm.random() < self.lose:
                self.break_link(node)
                return
            self.at(self.delay_s(), lambda: tell(answer))

        def tell(answer: bytes) -> None:
            if self.generation[node] == generation:  # Else nobody hears it any more.
                self._answer(node, answer)

        self.at(self.delay_s() if self.storm.random() < 0.1 else 0.0, leave)

    def break_link(self, node: str, unsent: tuple[int, ...] = ()) -> None:
        self.generation[node] += 1
        kept = [number for number, where in self.waiting.items() if where == node]
        for number in kept:
            del self.waiting[number]
        self.router.broken(node, kept, self.storm.random() * 0.3)

    # --- A node.

    def _carry_out(self, node: str, batch: pb.Batch) -> bytes:
        now_ms = self.log_ms
        opened: list[tuple[int, int]] = []
        session = batch.sessions[0] if batch.sessions else None
        shard = int(batch.commands[0].args[1].partition(b":")[0])
        state = self.shards[shard]
        count = len(batch.commands)
        refused = None
        if self.leaders[shard] != node and not batch.stale_ms:
            refused = not_applied(pb.NotApplied.NOT_LEADER, self.leaders[shard])
        elif self.storm.random() < self.partly / 3:
            refused = not_applied(pb.NotApplied.NO_QUORUM)
        number = session.id if session is not None else 0
        if refused is None and session is not None and not number:
            try:
                number = state.open(session, now_ms)
                opened.append((shard, number))
            except CommandError as error:
                is_lost = error.code == "SESSIONLOST"
                reasons = pb.NotApplied
                refused = not_applied(reasons.SESSION_UNKNOWN if is_lost else reasons.OVERLOADED)
        if refused is not None:
            return encode_batch(batch.id, [refused] * count, opened)
        numbers = (number, session.sequence, session.floor) if session is not None else (0, 0, 0)
        if batch.is_atomic:
            results = self._transaction(state, batch, numbers, now_ms)
        else:
            results = self._in_order(state, batch, numbers, now_ms)
        return encode_batch(batch.id, results, opened)

    def _transaction(
        self, state: StormShard, batch: pb.Batch, numbers: tuple[int, int, int], now_ms: int
    ) -> list[bytes]:
        commands = [list(command.args) for command in batch.commands]
        watched = [(one.key, one.index) for one in batch.watched]

        def apply() -> list[bytes]:
            return state.transaction(commands, watched, numbers, now_ms)

        if self.storm.random() < self.partly and numbers[0]:
            if self.storm.random() < 0.5:
                self._late(apply)
            return [UNKNOWN] * len(commands)
        return apply()

    def _late(self, apply: Callable[[], object]) -> None:
        """An entry is applied when nobody waits for it any more."""

        def act() -> None:
            apply()

        self.at(self.storm.random() * LATE_S, act)

    def _in_order(
        self, state: StormShard, batch: pb.Batch, numbers: tuple[int, int, int], now_ms: int
    ) -> list[bytes]:
        """In requests of a few commands, of which the last may not be carried out, or late."""
        commands = [list(command.args) for command in batch.commands]
        session, sequence, floor = numbers
        results: list[bytes] = []
        while len(results) < len(commands):
            at = len(results)
            some = commands[at : at + self.storm.randrange(1, 6)]
            first = sequence + at

            def apply(some: list[list[bytes]] = some, first: int = first) -> list[bytes]:
                if all(args[0] == b"GET" for args in some):
                    return [encode_result(state._run(args)) for args in some]
                return [
                    state.carry_out(args, session, first + place, floor, now_ms)
                    for place, args in enumerate(some)
                ]

            dice = self.storm.random()
            if dice >= self.partly or not session:
                done = apply()
                results += done
                if all(outcome_is_reply(one) for one in done):
                    continue
            elif dice < self.partly / 2:
                results += [not_applied(pb.NotApplied.OVERLOADED)] * len(some)
            else:
                if self.storm.random() < 0.5:
                    self._late(apply)
                results += [
                    not_applied(pb.NotApplied.NO_QUORUM) if args[0] == b"GET" else UNKNOWN
                    for args in some
                ]
            rest = len(commands) - len(results)
            results += [not_applied(pb.NotApplied.PREDECESSOR)] * rest
        return results

    # --- What is asked.

    def ask(self) -> None:
        shard = self.storm.randrange(SHARDS)
        dice = self.storm.random()
        if dice < 0.5:
            self._names += 1
            name = f"{self._names}"
            self.asked.append(
                Asked("one", shard, [b"%d:%b" % (shard, name.encode())], [self.write(shard, name)])
            )
        elif dice < 0.6:
            self.read(shard, stale_ms=self.storm.choice((0, 500)))
        elif dice < 0.75:
            self._pipeline(shard)
        elif dice < 0.85:
            self._atomic(shard)
        else:
            self._add(shard)

    def _submit(self, asked: Asked, commands: Sequence[Sequence[bytes]], **options) -> None:  # type: ignore[no-untyped-def]
        asked.batch = batch = self.router.batch(asked.shard, 0, is_write=True, **options)
        for words, outcome in zip(commands, asked.outcomes, strict=True):
            batch.add(encode_command(words), outcome)
        self.asked.append(asked)
        self.router.submit(batch)

    def _new_keys(self, shard: int, count: int) -> list[bytes]:
        self._names += 1
        return [b"%d:%d.%d" % (shard, self._names, place) for place in range(count)]

    def _pipeline(self, shard: int) -> None:
        keys = self._new_keys(shard, self.storm.randrange(1, 25))
        words: list[list[bytes]] = []
        reads: list[int] = []
        for key in keys:
            words.append([b"INCR", key])
            if self.storm.random() < 0.3:
                reads.append(len(words))
                words.append([b"GET", key])
        outcomes = [Outcome() for _ in words]
        named = [one[1] for one in words]
        self._submit(Asked("pipeline", shard, named, outcomes, reads=reads), words)

    def _atomic(self, shard: int) -> None:
        keys = self._new_keys(shard, self.storm.randrange(1, 6))
        asked = Asked("atomic", shard, keys, [Outcome() for _ in keys])
        self._submit(asked, [[b"INCR", key] for key in keys], is_atomic=True)

    def _add(self, shard: int) -> None:
        """As who watches a key does: what it saw, and one more, unless it has changed since."""
        state, key = self.shards[shard], b"%d:sum" % shard
        seen, index = state.values.get(key, 0), state.index
        self._names += 1

        def execute() -> None:
            asked = Asked("watched", shard, [key + b"=%d" % (seen + 1)], [Outcome()])
            self._submit(
                asked,
                [[b"SET", key, b"%d" % (seen + 1)]],
                is_atomic=True,
                watched=[encode_watched(key, index)],
            )

        self.at(self.storm.random() * 0.1, execute)

    # --- What happens.

    def happen(self) -> None:
        storm = self.storm
        match storm.randrange(36):
            case 0:
                self.lose, self.partly = storm.random() / 3, storm.random() / 3
            case 1:
                self.lose = self.partly = 0.0
            case 2 | 3:
                self.lead(storm.randrange(SHARDS), storm.choice(NODES))
            case 4 | 5 | 6:
                self.show()
            case 7:
                self.cut = set() if self.cut else {storm.choice(NODES)}
            case 8:
                self.break_link(storm.choice(NODES))
            case 9 if storm.random() < 0.3:
                self.end_sessions(storm.randrange(SHARDS))
            case 10:
                self.router.silent(storm.choice(NODES), 0.5)
            case 11 if storm.random() < 0.3:
                self.asleep_s += storm.choice((1, 10, 100, 10_000))
            case 12 | 13:  # Other clients have sessions come to their end.
                state = self.shards[storm.randrange(SHARDS)]
                now_ms = self.log_ms
                state.open(pb.Session(timeout_ms=1000, client=storm.getrandbits(63)), now_ms)
            case 14 if self.asked:
                batch = storm.choice(self.asked[-20:]).batch
                if batch is not None and batch.wait is None and not batch.is_done:
                    self.router.owing(self.now - 0.5)
            case 15 if storm.random() < 0.2:
                self.lead(storm.randrange(SHARDS), "")
            case 16 if storm.random() < 0.3:
                self.run(storm.random() * 40)

    def heal(self) -> None:
        self.cut.clear()
        self.lose = self.partly = 0.0
        for shard in range(SHARDS):
            if not self.leaders[shard]:
                self.lead(shard, NODES[0])
        for node in NODES:
            self.break_link(node)
        self.show()
        self.run(30)

    # --- What must hold.

    def check(self) -> int:
        """How many were answered."""
        good = 0
        for asked in self.asked:
            for place, (key, outcome) in enumerate(zip(asked.keys, asked.outcomes, strict=True)):
                assert outcome.done(), asked
                good += outcome.error is None
                if place in asked.reads:
                    self._check_read(asked, outcome)
                elif asked.kind == "watched":
                    self._check_watched(asked, outcome)
                else:
                    self._check_write(asked, key, outcome)
            if asked.kind == "atomic":
                assert len({type(one.error) for one in asked.outcomes}) == 1, asked
                counts = {self.shards[asked.shard].applied[key] for key in asked.keys}
                assert len(counts) == 1, (asked, counts)
        self._check_order()
        for shard, state in enumerate(self.shards):
            total = state.values.get(b"%d:sum" % shard, 0)
            committed, doubtful = self.committed[shard], self.doubtful[shard]
            assert committed <= total <= committed + doubtful, (shard, total, committed, doubtful)
        router = self.router
        assert (router.pending, router.pending_bytes) == (0, 0)
        assert not router._parked
        assert not router._openers
        assert not router._behind
        assert not router._in_flight
        for session in router._sessions._of.values():
            assert not session._unanswered, "a floor that never rises again"
        return good

    def _check_write(self, asked: Asked, key: bytes, outcome: Outcome) -> None:
        count = self.shards[asked.shard].applied[key]
        if outcome.error is None:
            assert outcome.result is not None
            assert count == 1, (asked.kind, key, count)
            assert pb.Value.FromString(outcome_of(outcome.result)).integer == 1
        elif isinstance(outcome.error, NotApplied):
            assert count == 0, (asked.kind, key, outcome.error)
        else:
            assert isinstance(outcome.error, OutcomeUnknown), outcome.error
            assert count <= 1, (asked.kind, key, count)

    def _check_read(self, asked: Asked, outcome: Outcome) -> None:
        """It stands behind the write of its key in the batch."""
        if outcome.error is None:
            assert outcome.result is not None
            assert pb.Value.FromString(outcome_of(outcome.result)).integer == 1, asked

    def _check_watched(self, asked: Asked, outcome: Outcome) -> None:
        if outcome.error is None:
            self.committed[asked.shard] += 1
        elif isinstance(outcome.error, OutcomeUnknown):
            self.doubtful[asked.shard] += 1
        else:
            assert isinstance(outcome.error, NotApplied | WatchedChanged), outcome.error

    def _check_order(self) -> None:
        for shard, state in enumerate(self.shards):
            place = {key: number for number, key in enumerate(state.order)}
            for asked in self.asked:
                if asked.kind == "pipeline" and asked.shard == shard:
                    writes = [one for at, one in enumerate(asked.keys) if at not in asked.reads]
                    places = [place[key] for key in writes if key in place]
                    assert places == sorted(places), asked
                    applied = [key in place for key in writes]
                    assert applied == sorted(applied, reverse=True), asked


def outcome_is_reply(result: bytes) -> bool:
    return result[2] == REPLY  # Behind the tag of the field, and its length.


def play(seed: int) -> int:
    """One day, and what was answered."""
    storm = Storm(seed)
    storm.show()
    for _ in range(200):
        for _ in range(storm.storm.randrange(5)):
            storm.ask()
        storm.happen()
        storm.run(storm.storm.random() * 0.1)
    storm.heal()
    return storm.check()
