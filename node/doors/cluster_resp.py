"""The cluster door (+1): this node as a node of a Redis Cluster.

Only database 0 is seen here. A key whose shard is led elsewhere is answered MOVED, naming the
cluster door of the node that leads it; commands without keys (DBSIZE, KEYS, SCAN, FLUSHALL) act on
the slots this node leads, so a client that asks every master meets each key once (correctness D5);
scripts and functions that are loaded here are loaded everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.command import Spread
from ...cluster.routing import (
    CURSOR_PLACE_BITS,
    join_all,
    next_scan_cursor,
    not_in_cluster,
    parse_cursor,
    shards_of,
    slot_of_keys,
)
from ...cluster.slots import ShardId, Slot, shard_of_slot, slot_of, slots_of_shard
from ...proto.reply import OK, ErrorReply
from ..commands.functions import LOAD_FUNCTION
from ..errors import CommandError, NotLeader, Unavailable
from ..request import Done, NotApplied, Outcome, Request, Unknown
from .cluster_view import cluster_address
from .gather import Gather, Part, check_memory
from .outcomes import CROSS_SLOT, NOT_SERVED, refusal, uncertain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from ...cluster.topology import NodeInfo
    from ...proto.reply import Reply
    from ..request import Args
    from .backend import Router
    from .client import Client
    from .routes import Route

_KEPT_EVERYWHERE = frozenset({b"SCRIPT|LOAD", b"SCRIPT|FLUSH", b"FUNCTION|LOAD", b"FUNCTION|FLUSH"})
# What commands without keys answer on a node that leads nothing.
_NOTHING: dict[bytes, Reply] = {b"DBSIZE": 0, b"KEYS": [], b"RANDOMKEY": None}


def _check_databases(route: Route, args: Args) -> None:
    if route.row.spread is Spread.NAMES_DB:
        text = not_in_cluster(route.row, args)
        if text is not None:
            raise CommandError(text)


class ClusterRouting:
    is_cluster = True

    def __init__(self, router: Router, rng: Random, listener: str = "") -> None:
        self._router = router
        self._shards = router.shards
        self._rng = rng
        self._listener = listener  # Whose addresses MOVED names.

    def place(
        self, db: int, route: Route, args: Args, shard: ShardId | None, key: bytes
    ) -> tuple[ShardId, bytes]:
        """In a transaction all keys are in one slot, as in Redis Cluster, and it is led here."""
        row = route.row
        found = row.keys_of(args)
        first = found[0] if found else b""
        keys_slot = slot_of_keys(row, args) if found else None
        if keys_slot is None or (shard is not None and slot_of(key) != keys_slot):
            raise CommandError(CROSS_SLOT.text, CROSS_SLOT.code)
        led = self._shard_led(keys_slot)
        _check_databases(route, args)
        return led, first

    def dispatch(self, client: Client, slot: int, route: Route, args: Args, cost: int) -> None:
        row = route.row
        if route.key_at:
            shard = self._shard_led(slot_of(args[route.key_at]))
        elif row.keys_of(args):
            shared = slot_of_keys(row, args)
            if shared is None:
                raise CommandError(CROSS_SLOT.text, CROSS_SLOT.code)
            shard = self._shard_led(shared)
            _check_databases(route, args)
        else:
            self._without_keys(client, slot, route, args, cost)
            return
        client.send(shard, slot, args, cost, is_write=route.is_write)

    def check_channels(self, names: Sequence[bytes]) -> None:
        """All in one slot, which is led here."""
        slots = {slot_of(name) for name in names}
        if len(slots) > 1:
            raise CommandError(CROSS_SLOT.text, CROSS_SLOT.code)
        for slot in slots:
            self._shard_led(slot)

    def _shard_led(self, slot: Slot) -> ShardId:
        """The shard of a slot; raises MOVED if it is led elsewhere."""
        shard = shard_of_slot(slot, self._shards)
        if not self._router.leads(shard):
            moved = self._moved(slot, shard)
            raise CommandError(moved.text, moved.code)
        return shard

    def refusal(self, route: Route, args: Args, error: Unavailable) -> ErrorReply:
        """MOVED when it turned out that another node leads."""
        keys = route.row.keys_of(args) if isinstance(error, NotLeader) else ()
        if not isinstance(error, NotLeader) or not keys:
            return refusal(error)
        slot = slot_of(keys[0])
        shard = shard_of_slot(slot, self._shards)
        node = self._router.topology().node(error.hint) if error.hint else None
        return self._moved(slot, shard, node)

    def _moved(self, slot: Slot, shard: ShardId, node: NodeInfo | None = None) -> ErrorReply:
        node = node or self._router.leader_of(shard)
        if node is None or node.name == self._router.name:
            return NOT_SERVED
        host, port = cluster_address(node, self._listener)
        return ErrorReply("MOVED", f"{slot} {host}:{port}")

    # --- Commands without keys, on the shards led here.

    def any_shard(self) -> ShardId:
        """For what goes anywhere."""
        led = self._led()
        if not led:
            raise CommandError(NOT_SERVED.text, NOT_SERVED.code)
        return led[0]

    def _led(self, first: int = 0) -> list[ShardId]:
        numbers = map(ShardId, range(first, self._shards))
        return [shard for shard in numbers if self._router.leads(shard)]

    def _without_keys(self, client: Client, slot: int, route: Route, args: Args, cost: int) -> None:
        if route.row.spread is Spread.BY_CURSOR:
            self._scan(client, slot, route, args, cost)
            return
        row = route.row
        shards = self._led()
        if row.spread is Spread.ONE_SHARD:
            # A script without keys, or arguments that make no sense: any shard will do.
            client.send(self.any_shard(), slot, args, cost, is_write=route.is_write)
            return
        check_memory(row, self._router)
        if route.name in _KEPT_EVERYWHERE:
            self._keep_everywhere(client, slot, route, args, cost)
            return
        if not shards:
            client.put(slot, _NOTHING.get(route.name, OK))
            return
        if route.name == b"FLUSHALL":
            # Only database 0 is seen at this door, so nothing else is emptied through it.
            args = [b"FLUSHDB", *args[1:]]
        fraction = self._rng.random() if row.name == b"RANDOMKEY" else 0.0
        gather = Gather(
            client,
            slot,
            [route.name, *args[1:]],
            len(shards),
            lambda replies: join_all(row, replies, fraction),
            is_write=route.is_write,
        )
        for place, shard in enumerate(shards):
            client.send(shard, Part(gather, place), args, cost, is_write=route.is_write)

    def _keep_everywhere(
        self, client: Client, slot: int, route: Route, args: Args, cost: int
    ) -> None:
        """Scripts and functions are loaded once for the whole cluster: what is led elsewhere is
        passed on, as at the any-key door. Cluster clients that tell every node do no harm."""
        row = route.row
        whole = [route.name, *args[1:]]
        args = [LOAD_FUNCTION if route.name == b"FUNCTION|LOAD" else route.name, *args[1:]]
        gather = Gather(
            client,
            slot,
            whole,
            self._shards,
            lambda replies: join_all(row, replies, 0.0),
            is_write=True,
        )
        for shard in map(ShardId, range(self._shards)):
            if self._router.leads(shard):
                client.send(shard, Part(gather, shard), args, cost, is_write=True)
            else:
                self._pass_on(client, shard, Part(gather, shard), args)

    def _pass_on(self, client: Client, shard: ShardId, part: Part, args: Args) -> None:
        def told(outcome: Outcome) -> None:
            if client.is_lost:
                return
            match outcome:
                case Done(replies):
                    part.gather.put(part.place, replies[0])
                case NotApplied(error):
                    part.gather.put(part.place, refusal(error), is_refused=True)
                case Unknown(unknown):
                    part.gather.put(part.place, uncertain(unknown, is_write=True))
            client.schedule()

        deadline_ns = client.now_ns + client.door.command_timeout_ns
        self._router.submit(
            Request(shard, 0, [args], has_write=True, deadline_ns=deadline_ns, complete=told)
        )

    def _scan(self, client: Client, slot: int, route: Route, args: Args, cost: int) -> None:
        """From the first shard led here at or after the cursor."""
        cursor = parse_cursor(args[1])
        if cursor is None:
            raise CommandError("invalid cursor")
        (asked,) = shards_of(route.row, 0, args, self._shards)
        led = self._led(asked)
        if not led:
            client.put(slot, [b"0", []])
            return
        shard = led[0]
        if shard != asked:
            start = slots_of_shard(shard, self._shards).start << CURSOR_PLACE_BITS
            args = [args[0], b"%d" % start, *args[2:]]
        shards = self._shards

        def join(replies: list[list[Reply]]) -> Reply:
            answered, keys = replies[0]
            assert isinstance(answered, bytes)
            return [next_scan_cursor(args[1], answered, 0, shards), keys]

        gather = Gather(client, slot, [route.name, *args[1:]], 1, join, is_write=False)
        client.send(shard, Part(gather, 0), args, cost, is_write=False)
