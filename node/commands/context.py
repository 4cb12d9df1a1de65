"""What a handler may know beside the keyspace and its arguments: the entry it is part of."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple, TypeAlias

from ...cluster.command import READ
from ...cluster.commands import COMMANDS
from ...cluster.settings import DEFAULTS, Settings
from ...proto.reply import Reply
from ..data.keyspace import Keyspace
from ..request import Args
from .chance import Lehmer

# A large value costs nothing to name a thousand times; its copies in the reply would cost a node.
REPLY_BYTES_MAX = 512 << 20


# Numbers at random that an entry asks for; from more on it takes less to make the other generator.
FEW_DRAWS: Final = 32

_ALL_KINDS = "g$lshzxetd"  # What A stands for.


def event_kinds(wanted: str) -> str:
    """The letters that a value of notify-keyspace-events stands for."""
    return wanted + _ALL_KINDS if "A" in wanted else wanted


# Commands that tell of keys they do not find: those that read, and some that write what they read.
TELL_MISSES: Final = frozenset(
    one.name
    for row in COMMANDS.values()
    for one in (row, *row.subcommands)
    if one.flags & READ and row.name not in (b"OBJECT", b"MEMORY")
) | frozenset(
    b"BITFIELD BITOP COPY GEORADIUS GEORADIUSBYMEMBER GEOSEARCHSTORE GETDEL GETEX GETSET"
    b" SDIFFSTORE SINTERSTORE SORT SUNIONSTORE XACK XAUTOCLAIM XCLAIM XREADGROUP ZDIFFSTORE"
    b" ZINTERSTORE ZRANGESTORE ZUNIONSTORE".split()
)


class Publication(NamedTuple):
    """A message of a channel, published from inside of an entry."""

    is_sharded: bool
    channel: bytes
    payload: bytes
    place: int  # Of its reply among those of its transaction; -1 if it has none there.
    behind: int  # So many notifications of its entry come before it.


class Context:
    """The same on every replica. One serves all commands of an entry; `db` is set for each."""

    __slots__ = ("_drawn", "_few", "_many", "_seed", "db", "events", "is_full", "made", "now_ms",
                 "publications", "published", "settings")  # fmt: skip

    def __init__(self, db: int, now_ms: int, seed: int, settings: Settings = DEFAULTS) -> None:
        self.db = db
        self.now_ms = now_ms  # The entry's stamp; a read has its leader's time.
        # The entry's too: this node's own view of them may be older or newer (correctness A1).
        self.settings = settings
        # Whether the leader had no memory left for the command: a script may run nevertheless.
        self.is_full = False
        # Keyspace notifications (database, event, key), in order; None while nobody wants any.
        self.events: list[tuple[int, str, bytes]] | None = (
            [] if settings.notify_keyspace_events else None
        )
        # Messages that commands of a transaction or a script publish. As the notifications, they
        # are sent by the node that proposed the entry, and by no other (correctness A7).
        self.publications: list[Publication] = []
        self.published: list[tuple[int, list[Publication]]] = []  # Those, by their command's place.
        # Payloads, and the values that were made of them already (`making.py`).
        self.made: list[tuple[bytes, object]] = []
        self._seed = seed
        self._drawn = 0
        self._few: Callable[[], float] | None = None
        self._many: Callable[[], float] | None = None

    def take_made(self, payload: bytes) -> object | None:
        """The value of that payload, if it was made already; it is given once."""
        for place, (one, value) in enumerate(self.made):
            if one is payload:
                del self.made[place]
                return value
        return None

    def notify(self, kind: str, event: str, key: bytes, db: int | None = None) -> None:
        """Say what happened to a key, as Redis names it; `kind` is a letter of
        notify-keyspace-events: g generic, $ string, l list, s set, h hash, z sorted set, t stream,
        x expired, e evicted, n new. Called in the order in which Redis tells it."""
        if self.events is not None and kind in event_kinds(self.settings.notify_keyspace_events):
            self.events.append((self.db if db is None else db, event, key))

    def publish(self, words: Args, place: int) -> None:
        """A PUBLISH or SPUBLISH inside of the entry; nobody knows yet how many get it."""
        is_sharded = words[0] == b"SPUBLISH"
        behind = len(self.events or ())
        self.publications.append(Publication(is_sharded, words[1], words[2], place, behind))

    def expired(self, db: int, key: bytes) -> None:
        """A write found a key that is due and takes its place, or removes it."""
        if self.events is None or "x" not in event_kinds(self.settings.notify_keyspace_events):
            return
        # Its end comes first, where the command has said already that the key is new.
        is_told = bool(self.events) and self.events[-1] == (db, "new", key)
        self.events.insert(len(self.events) - is_told, (db, "expired", key))

    @property
    def wants_misses(self) -> bool:
        return "m" in self.settings.notify_keyspace_events

    def on_miss(self, name: bytes) -> Callable[[int, bytes], None] | None:
        """What the keyspace is to call while the command of that name looks for keys."""
        return self._missed if self.wants_misses and name in TELL_MISSES else None

    def _missed(self, db: int, key: bytes) -> None:
        assert self.events is not None
        self.events.append((db, "keymiss", key))

    def draws(self, count: int = 1) -> Callable[[], float]:
        """What gives numbers from 0 to below 1, for who wants about so many. They follow from the
        entry's seed, and from what its commands before have asked for."""
        if self._many is not None:
            return self._many
        self._drawn += count
        if self._drawn > FEW_DRAWS:
            # Python keeps the sequence of this method stable, and of no other.
            self._many = Random(self._seed).random
            return self._many
        if self._few is None:
            self._few = Lehmer(self._seed).random
        return self._few


Handler: TypeAlias = Callable[[Keyspace, Args, Context], Reply]
