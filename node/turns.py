"""The waits that a leader holds for commands that block, and the turns it gives. Pure.

A wait is a request `[_BLOCK, command...]`, served as a read: behind a barrier, so that it sees all
that was acknowledged before it, and registered in the same step, so that nothing that is applied
from then on is missed. It is answered with the name of a key when it is its turn to pop from that;
and with AT_ONCE behind it if that is so before it has waited.
The pop is a request like any other that carries the id of its waiter; what became of it is told
here, too. None of this is state of the shard: who leads next is asked again (correctness A6).
Read `data/waiters.py` for who is first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Final

from .commands.blocking import available, is_nothing, is_refused, waiting_of
from .data.waiters import Waiter, Waiters
from .errors import Overloaded
from .request import Done, NotApplied, Request, answered

if TYPE_CHECKING:
    from ..proto.reply import Reply
    from .data.keyspace import Keyspace
    from .data.waiters import WaiterId
    from .request import Args

BLOCK: Final = b"_BLOCK"  # _BLOCK command ...: answered with a key when it is its turn.
UNBLOCK: Final = b"_UNBLOCK"  # Its waiter waits no longer.
AT_ONCE: Final = 1
TURN_NS = 2_000_000_000  # Who has not popped by then is not waited for.
# Another node asks again every `waits.REFRESH_NS`: what it has not, it has forgotten.
FORGOTTEN_NS = 35_000_000_000
FORGOTTEN_AT_ONCE = 1_000


class Turns:
    def __init__(self, keys: Keyspace, waiters_max: int) -> None:
        self.given = 0  # Turns, for the metrics,
        self.missed = 0  # and those that were not taken.
        self._keys = keys
        self._waiters = Waiters(lambda waiter, key: available(self._keys, waiter, key), waiters_max)
        self._waits: dict[WaiterId, Request] = {}  # Those that are not answered.
        self._asked_ns: dict[WaiterId, int] = {}  # When last, in that order.
        # By key: those whose turn it is and whose pop has not come, in order; and pops that came
        # before those of others in front. They are of several nodes, and must not overtake.
        self._lines: dict[tuple[int, bytes], deque[WaiterId]] = {}
        self._early: dict[WaiterId, Request] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def __bool__(self) -> bool:
        return bool(self._waiters or self._lines)

    def __contains__(self, waiter: WaiterId) -> bool:
        return waiter in self._waiters

    def use(self, keys: Keyspace) -> None:
        """A snapshot has replaced the keyspace."""
        self._keys.awaited = None
        self._keys = keys

    def wait(self, request: Request, now_ns: int) -> None:
        """Its barrier is passed: hold it until it is its turn."""
        id_ = request.waiter
        assert id_ is not None, "a wait says whose it is"
        self._asked_ns.pop(id_, None)
        self._asked_ns[id_] = now_ns
        if id_ in self._waiters:  # It was sent again, or the pop found nothing.
            self._waits[id_] = request
            self._give(self._waiters.resume(id_, now_ns))
            return
        waiter = _waiter(id_, request.db, request.commands[0][1:])
        refused = self._refused(waiter)
        if refused is not None:
            request.complete(Done([refused, AT_ONCE]))
            return
        try:
            turns = self._waiters.wait(waiter, now_ns)
        except Overloaded as error:
            request.complete(NotApplied(error))
            return
        self._keys.awaited = self._waiters
        if turns:
            self._begun(waiter)
            request.complete(Done([waiter.turn, AT_ONCE]))
        else:
            self._waits[id_] = request

    def _refused(self, waiter: Waiter) -> bytes | None:
        """A key of another type, if that is what the command would meet first."""
        for key in waiter.keys:
            if is_refused(self._keys, waiter.db, waiter.need, [key]) is not None:
                return key
            if available(self._keys, waiter, key):
                return None
        return None

    def must_queue(self, request: Request) -> bool:
        """Whether a command that may wait would overtake somebody if it was carried out now."""
        if request.waiter is None or not self._waiters or request.waiter in self._waiters:
            return False
        return self._waiters.is_in_line(_waiter(request.waiter, request.db, request.commands[0]))

    def admit(self, request: Request) -> list[Request]:
        """A pop has come: those that are carried out now, in the order of their turns."""
        id_ = request.waiter
        claim = None if id_ is None else self._waiters.claim_of(id_)
        # Not in line: it was let through already, and comes once more.
        if id_ is None or claim is None or id_ not in self._lines.get(claim, ()):
            return [request]
        self._early[id_] = request
        return self._next_of(claim)

    def _next_of(self, claim: tuple[int, bytes]) -> list[Request]:
        line = self._lines[claim]
        ready: list[Request] = []
        while line:
            request = self._early.pop(line[0], None)
            if request is not None:
                ready.append(request)
            elif self._waiters.claim_of(line[0]) == claim:
                return ready
            line.popleft()  # Its turn is over, or it has come.
        del self._lines[claim]
        return ready

    def released(self) -> list[Request]:
        """Pops that nobody is in front of any more, since a turn is over without one."""
        return [one for claim in list(self._lines) for one in self._next_of(claim)]

    def wake(self, now_ns: int) -> None:
        """A command has written to keys that somebody waits for."""
        for db, key in dict.fromkeys(self._keys.take_touched()):
            self._give(self._waiters.touched(db, key, now_ns))

    def popped(self, request: Request, reply: Reply, now_ns: int) -> None:
        """A pop was applied. One that found nothing leaves the waiter at its place."""
        if request.waiter is None:
            return
        if is_nothing(reply):
            self._give(self._waiters.resume(request.waiter, now_ns))
        else:
            self.leave(request.waiter, now_ns)

    def leave(self, id_: WaiterId, now_ns: int) -> None:
        """It waits no longer; whose turn it was gives it up."""
        self._waits.pop(id_, None)
        self._asked_ns.pop(id_, None)
        self._give(self._waiters.settle(id_, now_ns))
        self._forget_if_alone()

    def node_left(self, node: str, now_ns: int) -> None:
        """A node is out of reach, and so are its clients."""
        for id_ in [one for one in self._waits if one.node == node]:
            del self._waits[id_]
        self._give(self._waiters.leave(node, now_ns))
        self._forget_if_alone()

    def tick(self, now_ns: int, home: str | None) -> None:
        """Turns that nobody took go to the next; `home` is this node."""
        self._forget(now_ns, home)
        before = len(self._waiters)
        self._give(self._waiters.overdue(now_ns - TURN_NS, now_ns))
        self.missed += before - len(self._waiters)
        self._forget_if_alone()

    def _forget(self, now_ns: int, home: str | None) -> None:
        """Whose end was told in a message that was lost."""
        for id_, asked_ns in list(islice(self._asked_ns.items(), FORGOTTEN_AT_ONCE)):
            if id_ in self._waiters and now_ns - asked_ns < FORGOTTEN_NS:
                return
            del self._asked_ns[id_]
            if id_ not in self._waiters:
                continue
            if id_.node == home:
                self._asked_ns[id_] = now_ns  # Its own clients tell it themselves.
            else:
                self.leave(id_, now_ns)

    def give_back(self) -> list[Request]:
        """This replica leads no longer: the waits that somebody else has to hold."""
        waits = [self._waits.get(waiter.id) for waiter in self._waiters.clear()]
        early = list(self._early.values())
        self._waits.clear()
        self._asked_ns.clear()
        self._lines.clear()
        self._early.clear()
        self._forget_if_alone()
        return [*early, *[request for request in waits if request is not None]]

    def _begun(self, waiter: Waiter) -> None:
        self.given += 1
        claim = self._waiters.claim_of(waiter.id)
        if claim is not None:
            self._lines.setdefault(claim, deque()).append(waiter.id)

    def _forget_if_alone(self) -> None:
        """Where nobody waits, writes need not be noted."""
        if not self._waiters:
            self._keys.awaited = None

    def _give(self, waiters: Iterable[Waiter]) -> None:
        """A wait can be on its way still, after a pop that found nothing: its turn has begun."""
        for waiter in waiters:
            request = self._waits.pop(waiter.id, None)
            self._begun(waiter)
            if request is not None:
                request.complete(Done([waiter.turn]))


def is_wait(request: Request) -> bool:
    return request.commands[0][0] == BLOCK


def calling_off(wait: Request) -> Request:
    """What tells a leader that nobody waits for that any more."""
    return Request(
        wait.shard,
        wait.db,
        [[UNBLOCK]],
        has_write=False,
        deadline_ns=0,
        complete=answered,
        may_pass_on=False,
        waiter=wait.waiter,
    )


def _waiter(id_: WaiterId, db: int, args: Args) -> Waiter:
    what = waiting_of(args)
    assert what is not None, "the door asks only for what waits"
    return Waiter(id_, db, what.keys, what.need, what.takes, what.group, what.behind)
