"""Stories of the Raft core, as text: a line `> command`, and under it what came of it.

Commands (N, M: replicas; MS: milliseconds):

    replicas N [option=value ...]   a fresh cluster; options are fields of RaftConfig
    disk N TERM : T T T ...         N starts again, with a log of these terms and this term
    timeout N                       N's patience ends now
    time MS / tick N MS             time passes for all / for N; nothing is delivered
    deliver [N->M] [TYPE]           what is on the wire now arrives / lose: it does not
    save N [COUNT]                  N's disk ends its saves (all that wait, or COUNT)
    install N                       N's state machine is the snapshot now
    settle / run MS                 deliver and save all there is / for MS; only what came of it
                                    is told
    propose N TEXT / read N         a client at N
    transfer N M / compact N [KEEP] N hands over to M / snapshots, and keeps KEEP entries
    allow N yes|no                  whether N may lead
    crash N / start N               lose what is not saved / come back
    isolate N / heal                nothing passes to or from N / everything passes again
    unreachable N M / reachable N M at N the stream to M breaks / is up again
    logs                            the logs of all as index/term; before the bar: committed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trimaran.node.errors import Unavailable
from trimaran.node.raft.types import (
    NOBODY,
    AppendEntries,
    AppendReply,
    EntryId,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    PreVote,
    Ready,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    Role,
    TimeoutNow,
    Vote,
)

from ..unit.raft.replicas import CONFIG, Cluster, Member, entries

INDENT = "    "


def place(entry: EntryId) -> str:
    """An entry as `index/term`."""
    return f"{entry.index}/{entry.term}"


def describe(message: Message) -> str:
    """One message in one line."""
    match message:
        case RequestPreVote(last=last):
            text = f"would you vote for me? my log ends at {place(last)}"
        case PreVote(granted=granted):
            text = "I would" if granted else "I would not"
        case RequestVote(last=last, is_transfer=is_transfer):
            text = f"vote for me, my log ends at {place(last)}"
            text += ", the leader wants it so" if is_transfer else ""
        case Vote(granted=granted):
            text = "you have my vote" if granted else "no vote"
        case AppendEntries(previous=previous, entries=carried, commit_index=commit_index):
            what = " ".join(place(entry.id) for entry in carried) or "nothing"
            text = f"append {what} after {place(previous)}, committed {commit_index}"
        case AppendReply(is_success=True, match_index=match_index):
            text = f"saved up to {match_index}"
        case AppendReply(rejected_index=rejected_index, conflict=conflict):
            text = f"nothing fits at {rejected_index}, try {place(conflict)}"
        case Heartbeat(round=number, commit_index=commit_index, is_urgent=is_urgent):
            text = f"heartbeat {number}, committed {commit_index}{', urgent' * is_urgent}"
        case HeartbeatReply(round=number):
            text = f"heard {number}"
        case InstallSnapshot(meta=meta):
            text = f"snapshot of {place(meta.id)}"
        case TimeoutNow():
            text = "campaign now"
    return f"{message.source}->{message.target} term {message.term}: {text}"


class Told(Cluster):
    """A cluster that tells what happens."""

    def __init__(self, count: int, lines: list[str], **options: int) -> None:
        self.lines = lines
        self.is_quiet = True
        self._known: dict[ReplicaId, tuple[str, int]] = {}
        super().__init__(count, config=replace(CONFIG, **options))  # type: ignore[arg-type] # ints
        self.is_quiet = False
        self.tell_changes()

    def tell(self, line: str) -> None:
        if not self.is_quiet:
            self.lines.append(INDENT + line)

    def tell_changes(self) -> None:
        """What became of each replica since the last time."""
        for member in self.members.values():
            core = member.core
            if core is None:
                now = ("down", 0)
            else:
                role = core.role.value
                if core.role is Role.FOLLOWER and core.leader != NOBODY:
                    role += f" of {core.leader}"
                now = (f"{role}, term {core.term}", core.commit_index)
            before = self._known.get(member.replica)
            self._known[member.replica] = now
            if now[0] != (before[0] if before is not None else "follower, term 0"):
                self.lines.append(f"{INDENT}{member.replica} is {now[0]}")
            if core is not None and before is not None and now[1] > before[1]:
                self.lines.append(f"{INDENT}{member.replica} has committed {now[1]}")

    def pump(self, member: Member) -> None:
        before = member.installing
        super().pump(member)
        if member.installing is not None and member.installing is not before:
            self.tell(f"{member.replica} wants installed: {place(member.installing.id)}")

    def _put(self, messages: tuple[Message, ...]) -> None:  # type: ignore[override] # narrower
        super()._put(messages)
        for message in messages:
            self.tell(describe(message))

    def _apply(self, member: Member, ready: Ready) -> None:
        super()._apply(member, ready)
        what = []
        if ready.hard_state is not None:
            vote = ready.hard_state.voted_for
            voted = f" with its vote for {vote}" if vote != NOBODY else ""
            what.append(f"term {ready.hard_state.term}{voted}")
        if ready.entries:
            what.append("entries " + " ".join(place(entry.id) for entry in ready.entries))
        if what:
            self.tell(f"{member.replica} wants saved: {', '.join(what)}")

    def _answer(self, member: Member, ready: Ready) -> None:
        super()._answer(member, ready)
        for barrier in ready.reads:
            self.lines.append(
                f"{INDENT}{member.replica} serves read {barrier.token} at {barrier.index}"
            )
        for token in ready.reads_failed:
            self.lines.append(f"{INDENT}{member.replica} fails read {token}")


class Story:
    """Plays the commands of one file."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._told: Told | None = None

    @property
    def cluster(self) -> Told:
        assert self._told is not None, "a story begins with `> replicas N`"
        return self._told

    def member(self, number: str) -> Member:
        return self.cluster.members[ReplicaId(int(number))]

    def play(self, text: str) -> str:
        """The story with what comes of each command now."""
        for line in text.splitlines():
            if line.startswith("> "):
                self.lines.append(line)
                name, *words = line[2:].split()
                command: Callable[..., None] = getattr(self, f"do_{name}")
                command(*words)
                self.cluster.tell_changes()
            elif not line.startswith(INDENT):
                self.lines.append(line)
        return "\n".join(self.lines) + "\n"

    def do_replicas(self, count: str, *options: str) -> None:
        named = dict(option.split("=") for option in options)
        self._told = Told(
            int(count), self.lines, **{name: int(value) for name, value in named.items()}
        )

    def do_disk(self, number: str, term: str, _: str, *terms: str) -> None:
        member = self.member(number)
        self.cluster.crash(member)
        member.disk.log = list(entries(*map(int, terms)))
        member.disk.hard_state = HardState(int(term), NOBODY)
        self.cluster.start(member)

    def do_timeout(self, number: str) -> None:
        member = self.member(number)
        wait_ns = member.up.next_deadline() - member.clock_ns
        for other in self.cluster.members.values():
            other.clock_ns += max(wait_ns, 0)
        self.cluster.tick(member, 0)

    def do_time(self, milliseconds: str) -> None:
        for member in self.cluster.members.values():
            self.cluster.tick(member, int(milliseconds))

    def do_tick(self, number: str, milliseconds: str) -> None:
        self.cluster.tick(self.member(number), int(milliseconds))

    def take_from_wire(self, words: tuple[str, ...]) -> list[Message]:
        taken = []
        for message in list(self.cluster.wire):
            names = (f"{message.source}->{message.target}", type(message).__name__)
            if all(word in names for word in words):
                taken.append(message)
                self.cluster.wire.remove(message)
        return taken

    def do_deliver(self, *words: str) -> None:
        for message in self.take_from_wire(words):
            self.cluster.deliver(message)

    def do_lose(self, *words: str) -> None:
        for message in self.take_from_wire(words):
            if isinstance(message, InstallSnapshot):
                self.cluster.snapshot_sent(message, is_ok=False)

    def do_save(self, number: str, count: str = "999") -> None:
        member = self.member(number)
        for _ in range(min(int(count), len(member.saving))):
            self.cluster.save(member)

    def do_install(self, number: str) -> None:
        self.cluster.install(self.member(number))

    def do_settle(self) -> None:
        self.cluster.is_quiet = True
        self.cluster.settle()
        self.cluster.is_quiet = False

    def do_run(self, milliseconds: str) -> None:
        self.cluster.is_quiet = True
        self.cluster.advance(int(milliseconds))
        self.cluster.is_quiet = False

    def do_propose(self, number: str, text: str) -> None:
        try:
            member = self.member(number)
            at = member.up.propose(text.encode(), member.clock_ns)
        except Unavailable as error:
            self.cluster.tell(f"refused: {error}")
            return
        self.cluster.tell(f"proposed at {place(at)}")
        self.cluster.pump(self.member(number))

    def do_read(self, number: str) -> None:
        try:
            self.cluster.read(self.member(number))
        except Unavailable as error:
            self.cluster.tell(f"refused: {error}")

    def do_transfer(self, number: str, target: str) -> None:
        member = self.member(number)
        member.up.transfer_leadership(ReplicaId(int(target)))
        self.cluster.pump(member)

    def do_compact(self, number: str, keep: str = "0") -> None:
        self.cluster.compact(self.member(number), keep=int(keep))

    def do_allow(self, number: str, answer: str) -> None:
        self.member(number).up.allow_leading(answer == "yes")
        self.cluster.pump(self.member(number))

    def do_crash(self, number: str) -> None:
        self.cluster.crash(self.member(number))

    def do_start(self, number: str) -> None:
        self.cluster.start(self.member(number))

    def do_isolate(self, number: str) -> None:
        self.cluster.isolate(int(number))

    def do_heal(self) -> None:
        self.cluster.cut.clear()

    def do_unreachable(self, number: str, other: str) -> None:
        self.member(number).up.unreachable(self.member(other).node)
        self.cluster.pump(self.member(number))

    def do_reachable(self, number: str, other: str) -> None:
        member = self.member(number)
        member.up.reachable(self.member(other).node, member.clock_ns)
        self.cluster.pump(self.member(number))

    def do_logs(self) -> None:
        for member in self.cluster.members.values():
            core = member.core
            if core is None:
                self.cluster.tell(f"{member.replica}: down")
                continue
            first = core.first_index
            told = [f"snapshot {place(core.meta_at(first - 1).id)}"] if first > 1 else []
            for index in range(first, core.last.index + 1):
                entry = core.entry_at(index)
                assert entry is not None
                told += ["|"] if index == core.commit_index + 1 else []
                told.append(place(entry.id))
            if core.saved_index < core.last.index:
                told.append(f"(saved up to {core.saved_index})")
            self.cluster.tell(f"{member.replica}: {' '.join(told)}")
