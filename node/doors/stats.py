"""What is counted of the commands of this node's clients: calls, times, errors, slow ones.

One `Stats` for all doors (`door.clients.stats`). `usec` is the time from a command's arrival at
this node to its answer: the log, the network and waiting are in it. Who answers commands tells it:

- `answered(client, commands, replies, elapsed_ns)`: commands that were carried out, as one batch of
  equal age: `commands[i][0]` is the table's name of it (upper case, `CONTAINER|NAME`). A command
  that was split over shards is told once, when its answer has been put together; the commands of
  an EXEC are told as a batch of their own before EXEC itself.
- `answered_here(client, row, args, reply, elapsed_ns)`: one that a door answered; `row` is the
  table's row of the command or subcommand. Also when it raised a CommandError.
- `rejected(row, reply)`: refused before it ran: unknown (`row` None), wrong number of arguments,
  CROSSSLOT, MOVED, CLUSTERDOWN, OVERLOADED. `UNCERTAIN` is an answer: tell it with `answered`.

It runs for every command: integers in lists, nothing else; the rest happens when somebody asks.
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING

from ...cluster.command import FAST, SKIP_SLOWLOG, Command
from ...cluster.commands import COMMANDS
from ...proto.reply import ErrorReply
from ..clock import SystemClock
from ..histogram import BUCKETS, bucket_of
from .latency import COMMAND, FAST_COMMAND, LatencyMonitor
from .slowlog import SlowLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...proto.reply import Reply
    from ..request import Args
    from .client import Client

CODES_MAX = 128  # Different error codes; a script could make up any number.
OTHER_CODES = "OTHER"
ALONE_MAX = 12  # Commands of a batch that are counted one by one.

_name = itemgetter(0)


_CLOCK = SystemClock()


class CommandStats:
    """Of one command."""

    __slots__ = ("failed", "histogram", "ns", "rejected")

    def __init__(self) -> None:
        self.histogram = [0] * BUCKETS  # Calls by time, in powers of two of microseconds.
        self.ns = 0  # All of them together.
        self.failed = 0  # Answered with an error.
        self.rejected = 0  # Not carried out at all; no call.

    @property
    def calls(self) -> int:
        return sum(self.histogram)

    @property
    def usec(self) -> int:
        return self.ns // 1_000


class _Table(dict[bytes, CommandStats]):
    def __missing__(self, name: bytes) -> CommandStats:
        """Made at the first call; what the table does not name (internal commands) is not kept."""
        made = CommandStats()
        if find_row(name) is not None:
            self[name] = made
        return made


class Stats:
    def __init__(self, wall_us: Callable[[], int] = _CLOCK.wall_us) -> None:
        self.commands: dict[bytes, CommandStats] = _Table()
        self.errors: dict[str, int] = {}
        self.slow_log: SlowLog = SlowLog()
        self.latency: LatencyMonitor = LatencyMonitor(lambda: wall_us() // 1_000_000)
        self.percentiles: tuple[float, ...] = (
            50.0,
            99.0,
            99.9,
        )  # `latency-tracking-info-percentiles`.
        self._wall_us = wall_us

    def reset(self) -> None:
        """CONFIG RESETSTAT: the slow log and the latency monitor have commands of their own."""
        self.commands.clear()
        self.errors.clear()

    # --- What the doors tell.

    def answered(
        self, client: Client, commands: Sequence[Args], replies: Sequence[Reply], elapsed_ns: int
    ) -> None:
        bucket = bucket_of(elapsed_ns // 1_000)
        table = self.commands
        if len(commands) <= ALONE_MAX:
            for args in commands:
                one = table[args[0]]
                one.histogram[bucket] += 1
                one.ns += elapsed_ns
        else:
            for name, count in Counter(map(_name, commands)).items():
                one = table[name]
                one.histogram[bucket] += count
                one.ns += elapsed_ns * count
        if ErrorReply in map(type, replies):
            for args, reply in zip(commands, replies, strict=True):
                if type(reply) is ErrorReply:
                    table[args[0]].failed += 1
                    self._count_error(reply)
        if elapsed_ns >= 1_000_000 or self.slow_log.slower_than_us < 1_000:
            self._look_for_slow(client, commands, elapsed_ns)

    def answered_here(
        self, client: Client, row: Command, args: Args, reply: Reply, elapsed_ns: int
    ) -> None:
        one = self.commands[row.name]
        one.histogram[bucket_of(elapsed_ns // 1_000)] += 1
        one.ns += elapsed_ns
        if type(reply) is ErrorReply:
            one.failed += 1
            self._count_error(reply)
        if elapsed_ns >= 1_000_000 or self.slow_log.slower_than_us < 1_000:
            self._look_for_slow(client, (args,), elapsed_ns, row)

    def rejected(self, row: Command | None, reply: ErrorReply) -> None:
        if row is not None:
            self.commands[row.name].rejected += 1
        self._count_error(reply)

    # --- What is rare.

    def _count_error(self, reply: ErrorReply) -> None:
        errors = self.errors
        code = reply.code
        if code not in errors and len(errors) >= CODES_MAX:
            code = OTHER_CODES
        errors[code] = errors.get(code, 0) + 1

    def _look_for_slow(
        self, client: Client, commands: Sequence[Args], elapsed_ns: int, row: Command | None = None
    ) -> None:
        """Of a batch all were slow, or none."""
        log = self.slow_log
        took_us = elapsed_ns // 1_000
        if log.length_max > 0 and 0 <= log.slower_than_us <= took_us:
            self._keep_slow(client, commands, took_us, row)
        if self.latency.threshold_ms:
            rows = [row or find_row(args[0]) for args in commands]
            for is_fast in {bool(one.flags & FAST) for one in rows if one is not None}:
                self.latency.note(FAST_COMMAND if is_fast else COMMAND, elapsed_ns)

    def _keep_slow(
        self, client: Client, commands: Sequence[Args], took_us: int, row: Command | None
    ) -> None:
        log, at_s = self.slow_log, self._wall_us() // 1_000_000
        count = max(0, min(len(commands), log.length_max, log.room(at_s)))
        log.skip(len(commands) - count)
        for args in commands[len(commands) - count :]:
            one = row or find_row(args[0])
            if one is not None and not one.flags & SKIP_SLOWLOG:
                log.add(args, took_us, at_s, address=client.address, name=client.name)


def find_row(name: bytes) -> Command | None:
    """The row of a command, or of a subcommand written as `CONTAINER|NAME`; in upper case."""
    container, _, word = name.partition(b"|")
    row = COMMANDS.get(container)
    return row.by_word.get(word) if word and row is not None else row
