"""What the RESP doors need of the node behind them, and the limits they keep.

The composition root implements `Router` and `NodeFacts`; the tests' fakes do too. Nothing here
knows sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ...proto.resp import ReaderLimits

if TYPE_CHECKING:
    from ...cluster.settings import Pairs
    from ...cluster.slots import ShardId
    from ...cluster.topology import NodeInfo, Topology
    from ...proto.reply import Reply
    from ..commands.blocking import Waiting
    from ..request import Request


class Router(Protocol):
    """Brings requests to the shards, and knows who leads what."""

    @property
    def name(self) -> str:
        """This node's name in the topology."""
        ...

    @property
    def shards(self) -> int: ...

    def submit(self, request: Request) -> None:
        """Take it; `request.complete` is called exactly once, on the loop, perhaps at once."""
        ...

    def cancel(self, wait: Request) -> None:
        """Nobody waits for that any more, wherever it is (`blocked.py`)."""
        ...

    def may_have(self, shard: ShardId, db: int, waiting: Waiting) -> bool:
        """Whether it looks from here as if there was something: a hint, nothing more."""
        ...

    def leads(self, shard: ShardId) -> bool: ...

    def leader_of(self, shard: ShardId) -> NodeInfo | None:
        """The best known leader."""
        ...

    def last_leader_of(self, shard: ShardId) -> NodeInfo | None:
        """Who led it last, while nobody does."""
        ...

    def is_reachable(self, node: str) -> bool: ...

    def topology(self) -> Topology: ...

    @property
    def is_full(self) -> bool:
        """Whether commands that need memory are refused now, as far as this node can tell."""
        ...

    def now_ns(self) -> int:
        """The clock that deadlines are meant by (Clock.now_ns)."""
        ...

    def wall_us(self) -> int:
        """Microseconds since 1970, for TIME."""
        ...


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """The streams between this node and another."""

    node: str
    since_ms: int  # Unix time.
    queue_bytes: int  # Waiting to be sent.


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """Bytes; of all replicas on this node, led here or not."""

    used: int  # Keys and values, as they are counted.
    peak: int  # The most that was.
    resident: int  # Of the process.
    keys: int  # How many.
    log: int  # Entries held in memory.
    links: int  # Waiting to be sent to other nodes.


class NodeFacts(Protocol):
    """What INFO and CONFIG GET tell of this node beyond what the doors know themselves."""

    def info(self) -> Mapping[str, Mapping[str, str | int]]:
        """Fields by section (lower case); they are added to the doors' own or replace them."""
        ...

    def links(self) -> Sequence[LinkFacts]:
        """One for each node that is in reach."""
        ...

    def memory(self) -> MemoryFacts: ...

    def applied_total(self) -> int:
        """Entries applied, over all replicas here: it never falls while the node runs."""
        ...

    def config(self) -> Mapping[str, str]:
        """CONFIG GET parameters that follow from the options the node was started with."""
        ...


class NodeControl(Protocol):
    """What a client can have the node do. What takes a while tells `done` how it ended, later."""

    def save(self, done: Callable[[Reply], None]) -> None:
        """A snapshot of every replica on this node; OK when all are on disk."""
        ...

    def save_in_background(self) -> bool:
        """Begin the same; False if one is running."""
        ...

    def saved_at_s(self) -> int:
        """When the last one ended well, or the node was started: Unix time."""
        ...

    def stop(self, *, is_saving: bool, failed: Callable[[Reply], None]) -> None:
        """Stop the node as SIGTERM does, perhaps after a snapshot; `failed` only if it does not."""
        ...

    def keep_running(self) -> bool:
        """Call off a stop that waits for its snapshot; False if there is none."""
        ...

    def drive_expiry(self, *, is_on: bool) -> None:
        """Whether this node removes what is due on the shards it leads, before anybody asks."""
        ...

    def change_settings(self, pairs: Pairs, done: Callable[[Reply], None]) -> None:
        """Set cluster-wide parameters, all or none. OK when every node that is up knows it; an
        error of code ERR when it is set, but that was not so in time."""
        ...


@dataclass(slots=True)
class DoorLimits:
    """Everything of a client that can grow, and how far. Configuration fields of the same name.

    One for all doors of a node. Not frozen: CONFIG SET changes some of them while it runs.
    """

    reader: ReaderLimits = field(default_factory=ReaderLimits)
    command_timeout_ms: int = 5_000
    clients_max: int = 10_000
    waiters_max: int = 10_000  # Commands that wait for data.
    output_buffer_bytes_max: int = 256 << 20
    client_idle_timeout_s: int = 0
    tcp_keepalive_s: int = 300  # 0: the system's default.
    # One Request takes no further command past these; a single larger command goes alone.
    request_bytes_max: int = 1 << 20
    request_commands_max: int = 4_096
    transaction_commands_max: int = 100_000
    message_commands_max: int = 10_000  # Of all batches of one gRPC message.
    pubsub_buffer_bytes_max: int = 32 << 20  # Of a subscriber that reads too slowly,
    pubsub_buffer_messages_max: int = 200_000  # and messages.
    waiting_bytes_max: int = 4 << 20  # Commands of one client without an answer; then it is paused.
