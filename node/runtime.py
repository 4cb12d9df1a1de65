"""What the engine needs from outside: who runs its callbacks, and who carries its messages.

In production that is asyncio, two threads and gRPC (`__main__.py`, `peers.py`); in the simulator
one heap of events and a simulated network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .raft.types import InstallSnapshot, Message, NodeId
    from .request import Answer, Forward

T = TypeVar("T")


class Runtime(Protocol):
    """What the engine needs of the process it runs in. All callbacks run on one thread."""

    def call_soon(self, callback: Callable[[], None]) -> None: ...

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None: ...

    def run_log(
        self, work: Callable[[], T], done: Callable[[T], None], *, is_here: bool = False
    ) -> None:
        """Run `work` on the log's thread, first in first out, then `done(result)` on the loop.
        What `work` raises stops the process (correctness L8). With `is_here` both may run at once,
        before this returns: then nothing else may be on its way to that thread."""

    def run_bulk(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """The same on the thread for snapshots, so that they do not delay the log."""

    def run_aside(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """The same on a thread that only computes: what would stop the loop for too long."""


class Transport(Protocol):
    """What carries messages to other nodes; they may be lost, never changed."""

    def send(self, node: NodeId, shard: ShardId, message: Message) -> None: ...

    def send_snapshot(
        self, node: NodeId, shard: ShardId, message: InstallSnapshot, path: str
    ) -> None: ...

    def forward(self, node: NodeId, forward: Forward) -> None: ...

    def answer(self, node: NodeId, answer: Answer) -> None: ...

    def flush(self, *, lazily: bool = False) -> None: ...
