"""What the SDK raises: three families, told apart by what the caller may do next.

`NotApplied`: surely without effect, try again when you like. `OutcomeUnknown`: it may have been
applied, look before you repeat it. `Refused`: the command itself was wrong, repeating it will not
help. Each is also what redis-py raises in that place, so that code written for it goes on working;
`OutcomeUnknown` alone is nothing that code retries by itself.
"""

from __future__ import annotations

from functools import cache
from typing import Any  # A type of exception, which mypy takes for unhashable.

from redis import exceptions

from .redis_py import exception_of


class TrimaranError(Exception):
    """The root of what the SDK raises."""


class NotApplied(TrimaranError, exceptions.ConnectionError):
    """The command had no effect: no leader, node or room was found for it within its time-out.

    It was tried again all that time; the text says what stood in the way last.
    """


class ClientClosed(NotApplied):
    """The client was closed before or while the command waited, and nothing was sent."""


class OutcomeUnknown(TrimaranError, exceptions.RedisError):
    """The write may or may not have been applied, or may yet be: read before you decide.

    Only where a retry could have applied it twice, or time was up with an answer outstanding.
    """


class WatchedChanged(TrimaranError, exceptions.WatchError):
    """A transaction had no effect, since a key it watches was changed: begin anew."""


class Refused(TrimaranError, exceptions.ResponseError):
    """An error reply: the command was carried out as far as saying what is wrong with it.

    `code` is its first word (`WRONGTYPE`, `ERR`). Also an instance of what redis-py has for it, as
    `NoScriptError`.
    """

    code = "ERR"

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, which does not find the kinds that are made as they are met."""
        return _made_again, (type(self).__bases__[-1], self.args), self.__dict__


# What has no meaning where there is no connection of one's own, and what does the same here.
_INSTEAD = {
    "SELECT": "make another client, with db=...",
    "HELLO": "make another client, with protocol=...",
    "QUIT": "await aclose()",
    "RESET": "there is nothing to reset",
    "MONITOR": "it is of one node: redis-cli -p PORT MONITOR",
    **dict.fromkeys(("MULTI", "EXEC", "DISCARD", "UNWATCH"), "use pipeline()"),
    **dict.fromkeys(("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"), "use pubsub()"),
    **dict.fromkeys(("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"), "use pubsub()"),
    "CLIENT REPLY": "every command is answered",
}


def instead_of(name: object, error: Exception) -> Exception:
    """`error`, or what helps more of what a node says of a command that it takes from connections
    alone."""
    text = _INSTEAD.get(name.upper()) if isinstance(name, str) else None
    if text is None or not isinstance(error, Refused):
        return error
    return Refused(f"{name} cannot be used here: {text}")


@cache
def _refused_as(kind: type[Any]) -> type[Refused]:
    if issubclass(Refused, kind):
        return Refused
    return type(kind.__name__, (Refused, kind), {"__module__": __name__, "__doc__": kind.__doc__})


def _made_again(kind: Any, args: tuple[Any, ...]) -> Refused:
    return _refused_as(kind)(*args)


def error_of(code: str, text: str) -> Exception:
    """The exception for an error reply."""
    if code == "UNCERTAIN":
        return OutcomeUnknown(text)
    known = exception_of(code, text)
    kind: Any = type(known)
    error = _refused_as(kind)(*known.args)
    error.code = code
    return error
