"""What a row of the command table says: flags, where keys are, over which shards it goes.

The rows themselves are in `table/`, one module per family; `commands.py` puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

# --- Flags, as bits; FLAG_NAMES says what Redis calls them.

WRITE = 1 << 0  # Goes through the log.
READ = 1 << 1  # Served behind a read barrier.
GROWS = 1 << 2  # May need memory: refused at the limit.
ADMIN = 1 << 3
NOSCRIPT = 1 << 4
LOADING = 1 << 5
STALE = 1 << 6
FAST = 1 << 7  # O(1) or O(log n) of Redis's own accounts.
NO_AUTH = 1 << 8
ALLOW_BUSY = 1 << 9
DANGEROUS = 1 << 10  # A category only; ADMIN implies it.
NO_MULTI = 1 << 11  # Refused inside MULTI.
NO_ASYNC_LOADING = 1 << 12
SKIP_MONITOR = 1 << 13  # Not shown to MONITOR.
SKIP_SLOWLOG = 1 << 14
BLOCKING = 1 << 15  # May wait for data.
PUBSUB = 1 << 16  # About channels: may be used by a RESP2 client that has subscribed.
NO_MANDATORY_KEYS = 1 << 17  # Scripts: there may be no key at all.
ASKING = 1 << 19  # For show: needs no ASKING in front of it.
LOGGED = 1 << 20  # Goes through the log, though Redis does not call it a write.

FLAG_NAMES = {
    WRITE: "write",
    READ: "readonly",
    GROWS: "denyoom",
    ADMIN: "admin",
    NOSCRIPT: "noscript",
    LOADING: "loading",
    STALE: "stale",
    FAST: "fast",
    NO_AUTH: "no_auth",
    ALLOW_BUSY: "allow_busy",
    NO_MULTI: "no_multi",
    NO_ASYNC_LOADING: "no_async_loading",
    SKIP_MONITOR: "skip_monitor",
    SKIP_SLOWLOG: "skip_slowlog",
    BLOCKING: "blocking",
    PUBSUB: "pubsub",
    NO_MANDATORY_KEYS: "no_mandatory_keys",
    ASKING: "asking",
}


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Places of keys among the arguments; a negative `last` counts from the end. first 0: none."""

    first: int
    last: int
    step: int

    def of(self, args: Sequence[bytes]) -> Sequence[bytes]:
        """The keys among `args`, which fit the command's arity."""
        if self.first == 0:
            return ()
        if self.last == self.first:
            return (args[self.first],)
        end = self.last + 1 if self.last >= 0 else len(args) + self.last + 1
        return args[self.first : end : self.step]


NO_KEYS = KeyRange(0, 0, 0)
ONE = KeyRange(1, 1, 1)
SECOND = KeyRange(2, 2, 1)
TWO = KeyRange(1, 2, 1)
BEHIND = KeyRange(2, -1, 1)  # All behind a subcommand.
ALL = KeyRange(1, -1, 1)
PAIRS = KeyRange(1, -1, 2)


# --- Where keys are that do not stand at fixed places. Arguments that make no sense have no keys:
# the command goes anywhere, and its handler says what is wrong with it.


@dataclass(frozen=True, slots=True)
class Counted:
    """`numkeys key [key ...]`: the number at place `at`; perhaps a target key in front of it."""

    at: int
    target: int = 0  # Place of another key, 0 if there is none.

    def of(self, args: Sequence[bytes]) -> Sequence[bytes]:
        text = args[self.at]
        count = int(text) if text.isdigit() and len(text) < _COUNT_DIGITS_MAX else 0
        first = self.at + 1
        if not 0 < count <= len(args) - first:
            return (args[self.target],) if self.target else ()
        counted = args[first : first + count]
        return (args[self.target], *counted) if self.target else counted


@dataclass(frozen=True, slots=True)
class BehindWord:
    """XREAD, XREADGROUP: `STREAMS key [key ...] id [id ...]` behind options; half are keys."""

    word: bytes
    start: int  # Where clients are told to look for it; the options before it begin at 1.
    options: tuple[tuple[bytes, int], ...]  # And how many values follow each.

    def of(self, args: Sequence[bytes]) -> Sequence[bytes]:
        place = 1
        values_of = dict(self.options)
        while place < len(args):
            option = args[place].upper()
            if option == self.word:
                rest = args[place + 1 :]
                return rest[: len(rest) // 2] if len(rest) % 2 == 0 else ()
            values = values_of.get(option)
            if values is None:
                break
            place += 1 + values
        return ()


@dataclass(frozen=True, slots=True)
class StoreOption:
    """SORT, GEORADIUS: a key at the first place, and one behind the last of some words."""

    words: tuple[bytes, ...]
    start: int  # Where the options begin.
    is_told: bool  # Whether COMMAND INFO tells where they are.
    skipped: tuple[tuple[bytes, int], ...] = ()  # Options whose values are no options.

    def of(self, args: Sequence[bytes]) -> Sequence[bytes]:
        stored: tuple[bytes, ...] = ()
        place = self.start
        skips = dict(self.skipped)
        while place < len(args):
            option = args[place].upper()
            if option in self.words and place + 1 < len(args):
                stored = (args[place + 1],)
                place += 1
            else:
                place += skips.get(option, 0)
            place += 1
        return (args[1], *stored)


@dataclass(frozen=True, slots=True)
class OneOrBehind:
    """MIGRATE: a key at a place, or where that is empty, all behind a word."""

    at: int
    word: bytes
    start: int  # Where clients are told to look for the word.

    def of(self, args: Sequence[bytes]) -> Sequence[bytes]:
        if not args[self.at]:
            for place in range(self.at + 1, len(args)):
                if args[place].upper() == self.word:
                    return args[place + 1 :]
        return (args[self.at],)


Finder = Counted | BehindWord | StoreOption | OneOrBehind
_COUNT_DIGITS_MAX = 10


class Spread(Enum):
    """Over which shards a command goes (design, sections 2 and 9)."""

    LOCAL = "local"  # The door answers by itself.
    ONE_SHARD = "one shard"  # Keys in several shards are refused.
    SPLIT_KEYS = "split keys"  # Cut in parts by the shards of its keys; atomic per part (D3).
    ALL_SHARDS = "all shards"  # Every shard of the database is asked.
    BY_CURSOR = "by cursor"  # SCAN: the shard that its cursor is in.
    EVERYWHERE = "everywhere"  # Every shard, whatever the database.
    NAMES_DB = "names a database"  # As ONE_SHARD, but a second database may be among its words.


LOCAL, ONE_SHARD, SPLIT_KEYS = Spread.LOCAL, Spread.ONE_SHARD, Spread.SPLIT_KEYS
ALL_SHARDS, BY_CURSOR, NAMES_DB = Spread.ALL_SHARDS, Spread.BY_CURSOR, Spread.NAMES_DB
EVERYWHERE = Spread.EVERYWHERE

# ACL categories.
KEYSPACE, STRING, CONNECTION, TRANSACTION, ADMINISTRATION, OTHER = (
    "keyspace", "string", "connection", "transaction", "admin", "",
)  # fmt: skip
HASH, LIST, SET, SORTED_SET, STREAM = "hash", "list", "set", "sortedset", "stream"
BITMAP, HYPERLOGLOG, GEO, SCRIPTING = "bitmap", "hyperloglog", "geo", "scripting"


@dataclass(frozen=True, slots=True)
class Command:
    name: bytes  # Upper case; of a subcommand `CONTAINER|NAME`.
    arity: int  # Arguments, the name included; negative: at least.
    flags: int
    keys: KeyRange  # With a finder: those at fixed places, as COMMAND INFO has them.
    category: str  # Of the ACL; several, with blanks between them, if it is of several types.
    spread: Spread = ONE_SHARD
    tips: tuple[str, ...] = ()
    subcommands: tuple[Command, ...] = ()
    # What it does with its keys, in Redis's words: "RW access update"; where it treats the second
    # one otherwise than the first, both, in order: "RO access; OW update".
    key_flags: str = ""
    finder: Finder | None = None  # Where its keys are, if not just at fixed places.
    by_word: dict[bytes, Command] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        by_word = {row.name.partition(b"|")[2]: row for row in self.subcommands}
        object.__setattr__(self, "by_word", by_word)

    @property
    def has_keys(self) -> bool:
        """Whether it may have keys."""
        return self.keys.first > 0 or self.finder is not None

    def keys_of(self, args: Sequence[bytes]) -> Sequence[bytes]:
        """The keys among `args`, which fit its arity."""
        return self.keys.of(args) if self.finder is None else self.finder.of(args)

    def accepts(self, count: int) -> bool:
        """Whether it may come with `count` arguments, its name (and subcommand) included."""
        return count == self.arity if self.arity > 0 else count >= -self.arity

    @property
    def display_name(self) -> str:
        """As replies and errors write it."""
        return self.name.decode().lower()

    @property
    def flag_names(self) -> list[str]:
        names = [name for bit, name in FLAG_NAMES.items() if self.flags & bit]
        return names if self.finder is None else [*names, "movablekeys"]

    @property
    def acl_categories(self) -> list[str]:
        names = self.category.split()
        is_read = bool(self.flags & READ) and self.category != SCRIPTING  # As Redis has EVAL_RO.
        names += ["write"] * bool(self.flags & WRITE) + ["read"] * is_read
        names += ["admin"] * bool(self.flags & ADMIN)
        names += ["dangerous"] * bool(self.flags & (ADMIN | DANGEROUS))
        names += ["blocking"] * bool(self.flags & BLOCKING)
        names += ["pubsub"] * bool(self.flags & PUBSUB)
        return [*names, "fast" if self.flags & FAST else "slow"]


# --- What many rows share.

CONN = NOSCRIPT | LOADING | STALE
CLUSTER_ADMIN = ADMIN | STALE | NO_ASYNC_LOADING
DISK = ADMIN | NOSCRIPT | NO_ASYNC_LOADING
TELLING = LOADING | STALE | FAST | DANGEROUS
HANDSHAKE = CONN | FAST | NO_AUTH | ALLOW_BUSY
ACCESS, UPDATES = "RO access", "RW access update"
VARIES = ("nondeterministic_output",)
ORDER = ("nondeterministic_output_order",)
SPLIT = ("request_policy:multi_shard",)
SUM = ("request_policy:multi_shard", "response_policy:agg_sum")
EACH = ("request_policy:all_shards", "response_policy:all_succeeded")
SPECIAL = ("request_policy:all_shards", "response_policy:special")
ALL_NODES = ("request_policy:all_nodes", "response_policy:all_succeeded")
PER_NODE = (*VARIES, "request_policy:all_nodes", "response_policy:special")
