"""What one batch of a gRPC stream wants of one shard: in order, in as few requests as may be.

The next request leaves only when the one before was carried out, so nothing takes effect out of
order; after one that was not, the rest is refused (PREDECESSOR). A shared stream is not paused for
an overloaded shard: its commands are told so (correctness D4).
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from ...proto.execute import encode_outcome
from ...proto.reply import ErrorReply
from ..commands.internal import OPEN_SESSION
from ..data.sessions import FULL, SESSION_LOST
from ..errors import NoQuorum, Overloaded, SessionUnknown
from ..request import Done, NotApplied, Outcome, Request, Unknown
from .grpc_outcomes import PREDECESSOR, Refused, unknown
from .no_touch import unnoticed
from .routes import SHARD_ROUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...cluster.slots import ShardId
    from ...proto import commands_pb2 as pb
    from ...proto.reply import Reply
    from ..request import Args
    from .grpc_batch import BatchRun
    from .lane import Sink

log = logging.getLogger(__name__)

ATOMIC: Final = -1  # The sink of a batch's EXEC.


class Part:
    """Commands of a batch that go to their shard as one request."""

    __slots__ = ("commands", "cost", "has_parts", "has_write", "sinks")

    def __init__(self) -> None:
        self.commands: list[Args] = []
        self.sinks: list[Sink] = []
        self.has_write = False
        self.has_parts = False  # Some of them are parts of a command that was split over shards.
        self.cost = 0


class ShardQueue:
    """What one batch wants of one shard, in order."""

    __slots__ = ("_bytes_max", "_commands_max", "_flight", "_has_failed", "_has_written",
                 "_is_opening", "_last", "_parts", "_run", "_sequence", "_session",
                 "_shard")  # fmt: skip

    def __init__(self, run: BatchRun, shard: ShardId, session: pb.Session | None) -> None:
        self._run = run
        self._shard = shard
        limits = run.door.limits
        self._bytes_max = limits.request_bytes_max
        self._commands_max = limits.request_commands_max
        self._parts: deque[Part] = deque()
        self._last: Part | None = None  # Of those that wait, if it may grow.
        self._flight: Part | None = None
        self._has_failed = False  # Nothing more is carried out on this shard.
        self._has_written = False
        self._session = session
        self._sequence = session.sequence if session is not None else 0
        self._is_opening = session is not None and not session.id

    def add(self, sink: Sink, args: Args, cost: int, *, is_write: bool) -> None:
        part = self._last
        if (
            part is None
            or part.cost + cost > self._bytes_max
            or len(part.commands) >= self._commands_max
        ):
            part = self._last = Part()
            self._parts.append(part)
        part.commands.append(args)
        part.sinks.append(sink)
        part.cost += cost
        if is_write:
            part.has_write = True
        if type(sink) is not int:
            part.has_parts = True

    def launch(self) -> None:
        """Send what waits, if nothing is under way."""
        if self._flight is not None or not self._parts:
            return
        if self._has_failed:
            while self._parts:
                self._refuse(self._parts.popleft(), PREDECESSOR)
            self._last = None
            return
        part = self._flight = self._parts.popleft()
        if not self._parts:
            self._last = None
        if part.has_write:
            self._run.wrote_to(self._shard)
        if self._is_opening:
            self._open_session()
        else:
            self._submit(part)

    def _submit(self, part: Part) -> None:
        run, session = self._run, self._session
        request = Request(
            self._shard,
            run.db,
            unnoticed(part.commands) if run.is_no_touch else part.commands,
            part.has_write,
            run.deadline_ns,
            self._complete,
            may_pass_on=run.may_pass_on,
        )
        if part.has_write:
            self._has_written = True
        elif not self._has_written:  # Behind a write of the same batch a read sees it.
            request.stale_ns = run.stale_ns
        if session is not None:
            request.session = session.id
            request.sequence = self._sequence
            request.floor = session.floor
            self._sequence += len(part.commands)
        if run.turn:
            request.waiter, request.complete = run.stand(part.commands, self._complete)
        run.door.router.submit(request)

    def _complete(self, outcome: Outcome) -> None:
        part, self._flight = self._flight, None
        assert part is not None, "a request was answered twice"
        run = self._run
        if run.is_lost:
            self._parts.clear()
            return
        try:
            if type(outcome) is Done:
                self._deliver(part, outcome.replies)
            else:
                self._has_failed = True
                self._refuse(part, outcome)
            self.launch()
        except Exception:
            # The shard that applied it calls this: a fault here ends this client, not a shard.
            log.exception("answer_failed client=%s shard=%s", run.address, self._shard)
            run.abort()

    def _deliver(self, part: Part, replies: Sequence[Reply]) -> None:
        run = self._run
        run.carried_out(part, replies)
        is_error = ErrorReply in map(type, replies)
        if is_error and self._session is not None and any(reply is FULL for reply in replies):
            # Looked at before the command runs, so it surely did not.
            self._has_failed = True
            full = run.refused(Overloaded("replies kept for the session"))
            replies = [full if reply is FULL else reply for reply in replies]
        elif not part.has_parts and part.sinks[0] != ATOMIC:
            run.put_many(cast("list[int]", part.sinks), replies)
            return
        for sink, reply in zip(part.sinks, replies, strict=True):
            if isinstance(sink, int):
                run.put(sink, reply)
            else:
                sink.gather.put(sink.place, reply, is_refused=isinstance(reply, Refused))

    def _refuse(self, part: Part, outcome: Outcome) -> None:
        """None of them was carried out, or it is not known. A read never changed anything."""
        run = self._run
        if isinstance(outcome, NotApplied):
            refused = written = run.refused(outcome.error)
        else:
            assert isinstance(outcome, Unknown)
            refused = run.refused(NoQuorum(f"the read was not answered: {outcome.error}"))
            written = Refused("UNCERTAIN", "", encode_outcome(unknown(str(outcome.error))))
        for sink, args in zip(part.sinks, part.commands, strict=True):
            reply = written if SHARD_ROUTES[args[0]].is_write else refused
            if not isinstance(sink, int):
                sink.gather.put(sink.place, reply, is_refused=reply is refused)
                continue
            if reply is refused:
                run.count_refused(args, reply)
            run.put(sink, reply)

    # --- A session that is opened by its first batch.

    def _open_session(self) -> None:
        run, session = self._run, self._session
        assert session is not None
        timeout_ms = session.timeout_ms or run.session_timeout_ms
        numbers = [timeout_ms]
        if session.client:
            numbers += (session.client, session.age_ms)
        run.door.router.submit(
            Request(
                self._shard,
                0,
                [[OPEN_SESSION, *[b"%d" % number for number in numbers]]],
                has_write=True,
                deadline_ns=run.deadline_ns,
                complete=self._opened,
                may_pass_on=False,
            )
        )

    def _opened(self, outcome: Outcome) -> None:
        """An opened session that nobody uses harms nobody: whatever failed, nothing was applied by
        this try."""
        assert self._session is not None
        if self._run.is_lost:
            self._flight = None
        elif isinstance(outcome, Done) and isinstance(outcome.replies[0], int):
            self._session.id = outcome.replies[0]
            self._is_opening = False
            self._run.opened.append((self._shard, self._session.id))
            assert self._flight is not None
            self._submit(self._flight)
        elif isinstance(outcome, NotApplied):
            self._complete(outcome)
        elif isinstance(outcome, Unknown):
            self._complete(NotApplied(NoQuorum(f"no session was opened: {outcome.error}")))
        elif cast("ErrorReply", outcome.replies[0]).code == SESSION_LOST:
            self._complete(NotApplied(SessionUnknown()))
        else:
            self._complete(NotApplied(Overloaded("sessions of the shard")))
