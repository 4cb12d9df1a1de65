"""What a client can have the node do: save, stop, expire or not (`doors/backend.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..cluster.slots import META_SHARD
from ..proto.reply import OK, ErrorReply, Reply
from .doors.outcomes import refusal, uncertain
from .request import Done, NotApplied, Outcome, Unknown

if TYPE_CHECKING:
    from ..cluster.settings import Pairs
    from ..cluster.slots import ShardId
    from .node import Node

SAVING_ALREADY = ErrorReply("ERR", "Background save already in progress")
CALLED_OFF = ErrorReply("ERR", "Errors trying to SHUTDOWN. Check logs.")


class Control:
    def __init__(self, node: Node, stop: Callable[[], None]) -> None:
        self._node = node
        self._stop = stop
        self._stopping: Callable[[Reply], None] | None = None  # Told if it does not stop after all.

    # --- Snapshots.

    def save(self, done: Callable[[Reply], None]) -> None:
        if self._node.saving.is_running:
            done(SAVING_ALREADY)
        else:
            self._node.saving.start(lambda halted: done(_outcome(halted)))

    def save_in_background(self) -> bool:
        if self._node.saving.is_running:
            return False
        self._node.saving.start(lambda _halted: None)  # INFO tells how it ended.
        return True

    def saved_at_s(self) -> int:
        return self._node.saving.last_saved_s

    # --- Stopping.

    def stop(self, *, is_saving: bool, failed: Callable[[Reply], None]) -> None:
        if not is_saving:
            self._stop()
            return
        if self._stopping is not None:
            failed(CALLED_OFF)
            return
        self._stopping = failed
        self.save(self._saved)

    def _saved(self, reply: Reply) -> None:
        failed, self._stopping = self._stopping, None
        if failed is None:  # Called off meanwhile.
            return
        if reply == OK:
            self._stop()
        else:
            failed(CALLED_OFF)

    def keep_running(self) -> bool:
        failed, self._stopping = self._stopping, None
        if failed is None:
            return False
        failed(CALLED_OFF)
        return True

    # --- Parameters of the cluster.

    def change_settings(self, pairs: Pairs, done: Callable[[Reply], None]) -> None:
        self._node.settings.change(pairs, lambda outcome: done(_reply(outcome)))

    # --- For tests of applications.

    def drive_expiry(self, *, is_on: bool) -> None:
        self._node.engine.expirer.is_on = is_on


def _reply(outcome: Outcome) -> Reply:
    match outcome:
        case Done(replies):
            return replies[0]
        case NotApplied(error):
            return refusal(error)
        case Unknown(unknown):
            return uncertain(unknown, is_write=True)


def _outcome(halted: Sequence[ShardId]) -> Reply:
    if not halted:
        return OK
    names = ", ".join("meta" if one == META_SHARD else str(one) for one in halted)
    return ErrorReply("ERR", f"not saved: shards {names} have halted on this node")
