"""All that is taken from inside of redis-py, in one place: what it makes of replies and of errors.

Its command methods are public (`redis.commands`) and imported where they are used. What is here
is not, and differs between the versions 6.4 to 8; `tests/unit/client/test_redis_py.py` says what
broke.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any  # Callbacks take and give what they like.

from redis._parsers import helpers
from redis._parsers.base import BaseParser
from redis.client import EMPTY_RESPONSE, NEVER_DECODE, CaseInsensitiveDict

try:
    from redis._parsers.response_callbacks import get_response_callbacks as _get_callbacks
except ImportError:  # Before 8.0.
    _HAS_ONE_TABLE = False
else:
    _HAS_ONE_TABLE = True

_Tables: Any = helpers  # Where the tables are before 8.0; later versions declare others.

__all__ = ["EMPTY_RESPONSE", "NEVER_DECODE", "callbacks_for", "exception_of", "wire_of"]

Callback = Callable[..., Any]


def wire_of(protocol: int | None) -> int:
    """Whose shapes replies have before the callbacks: as redis-py of this version has them when its
    caller asks for `protocol`, or for none."""
    if protocol is None:
        return 3 if _HAS_ONE_TABLE else 2
    return protocol


def callbacks_for(protocol: int | None) -> dict[str, Callback]:
    """What makes of a command's reply what redis-py answers; by name, in any case."""
    found: dict[str, Callback] = CaseInsensitiveDict({})
    if _HAS_ONE_TABLE:
        found.update(_get_callbacks(protocol, legacy_responses=True))
        return found
    found.update(_Tables._RedisCallbacks)
    is_resp3 = wire_of(protocol) == 3
    found.update(_Tables._RedisCallbacksRESP3 if is_resp3 else _Tables._RedisCallbacksRESP2)
    return found


def exception_of(code: str, text: str) -> Exception:
    """The exception redis-py raises for the error reply `-code text`."""
    parse: Any = BaseParser.parse_error  # Without types.
    error: Exception = parse(f"{code} {text}")
    return error
