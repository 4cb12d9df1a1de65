"""What a core wants done, gathered until its next Ready (correctness R1, R2).

Three ways out. `send`: what promises nothing leaves at once, unless the term it speaks of is not
saved yet. `promise`: leaves when all that was asked to be saved until then is on disk. `now`: the
traffic of a leader, which leads only in a saved term.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .types import ZERO, AppendReply, Heartbeat, HeartbeatReply, Ready

if TYPE_CHECKING:
    from .saves import Saves
    from .types import (
        Entry,
        EntryId,
        HardState,
        Message,
        ReadBarrier,
        ReplicaId,
        SnapshotMeta,
    )


class Outbox:
    __slots__ = ("_after_sync", "_replica", "_saves", "now", "reads", "reads_failed", "ticket")

    def __init__(self, replica: ReplicaId, saves: Saves) -> None:
        self.ticket = 0  # Of the last Ready.
        self.now: list[Message] = []
        self.reads: list[ReadBarrier] = []
        self.reads_failed: list[int] = []
        self._after_sync: list[Message] = []
        self._replica = replica
        self._saves = saves

    def send(self, message: Message, term: int) -> None:
        """Send what promises nothing, from a replica that is in `term`."""
        # correctness R1: nothing of a term leaves before the term is saved.
        (self.now if self._saves.hard_state.term == term else self._after_sync).append(message)

    def promise(self, message: Message) -> None:
        """Send when it is true on disk: a vote, a request for one, an acknowledgement."""
        self._after_sync.append(message)

    def acknowledge(
        self, target: ReplicaId, term: int, match_index: int, *, is_patient: bool = False
    ) -> None:
        """Promise that our log is on disk up to `match_index`."""
        self.promise(
            AppendReply(
                self._replica,
                target,
                term,
                is_success=True,
                match_index=match_index,
                rejected_index=0,
                conflict=ZERO,
                is_patient=is_patient,
            )
        )

    def refuse(
        self, target: ReplicaId, term: int, rejected_index: int = 0, conflict: EntryId = ZERO
    ) -> None:
        """Say where our log may agree; or, to an old leader, only our term (correctness R7)."""
        self.send(
            AppendReply(
                self._replica,
                target,
                term,
                is_success=False,
                match_index=0,
                rejected_index=rejected_index,
                conflict=conflict,
            ),
            term,
        )

    def answer(self, heartbeat: Heartbeat, term: int, promised_ns: int) -> None:
        """Say that we heard it, and what we promise its sender: nothing about our log."""
        source, round_, is_urgent = heartbeat.source, heartbeat.round, heartbeat.is_urgent
        self.send(HeartbeatReply(self._replica, source, term, round_, is_urgent, promised_ns), term)

    def outdate(self, heartbeat: Heartbeat, term: int) -> None:
        """Tell an old leader our term (correctness R7). It may lead that by the time it hears this,
        and its rounds then are others: round 0 is none."""
        self.send(
            HeartbeatReply(self._replica, heartbeat.source, term, 0, heartbeat.is_urgent), term
        )

    @property
    def is_empty(self) -> bool:
        return not (self.now or self._after_sync or self.reads or self.reads_failed)

    def ready(
        self,
        hard_state: HardState | None,
        entries: tuple[Entry, ...],
        committed: tuple[Entry, ...],
    ) -> Ready:
        """All that was gathered, with a new ticket."""
        self.ticket += 1
        ready = Ready(
            self.ticket,
            hard_state,
            None,
            entries,
            tuple(self.now),
            tuple(self._after_sync),
            committed,
            tuple(self.reads),
            tuple(self.reads_failed),
        )
        self.now.clear()  # The leader's half writes to this very list.
        self._after_sync.clear()
        self.reads.clear()
        self.reads_failed.clear()
        return ready

    def ready_to_install(self, meta: SnapshotMeta) -> Ready:
        """Install this; such a Ready carries nothing else (correctness L6)."""
        assert self.is_empty, "what came before a snapshot leaves before it"
        self.ticket += 1
        return Ready(self.ticket, None, meta, (), (), (), (), (), ())
