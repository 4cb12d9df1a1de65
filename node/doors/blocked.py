"""A command that waits for data, at the door of its client: try, wait, pop.

The leader of the shard holds the wait and says whose turn it is (`node/turns.py`); the pop is then
a write like any other. Time-out, CLIENT UNBLOCK and the end of the connection are decided here: at
once while it waits, and when the fate of its pop is known if one is on its way (correctness A6).
Waiting outlives a change of leader at the any-key door, where the router asks the next one; at the
cluster door it ends with MOVED or UNBLOCKED.
"""

from __future__ import annotations

import logging
from enum import Enum
from functools import partial
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, Protocol, cast

from ...cluster.command import BLOCKING
from ...proto.reply import NULL_ARRAY, ErrorReply, Reply
from ..commands.blocking import OPEN_IDS, is_nothing, narrowed, waiting_of
from ..commands.internal import LAST_IDS
from ..data.waiters import Need, WaiterId
from ..errors import CommandError, NoQuorum, NotLeader, Overloaded
from ..request import Done, NotApplied, Outcome, Request
from ..turns import BLOCK
from ..waits import FOREVER_NS
from .outcomes import refusal, uncertain
from .subcommands import Later

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...cluster.slots import ShardId
    from ..commands.blocking import Waiting
    from ..errors import OutcomeUnknown, Unavailable
    from ..request import Args
    from .client import Client
    from .routes import Route

log = logging.getLogger(__name__)

LOOK_MIN_S: Final = 0.001  # Between two looks at the clock.
STALE_MAX: Final = 1_024  # Timers of what has ended that are kept, beside as many as there live.

_QUESTIONS: Final = (LAST_IDS, b"EXISTS")  # They are nobody's turn.

UNBLOCKED: Final = ErrorReply("UNBLOCKED", "client unblocked via CLIENT UNBLOCK")
LEADER_LOST: Final = ErrorReply(
    "UNBLOCKED",
    "force unblock from blocking operation, instance state changed (master -> replica?)",
)
STREAM_GONE: Final = ErrorReply("UNBLOCKED", "the stream key no longer exists")
GROUP_GONE: Final = ErrorReply(
    "NOGROUP", "the consumer group this client was blocked on no longer exists"
)


def must_wait(route: Route, args: Args) -> bool:
    """Whether a command with that route has to come behind all that its connection asked before;
    one that could wait for data and does not want to need not."""
    row = route.row
    if not row.flags & BLOCKING:
        return True
    return row.accepts(len(args)) and waiting_of([route.name, *args[1:]]) is not None


class Words(Protocol):
    """How its client is told what became of it, where that is no reply of a shard."""

    @property
    def may_pass_on(self) -> bool:
        """To who leads, and again when that changes."""
        ...

    def refused(self, error: Unavailable) -> ErrorReply:
        """Surely without effect."""
        ...

    def led_elsewhere(self, error: NotLeader) -> ErrorReply:
        """It is not passed on, and this node does not lead, or no longer."""
        ...

    def unknown(self, error: OutcomeUnknown, *, is_write: bool) -> ErrorReply: ...


class RespWords:
    """To a RESP connection."""

    def __init__(self, client: Client, route: Route, args: Args) -> None:
        self.may_pass_on = not client.door.is_cluster
        self._of = partial(client.door.routing.refusal, route, args)

    def refused(self, error: Unavailable) -> ErrorReply:
        return self._of(error)

    def led_elsewhere(self, error: NotLeader) -> ErrorReply:
        told = self._of(error)
        return told if told.code == "MOVED" else LEADER_LOST

    def unknown(self, error: OutcomeUnknown, *, is_write: bool) -> ErrorReply:
        return uncertain(error, is_write=is_write)


def blocking(
    client: Client,
    route: Route,
    args: Args,
    words: Words | None = None,
    make: Callable[..., Blocked] | None = None,
) -> Later | None:
    """The answer to a command that waits if it finds nothing; None if it does not wait. `make` has
    it wait in another way."""
    waiting = waiting_of(args)
    if waiting is None:
        return None
    door = client.door
    shard, _ = door.routing.place(client.db, route, args, None, b"")
    if len(door.clients.blockers) >= door.limits.waiters_max:
        full = refusal(Overloaded("waiters_max"))
        raise CommandError(full.text, full.code)
    if route.is_write:
        client.written.add(shard)

    def start(done: Callable[[Reply], None]) -> None:
        told = RespWords(client, route, args) if words is None else words
        (make or Blocked)(client, shard, route, args, waiting, told, done).start()

    return Later(start)


class Blockers:
    """All commands of a node's clients that wait, and when their time is over."""

    def __init__(self, first_number: int) -> None:
        # At random: what the last process of this node waited for may still be known somewhere.
        self._next_number = first_number
        self._by_number: dict[int, Blocked] = {}
        self._by_client: dict[int, dict[int, Blocked]] = {}
        self._due: list[tuple[int, int]] = []  # Heap of (when, number); some have ended.
        self._armed_ns = FOREVER_NS

    def __len__(self) -> int:
        return len(self._by_number)

    @property
    def timers(self) -> int:
        return len(self._due)

    @property
    def clients(self) -> int:
        """How many clients they are of, as INFO tells it."""
        return len(self._by_client)

    def has(self, client: Client) -> bool:
        return client.id in self._by_client

    def new_number(self) -> int:
        """One that nothing here has had."""
        number = self._next_number
        self._next_number += 1
        return number

    def add(self, blocked: Blocked, client: Client, until_ns: int) -> int:
        number = self.new_number()
        self._by_number[number] = blocked
        self._by_client.setdefault(client.id, {})[number] = blocked
        if until_ns != FOREVER_NS:
            heappush(self._due, (until_ns, number))
            self._arm(client)
        return number

    def find(self, number: int, client: Client) -> Blocked | None:
        """That of a client with that number, if it has not ended."""
        return self._by_client.get(client.id, {}).get(number)

    def remove(self, number: int, client: Client) -> None:
        del self._by_number[number]
        of_client = self._by_client[client.id]
        del of_client[number]
        if not of_client:
            del self._by_client[client.id]
        if len(self._due) > 2 * len(self._by_number) + STALE_MAX:
            self._due = [one for one in self._due if one[1] in self._by_number]
            heapify(self._due)

    def unblock(self, client_id: int, reply: Reply) -> bool:
        """CLIENT UNBLOCK: whether it waited."""
        blocked = list(self._by_client.get(client_id, {}).values())
        return sum([one.end(reply) for one in blocked]) > 0  # All of them, not the first.

    def leave(self, client: Client) -> None:
        """It is gone, and frees its places."""
        for one in list(self._by_client.get(client.id, {}).values()):
            one.end(NULL_ARRAY)

    def _arm(self, client: Client) -> None:
        """One timer for all, set for the earliest."""
        if self._due and self._due[0][0] < self._armed_ns:
            at_ns = self._armed_ns = self._due[0][0]
            door = client.door
            # The loop may be a little early: not again and again then.
            delay_s = max((at_ns - door.router.now_ns()) / 1e9, LOOK_MIN_S)
            door.call_later(delay_s, lambda: self._look(client, at_ns))

    def _look(self, client: Client, armed_ns: int) -> None:
        if armed_ns != self._armed_ns:
            return  # Another one was set for an earlier time.
        self._armed_ns = FOREVER_NS
        now_ns = client.door.router.now_ns()
        while self._due and self._due[0][0] <= now_ns:
            _, number = heappop(self._due)
            blocked = self._by_number.get(number)
            if blocked is not None:
                blocked.end(NULL_ARRAY)
        self._arm(client)


class State(Enum):
    POPPING = "popping"  # A pop is on its way, or the first try.
    WAITING = "waiting"
    ENDED = "ended"


class Blocked:
    """One command that waits."""

    def __init__(
        self,
        client: Client,
        shard: ShardId,
        route: Route,
        args: Args,
        waiting: Waiting,
        words: Words,
        done: Callable[[Reply], None],
    ) -> None:
        self._client = client
        self._words = words
        router = self._router = client.door.router
        blockers = self._blockers = client.door.clients.blockers
        self._shard = shard
        self._db = client.db
        self._route = route
        self._args = args
        self._waiting = waiting
        self._done = done
        self._state = State.POPPING
        self._is_known = False  # A place of its own may be kept for it,
        self._has_waited = False  # and it was not its turn at once.
        self._wait: Request | None = None
        self._key = waiting.keys[0]  # Of the last turn.
        self._end: Reply | None = None  # What ends it if the pop on its way finds nothing.
        until_ns = FOREVER_NS
        if waiting.timeout_ms:
            until_ns = client.now_ns + waiting.timeout_ms * 1_000_000
        self._id = WaiterId(router.name, blockers.add(self, client, until_ns))

    def start(self) -> None:
        """Take what is there, if it looks as if there was something; else stand in line: polling
        for nothing must not fill the log."""
        if self._waiting.need is Need.STREAM and any(
            id_ in OPEN_IDS for id_ in self._waiting.behind
        ):
            self._close_ids()
        elif self._router.may_have(self._shard, self._db, self._waiting):
            self._pop(self._args)
        else:
            self._stand_in_line()

    def end(self, reply: Reply) -> bool:
        """Time-out, UNBLOCK, or its client is gone: answered at once if it waits, else if its pop
        finds nothing. Whether it waited."""
        if self._state is State.WAITING:
            self._wait = None
            self._finish(reply)
            self._cancel()
            return True
        if self._end is None:
            self._end = reply
        return False

    def _close_ids(self) -> None:
        """What `$` stands for is decided once: a wait that is asked again misses nothing then."""

        def told(outcome: Outcome) -> None:
            if not isinstance(outcome, Done) or isinstance(outcome.replies[0], ErrorReply):
                self._popped(outcome)
                return
            args = cast("list[bytes]", outcome.replies[0])
            waiting = waiting_of(args)
            assert waiting is not None, "it waited before its ids were known"
            self._args, self._waiting = args, waiting
            if self._end is None:
                self.start()
            else:
                self._finish(self._end)

        self._router.submit(
            self._request([LAST_IDS, *self._args], told, self._deadline_ns(), has_write=False)
        )

    # --- Waiting.

    def _stand_in_line(self) -> None:
        self._state = State.WAITING
        self._is_known = True

        def told(outcome: Outcome) -> None:
            if wait is self._wait:
                self._wait = None
                self._told(outcome)

        wait = self._wait = self._request([BLOCK, *self._args], told, FOREVER_NS, has_write=False)
        self._router.submit(wait)

    def _told(self, outcome: Outcome) -> None:
        match outcome:
            case Done(replies):
                key, *at_once = replies
                assert isinstance(key, bytes), "a turn is for a key"
                self._key = key
                self._has_waited = self._has_waited or not at_once
                self._client.door.clients.pause.pass_by(self._route, self._take_turn)
            case NotApplied(error) if isinstance(error, NotLeader):
                self._finish(self._words.led_elsewhere(error))
            case NotApplied(error):
                self._finish(self._words.refused(error))
            case _:
                self._finish(self._words.unknown(outcome.error, is_write=False))

    # --- Popping.

    def _take_turn(self) -> None:
        """It may have ended while clients were paused."""
        if self._state is State.WAITING:
            self._pop(narrowed(self._args, self._key))

    def _pop(self, args: Args) -> None:
        self._state = State.POPPING
        is_write = self._route.is_write
        self._router.submit(
            self._request(args, self._popped, self._deadline_ns(), has_write=is_write)
        )

    def _deadline_ns(self) -> int:
        return self._router.now_ns() + self._client.door.command_timeout_ns

    def _popped(self, outcome: Outcome) -> None:
        match outcome:
            case Done(replies) if is_nothing(replies[0]):
                self._go_on()
            case Done(replies):
                self._answer(replies[0])
            case NotApplied(error) if self._is_known and isinstance(error, NoQuorum):
                self._go_on()
            case NotApplied(error):
                self._finish(self._words.refused(error))
                self._cancel()
            case _:
                self._finish(self._words.unknown(outcome.error, is_write=self._route.is_write))
                self._cancel()

    def _go_on(self) -> None:
        """It found nothing, and its place is still its own."""
        if self._end is None:
            self._stand_in_line()
        else:
            self._finish(self._end)
            self._cancel()

    def _answer(self, reply: Reply) -> None:
        """What was found, or an error: a consumer whose group has gone while it waited is told so
        in other words than one that comes later."""
        code = reply.code if isinstance(reply, ErrorReply) else ""
        if self._waiting.need is not Need.GROUP or not self._has_waited:
            self._finish(reply)
        elif code == "WRONGTYPE":
            self._finish(STREAM_GONE)
        elif code == "NOGROUP":
            self._ask_for_stream()
        else:
            self._finish(reply)

    def _ask_for_stream(self) -> None:
        def told(outcome: Outcome) -> None:
            is_there = isinstance(outcome, Done) and outcome.replies[0] == 1
            self._finish(GROUP_GONE if is_there else STREAM_GONE)

        command = [b"EXISTS", self._key]
        self._router.submit(self._request(command, told, self._deadline_ns(), has_write=False))

    def _cancel(self) -> None:
        """Give up a place that may still be known where it waited."""
        if self._is_known:
            self._router.cancel(self._request([BLOCK, *self._args], _unheard, 0, has_write=False))

    # --- Both.

    def _request(
        self,
        command: Args,
        complete: Callable[[Outcome], None],
        deadline_ns: int,
        *,
        has_write: bool,
    ) -> Request:
        def heard(outcome: Outcome) -> None:
            try:
                complete(outcome)
            except Exception:
                # The shard that applied it calls this: a fault here ends this client, not a shard.
                log.exception("wait_failed client=%s shard=%s", self._client.address, self._shard)
                self._client.abort()

        return Request(
            self._shard,
            self._db,
            [command],
            has_write=has_write,
            deadline_ns=deadline_ns,
            complete=heard,
            may_pass_on=self._words.may_pass_on,
            waiter=self._id if command[0] not in _QUESTIONS else None,
        )

    def _finish(self, reply: Reply) -> None:
        assert self._state is not State.ENDED, "a command is answered once"
        self._state = State.ENDED
        self._blockers.remove(self._id.number, self._client)
        self._done(reply)


def _unheard(_: Outcome) -> None:
    """Nobody waits for it."""
