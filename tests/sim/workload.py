"""The clients: what they ask of the cluster, and what they may conclude from the answers.

Plain clients ask a node's router, as a door does, and take three kinds of answers: done, surely not
applied (the history must do without it), unknown. Session clients ask leaders themselves and retry
the same (session, sequence) at other nodes until they are answered: it must be applied once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trimaran.cluster.slots import ShardId, shard_of
from trimaran.node.commands.internal import OPEN_SESSION
from trimaran.node.commands.transactions import EXEC, pack_transaction
from trimaran.node.errors import NotLeader, SessionUnknown, Unavailable
from trimaran.node.raft.types import NodeId
from trimaran.node.request import Done, NotApplied, Outcome, Request, Unknown
from trimaran.proto.reply import OK, ErrorReply, Reply

from . import scripts
from .history import has_write, is_refused
from .schedule import MS, SECOND, Schedule

if TYPE_CHECKING:
    from random import Random

    from .history import History
    from .linearizability import Answer, Command, Operation

TIMEOUT_NS = 2 * SECOND
TOLD = b"news"  # The channel that transactions publish to.
UNKNOWN_MAX = 8  # Writes of a key without an outcome: what the checker has to try grows as 2 to it.
GET: tuple[Command, ...] = ((b"GET",),)
EXISTS: tuple[Command, ...] = ((b"EXISTS",),)
SESSION_TIMEOUT_MS = 10_000_000


class Cluster(Protocol):
    """What a client sees of the nodes."""

    nodes: list[NodeId]
    shards: int

    def ask(self, node: NodeId, request: Request, answered: Callable[[Outcome], None]) -> None:
        """Send a request to a node; `answered` is called once, Unknown if the answer is lost."""
        ...

    def deadline_ns(self, node: NodeId, timeout_ns: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Key:
    """A key, or an element of what is there; what kind of commands it is for, where it lives."""

    db: int
    name: bytes
    kind: str  # One of KINDS.
    shard: ShardId
    element: bytes = b""

    @property
    def label(self) -> bytes:
        return b"%d/%s" % (self.db, self.name) + (self.element and b"/" + self.element)


STRINGS = ("counter", "text", "volatile")
COLLECTIONS = ("queue", "field", "score")  # A list; elements of hashes, and of sorted sets.
KINDS = STRINGS + COLLECTIONS
ELEMENTS = {"field": 2, "score": 2}  # Registers of their own in one key.


def make_keys(shards: int, kinds: Sequence[str], each: int = 2) -> list[Key]:
    """`each` keys of every kind on every shard, most of database 0, some of another."""
    keys: list[Key] = []
    for kind in kinds:
        count = dict.fromkeys(range(shards), 0)
        number = 0
        while min(count.values()) < each:
            db = 9 if number % 5 == 4 else 0
            name = b"%s%d" % (kind.encode(), number)
            number += 1
            shard = shard_of(db, name, shards)
            if count[shard] < each:
                for element in range(ELEMENTS.get(kind, 1)):
                    count[shard] += 1
                    text = b"e%d" % element if kind in ELEMENTS else b""
                    keys.append(Key(db, name, kind, shard, text))
    return keys


class Workload:
    """Chooses commands; every value written is another one."""

    def __init__(
        self,
        rng: Random,
        keys: Sequence[Key],
        history: History,
        watched: Sequence[Key] = (),
        *,
        has_scripts: bool = False,
    ) -> None:
        self.keys = keys
        self.watched = watched  # Only for clients of WATCH.
        self.history = history
        self.heard: dict[bytes, Reply] = {}  # Messages that were answered as sent, to how many.
        self._has_scripts = has_scripts
        self._rng = rng
        self._written = 0

    def choose(self) -> tuple[Key, tuple[Command, ...]]:
        rng = self._rng
        # Half of all goes to one key: where many meet, what is wrong shows soonest.
        key = self.keys[0] if rng.random() < 0.5 else rng.choice(self.keys)
        dice = rng.random()
        if key.kind == "volatile" and dice < 0.1:
            return key, EXISTS
        if dice < 0.4 or self.history.unknown(key.label) >= UNKNOWN_MAX:
            return key, GET
        if dice < 0.9:
            return key, (self._write(key),)
        if key.kind == "volatile":
            return key, (self._write(key), (b"DEL",))
        if key.kind == "field":
            return key, ((b"HPEXPIRE",), self._write(key))
        return key, (self._write(key), (b"GET",), self._write(key))

    def next_value(self) -> bytes:
        """One that nobody has written yet."""
        self._written += 1
        return b"%d." % self._written

    def heard_by(self, message: bytes, reply: Reply) -> None:
        """A transaction's PUBLISH was answered."""
        assert message not in self.heard, f"{message!r} is answered twice"
        self.heard[message] = reply

    def _write(self, key: Key) -> Command:
        dice = self._rng.random()
        value = self.next_value()
        if key.kind == "counter":
            return (b"DEL",) if dice < 0.05 else self._add(self._rng.randrange(1, 100))
        if key.kind == "volatile":
            return self._write_volatile(value, dice)
        if key.kind in COLLECTIONS:
            return self._write_collection(key.kind, value, dice)
        if dice < 0.15:
            return (b"SET", value)
        return (b"DEL",) if dice < 0.2 else (b"APPEND", value)

    def _add(self, amount: int) -> Command:
        """Some of it by scripts that do not get to their end."""
        if self._has_scripts and amount % 10 == 7:
            return (b"INCRFAIL" if amount < 80 else b"INCRSPEND", b"%d" % amount)
        return (b"INCRBY", b"%d" % amount)

    def _write_volatile(self, value: bytes, dice: float) -> Command:
        if dice < 0.7:
            return (b"SETPX", value) if dice < 0.5 else (b"SETNXPX", value)
        if dice < 0.8:
            return (b"SET", value)  # Nothing vanishes any more, also if it was due a moment ago.
        return (b"PERSIST",) if dice < 0.9 else (b"PEXPIRE",)

    def _write_collection(self, kind: str, value: bytes, dice: float) -> Command:
        if dice < 0.05:
            return (b"DEL",)
        if kind == "queue":
            return (b"RPUSH", value) if dice < 0.5 else (b"LPOP",)
        if kind == "score":
            if dice < 0.5:
                return (b"ZINCRBY", b"%d" % self._rng.randrange(1, 100))
            return (b"ZADD", value[:-1])
        if dice < 0.5:
            return (b"HSET", value) if dice < 0.35 else (b"HSETNX", value)
        return (b"HPEXPIRE",) if dice < 0.85 else (b"HPERSIST",)

    def args(self, key: Key, command: Command) -> list[bytes]:
        """A command of the model as a client sends it."""
        one_field = [b"FIELDS", b"1", key.element]
        match command:
            case (b"GET",) if key.kind in COLLECTIONS:
                last = {"queue": [b"0", b"-1"]}.get(key.kind, [key.element])
                return [READS[key.kind], key.name, *last]
            case (b"DEL",) if key.kind in ELEMENTS:
                return [b"HDEL" if key.kind == "field" else b"ZREM", key.name, key.element]
            case (b"INCRFAIL", amount):
                return scripts.in_script(scripts.FAILING, b"INCRBY", key.name, amount)
            case (b"INCRSPEND", amount):
                return scripts.in_script(scripts.ENDLESS, b"INCRBY", key.name, amount)
            case (b"INCRBY" | b"APPEND" as name, value) if self._is_scripted(value):
                return scripts.in_script(scripts.ONE, name, key.name, value)
            case (b"HPEXPIRE",):
                ttl_ms = self._rng.choice((20, 150, 1000))
                return [b"HPEXPIRE", key.name, b"%d" % ttl_ms, *one_field]
            case (b"HPERSIST",):
                return [b"HPERSIST", key.name, *one_field]
            case (b"HSET" | b"HSETNX" as name, value):
                return [name, key.name, key.element, value]
            case (b"ZADD" | b"ZINCRBY" as name, value):
                return [name, key.name, value, key.element]
            case (b"SETPX", value):
                ttl_ms = self._rng.choice((50, 300, 1000, 5000))
                return [b"SET", key.name, value, b"PX", b"%d" % ttl_ms]
            case (b"SETNXPX", value):
                return [b"SET", key.name, value, b"NX", b"PX", b"300"]
            case (b"PEXPIRE",):
                return [b"PEXPIRE", key.name, b"200"]
            case (name, *rest):
                return [name, key.name, *rest]
            case _:
                raise ValueError(command)

    def _is_scripted(self, value: bytes) -> bool:
        return self._has_scripts and int(value.rstrip(b".")) % 5 == 3

    def answers(self, key: Key | None, replies: Sequence[Reply]) -> tuple[Answer, ...]:
        """Replies as the model of `key` gives them."""
        if key is not None and key.kind == "queue":
            return tuple(map(_elements, replies))
        return tuple(map(to_answer, replies))


READS = {"queue": b"LRANGE", "field": b"HGET", "score": b"ZSCORE"}


def _elements(reply: Reply) -> Answer:
    """LRANGE gives the whole list."""
    return b" ".join(reply) or None if isinstance(reply, list) else to_answer(reply)


def to_answer(reply: Reply) -> Answer:
    """A reply as the model gives it."""
    if reply == OK:
        return b"OK"
    if isinstance(reply, float):  # A score.
        return b"%d" % reply
    if isinstance(reply, ErrorReply):  # Of a script; what it did before stays.
        for text, answer in scripts.ANSWERS.items():
            if reply.text.startswith(text):
                return answer
    if isinstance(reply, list) and len(reply) == 1:  # Of the one field that was named.
        reply = reply[0]
    assert reply is None or isinstance(reply, (int, bytes)), f"a client was answered {reply!r}"
    return reply


class Transaction:
    """Commands, of which one writes, with a message that is published if they are carried out."""

    def __init__(self, workload: Workload, key: Key, commands: list[list[bytes]]) -> None:
        self._workload = workload
        self._message = b"t" + workload.next_value()
        packed = [(key.db, args) for args in commands]
        packed.append((key.db, [b"PUBLISH", TOLD, self._message]))
        self.args = [EXEC, pack_transaction(packed), key.name]  # As EXEC sends it to a shard.
        self._count = len(commands)

    def replies(self, reply: Reply) -> Sequence[Reply]:
        """To the commands."""
        if is_refused(reply):
            return [reply] * self._count
        assert isinstance(reply, list | tuple), f"EXEC was answered {reply!r}"
        *replies, heard = reply
        self._workload.heard_by(self._message, heard)
        return replies


class Client:
    """One connection: one operation at a time, some time between them."""

    def __init__(
        self,
        number: int,
        schedule: Schedule,
        rng: Random,
        cluster: Cluster,
        workload: Workload,
        *,
        pause_ns: int,
    ) -> None:
        self.number = number
        self.done = 0
        self.unknown = 0
        self.is_stopping = False
        self.is_idle = True
        self._schedule = schedule
        self._rng = rng
        self._cluster = cluster
        self._workload = workload
        self._pause_ns = pause_ns

    def start(self) -> None:
        self._schedule.after(self._rng.randrange(1, 2 * self._pause_ns), self._next)

    def _next(self) -> None:
        if self.is_stopping:
            return
        key, commands = self._workload.choose()
        self.perform(key, commands)

    def perform(self, key: Key, commands: tuple[Command, ...]) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        self.is_idle = True
        self.start()

    def _answered(self, key: Key, operation: Operation, replies: Sequence[Reply]) -> None:
        self.done += 1
        self._schedule.note(f"client {self.number} {key.label.decode()} {replies!r}")
        history = self._workload.history
        replies = history.without_refused(operation, replies)
        if operation.commands:
            history.answer(operation, self._workload.answers(key, replies))
        else:
            history.withdraw(operation)

    def _args(self, key: Key, commands: tuple[Command, ...]) -> list[list[bytes]]:
        return [self._workload.args(key, command) for command in commands]


class PlainClient(Client):
    """Asks any node, as redis-cli does; half of them follow hints, as a cluster client does."""

    def __init__(
        self,
        number: int,
        schedule: Schedule,
        rng: Random,
        cluster: Cluster,
        workload: Workload,
        *,
        pause_ns: int,
        follows_hints: bool,
    ) -> None:
        super().__init__(number, schedule, rng, cluster, workload, pause_ns=pause_ns)
        self._follows_hints = follows_hints
        self._hints: dict[ShardId, NodeId] = {}
        self._home = rng.choice(cluster.nodes)

    def perform(self, key: Key, commands: tuple[Command, ...]) -> None:
        if self._rng.random() < 0.1:
            self._home = self._rng.choice(self._cluster.nodes)
        node = self._hints.get(key.shard, self._home) if self._follows_hints else self._home
        self.is_idle = False
        operation = self._workload.history.invoke(
            self.number, key.label, commands, is_pipeline=not self._is_transaction(commands)
        )
        args = self._args(key, commands)
        exec_ = None
        if self._is_transaction(commands):
            exec_ = Transaction(self._workload, key, args)
            args = [exec_.args]
        self._ask(node, key, operation, args, exec_, tries=3 if self._follows_hints else 1)

    def _is_transaction(self, commands: tuple[Command, ...]) -> bool:
        """Several commands at once: every second client sends them as MULTI and EXEC do."""
        return len(commands) > 1 and self.number % 2 == 1

    def _ask(
        self,
        node: NodeId,
        key: Key,
        operation: Operation,
        args: list[list[bytes]],
        exec_: Transaction | None,
        *,
        tries: int,
    ) -> None:
        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done(replies):
                    if exec_ is not None:
                        replies = exec_.replies(replies[0])
                    self._answered(key, operation, replies)
                case Unknown():
                    self.unknown += 1
                case NotApplied(error):
                    hint = error.hint if isinstance(error, NotLeader) else None
                    if hint is not None:
                        self._hints[key.shard] = NodeId(hint)
                        if tries > 1:
                            self._ask(NodeId(hint), key, operation, args, exec_, tries=tries - 1)
                            return
                    self._hints.pop(key.shard, None)
                    self._home = self._rng.choice(self._cluster.nodes)
                    self._workload.history.withdraw(operation)
            self._finish()

        request = Request(
            key.shard,
            key.db,
            args,
            has_write=has_write(operation.commands),
            deadline_ns=self._cluster.deadline_ns(node, TIMEOUT_NS),
            complete=nobody,
            may_pass_on=not self._follows_hints,
        )
        self._cluster.ask(node, request, answered)


class Reader(PlainClient):
    """Reads, always from the same node: one that believes to lead may be alone with that."""

    def __init__(
        self,
        number: int,
        schedule: Schedule,
        rng: Random,
        cluster: Cluster,
        workload: Workload,
        *,
        pause_ns: int,
        home: NodeId,
    ) -> None:
        super().__init__(
            number, schedule, rng, cluster, workload, pause_ns=pause_ns, follows_hints=False
        )
        self._home = home

    def perform(self, key: Key, commands: tuple[Command, ...]) -> None:
        home = self._home
        super().perform(key, GET)
        self._home = home


class SessionClient(Client):
    """Asks leaders under a session and does not rest until each operation is answered."""

    def __init__(
        self,
        number: int,
        schedule: Schedule,
        rng: Random,
        cluster: Cluster,
        workload: Workload,
        *,
        pause_ns: int,
    ) -> None:
        super().__init__(number, schedule, rng, cluster, workload, pause_ns=pause_ns)
        self.retries = 0
        self._sessions: dict[ShardId, int] = {}
        self._sequences: dict[ShardId, int] = {}
        self._hints: dict[ShardId, NodeId] = {}

    def perform(self, key: Key, commands: tuple[Command, ...]) -> None:
        self.is_idle = False
        if key.shard not in self._sessions:
            self._open_session(key, commands)
            return
        exec_ = None
        args = self._args(key, commands)
        if len(commands) > 1 and self._rng.random() < 0.5:
            exec_ = Transaction(self._workload, key, args)
            args = [exec_.args]
        operation = self._workload.history.invoke(
            self.number, key.label, commands, is_pipeline=exec_ is None
        )
        sequence = self._sequences[key.shard]
        self._sequences[key.shard] = sequence + len(args) + self._rng.randrange(2)  # Gaps.
        self._try(key, operation, args, exec_, sequence)

    def _open_session(self, key: Key, commands: tuple[Command, ...]) -> None:
        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done([ErrorReply(code="TRYAGAIN")]):  # One session an entry.
                    self._again(lambda: self._open_session(key, commands))
                case Done(replies):
                    assert isinstance(replies[0], int), f"no session was opened: {replies!r}"
                    self._sessions[key.shard] = replies[0]
                    self._sequences[key.shard] = 1
                    self.perform(key, commands)
                case NotApplied(error):
                    self._follow(key.shard, error)
                    self._again(lambda: self._open_session(key, commands))
                case Unknown():
                    self._again(lambda: self._open_session(key, commands))

        timeout = b"%d" % SESSION_TIMEOUT_MS
        self._send(key, [[OPEN_SESSION, timeout]], 0, 0, answered, has_write=True)

    def _try(
        self,
        key: Key,
        operation: Operation,
        args: list[list[bytes]],
        exec_: Transaction | None,
        sequence: int,
    ) -> None:
        def again() -> None:
            self._try(key, operation, args, exec_, sequence)

        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done(replies):
                    if exec_ is not None:
                        replies = exec_.replies(replies[0])
                    self._answered(key, operation, replies)
                    self._finish()
                case NotApplied(error):
                    assert not isinstance(error, SessionUnknown), "a session in use was forgotten"
                    self._follow(key.shard, error)
                    self._again(again)
                case Unknown():
                    # Sooner or later it is answered: below the floor it cannot be.
                    self._again(again)

        session = self._sessions[key.shard]
        is_write = has_write(operation.commands)
        self._send(key, args, session, sequence, answered, has_write=is_write)

    def _send(
        self,
        key: Key,
        args: list[list[bytes]],
        session: int,
        sequence: int,
        answered: Callable[[Outcome], None],
        *,
        has_write: bool,
    ) -> None:
        node = self._hints.get(key.shard) or self._rng.choice(self._cluster.nodes)
        request = Request(
            key.shard,
            key.db,
            args,
            has_write=has_write,
            deadline_ns=self._cluster.deadline_ns(node, TIMEOUT_NS),
            complete=nobody,
            may_pass_on=False,
            session=session,
            sequence=sequence,
            floor=sequence,
        )
        self._cluster.ask(node, request, answered)

    def _follow(self, shard: ShardId, error: Unavailable) -> None:
        hint = error.hint if isinstance(error, NotLeader) else None
        if hint is None:
            self._hints.pop(shard, None)
        else:
            self._hints[shard] = NodeId(hint)

    def _again(self, action: Callable[[], None]) -> None:
        self.retries += 1
        if self._rng.random() < 0.3:
            self._hints.clear()
        self._schedule.after(self._rng.randrange(5 * MS, 100 * MS), action)


def nobody(_: Outcome) -> None:
    raise AssertionError("the cluster sets who is told")
