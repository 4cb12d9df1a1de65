"""One client of a door, as handlers see it: who it is, which database it has chosen.

A RESP connection is one (`connection.py`), and so is a gRPC stream. Local commands read and change
these fields; where replies go and how commands reach their shards is the subclass's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ...cluster.slots import DATABASES
from ..commands.arguments import c_int_argument
from ..errors import CommandError

if TYPE_CHECKING:
    from ...cluster.slots import ShardId
    from ...proto.reply import Reply
    from ..request import Args, Outcome
    from ..subscriptions import Subscriber
    from .door import Door
    from .lane import Batch, Lane, Sink
    from .routes import Route


class Client(ABC):
    """What every client of a node has."""

    __slots__ = (
        "__weakref__",
        "address",
        "backing_off",
        "created_ns",
        "db",
        "door",
        "id",
        "idle_lanes",
        "is_authenticated",
        "is_no_evict",
        "is_no_touch",
        "lib_name",
        "lib_version",
        "local_address",
        "name",
        "now_ns",
        "protocol",
        "route",
        "written",
    )

    def __init__(self, door: Door) -> None:
        self.door = door
        self.id = 0  # Given by Clients.add.
        self.db = 0
        self.protocol = 2
        self.is_authenticated = not door.clients.password.is_set
        self.name = b""
        self.lib_name = b""
        self.lib_version = b""
        self.is_no_evict = False
        self.is_no_touch = False
        self.address = self.local_address = ""
        self.created_ns = door.router.now_ns()
        self.now_ns = self.created_ns  # When it last said anything.
        self.route: Route | None = None  # Of its last command, for CLIENT LIST.
        self.idle_lanes: list[Lane] = []  # Something waits in them and nothing is in flight.
        self.backing_off = 0  # Lanes that wait before they ask an overloaded shard again.
        self.written: set[ShardId] = set()  # Shards it has sent writes to, for WAIT.

    # Whether it stops reading while a shard is overloaded; else it is told (correctness D4).
    waits_when_overloaded = False

    # --- Commands and their replies.

    @abstractmethod
    def send(self, shard: ShardId, sink: Sink, args: Args, cost: int, *, is_write: bool) -> None:
        """Have a shard carry out a command; the reply goes to `sink`."""

    @abstractmethod
    def put(self, slot: int, reply: Reply) -> None:
        """Give the reply of the command at `slot` of this client's order."""

    @abstractmethod
    def answer(self, batch: Batch, outcome: Outcome) -> None:
        """What became of the request that carried `batch`."""

    def database(self, word: bytes) -> int:
        """The database that SELECT names with `word`; raises CommandError if it cannot be had."""
        number = c_int_argument(word)
        if self.door.is_cluster and number != 0:
            raise CommandError("SELECT is not allowed in cluster mode")
        if not 0 <= number < DATABASES:
            raise CommandError("DB index is out of range")
        return number

    @property
    def needs_password(self) -> bool:
        """Whether it must log in before it is served."""
        return not self.is_authenticated and self.door.clients.password.is_set

    def as_subscriber(self) -> Subscriber:
        """Itself, as one who gets messages of channels."""
        raise CommandError("subscriptions are for RESP connections")

    @property
    def is_subscriber(self) -> bool:
        """It listens to channels."""
        return False

    def become_monitor(self) -> None:
        """MONITOR: be shown every command of every client."""
        raise CommandError("MONITOR is for RESP connections")

    def reset(self) -> None:
        """RESET: everything goes back to how it was in the beginning."""
        self.db = 0
        self.name = b""
        self.protocol = 2
        self.is_no_evict = self.is_no_touch = False
        self.is_authenticated = not self.door.clients.password.is_set

    def set_reply_mode(self, mode: str) -> None:
        """CLIENT REPLY: ON, OFF or SKIP."""
        raise CommandError("replies cannot be switched off on this kind of connection")

    # --- What CLIENT LIST and CLIENT KILL want to know and do.

    @property
    @abstractmethod
    def is_lost(self) -> bool:
        """It is gone: nobody waits for what it asked."""

    @property
    def has_ended(self) -> bool:
        """It sends nothing more: nobody may be left who waits for an answer."""
        return self.is_lost

    @abstractmethod
    def schedule(self) -> None:
        """Look soon whether lanes can be launched, replies written, reading go on."""

    @abstractmethod
    def close(self) -> None:
        """Take no further command; end when everything taken is answered."""

    @abstractmethod
    def abort(self) -> None:
        """End at once, without a word."""

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """It waits for no answer."""

    @property
    def flags(self) -> str:
        """As CLIENT LIST shows them."""
        return f"{self.state_flags}{'e' * self.is_no_evict}{'T' * self.is_no_touch}" or "N"

    @property
    def state_flags(self) -> str:
        """Those of them that say what it is doing."""
        return ""

    @property
    def queued(self) -> int:
        """Commands queued since MULTI; -1 outside of a transaction."""
        return -1

    @property
    def held_bytes(self) -> int:
        """Bytes of a command that has not come whole yet."""
        return 0

    @property
    def waiting_cost(self) -> int:
        """Bytes of commands that are not answered yet, about."""
        return 0

    @property
    def output_bytes(self) -> int:
        """Bytes of replies it has not taken yet."""
        return 0

    @property
    def descriptor(self) -> int:
        """Its number among the files of the process, or -1."""
        return -1
