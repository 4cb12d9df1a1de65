"""A node that is sent more than it can have agreed on: its memory stays bounded, it answers, and it
is well again when the others come back."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import hiredis

from ..chaos.cluster import Cluster
from .command import until
from .raw import Raw, packed

if TYPE_CHECKING:
    from ..chaos.processes import Processes

CONNECTIONS = 200
COMMANDS = 40  # Of each connection, at once.
VALUE = b"x" * 100_000
WAITING_BYTES = 256 << 10
UNCOMMITTED_BYTES = 4 << 20
PENDING_BYTES = 8 << 20
LOG_BYTES = 24 << 20  # Of what is committed too, until a snapshot holds it.
# What may wait at the door, for an entry and for a leader; three times: half read, as it came, and
# packed. What is sent is four times that.
MEMORY_BYTES = 3 * (CONNECTIONS * WAITING_BYTES + 2 * UNCOMMITTED_BYTES + PENDING_BYTES + LOG_BYTES)
OPTIONS = (
    *("--client-waiting-bytes-max", str(WAITING_BYTES), "--command-timeout-ms", "3000"),
    *("--uncommitted-bytes-max", str(UNCOMMITTED_BYTES), "--log-keep-bytes", "0"),
    *("--forward-pending-bytes-max", str(PENDING_BYTES), "--snapshot-log-bytes", "1000000"),
    *("--log-memory-bytes", str(LOG_BYTES)),
    *("--command-bytes-max", "1000000", "--bulk-bytes-max", "500000"),
)
SURE = ("CLUSTERDOWN", "OVERLOADED")


def memory_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (one for one in status.splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


async def write_all(port: int, number: int, answers: Counter[str]) -> None:
    """Sends everything at once; counts how each command was answered."""
    left = COMMANDS + 1
    replies = hiredis.Reader()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    commands = [packed(b"SELECT", b"1")]
    commands += [packed(b"SET", b"%d" % (number % 7), VALUE)] * COMMANDS

    async def send() -> None:
        for command in commands:
            writer.write(command)
            await writer.drain()

    sending = asyncio.create_task(send())
    while left:
        data = await reader.read(1 << 16)
        assert data, f"disconnected after {answers}"
        replies.feed(data)
        while (reply := replies.gets()) is not False:
            left -= 1
            answers[reply.decode() if isinstance(reply, bytes) else str(reply).split()[0]] += 1
    await sending
    writer.close()


async def test_memory_is_bounded_while_a_shard_has_no_quorum(
    processes: Processes, tmp_path: Path
) -> None:
    rng = random.Random("overload")
    cluster = Cluster(processes, tmp_path, rng=rng, shards=1, options=OPTIONS)
    cluster.wait_settled()
    # The leader first: it has a log to fill; then a node that knows no leader.
    leader = cluster.leader_of(0)
    node = cluster.nodes[leader]
    others = [one for one in cluster.nodes.values() if one is not node]
    with Raw(node.any_key_port) as client:
        assert client.ask_all([(b"SELECT", b"1"), (b"SET", b"0", VALUE)]) == [b"OK", b"OK"]
    before = peak = memory_bytes(node.process.pid)
    for one in others:
        one.process.pause()
    answers: Counter[str] = Counter()
    with Raw(node.any_key_port) as bystander:
        writing = [
            asyncio.create_task(write_all(node.any_key_port, number, answers))
            for number in range(CONNECTIONS)
        ]
        while not all(one.done() for one in writing):
            await asyncio.wait(writing, timeout=0.1)
            peak = max(peak, memory_bytes(node.process.pid))
            assert bystander.ask(b"PING") == b"PONG"
            has_refused = answers.total() > 3 * CONNECTIONS
            if others[0].process.is_paused and has_refused:
                for one in others:
                    one.process.resume()
    assert peak - before < MEMORY_BYTES, f"{(peak - before) >> 20} MiB more than before"
    await asyncio.gather(*writing)
    assert set(answers) <= {"OK", "UNCERTAIN", *SURE}, answers
    assert sum(answers[word] for word in SURE), "nothing was refused: it was no overload"
    cluster.wait_ready()
    assert node.process.is_running
    for one in cluster.nodes.values():
        with Raw(one.any_key_port) as client:
            client.ask(b"SELECT", b"1")
            until(lambda: client.ask(b"SET", b"0", b"1") == b"OK", cluster.tails, 30.0)
            assert client.ask(b"GET", b"0") == b"1"
