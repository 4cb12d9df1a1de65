"""What gRPC clients are told when a command was not carried out, or perhaps was: `outcomes.py`'s
table once more, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...proto import commands_pb2 as pb
from ...proto.reply import ErrorReply
from ..errors import NoQuorum, NotLeader, Overloaded, SessionUnknown, Unavailable
from ..request import NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Refused(ErrorReply):
    """To a Gather an error like others; it carries the Result that says what became of it."""

    result: bytes


class PredecessorFailed(Unavailable):
    """An earlier command on the same shard was not carried out, or that is not known."""

    def __init__(self) -> None:
        super().__init__("an earlier command of the batch on this shard was not carried out")


class WatchedChanged(Unavailable):
    """A transaction was not carried out since something it watches has changed."""

    def __init__(self) -> None:
        super().__init__("a watched key was changed")


PREDECESSOR: Final = NotApplied(PredecessorFailed())


def not_applied(error: Unavailable, address_of: Callable[[str], str]) -> pb.Result:
    """Surely without effect; `address_of` a node is where its gRPC port is announced."""
    kind = pb.NotApplied
    refusal = kind(text=str(error))
    match error:
        case NotLeader(hint=hint):
            refusal.reason = kind.NOT_LEADER
            if hint:
                refusal.leader = hint
                refusal.leader_address = address_of(hint)
        case Overloaded(limit=limit):
            refusal.reason = kind.OVERLOADED
            refusal.limit = limit
        case SessionUnknown():
            refusal.reason = kind.SESSION_UNKNOWN
        case PredecessorFailed():
            refusal.reason = kind.PREDECESSOR
        case WatchedChanged():
            refusal.reason = kind.WATCHED
        case NoQuorum():
            refusal.reason = kind.NO_QUORUM
        case _:
            refusal.reason = kind.UNSPECIFIED
    return pb.Result(not_applied=refusal)


def unknown(text: str) -> pb.Result:
    """It may or may not have been applied."""
    return pb.Result(unknown=pb.OutcomeUnknown(text=text))
