"""What is taken from inside of redis-py is still there, and does what the client counts on.

When one of these fails, redis-py has changed what `client/redis_py.py` imports.
"""

from __future__ import annotations

import copy
import pickle

import pytest
from redis import exceptions

from trimaran.client.errors import (
    ClientClosed,
    NotApplied,
    OutcomeUnknown,
    Refused,
    TrimaranError,
    WatchedChanged,
    error_of,
)
from trimaran.client.redis_py import callbacks_for, exception_of, wire_of


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("ERR", "syntax error", exceptions.ResponseError),
        ("WRONGTYPE", "Operation against a key", exceptions.ResponseError),
        ("NOSCRIPT", "No matching script", exceptions.NoScriptError),
        ("EXECABORT", "Transaction discarded", exceptions.ExecAbortError),
        ("OOM", "command not allowed", exceptions.OutOfMemoryError),
        ("CROSSSLOT", "Keys in request", exceptions.ClusterCrossSlotError),
    ],
)
def test_error_replies_are_what_redis_py_raises_and_ours(
    code: str, text: str, kind: type[Exception]
) -> None:
    assert isinstance(exception_of(code, text), kind)
    error = error_of(code, text)
    assert isinstance(error, kind)
    assert isinstance(error, Refused)
    assert isinstance(error, TrimaranError)
    assert error.code == code
    assert text in str(error)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert again.args == error.args
        assert again.code == code


def test_code_for_redis_py_retries_what_was_not_applied_and_nothing_unknown() -> None:
    assert issubclass(NotApplied, exceptions.ConnectionError)
    assert issubclass(ClientClosed, exceptions.ConnectionError)
    assert issubclass(OutcomeUnknown, exceptions.RedisError)
    assert not issubclass(OutcomeUnknown, exceptions.ConnectionError | exceptions.TimeoutError)
    assert issubclass(WatchedChanged, exceptions.WatchError)


def test_an_uncertain_reply_is_no_refusal() -> None:
    assert isinstance(error_of("UNCERTAIN", "?"), OutcomeUnknown)


def test_callbacks_make_of_replies_what_redis_py_makes() -> None:
    for protocol in (None, 2, 3):
        callbacks = callbacks_for(protocol)
        assert callbacks["SET"](b"OK") is True
        assert callbacks["expire"] is callbacks["EXPIRE"]
    assert callbacks_for(2)["HGETALL"]([b"a", b"1"]) == {b"a": b"1"}
    pairs = [b"m", b"1.5"] if wire_of(None) == 2 else [[b"m", 1.5]]
    assert callbacks_for(None)["ZRANGE"](pairs, withscores=True) == [(b"m", 1.5)]
