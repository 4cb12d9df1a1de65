"""The any-key door (+0): every command on any node, over whichever shards its keys are in.

Database 0 is sharded; the commands that make sense on several shards are split and their answers
joined (correctness D3), all others with keys in several are refused. Databases 1 to 15 live whole
on one shard each. What is led elsewhere the router passes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.command import Spread
from ...cluster.routing import (
    databases_apart,
    join_all,
    join_split,
    next_scan_cursor,
    parse_cursor,
    shards_of,
    split_keys,
)
from ...cluster.slots import ShardId, shard_of
from ..errors import CommandError, Unavailable
from .gather import Gather, Part, check_memory
from .outcomes import CROSS_SHARD, CROSS_TRANSACTION, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from ...proto.reply import ErrorReply, Reply
    from ..request import Args
    from .backend import Router
    from .client import Client
    from .routes import Route


class AnyKeyRouting:
    is_cluster = False

    def __init__(self, router: Router, rng: Random) -> None:
        self._router = router
        self._shards = router.shards
        self._rng = rng

    def dispatch(self, client: Client, slot: int, route: Route, args: Args, cost: int) -> None:
        if route.key_at:
            shard = shard_of(client.db, args[route.key_at], self._shards)
            client.send(shard, slot, args, cost, is_write=route.is_write)
            return
        shards = shards_of(route.row, client.db, args, self._shards)
        if route.name == b"FLUSHALL":
            self._ask_all(client, slot, route, args, cost)  # All databases, wherever they live.
        elif route.row.spread is Spread.BY_CURSOR:
            self._scan(client, slot, route, args, cost)
        elif len(shards) == 1:
            client.send(shards[0], slot, args, cost, is_write=route.is_write)
        elif route.row.spread in (Spread.ALL_SHARDS, Spread.EVERYWHERE):
            check_memory(route.row, self._router)
            self._ask_all(client, slot, route, args, cost)
        elif route.row.spread is Spread.SPLIT_KEYS:
            self._split(client, slot, route, args, cost)
        else:
            self._check_databases(client.db, route, args)
            raise CommandError(CROSS_SHARD.text, CROSS_SHARD.code)

    def _check_databases(self, db: int, route: Route, args: Args) -> None:
        """MOVE, COPY ... DB: refused in their own words if their databases are apart."""
        if route.row.spread is Spread.NAMES_DB:
            text = databases_apart(route.row, db, args, self._shards)
            if text is not None:
                raise CommandError(text, CROSS_SHARD.code)

    def place(
        self, db: int, route: Route, args: Args, shard: ShardId | None, key: bytes
    ) -> tuple[ShardId, bytes]:
        """In a transaction everything is on one shard; what goes to all of them cannot be in it."""
        if route.key_at:
            only = shard_of(db, args[route.key_at], self._shards)
            if shard is None or shard == only:
                return only, b""
        self._check_databases(db, route, args)
        shards = shards_of(route.row, db, args, self._shards)
        is_sharded = not db and self._shards > 1
        if route.name == b"FLUSHALL":
            shards = tuple(map(ShardId, range(self._shards)))  # It empties every database.
        if len(shards) != 1 or (is_sharded and route.row.spread is Spread.BY_CURSOR):
            error = CROSS_SHARD if is_sharded else CROSS_TRANSACTION
            raise CommandError(error.text, error.code)
        if shard is not None and shards[0] != shard:
            error = CROSS_TRANSACTION if db else CROSS_SHARD
            raise CommandError(error.text, error.code)
        return shards[0], b""

    def any_shard(self) -> ShardId:
        """For what goes anywhere."""
        return ShardId(0)

    def check_channels(self, names: Sequence[bytes]) -> None:
        """Any node will do: they are told to all."""

    def refusal(self, route: Route, args: Args, error: Unavailable) -> ErrorReply:
        return refusal(error)

    def _ask_all(self, client: Client, slot: int, route: Route, args: Args, cost: int) -> None:
        row = route.row
        fraction = self._rng.random() if row.name == b"RANDOMKEY" else 0.0
        gather = Gather(
            client,
            slot,
            [route.name, *args[1:]],
            self._shards,
            lambda replies: join_all(row, replies, fraction),
            is_write=route.is_write,
        )
        for number in range(self._shards):
            client.send(ShardId(number), Part(gather, number), args, cost, is_write=route.is_write)

    def _split(self, client: Client, slot: int, route: Route, args: Args, cost: int) -> None:
        row = route.row
        parts = split_keys(row, client.db, args, self._shards)
        gather = Gather(
            client,
            slot,
            [route.name, *args[1:]],
            len(parts),
            lambda replies: join_split(row, parts, replies),
            is_write=route.is_write,
        )
        for place, part in enumerate(parts):
            client.send(
                part.shard,
                Part(gather, place),
                part.args,
                cost // len(parts),
                is_write=route.is_write,
            )

    def _scan(self, client: Client, slot: int, route: Route, args: Args, cost: int) -> None:
        if parse_cursor(args[1]) is None:
            raise CommandError("invalid cursor")
        db, shards = client.db, self._shards
        (shard,) = shards_of(route.row, db, args, shards)

        def join(replies: list[list[Reply]]) -> Reply:
            cursor, keys = replies[0]
            assert isinstance(cursor, bytes)
            return [next_scan_cursor(args[1], cursor, db, shards), keys]

        gather = Gather(client, slot, [route.name, *args[1:]], 1, join, is_write=False)
        client.send(shard, Part(gather, 0), args, cost, is_write=False)
