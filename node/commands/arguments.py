"""Arguments as Redis reads them, and the errors it answers when it cannot."""

from __future__ import annotations

from ...cluster.slots import DATABASES
from ..data.integers import INT_MAX as INT_MAX
from ..data.integers import INT_MIN as INT_MIN
from ..data.integers import parse_int as parse_int
from ..errors import CommandError

_C_INT_MIN, _C_INT_MAX = -(1 << 31), (1 << 31) - 1


def int_argument(text: bytes) -> int:
    number = parse_int(text)
    if number is None:
        raise not_an_integer()
    return number


def c_int_argument(text: bytes) -> int:
    """A number that Redis keeps in an int of C."""
    number = int_argument(text)
    if not _C_INT_MIN <= number <= _C_INT_MAX:
        raise CommandError(
            f"value is out of range, value must between {_C_INT_MIN} and {_C_INT_MAX}"
        )
    return number


def database_argument(text: bytes) -> int:
    """The number of a database, as MOVE and COPY name it."""
    number = c_int_argument(text)
    if not 0 <= number < DATABASES:
        raise CommandError("DB index is out of range")
    return number


def not_an_integer() -> CommandError:
    return CommandError("value is not an integer or out of range")


def not_a_float() -> CommandError:
    return CommandError("value is not a valid float")


def syntax_error() -> CommandError:
    return CommandError("syntax error")


def invalid_expire(command: str) -> CommandError:
    return CommandError(f"invalid expire time in '{command}' command")
