"""What a RESP connection is told of commands that went to a shard together, and what is counted of
them. Parts of a command that was split over shards go to its `Gather`, which counts the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..request import Done, NotApplied, Unknown
from .outcomes import uncertain
from .routes import SHARD_ROUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...proto.reply import Reply
    from ..request import Outcome
    from .client import Client
    from .lane import Batch


def count(client: Client, batch: Batch, replies: Sequence[Reply]) -> None:
    """Those that were carried out."""
    commands = batch.commands
    if batch.has_parts:
        whole = [place for place, sink in enumerate(batch.sinks) if type(sink) is int]
        commands = [commands[place] for place in whole]
        replies = [replies[place] for place in whole]
    if commands:
        door = client.door
        elapsed_ns = door.router.now_ns() - batch.since_ns
        door.clients.stats.answered(client, commands, replies, elapsed_ns)


def refuse(client: Client, batch: Batch, outcome: Outcome) -> None:
    """Answer those that were not carried out, or of which that is not known."""
    door = client.door
    is_refused = type(outcome) is NotApplied
    for sink, args in zip(batch.sinks, batch.commands, strict=True):
        route = SHARD_ROUTES[args[0]]
        match outcome:
            case NotApplied(error=error):
                reply = door.routing.refusal(route, args, error)
            case Unknown(error=unknown):
                reply = uncertain(unknown, is_write=route.is_write)
            case Done():
                raise AssertionError("it was carried out")
        if not isinstance(sink, int):
            sink.gather.put(sink.place, reply, is_refused=is_refused)
            continue
        if is_refused:
            door.clients.stats.rejected(route.row, reply)
        else:
            elapsed_ns = door.router.now_ns() - batch.since_ns
            door.clients.stats.answered(client, (args,), (reply,), elapsed_ns)
        client.put(sink, reply)
