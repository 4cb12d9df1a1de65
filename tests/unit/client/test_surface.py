"""The client has the methods of `redis.asyncio.Redis`; what is missing is so on purpose."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any  # Any: what a class has.

import pytest
import redis
import redis.asyncio
import redis.asyncio.client
import redis.client

from trimaran.client.client import Client
from trimaran.client.pipeline import Pipeline
from trimaran.client.pubsub import PubSub
from trimaran.client.sync import SyncClient, SyncPipeline
from trimaran.client.sync_channels import SyncPubSub

# There are no pools of connections, none is handed out, and none is retried by redis-py's rules.
_CONNECTIONS = {
    "from_pool",
    "get_retry",
    "set_retry",
    "parse_response",
    "client",
    "get_cache",
    "keyspace_notifications",  # Of redis-py's own pubsub.
    "monitor",  # Of one node; by RESP.
    "load_external_module",  # Modules of Redis are not loaded.
    "auto_close_connection_pool",
    "connection_pool",
    "single_connection_client",
}
_SENTINEL = {name for name in dir(redis.commands.AsyncSentinelCommands) if "sentinel" in name}
_HIMPORT = {name for name in dir(redis.asyncio.Redis) if name.startswith("himport")}
_PIPELINE = {
    "UNWATCH_COMMANDS",
    "annotate_exception",
    "raise_first_error",
    "set_response_callback",
    "response_callbacks",
    "from_url",
    "pipeline",
    "transaction",
    "lock",
    "pubsub",
    "aclose",
    "close",
    "initialize",
    "get_connection_kwargs",
    "auto_close_connection_pool",
}

# Parts of how redis-py does it: a connection of its own, RESP, the health of both.
_PUBSUB = {
    "check_health",
    "clean_health_check_responses",
    "execute_command",
    "handle_message",
    "is_health_check_response",
    "on_connect",
    "parse_response",
    "ping_message",
    "connect",
}

CASES = [
    (redis.asyncio.Redis, Client, _CONNECTIONS),
    (redis.Redis, SyncClient, _CONNECTIONS),
    (redis.asyncio.client.Pipeline, Pipeline, _CONNECTIONS | _PIPELINE),
    (redis.client.Pipeline, SyncPipeline, _CONNECTIONS | _PIPELINE),
    (redis.asyncio.client.PubSub, PubSub, _PUBSUB),
    (redis.client.PubSub, SyncPubSub, _PUBSUB),
]


def _public(kind: type) -> dict[str, Any]:
    return {
        name: getattr(kind, name)
        for name in dir(kind)
        if not name.startswith("_") and callable(getattr(kind, name))
    }


@pytest.mark.parametrize(("theirs", "ours", "gaps"), CASES)
def test_every_public_method_is_there_or_deliberately_not(
    theirs: type, ours: type, gaps: set[str]
) -> None:
    missing = set(_public(theirs)) - set(_public(ours))
    assert missing - gaps - _SENTINEL - _HIMPORT == set()


def _parameters(method: Callable[..., Any]) -> list[tuple[str, Any, Any]] | None:
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):
        return None
    return [
        ("**" if one.kind is one.VAR_KEYWORD else one.name, one.kind, one.default)
        for one in signature.parameters.values()
    ]


# from_url has addresses instead of connection options; transaction names what redis-py's
# synchronous one takes as **kwargs.
_OTHERWISE = {"from_url", "transaction"}
if redis.VERSION < (7,):  # These have got arguments since.
    _OTHERWISE |= {"run", "run_in_thread"}


@pytest.mark.parametrize(("theirs", "ours", "gaps"), CASES)
def test_methods_take_what_redis_pys_take(theirs: type, ours: type, gaps: set[str]) -> None:
    mine, known = _public(ours), _public(theirs)
    other = [
        name
        for name in sorted(set(mine) & set(known) - _OTHERWISE)
        if _parameters(mine[name]) != _parameters(known[name])
    ]
    assert other == []
