"""A batch of one command that waits for data: as at a RESP connection (`blocked.py`), in gRPC's
words. Other batches of the stream go on meanwhile; the end of the stream frees its place.

Not under a session: a sequence number stands for one try, and a wait may try more than once. Who
wants what it takes exactly once asks for a turn, which can be asked again, and then takes it by a
batch that does not wait, and has a session.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any  # Any: what a wait is made of.

from ...proto.execute import encode_outcome
from ..commands.blocking import is_nothing
from ..errors import CommandError, NoQuorum
from ..request import Done
from .blocked import Blocked, State, blocking, must_wait
from .grpc_outcomes import Refused, unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...proto.reply import ErrorReply, Reply
    from ..data.waiters import WaiterId
    from ..errors import NotLeader, OutcomeUnknown, Unavailable
    from ..request import Args, Outcome
    from .grpc_batch import BatchRun
    from .grpc_stream import Stream
    from .routes import Route
    from .subcommands import Later

_NOT_ALONE = (
    "{} waits for data: send it in a batch of its own without a session, or ask without waiting"
)


NO_TURN = 1  # Of a command that just does not wait.


class BatchWords:
    """To the client of a batch."""

    def __init__(self, run: BatchRun) -> None:
        self.may_pass_on = run.may_pass_on
        self._run = run

    def refused(self, error: Unavailable) -> ErrorReply:
        return self._run.refused(error)

    def led_elsewhere(self, error: NotLeader) -> ErrorReply:
        return self._run.refused(error)

    def unknown(self, error: OutcomeUnknown, *, is_write: bool) -> ErrorReply:
        if not is_write:  # A read never changed anything.
            return self._run.refused(NoQuorum(f"the read was not answered: {error}"))
        return Refused("UNCERTAIN", "", encode_outcome(unknown(str(error))))


class Turn(Blocked):
    """A wait that is answered when it is its turn; its client takes it by another batch."""

    is_told = False

    def start(self) -> None:
        self._stand_in_line()

    def end(self, reply: Reply) -> bool:
        if not self.is_told:
            return super().end(reply)
        if self._blockers.find(self._id.number, self._client) is not None:
            self._blockers.remove(self._id.number, self._client)
            self._cancel()
        return False

    def _take_turn(self) -> None:
        if self._state is State.WAITING:
            self._state = State.POPPING
            self.is_told = True
            self._done([self._key, self._id.number])

    def take(
        self, complete: Callable[[Outcome], None]
    ) -> tuple[WaiterId, Callable[[Outcome], None]]:
        """Its pop is here: whose it is, and what is told of its outcome instead of `complete`. With
        nothing in it the place is given up: who still wants one asks again."""
        self._blockers.remove(self._id.number, self._client)

        def heard(outcome: Outcome) -> None:
            if not isinstance(outcome, Done) or is_nothing(outcome.replies[0]):
                self._client.door.call_soon(self._cancel)
            complete(outcome)

        return self._id, heard


def turn_of(stream: Stream, number: int) -> Turn | None:
    """One that this stream was told of and has not taken; None if there is no such."""
    found = stream.door.clients.blockers.find(number, stream) if number else None
    return found if isinstance(found, Turn) and found.is_told else None


def waiting(
    run: BatchRun, stream: Stream, route: Route, args: Args, *, is_alone: bool
) -> Later | None:
    """The answer to a command that waits if it finds nothing; None if it does not wait."""
    if not must_wait(route, args):
        return None
    if not is_alone:
        raise CommandError(_NOT_ALONE.format(route.row.display_name.upper()))
    make = Turn if run.asks_for_turn and route.is_write else Blocked
    return blocking(stream, route, args, BatchWords(run), partial(_noted, make, run, stream))


def _noted(make: type[Blocked], run: BatchRun, stream: Stream, *args: Any) -> Blocked:
    """What can be cancelled by the id of its batch."""
    blocked = stream.waits[run.id] = make(*args)
    return blocked
