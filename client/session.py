"""A client's session on one shard: what makes a write that is sent again be applied once.

Each write has a sequence number in it; the shard keeps the reply until the floor, the lowest number
still unanswered here, has passed it. Raft dissertation §6.3. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ..proto.requests import SessionField

WINDOW_MAX = 49_152  # Commands from the floor on: the shard keeps 65,536 replies of a session.


class Session:
    """One that is opened by the first batch sent under it (`id` is 0 until then)."""

    def __init__(self, shard: int, client: int, timeout_ms: int) -> None:
        self.id = 0
        self.opening_since: float | None = None  # When the first such was sent, in seconds.
        self._shard = shard
        self._client = client
        self._timeout_ms = timeout_ms
        self._next = 1
        # First numbers of batches; ascending, so the first is the floor.
        self._unanswered: OrderedDict[int, None] = OrderedDict()

    def take(self, count: int) -> int:
        """Numbers for so many commands; the first of them."""
        first = self._next
        self._next += count
        self._unanswered[first] = None
        return first

    def answered(self, first: int) -> None:
        """Nobody waits for an answer to the batch that begins there."""
        self._unanswered.pop(first, None)

    @property
    def floor(self) -> int:
        return next(iter(self._unanswered), self._next)

    @property
    def is_full(self) -> bool:
        """Whether the shard would have to keep too many replies behind one slow answer."""
        return self._next - self.floor >= WINDOW_MAX

    def may_have_ended(self, now: float) -> bool:
        """Whether it may have been opened, used and ended since we began to ask: then it would be
        opened once more, and what was done under it would be done again. Only if nobody was here
        for long: a command's time is a fraction of a session's."""
        since = self.opening_since
        return not self.id and since is not None and (now - since) * 2000 > self._timeout_ms

    def field(self, sequence: int, now: float) -> bytes:
        """How a batch that begins at `sequence` names it."""
        since = self.opening_since
        return SessionField(
            shard=self._shard,
            id=self.id,
            sequence=sequence,
            floor=self.floor,
            timeout_ms=self._timeout_ms,
            client=self._client,
            # 0 stands for the first try, whatever a clock says.
            age_ms=0 if since is None else max(1, round((now - since) * 1000)),
        ).encode()


class Sessions:
    """The sessions of one client, by shard."""

    def __init__(self, number: Callable[[], int], timeout_ms: int) -> None:
        """`number` draws 64 bits at random."""
        self._number = number
        self._timeout_ms = timeout_ms
        self._of: dict[int, Session] = {}

    def of(self, shard: int) -> Session:
        """The session on `shard`, perhaps not opened yet."""
        session = self._of.get(shard)
        if session is None:
            # A number of its own each: a shard must not take a new one for one it has ended.
            session = self._of[shard] = Session(shard, self._number(), self._timeout_ms)
        return session

    def lost(self, session: Session) -> None:
        """Its shard does not know it any more."""
        if self._of.get(session._shard) is session:  # noqa: SLF001 - of this module.
            del self._of[session._shard]  # noqa: SLF001
