"""Brings commands to the leaders of their shards, and again until their fate is known.

Commands given in the same turn are gathered into one batch per shard and kind. A write carries its
session and number, so it can be sent again to whoever leads now and is applied once; what is not
certain at the end of its time is said to be unknown, never guessed. Pure: it is told the time, what
came in and what broke, and calls `send` and `wake_at`; `core.py` runs it on asyncio, and the
simulator in virtual time.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from typing import TYPE_CHECKING

from ..proto.requests import (
    NOT_APPLIED,
    Reason,
    Refusal,
    encode_cancel,
    refusal_of,
    unknown_text_of,
)
from .batch import ANYWHERE, Batch
from .errors import NotApplied, OutcomeUnknown, WatchedChanged
from .router_config import RouterConfig as RouterConfig
from .router_config import RouterStats as RouterStats
from .session import Sessions

if TYPE_CHECKING:
    from random import Random

    from ..proto.requests import BatchAnswer
    from .batch import Sink
    from .session import Session
    from .topology import TopologyView

BATCH_COMMANDS_MAX = 1000
BATCH_BYTES_MAX = 1 << 20
BACKOFF_S, BACKOFF_MAX_S = 0.02, 0.5  # Before the second try, and at most.
FOREVER_S = 3e8  # About ten years: what every kind of timer can do.
HOPS_MAX = 3  # Leaders followed in a row without a pause.

_NO_REFUSAL = Refusal(Reason.UNSPECIFIED, "", "")


class Router:
    def __init__(
        self,
        config: RouterConfig,
        *,
        now: Callable[[], float],
        rng: Random,
        send: Callable[[str, int, bytes], None],
        wake_at: Callable[[float], None],
        say: Callable[[str, bytes], None] = lambda node, data: None,
        age_clock: Callable[[], float] | None = None,
    ) -> None:
        """`send` has a node carry out a try (its number and bytes); `wake_at` has `tick` called;
        `say` tells a node what it need not answer; `age_clock` goes on while the machine sleeps."""
        self.view: TopologyView | None = None
        self.stats = RouterStats()
        self.pending = 0  # Commands that wait for an answer,
        self.pending_bytes = 0  # and their bytes.
        self._waits = 0  # Of them, those that wait for data.
        self._config = config
        self._now = now
        self._age_clock = age_clock or now
        self._rng = rng
        self._send = send
        self._say = say
        self._wake_at = wake_at
        self._sessions = Sessions(lambda: rng.getrandbits(64) or 1, config.session_timeout_ms)
        self._openers: dict[Session, Batch] = {}
        self._behind: dict[Session, deque[Batch]] = {}  # What waits for a session.
        self._forming: dict[tuple[int, int, bool, int, float], Batch] = {}
        # Tries: from which command on, and since when.
        self._in_flight: dict[int, tuple[Batch, int, float]] = {}
        self._parked: dict[Batch, None] = {}
        self._agenda: list[tuple[float, int, Batch]] = []  # Deadlines, and ends of pauses.
        self._agenda_count = 0
        self._next_number = 1
        self._hints: dict[int, str] = {}  # Leaders heard of since the view.
        self._down: dict[str, float] = {}  # Nodes not to be asked before then,
        self._silent: dict[str, float] = {}  # and not if there is another one.
        self._closed: Exception | None = None  # What everything ends with from here on.
        self._steady = ""  # The node that takes what is for none in particular.
        self._turn = rng.randrange(1 << 16)  # Whose turn it is among equals.

    # --- Commands.

    def call(
        self,
        shard: int,
        database: int,
        command: bytes,
        sink: Sink,
        *,
        is_write: bool,
        stale_ms: int = 0,
        timeout_s: float = 0.0,
    ) -> None:
        """A command by itself, gathered with others of its turn until `flush`."""
        key = (shard, database, is_write, stale_ms, timeout_s)
        batch = self._forming.get(key)
        if batch is None:
            batch = self._forming[key] = self.batch(
                shard, database, is_write=is_write, stale_ms=stale_ms, timeout_s=timeout_s
            )
        batch.add(command, sink)
        if len(batch.commands) >= BATCH_COMMANDS_MAX or batch.size >= BATCH_BYTES_MAX:
            del self._forming[key]
            self.submit(batch)

    def batch(
        self,
        shard: int,
        database: int,
        *,
        is_write: bool,
        is_atomic: bool = False,
        stale_ms: int = 0,
        timeout_s: float = 0.0,
        watched: Sequence[bytes] = (),
        wait: Callable[[float], bytes] | None = None,
        wait_s: float = 0.0,
        asks_for_turn: bool = False,
        turn: int = 0,
        is_behind_others: bool = False,
    ) -> Batch:
        """An empty one, to be filled and submitted. With `wait` it waits for data, at most
        `wait_s`, and that is its command, for as many seconds as are left."""
        now = self._now()
        return Batch(
            shard,
            database,
            deadline=now + min(wait_s, FOREVER_S) + (timeout_s or self._config.timeout_s),
            wait=wait,
            until=now + wait_s,
            asks_for_turn=asks_for_turn,
            turn=turn,
            is_behind_others=is_behind_others,
            is_write=is_write,
            is_atomic=is_atomic,
            stale_ms=0 if is_write else stale_ms,
            watched=watched,
        )

    @property
    def busy(self) -> int:
        """Commands that are being answered: those that wait for data are not."""
        return self.pending - self._waits

    def flush(self) -> None:
        """The turn is over: what it gathered leaves."""
        forming, self._forming = self._forming, {}
        for batch in forming.values():
            self.submit(batch)

    def submit(self, batch: Batch) -> None:
        """Bring a batch to its shard; each of its sinks is told, sooner or later."""
        refusal = self._closed or self._refusal(batch)
        if refusal is not None:
            self.stats.not_applied += len(batch.commands)
            batch.is_done = True
            batch.fail(refusal)
            return
        self.stats.commands += len(batch.commands)
        self.pending += len(batch.commands)
        self.pending_bytes += batch.size
        self._waits += batch.wait is not None
        self._put_on_agenda(batch.deadline, batch)
        self._dispatch(batch)

    def _refusal(self, batch: Batch) -> Exception | None:
        config = self._config
        if self.pending + len(batch.commands) > config.pending_max:
            limit = f"pending_max = {config.pending_max} commands"
        elif self.pending_bytes + batch.size > config.pending_bytes_max:
            limit = f"pending_bytes_max = {config.pending_bytes_max} bytes"
        else:
            return None
        return NotApplied(f"{limit} of this client wait for an answer already")

    def _dispatch(self, batch: Batch) -> None:
        if batch.is_done:
            return
        node = self._target(batch)
        if node is None:
            self._park(batch)
        elif self._has_session(batch):
            self._try(batch, node)

    def _try(self, batch: Batch, node: str) -> None:
        number = self._next_number
        self._next_number += 1
        now = self._now()
        age_now = self._age_clock()
        data = batch.encode(number, now, age_now)
        session = batch.session
        if session is not None and not session.id and session.opening_since is None:
            session.opening_since = age_now
        self._in_flight[number] = (batch, batch.start, now)
        batch.numbers[number] = node
        self.stats.batches += 1
        self._send(node, number, data)

    def commands_of(self, number: int) -> int:
        """How many a try that is under way has."""
        batch, start, _ = self._in_flight[number]
        return len(batch.commands) - start

    # --- Where to.

    def _target(self, batch: Batch) -> str | None:
        view = self.view
        if view is None:
            batch.text = "no node has answered yet"
            return None
        if batch.shard == ANYWHERE:
            return self._steady_node() if batch.is_write else self.nearest(view.nodes)
        if batch.stale_ms:
            return self.nearest(view.shards[batch.shard].replicas)
        leader = self.leader_of(batch.shard)
        if not leader:
            batch.text = f"no leader is known for shard {batch.shard}"
            return None
        if leader not in view.nodes:
            batch.text = f"{leader}, which leads shard {batch.shard}, is not among the nodes known"
            return None
        if self._is_down(leader):
            batch.text = f"{leader}, which leads shard {batch.shard}, cannot be reached"
            return None
        return leader

    def leader_of(self, shard: int) -> str:
        """The node believed to lead; empty if none is."""
        if self.view is None:
            return ""
        return self._hints.get(shard) or self.view.shards[shard].leader

    def _is_down(self, node: str) -> bool:
        until = self._down.get(node)
        return until is not None and self._now() < until

    def nearest(self, names: Iterable[str], avoid: Container[str] = ()) -> str | None:
        """One that can be reached, of this client's zone if there is one; another each time."""
        view = self.view
        assert view is not None
        nodes = [view.nodes[name] for name in names if name in view.nodes and name not in avoid]
        up = [node for node in nodes if not self._is_down(node.name)]
        up = [node for node in up if self._silent.get(node.name, 0.0) <= self._now()] or up
        up = [node for node in up if node.is_reachable] or up
        here = [node for node in up if self._config.zone and node.zone == self._config.zone]
        choice = here or up
        if not choice:
            return None
        self._turn += 1
        return choice[self._turn % len(choice)].name

    def _steady_node(self) -> str | None:
        """The same as long as it can be reached: what one client publishes keeps its order."""
        view = self.view
        assert view is not None
        known = view.nodes.get(self._steady)
        is_silent = self._silent.get(self._steady, 0.0) > self._now()
        if known is None or is_silent or not known.is_reachable or self._is_down(known.name):
            self._steady = self.nearest(view.nodes) or ""
        return self._steady or None

    # --- Sessions.

    def _has_session(self, batch: Batch) -> bool:
        """Whether it may leave now; otherwise it does when its session is open, or has room."""
        if not batch.is_write or batch.shard == ANYWHERE:
            return True
        session = batch.session or self._sessions.of(batch.shard)
        if not session.id and self._openers.setdefault(session, batch) is not batch:
            self._behind.setdefault(session, deque()).append(batch)
            batch.text = "its session is being opened"
            return False
        if batch.session is None:
            if session.is_full:
                self._behind.setdefault(session, deque()).append(batch)
                batch.text = "too many replies wait behind one that is slow"
                return False
            batch.session = session
            batch.sequence = session.take(len(batch.commands))
        if session.may_have_ended(self._age_clock()):
            self._session_lost(batch)
            return False
        return True

    def _opened(self, batch: Batch, session_id: int) -> None:
        session = batch.session
        if session is not None and not session.id:
            session.id = session_id
            self.stats.sessions_opened += 1
            self._let_go_on(session)

    def _let_go_on(self, session: Session) -> None:
        self._openers.pop(session, None)
        for batch in self._behind.pop(session, ()):
            self._dispatch(batch)

    def _release(self, batch: Batch) -> None:
        """Its number is not needed any more."""
        session, batch.session = batch.session, None
        if session is None:
            return
        session.answered(batch.sequence)
        batch.sequence = 0
        is_opener = self._openers.get(session) is batch
        if is_opener or (session in self._behind and session.id and not session.is_full):
            self._let_go_on(session)

    # --- What comes back.

    def answered(self, node: str, answer: BatchAnswer) -> None:
        """A node has answered a try."""
        self._down.pop(node, None)
        found = self._in_flight.pop(answer.id, None)
        if found is None:
            return
        batch, start, _ = found
        batch.told = (node, answer.id)
        del batch.numbers[answer.id]
        for _, session_id in answer.opened:
            self._opened(batch, session_id)
        if batch.is_done:
            return
        rest = batch.take(start, answer.results)
        if batch.is_answered:
            self._finish(batch)
        elif rest:
            self._left_over(batch, node, rest)
        elif not batch.numbers:  # Fewer results than commands: no node does that.
            batch.is_uncertain = True
            self._pause(batch, f"{node} answered only a part of it")

    def _left_over(self, batch: Batch, node: str, rest: list[bytes]) -> None:
        """Replies have ended in front of something else, which is true of all behind it."""
        text = ""
        for result in rest:
            if result[0] != NOT_APPLIED:
                batch.is_uncertain = True
                text = text or unknown_text_of(result)
        if batch.is_uncertain and batch.is_once:
            self._fail(batch, OutcomeUnknown(text or "an earlier try was not answered"))
            return
        first = refusal_of(rest[0]) if rest[0][0] == NOT_APPLIED else _NO_REFUSAL
        text = first.text or text
        if first.reason is Reason.SESSION_UNKNOWN:
            self._session_lost(batch)
            return
        if first.reason is Reason.WATCHED:
            self._fail(batch, WatchedChanged("Watched variable changed."))
            return
        if batch.numbers:
            return  # Another try is under way.
        if first.reason is Reason.NOT_LEADER:
            batch.hops += 1
            self._learn(batch.shard, node, first.leader)
            leader = self.leader_of(batch.shard)
            if leader and leader != node and batch.hops <= HOPS_MAX:
                self._give_back(batch)
                self._dispatch(batch)
                return
        self._pause(batch, text)

    def _learn(self, shard: int, node: str, leader: str) -> None:
        """`node` does not lead; it may know who does."""
        if shard == ANYWHERE:
            return
        if leader and leader != node:
            self._hints[shard] = leader
        elif self.leader_of(shard) == node:
            self._hints.pop(shard, None)

    def _session_lost(self, batch: Batch) -> None:
        """The shard does not know the session: what was never sent before gets another one (A8)."""
        session = batch.session
        if session is not None:
            self._sessions.lost(session)
            self.stats.sessions_lost += 1
        if batch.is_uncertain or batch.numbers:
            self._fail(batch, OutcomeUnknown("its session has ended, and an earlier try may count"))
            return
        self._release(batch)
        if session is not None:
            for other in self._behind.pop(session, ()):
                self._dispatch(other)
        self._dispatch(batch)

    def broken(
        self,
        node: str,
        unsent: Iterable[int],
        pause_s: float,
        refusal: Callable[[], Exception] | None = None,
        too_large: Collection[int] = (),
    ) -> None:
        """The connection to a node has ended; `unsent` tries had not left. It is not to be asked
        for so long; if it does not serve this client at all, `refusal` says why, or why it ended at
        the first of those that are `too_large`, which no node takes."""
        self._down[node] = self._now() + pause_s
        kept = set(unsent)
        lost = [
            (number, batch)
            for number, (batch, *_) in self._in_flight.items()
            if batch.numbers.get(number) == node
        ]
        for number, batch in lost:
            del self._in_flight[number]
            del batch.numbers[number]
            if batch.is_done:
                continue
            is_refused = bool(refusal and too_large and number in too_large)
            batch.is_uncertain = batch.is_uncertain or (number not in kept and not is_refused)
            if batch.is_uncertain and batch.is_once:
                self._fail(batch, OutcomeUnknown(f"the connection to {node} has ended"))
            elif (
                refusal
                and (is_refused or not too_large)
                and not (batch.is_uncertain or batch.numbers)
            ):
                self._fail(batch, refusal())
            elif not batch.numbers:
                self._pause(batch, f"the connection to {node} has ended")

    def silent(self, node: str, pause_s: float) -> None:
        """A node owes answers and says nothing: what others can answer is asked of them as well."""
        self._silent[node] = self._now() + pause_s
        for batch in {batch: None for batch, *_ in self._in_flight.values()}:
            is_anybodys = batch.stale_ms or (batch.shard == ANYWHERE and not batch.is_once)
            if batch.is_done or not is_anybodys or set(batch.numbers.values()) != {node}:
                continue
            other = self._target(batch)
            if other is not None and other != node:
                self.stats.retries += 1
                self._try(batch, other)

    def changed(self, view: TopologyView) -> None:
        """A node says what the cluster is like now."""
        before, self.view = self.view, view
        self._hints.clear()
        parked, self._parked = list(self._parked), {}
        for batch in parked:
            self._dispatch(batch)
        if before is not None and before.shards != view.shards:
            self._follow_leaders(view)

    def _follow_leaders(self, view: TopologyView) -> None:
        """What waits for an answer of who led before may wait for long: ask who leads now as well.
        Under its number it is applied once."""
        for batch in {batch: None for batch, *_ in self._in_flight.values()}:
            if batch.is_done or batch.shard == ANYWHERE or batch.stale_ms:
                continue
            leader = view.shards[batch.shard].leader
            if leader in batch.numbers.values() or leader not in view.nodes:
                continue
            if not self._is_down(leader):
                batch.is_uncertain = True
                self.stats.retries += 1
                if batch.turn:
                    self._forget_tries(batch)
                if self._has_session(batch):
                    self._try(batch, leader)

    def _forget_tries(self, batch: Batch) -> None:
        """Who tried to take something in its turn may be told of nothing by a leader that did not
        ask its log; that must not count beside another try, which may take it."""
        for number in batch.numbers:
            self._in_flight.pop(number, None)
        batch.numbers.clear()

    # --- Time.

    def _park(self, batch: Batch) -> None:
        """Until the view changes, or a pause has ended."""
        if batch not in self._parked:
            self._parked[batch] = None
            self._put_on_agenda(self._now() + self._pause_s(batch), batch)

    def _pause(self, batch: Batch, text: str) -> None:
        batch.text = text or batch.text
        batch.hops = 0
        self.stats.retries += 1
        self._give_back(batch)
        self._park(batch)

    def _give_back(self, batch: Batch) -> None:
        """Surely not applied by any try: its number may be another one next time."""
        if batch.is_uncertain:
            return
        if batch.start:  # What is in front of it has its replies.
            self.pending -= batch.start
            del batch.commands[: batch.start], batch.sinks[: batch.start]
            batch.start = 0
        self._release(batch)

    def _pause_s(self, batch: Batch) -> float:
        batch.tries += 1
        full = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(batch.tries, 10))
        return float(full * (0.5 + self._rng.random() / 2))

    def _put_on_agenda(self, at: float, batch: Batch) -> None:
        self._agenda_count += 1
        heapq.heappush(self._agenda, (at, self._agenda_count, batch))
        if self._agenda[0][2] is batch:
            self._wake_at(at)

    def tick(self) -> None:
        """Look at what is due: time-outs, and pauses that have ended."""
        now = self._now()
        agenda = self._agenda
        while agenda and (agenda[0][0] <= now or agenda[0][2].is_done):
            _, _, batch = heapq.heappop(agenda)
            if batch.is_done:
                continue
            if now >= batch.deadline:
                self._expire(batch)
            elif batch in self._parked:
                del self._parked[batch]
                self._dispatch(batch)
        if agenda:
            self._wake_at(agenda[0][0])

    # --- Ends.

    def _expire(self, batch: Batch) -> None:
        if batch.is_write and (batch.is_uncertain or batch.numbers):
            text = "its time is up, and it may have been applied"
            self._fail(batch, OutcomeUnknown(f"{text}: {batch.text}" if batch.tries else text))
        elif batch.numbers:
            where = ", ".join(sorted(set(batch.numbers.values())))
            self._fail(batch, NotApplied(f"its time is up: no answer from {where}"))
        else:
            self._fail(batch, NotApplied(f"its time is up: {batch.text}"))

    def _fail(self, batch: Batch, error: Exception) -> None:
        left = len(batch.commands) - batch.start
        if isinstance(error, OutcomeUnknown):
            self.stats.unknown += left
        else:
            self.stats.not_applied += left
        batch.fail(error)
        self._finish(batch)

    def _finish(self, batch: Batch) -> None:
        batch.is_done = True
        self._parked.pop(batch, None)
        if batch.wait is not None:
            self._waits -= 1
            for number, node in batch.numbers.items():
                self._say(node, encode_cancel(number))
        self.pending -= len(batch.sinks)
        self.pending_bytes -= batch.size
        # The agenda has it until its time is up.
        batch.commands, batch.sinks = [], []
        self._release(batch)

    def give_up(self, batch: Batch) -> None:
        """Nobody wants it any more: a wait frees its place, or the turn it was told of."""
        if not batch.is_done:
            self._finish(batch)
        elif batch.told is not None:
            node, number = batch.told
            self._say(node, encode_cancel(number))

    def owing(self, before: float) -> set[str]:
        """The nodes that have not answered a try that was sent before then, and does not wait for
        data."""
        return {
            batch.numbers[number]
            for number, (batch, _, sent) in self._in_flight.items()
            if sent < before and batch.wait is None and number in batch.numbers
        }

    def close(self, error: Exception, unknown: Exception) -> None:
        """Nothing more is sent: what waits, or comes, ends with `error`, or where it may have been
        applied with `unknown`."""
        self._closed = error
        self.flush()
        waiting = {batch: None for batch, *_ in self._in_flight.values()}
        waiting.update(self._parked)
        waiting.update({one: None for batches in self._behind.values() for one in batches})
        self._behind.clear()
        for batch in waiting:
            if not batch.is_done:
                is_lost = batch.is_write and (batch.is_uncertain or batch.numbers)
                self._fail(batch, unknown if is_lost else error)
