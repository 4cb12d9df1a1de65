"""WAIT and WAITAOF: on how many disks the writes of this connection are.

An answered write is on disk on a majority already; these wait for more. Each shard that the
connection wrote to is asked (`_WAIT`, answered by its leader): first for the index it has applied,
which is behind all of those writes, then how many followers have saved it, until there are enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.slots import ShardId
from ..errors import CommandError
from ..request import Done, Outcome, Request
from ..shard import WAIT
from .subcommands import Later

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...proto.reply import Reply
    from ..request import Args
    from .client import Client

ASK_AGAIN_S = 0.002  # The first pause between two questions, doubled each time,
ASK_AGAIN_MAX_S = 0.05  # up to this.
ASK_NS = 1_000_000_000  # Deadline of one question.


def wait(client: Client, args: Args) -> Reply | Later:
    """WAIT numreplicas timeout: how many followers have them, the leader not counted."""
    wanted = _number(args[1], "value")
    timeout_ms = _timeout(args[2])
    if not client.written:
        return _followers(client)
    return Later(lambda done: _Waiting(client, 0, wanted, timeout_ms, lambda _, n: done(n)).ask())


def waitaof(client: Client, args: Args) -> Reply | Later:
    """WAITAOF numlocal numreplicas timeout: [the leader has them on disk, how many followers]."""
    local, wanted = _number(args[1], "value"), _number(args[2], "value")
    timeout_ms = _timeout(args[3])
    if not 0 <= local <= 1:
        raise CommandError("value is out of range, must be between 0 and 1")
    if wanted < 0:
        raise CommandError("value is out of range, must be positive")
    if not client.written:
        return [1, _followers(client)]
    return Later(
        lambda done: _Waiting(
            client, local, wanted, timeout_ms, lambda here, n: done([here, n])
        ).ask()
    )


def _followers(client: Client) -> int:
    return len(client.door.router.topology().replicas_of(ShardId(0))) - 1


def _number(word: bytes, what: str) -> int:
    if not word.removeprefix(b"-").isdigit() or len(word) > 18:
        text = "timeout is not an integer or out of range"
        raise CommandError(text if what == "timeout" else "value is not an integer or out of range")
    return int(word)


def _timeout(word: bytes) -> int:
    timeout_ms = _number(word, "timeout")
    if timeout_ms < 0:
        raise CommandError("timeout is negative")
    return timeout_ms


class _Waiting:
    """One WAIT. Shards that do not answer count as none."""

    def __init__(
        self,
        client: Client,
        local: int,
        followers: int,
        timeout_ms: int,
        done: Callable[[int, int], None],
    ) -> None:
        self._client = client
        self._wanted = (local, followers)
        self._done = done
        now_ns = client.door.router.now_ns()
        self._until_ns = now_ns + timeout_ms * 1_000_000 if timeout_ms else None  # None: for ever.
        self._shards = sorted(client.written)
        self._index = dict.fromkeys(self._shards, 0)
        self._saved = dict.fromkeys(self._shards, (0, 0))
        self._missing = 0
        self._again_s = ASK_AGAIN_S

    def ask(self) -> None:
        self._missing = len(self._shards)
        for shard in self._shards:
            self._ask(shard)

    def _ask(self, shard: ShardId) -> None:
        def complete(outcome: Outcome) -> None:
            if isinstance(outcome, Done) and isinstance(outcome.replies[0], list | tuple):
                index, here, followers = outcome.replies[0]
                self._index[shard] = index
                self._saved[shard] = (here, followers)
            self._missing -= 1
            if not self._missing:
                self._look()

        self._client.door.router.submit(
            Request(
                shard,
                0,
                [[WAIT, b"%d" % self._index[shard]]],
                has_write=False,
                deadline_ns=self._client.door.router.now_ns() + ASK_NS,
                complete=complete,
            )
        )

    def _look(self) -> None:
        here = min(one for one, _ in self._saved.values())
        followers = min(one for _, one in self._saved.values())
        door = self._client.door
        is_late = self._until_ns is not None and door.router.now_ns() >= self._until_ns
        is_enough = here >= self._wanted[0] and followers >= self._wanted[1]
        # One that waits for ever and has closed its end is waited for by nobody.
        is_gone = self._until_ns is None and self._client.has_ended
        if is_enough or is_late or is_gone or self._client.is_lost:
            self._done(here, followers)
            return
        delay_s = self._again_s
        if self._until_ns is not None:
            delay_s = min(delay_s, (self._until_ns - door.router.now_ns()) / 1e9)
        self._again_s = min(2 * self._again_s, ASK_AGAIN_MAX_S)
        door.call_later(delay_s, self.ask)
