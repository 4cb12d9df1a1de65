"""A transport that remembers, routers that answer when told or from memory, and a client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any  # Any: what hiredis reads.

import hiredis

from trimaran.cluster.topology import ListenerInfo, NodeInfo, ReplicaInfo, Topology
from trimaran.node.commands import Context
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.doors.backend import DoorLimits, LinkFacts, MemoryFacts
from trimaran.node.doors.cluster_resp import ClusterRouting
from trimaran.node.doors.connection import Connection
from trimaran.node.doors.door import Clients, Door
from trimaran.node.doors.resp import AnyKeyRouting
from trimaran.node.errors import CommandError
from trimaran.node.pubsub import PubSub
from trimaran.node.request import Done, Outcome, Request
from trimaran.node.running import ALL_HANDLERS
from trimaran.proto.reply import ErrorReply, Reply

if TYPE_CHECKING:
    from trimaran.cluster.settings import Pairs
    from trimaran.cluster.slots import ShardId
    from trimaran.node.commands.blocking import Waiting

NODES = tuple(
    NodeInfo(
        f"n{number + 1}",
        7 + number,
        "127.0.0.1",
        7379 + 10 * number,
        listeners=(ListenerInfo("outside", f"out{number + 1}", 17379),),
    )
    for number in range(3)
)


def encode(*args: bytes) -> bytes:
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in args)


def topology(shards: int) -> Topology:
    replicas = tuple(ReplicaInfo(number + 1, node.name) for number, node in enumerate(NODES))
    return Topology(0x1234, 3, shards, NODES, (replicas,) * shards, replicas)


class Transport(asyncio.Transport):
    """Keeps what is written; `buffered` is what the other end has not read."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 7379)})
        self.writes: list[bytes] = []
        self.buffered = 0
        self.is_paused = False
        self.is_closed = False
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True


class Facts:
    def info(self) -> Mapping[str, Mapping[str, str | int]]:
        return {"keyspace": {"db0": "keys=1,expires=0,avg_ttl=0"}, "memory": {"used_memory": 5}}

    def links(self) -> Sequence[LinkFacts]:
        return [LinkFacts("n2", 1_700_000_000_000, 5), LinkFacts("n4", 1_700_000_000_000, 0)]

    def memory(self) -> MemoryFacts:
        return MemoryFacts(used=1_000, peak=2_000, resident=4_000, keys=10, log=7, links=5)

    def applied_total(self) -> int:
        return 42

    def config(self) -> Mapping[str, str]:
        return {
            "appendfsync": "no",
            "bind": "127.0.0.1",
            "cluster-node-timeout": "2000",
            "dir": "/somewhere",
            "hz": "50",
        }


class Control:
    """Keeps what it is asked for; the test says how it ends."""

    def __init__(self) -> None:
        self.saving: Callable[[Reply], None] | None = None
        self.stops: list[bool] = []  # Whether with a snapshot.
        self.stop_failed: Callable[[Reply], None] | None = None
        self.drives_expiry = True
        self.changes: list[tuple[Pairs, Callable[[Reply], None]]] = []

    def save(self, done: Callable[[Reply], None]) -> None:
        self.saving = done

    def save_in_background(self) -> bool:
        if self.saving is not None:
            return False
        self.saving = lambda _reply: None
        return True

    def saved_at_s(self) -> int:
        return 1_700_000_000

    def stop(self, *, is_saving: bool, failed: Callable[[Reply], None]) -> None:
        self.stops.append(is_saving)
        self.stop_failed = failed

    def keep_running(self) -> bool:
        failed, self.stop_failed = self.stop_failed, None
        if failed is not None:
            failed(ErrorReply("ERR", "Errors trying to SHUTDOWN. Check logs."))
        return failed is not None

    def drive_expiry(self, *, is_on: bool) -> None:
        self.drives_expiry = is_on

    def change_settings(self, pairs: Pairs, done: Callable[[Reply], None]) -> None:
        self.changes.append((pairs, done))


class Router:
    """Keeps requests until the test answers them; this node leads everything at first."""

    def __init__(self, shards: int = 4) -> None:
        self.name = "n1"
        self.shards = shards
        self.requests: list[Request] = []
        self.leaders: dict[int, str | None] = dict.fromkeys(range(shards), "n1")
        self.led_before: dict[int, str] = {}
        self.unreachable: set[str] = set()
        self.time_ns = 1_000_000_000
        self.has_something = False  # For who would wait for data,
        self.cancelled: list[Request] = []  # and waits that were called off.
        self.is_full = False

    def submit(self, request: Request) -> None:
        self.requests.append(request)

    def cancel(self, wait: Request) -> None:
        self.cancelled.append(wait)

    def may_have(self, shard: ShardId, db: int, waiting: Waiting) -> bool:
        return self.has_something

    def leads(self, shard: ShardId) -> bool:
        return self.leaders[shard] == self.name

    def leader_of(self, shard: ShardId) -> NodeInfo | None:
        name = self.leaders[shard]
        return self.topology().node(name) if name is not None else None

    def last_leader_of(self, shard: ShardId) -> NodeInfo | None:
        return self.topology().node(self.led_before.get(shard, ""))

    def is_reachable(self, node: str) -> bool:
        return node not in self.unreachable

    def topology(self) -> Topology:
        return topology(self.shards)

    def now_ns(self) -> int:
        return self.time_ns

    def wall_us(self) -> int:
        return 1_700_000_000_000_001

    # --- For the test.

    def take(self, shard: int | None = None) -> Request:
        """The oldest request, of that shard if one is named."""
        place = next(
            place
            for place, request in enumerate(self.requests)
            if shard is None or request.shard == shard
        )
        return self.requests.pop(place)

    def answer(self, *replies: Reply, shard: int | None = None) -> None:
        self.finish(Done(replies), shard=shard)

    def finish(self, outcome: Outcome, *, shard: int | None = None) -> None:
        self.take(shard).complete(outcome)


class MemoryRouter(Router):
    """A cluster of one node without a log: the real handlers on one keyspace per shard, at once."""

    def __init__(self, shards: int = 4, call_soon: Callable[..., object] | None = None) -> None:
        super().__init__(shards)
        self._keyspaces = [Keyspace() for _ in range(shards)]
        self._call_soon = call_soon  # With it, answers come in a later turn of the loop.
        self._index = 0

    def submit(self, request: Request) -> None:
        self._index += 1
        keys = self._keyspaces[request.shard]
        now_ms = keys.begin_entry(self._index, self.wall_us() // 1000)
        replies: list[Reply] = []
        for args in request.commands:
            keys.enter(request.db, now_ms, is_read=not request.has_write)
            try:
                context = Context(request.db, now_ms, self._index)
                handler = ALL_HANDLERS[args[0]]
                replies.append(handler(keys, args, context))
            except CommandError as error:
                replies.append(ErrorReply(error.code, error.text))
        if self._call_soon is None:
            request.complete(Done(replies))
        else:
            self._call_soon(request.complete, Done(replies))


def make_door(
    router: Router,
    *,
    is_cluster: bool = False,
    limits: DoorLimits | None = None,
    clients: Clients | None = None,
    listener: str = "",
    control: Control | None = None,
    call_soon: Callable[[Callable[[], None]], object] | None = None,
    call_later: Callable[[float, Callable[[], None]], object] | None = None,
) -> Door:
    routing: ClusterRouting | AnyKeyRouting = AnyKeyRouting(router, Random(3))
    if is_cluster:
        routing = ClusterRouting(router, Random(3), listener)
    clients = clients or Clients(limits or DoorLimits(), router.now_ns())
    clients.pubsub = lone_pubsub(router, call_soon)
    return Door(
        routing,
        router=router,
        facts=Facts(),
        control=control or Control(),
        clients=clients,
        listener=listener,
        call_soon=call_soon,
        call_later=call_later,
    )


class Alone:
    """What the pub/sub of a node without peers runs on."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object] | None) -> None:
        self._call_soon = call_soon

    def call_soon(self, callback: Callable[[], None]) -> None:
        if self._call_soon is None:
            callback()
        else:
            self._call_soon(callback)

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        raise AssertionError("nobody is waited for")


def lone_pubsub(
    router: Router, call_soon: Callable[[Callable[[], None]], object] | None = None
) -> PubSub:
    """Pub/sub of one node."""
    return PubSub(Alone(call_soon), router.now_ns)


class Client:
    """One end of a connection to a door without a network; `turn` is one turn of the loop."""

    def __init__(self, door: Door, soon: list[Callable[[], None]]) -> None:
        self.transport = Transport()
        self.connection = Connection(door)
        self._soon = soon
        self._reader = hiredis.Reader(replyError=str)  # type: ignore[arg-type]  # Any callable will do.
        self.connection.connection_made(self.transport)

    def send(self, *commands: bytes | Sequence[bytes]) -> None:
        """Commands in one chunk: words in one string, or arguments in a list."""
        self.send_raw(
            b"".join(encode(*(one.split() if isinstance(one, bytes) else one)) for one in commands)
        )

    def send_raw(self, data: bytes) -> None:
        self.connection.data_received(data)

    def turn(self) -> None:
        while self._soon:
            self._soon.pop(0)()

    @property
    def written(self) -> bytes:
        return b"".join(self.transport.writes)

    def replies(self) -> list[Any]:
        """What was answered since the last look; errors as text."""
        self.turn()
        self._reader.feed(self.written)
        self.transport.writes.clear()
        found = []
        while (reply := self._reader.gets()) is not False:
            found.append(reply)
        return found

    def ask(self, *commands: bytes | Sequence[bytes]) -> Any:
        """The answer to the last of `commands`, at once."""
        self.send(*commands)
        return self.replies()[-1]


class Rig:
    """A door over a router, and as many clients as wanted."""

    def __init__(
        self,
        router: Router,
        *,
        is_cluster: bool = False,
        limits: DoorLimits | None = None,
        listener: str = "",
    ) -> None:
        self.router = router
        self._soon: list[Callable[[], None]] = []
        self._timers: list[tuple[int, Callable[[], None]]] = []
        self.door = make_door(
            router,
            is_cluster=is_cluster,
            limits=limits,
            listener=listener,
            call_soon=self._soon.append,
            call_later=self._call_later,
        )

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._timers.append((self.router.time_ns + int(delay_s * 1e9), callback))

    def turn_once(self) -> None:
        """One turn of the loop: what it leads to comes in the next."""
        soon, self._soon[:] = self._soon.copy(), []
        for callback in soon:
            callback()

    @property
    def timers(self) -> int:
        return len(self._timers)

    def pass_time(self, seconds: float, *, early_ns: int = 0) -> None:
        """Run every timer that is due until then, each at its time, or so much earlier."""
        until_ns = self.router.time_ns + int(seconds * 1e9)
        while due := sorted(
            (one for one in self._timers if one[0] <= until_ns), key=lambda t: t[0]
        ):
            self._timers.remove(due[0])
            self.router.time_ns = max(self.router.time_ns, due[0][0] - early_ns)
            due[0][1]()
        self.router.time_ns = until_ns - early_ns

    def client(self) -> Client:
        return Client(self.door, self._soon)
