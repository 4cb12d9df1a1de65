"""The durable kind of messages: entries of a Redis stream, published once and followed by place.

Who follows names the last entry it has seen, so after any failure it goes on behind that, and
misses nothing that has not been trimmed. A group shares a stream among consumers: each entry is
given to one of them, again and again until one says that it is done.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any  # Any: names and values as the client's replies have them.

from .errors import ClientClosed, NotApplied, OutcomeUnknown, Refused

if TYPE_CHECKING:
    from .client import Client

log = logging.getLogger(__name__)

BLOCK_S = 5.0  # One read waits so long for entries; then it is asked again.
PAUSE_S, PAUSE_MAX_S = 0.05, 1.0  # After a read that failed, at first and at most.
COUNT = 100  # Entries of one read, at most.
CLAIM_IDLE_S = 60.0  # Entries that a consumer has had for so long are given to another one.


class Entry:
    """One of a stream: its id and its fields, bytes or text as the client's replies are."""

    __slots__ = ("fields", "id")

    def __init__(self, id_: Any, fields: dict[Any, Any]) -> None:
        self.id = id_
        self.fields = fields

    def __getitem__(self, name: Any) -> Any:
        return self.fields[name]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r} {self.fields!r}>"


class GroupEntry(Entry):
    """One that was given to a consumer of a group."""

    __slots__ = ("_group",)

    def __init__(self, group: Group, id_: Any, fields: dict[Any, Any]) -> None:
        super().__init__(id_, fields)
        self._group = group

    async def ack(self) -> bool:
        """It is done, and given to nobody again. Whether it was still owed: not if somebody else
        was given it meanwhile and said so. Raises what a command raises; it is safe to repeat."""
        return await self._group.ack(self)


class Stream:
    """Made by `Client.stream`."""

    def __init__(self, client: Client, name: Any) -> None:
        self.name = name
        self._client: Any = client  # redis-py's methods are typed for its own clients.

    def __repr__(self) -> str:
        return f"<trimaran.Stream {self.name!r}>"

    async def publish(
        self,
        fields: Mapping[Any, Any],
        *,
        maxlen: int | None = None,
        minid: Any = None,
        approximate: bool = True,
    ) -> Any:
        """Add an entry, once; its id. `maxlen` (entries) or `minid` have older ones trimmed,
        roughly if `approximate`: who follows does not see what was trimmed before it was read.
        Raises NotApplied, OutcomeUnknown, Refused."""
        return await self._client.xadd(
            self.name, dict(fields), maxlen=maxlen, minid=minid, approximate=approximate
        )

    async def follow(self, last_id: Any = "$", *, count: int = COUNT) -> AsyncIterator[Entry]:
        """All entries behind `last_id`, in order and each once, for ever: those there are, and
        those that come. "$": only those that come, from when the first is asked for; "0": all.

        Goes on through any failure of nodes. Raises ClientClosed, and Refused if there is something
        else under the stream's name. To go on in another process, keep the id of the last entry.
        """
        tries = _Tries(self._client)
        if last_id == "$":
            last_id = await tries.until_done(lambda: self._last_id())
        while True:
            found = await tries.until_done(
                lambda last_id=last_id: self._client.xread(
                    {self.name: last_id}, count=count, block=round(BLOCK_S * 1000)
                )
            )
            for id_, fields in _entries_of(found):
                last_id = id_
                yield Entry(id_, fields)

    async def _last_id(self) -> Any:
        found = await self._client.xrevrange(self.name, count=1)
        return found[0][0] if found else "0-0"

    def group(
        self,
        name: str,
        consumer: str | None = None,
        *,
        start: Any = "0",
        count: int = COUNT,
        claim_idle: float = CLAIM_IDLE_S,
    ) -> Group:
        """This stream as one consumer of a group is given it; the group is created if there is
        none, to begin behind the entry `start` ("$": with the next one).

        `consumer`: a name that no other consumer has; by default one is made up. One that comes
        back under its name is first given what it had and did not finish. `claim_idle`: after so
        many seconds without `ack` an entry is given to somebody else, so it must be longer than
        one takes.
        """
        return Group(
            self._client, self, name, consumer, start=start, count=count, claim_idle=claim_idle
        )


class Group:
    """One consumer of a group: `async for entry in group`, and `await entry.ack()` when it is done.

    At least once: an entry that is not acknowledged is given again, to this consumer or another,
    after `claim_idle` seconds; also when a consumer or a node dies. Only `ack` ends that.
    """

    def __init__(
        self,
        client: Client,
        stream: Stream,
        name: str,
        consumer: str | None,
        *,
        start: Any,
        count: int,
        claim_idle: float,
    ) -> None:
        self.name = name
        self.consumer = consumer or f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._client: Any = client  # redis-py's methods are typed for its own clients.
        self._stream = stream
        self._start = start
        self._count = count
        self._claim_idle_s = claim_idle
        self._held: set[Any] = set()  # Ids that were given out here and are not done.
        self._must_look_back = True  # For what is owed to this consumer and was not given out.

    def __repr__(self) -> str:
        return f"<trimaran.Group {self.name!r} of {self._stream.name!r} as {self.consumer!r}>"

    async def ack(self, entry: Entry) -> bool:
        """As `GroupEntry.ack`."""
        done = await self._client.xack(self._stream.name, self.name, entry.id)
        self._held.discard(entry.id)
        return bool(done)

    async def __aiter__(self) -> AsyncIterator[GroupEntry]:
        """Entries, for ever. Goes on through any failure of nodes, and when stream or group are
        deleted (both are created again). Raises ClientClosed, and Refused if there is something
        else under the stream's name."""
        tries = _Tries(self._client)
        loop = asyncio.get_running_loop()
        await tries.until_done(lambda: self._create(self._start), may_repeat=True)
        self._must_look_back = True
        self._held.clear()
        claim_at = loop.time()
        while True:
            if self._must_look_back:
                async for entry in self._look_back(tries):
                    yield entry
            if loop.time() >= claim_at:
                async for entry in self._claim(tries):
                    yield entry
                claim_at = loop.time() + self._claim_idle_s / 2
            wait_s = min(BLOCK_S, max(0.001, claim_at - loop.time()))
            found = await self._ask(tries, lambda wait_s=wait_s: self._read(">", wait_s))
            for entry in self._given(_entries_of(found)):
                yield entry

    def _given(self, found: list[tuple[Any, Any]]) -> list[GroupEntry]:
        entries = [GroupEntry(self, id_, fields) for id_, fields in found if fields]
        self._held.update(entry.id for entry in entries)
        return entries

    async def _create(self, start: Any) -> None:
        try:
            await self._client.xgroup_create(self._stream.name, self.name, id=start, mkstream=True)
        except Refused as error:
            if error.code != "BUSYGROUP":
                raise

    async def _read(self, behind: Any, wait_s: float | None = None) -> Any:
        return await self._client.xreadgroup(
            self.name,
            self.consumer,
            {self._stream.name: behind},
            count=self._count,
            block=None if wait_s is None else max(1, round(wait_s * 1000)),
        )

    async def _ask(self, tries: _Tries, call: Any) -> Any:
        """None if there is no answer, but what it would have been is owed to this consumer."""
        try:
            return await tries.until_done(call)
        except OutcomeUnknown as error:
            log.warning("entries_may_be_owed group=%s reason=%s", self.name, error)
            self._must_look_back = True
        except Refused as error:
            if error.code not in ("NOGROUP", "UNBLOCKED"):
                raise
            await tries.until_done(lambda: self._create("0"), may_repeat=True)
        return None

    async def _look_back(self, tries: _Tries) -> AsyncIterator[GroupEntry]:
        """What this consumer was given and did not finish: before it was here, or in an answer
        that was lost."""
        self._must_look_back = False
        behind: Any = "0"
        while True:
            found = _entries_of(await self._ask(tries, lambda behind=behind: self._read(behind)))
            if not found:
                return
            behind = found[-1][0]
            gone = [id_ for id_, fields in found if not fields]  # Deleted: nothing is left to do.
            if gone:
                await tries.until_done(
                    lambda gone=gone: self._client.xack(self._stream.name, self.name, *gone),
                    may_repeat=True,
                )
            for entry in self._given([one for one in found if one[0] not in self._held]):
                yield entry

    async def _claim(self, tries: _Tries) -> AsyncIterator[GroupEntry]:
        """What consumers have had for too long: they are dead, or failed at it."""
        cursor: Any = "0-0"
        idle_ms = max(1, round(self._claim_idle_s * 1000))
        while True:
            found = await self._ask(
                tries,
                lambda cursor=cursor: self._client.xautoclaim(
                    self._stream.name, self.name, self.consumer, idle_ms, cursor, self._count
                ),
            )
            if found is None:
                return
            cursor = found[0]
            for entry in self._given(
                [(id_, fields) for id_, fields in found[1] if id_ is not None]
            ):
                yield entry
            if cursor in ("0-0", b"0-0"):
                return


class _Tries:
    """Has a call be repeated while nodes are looked for: each failure surely had no effect, or one
    that does no harm twice."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._failures = 0

    async def until_done(self, call: Any, *, may_repeat: bool = False) -> Any:
        """What `call` answers at last; it is made again if its outcome is unknown, if it may be."""
        while True:
            try:
                done = await call()
            except ClientClosed:
                raise
            except (NotApplied, OutcomeUnknown) as error:
                if not (may_repeat or isinstance(error, NotApplied)):
                    raise
                self._failures += 1
                log.warning("stream_waits failures=%d reason=%s", self._failures, error)
                pause_s = min(PAUSE_MAX_S, PAUSE_S * 2 ** min(self._failures, 8))
                await asyncio.sleep(self._client._home.core().jitter(pause_s))
            else:
                self._failures = 0
                return done


def _entries_of(found: Any) -> list[tuple[Any, Any]]:
    """Those of the only stream that was read: redis-py answers a list of streams, or a dict."""
    if not found:
        return []
    if isinstance(found, dict):
        (entries,) = found.values()
        # With RESP3 each stream has a list of lists of entries.
        return [tuple(one) for some in entries for one in some]
    return [tuple(one) for one in found[0][1]]
