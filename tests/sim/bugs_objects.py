"""Planted bugs in what commands do to values of all types, in WATCH, and in what entries tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from random import Random
from typing import TYPE_CHECKING, Any  # Any: arguments passed through.

from trimaran.node.commands.internal import EXPIRE
from trimaran.node.commands.script_host import ScriptHost
from trimaran.node.data.hash import Hash
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.quicklist import ListValue
from trimaran.node.data.stream import Stream
from trimaran.node.data.values import HASH, LIST, STREAM, TYPES
from trimaran.node.data.watches import COMMAND_BITS, State, Watches
from trimaran.node.running import ALL_HANDLERS
from trimaran.node.scripting.runtime import Runtime
from trimaran.node.shard import ENDLESS

from .planted import Bug
from .watch import WATCHED, WatchedShard

if TYPE_CHECKING:
    from trimaran.node.commands.context import Context
    from trimaran.node.data.entry import CommandRecord
    from trimaran.node.data.sessions import Lookup
    from trimaran.node.raft.types import Entry
    from trimaran.node.request import Args
    from trimaran.proto.reply import Reply

CUT_OFTEN = ("laggards", "crashes", "blackouts")  # Days on which snapshots matter.

# --- Values.


def _itself(value: Any) -> Any:
    """What is changed in place is also in the snapshot."""
    return value


_spop = ALL_HANDLERS[b"SPOP"]
_chance = Random(1)


def _pop_by_its_own_chance(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    ctx._many = _chance.random  # Each replica draws for itself.
    return _spop(keys, args, ctx)


def _drawn_elsewhere(_: ScriptHost) -> float:
    return _chance.random()


def _run_for_a_while(self: Runtime, *args: Any) -> Any:
    """The budget is the machine's: some of them are slower."""
    *others, budget = args
    return _run(self, *others, budget - 40_000 * int(_chance.random() * 3))


_run: Any = Runtime.run


def _no_times(hash_: Hash) -> Any:
    """When fields expire is not part of the state."""
    kept, hash_._times = hash_._times, None
    try:
        return _pack_hash(hash_)
    finally:
        hash_._times = kept


_pack_hash = HASH.pack

# --- WATCH.


def _nothing_watched(_: Watches) -> Iterator[State]:
    return iter(())


def _is_unchanged_by_other_entries(self: Watches, db: int, key: bytes, since: int) -> bool:
    known = self.watched.get((db, key))
    return known is not None and known[0] >> COMMAND_BITS <= since >> COMMAND_BITS


def _is_unchanged_or_due(self: Keyspace, key: bytes, since: int) -> bool:
    return self.watches.is_unchanged(self._database.number, key, since)


def _expire_unseen(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Expiry is not what a client would call a change."""
    kept, keys.watches = keys.watches, Watches()
    try:
        return _expire(keys, args, ctx)
    finally:
        keys.watches = kept


_expire = ALL_HANDLERS[EXPIRE]


def _always_unchanged(*_: Any) -> bool:
    return True


# --- What entries tell.


class TellsOnEveryReplica(WatchedShard):
    """Whoever applies an entry tells what it has to tell."""

    def _run(
        self, commands: Iterable[CommandRecord], context: Context, replies: list[Reply | Lookup]
    ) -> None:
        self._last = (context, replies)
        super()._run(commands, context, replies)

    def _applied(self, entry: Entry) -> None:
        super()._applied(entry)
        context, replies = self.__dict__.pop("_last", (None, []))
        if context is not None and entry.index not in self._proposed and context.published:
            quota, self._quota = self._quota, ENDLESS
            for _ in self._tell(context, replies):
                """All of it at once."""
            self._quota = quota


BUGS: tuple[Bug, ...] = (
    Bug(
        "a list is not copied before a write",
        "L7",
        "differ at index|differ:|digest",
        patches=((TYPES, ListValue, replace(LIST, copy=_itself)),),
        flavours=CUT_OFTEN,
        needs=attrgetter("has_cut_collections"),
        first=97,
    ),
    Bug(
        "a hash is not copied before a write",
        "L7",
        "differ at index|differ:|digest",
        patches=((TYPES, Hash, replace(HASH, copy=_itself)),),
        flavours=CUT_OFTEN,
        needs=attrgetter("has_cut_collections"),
        first=61,
    ),
    Bug(
        "a stream is not copied before a write",
        "L7",
        "differ at index|differ:|digest",
        patches=((TYPES, Stream, replace(STREAM, copy=_itself)),),
        flavours=CUT_OFTEN,
        needs=attrgetter("has_cut_collections"),
        first=132,
    ),
    Bug(
        "snapshots forget when fields expire",
        "L5",
        "differ at index|differ:|not linearizable",
        patches=((TYPES, Hash, replace(HASH, pack=_no_times)),),
        flavours=CUT_OFTEN,
        needs=attrgetter("has_cut_collections"),
        first=45,
    ),
    Bug(
        "a replica draws by its own chance",
        "A1",
        "differ at index",
        patches=((ALL_HANDLERS, b"SPOP", _pop_by_its_own_chance),),
        needs=attrgetter("has_collections"),
        first=37,
    ),
    Bug(
        "a script draws by its own chance",
        "A3",
        "differ at index",
        patches=((ScriptHost, "random", _drawn_elsewhere),),
        needs=attrgetter("has_collections"),
    ),
    Bug(
        "a script ends where its replica likes",
        "A3",
        "differ at index",
        patches=((Runtime, "run", _run_for_a_while),),
        needs=attrgetter("has_collections"),
        first=2,
    ),
    Bug(
        "what is watched is not in snapshots",
        "A5",
        "differ at index|differ:",
        patches=((Watches, "states", _nothing_watched),),
        flavours=CUT_OFTEN,
        needs=attrgetter("has_cut_collections"),
        first=45,
    ),
    Bug(
        "a change in the entry of WATCH is missed",
        "A5",
        "EXEC made",
        patches=((Watches, "is_unchanged", _is_unchanged_by_other_entries),),
        needs=attrgetter("has_collections"),
        first=2,
    ),
    Bug(
        "the expiry of what is watched does not count",
        "A5",
        "EXEC made",
        patches=(
            (Keyspace, "is_unchanged", _is_unchanged_or_due),
            (ALL_HANDLERS, EXPIRE, _expire_unseen),
        ),
        needs=attrgetter("has_collections"),
        first=2,
    ),
    Bug(
        "EXEC does not look at what is watched",
        "A5",
        "EXEC made|not linearizable",
        patches=((Keyspace, "is_unchanged", _always_unchanged),),
        needs=attrgetter("has_collections"),
    ),
    Bug(
        "every replica tells",
        "A7",
        "did not propose",
        replace(WATCHED, shard=TellsOnEveryReplica),
    ),
)
