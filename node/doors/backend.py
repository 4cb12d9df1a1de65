"""What the RESP doors need of the node behind them, and the limits they keep.

The composition root implements `Router` and `NodeFacts`; the tests' fakes do too. Nothing here
knows sockets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ...proto.resp import ReaderLimits

if TYPE_CHECKING:
    from ...cluster.slots import ShardId, Slot
    from ...cluster.topology import NodeInfo, Topology
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

    def leads(self, shard: ShardId) -> bool: ...

    def leader_of(self, shard: ShardId) -> NodeInfo | None:
        """The best known leader."""
        ...

    def is_reachable(self, node: str) -> bool: ...

    def topology(self) -> Topology: ...

    def now_ns(self) -> int:
        """The clock that deadlines are meant by (Clock.now_ns)."""
        ...

    def wall_us(self) -> int:
        """Microseconds since 1970, for TIME."""
        ...


class NodeFacts(Protocol):
    """What INFO and CONFIG GET tell of this node beyond what the doors know themselves."""

    def info(self) -> Mapping[str, Mapping[str, str | int]]:
        """Fields by section (lower case); they are added to the doors' own or replace them."""
        ...

    def count_keys_in_slot(self, slot: Slot) -> int:
        """Of database 0, as this node's replica has it; 0 if it has none."""
        ...

    def keys_in_slot(self, slot: Slot, count: int) -> Sequence[bytes]: ...

    def config(self) -> Mapping[str, str]:
        """CONFIG GET parameters that are added to the table or replace its values."""
        ...


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Everything of a client that can grow, and how far. Configuration fields of the same name."""

    reader: ReaderLimits = field(default_factory=ReaderLimits)
    command_timeout_ms: int = 5_000
    clients_max: int = 10_000
    output_buffer_bytes_max: int = 256 << 20
    client_idle_timeout_s: int = 0
    # One Request takes no further command past these; a single larger command goes alone.
    request_bytes_max: int = 1 << 20
    request_commands_max: int = 4_096
    waiting_bytes_max: int = 4 << 20  # Commands of one client without an answer; then it is paused.
