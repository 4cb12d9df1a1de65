"""Trimaran: the Redis data model, replicated with Raft.

What a user imports, and nothing else. Lazy, so that the command line and the pure parts do not
pay for grpc and redis.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any  # Any: what a name stands for.

if TYPE_CHECKING:
    from .client.client import Client
    from .client.errors import (
        ClientClosed,
        NotApplied,
        OutcomeUnknown,
        Refused,
        TrimaranError,
        WatchedChanged,
    )
    from .client.pubsub import Gap
    from .client.sync import SyncClient

__all__ = [
    "Client",
    "ClientClosed",
    "Gap",
    "NotApplied",
    "OutcomeUnknown",
    "Refused",
    "SyncClient",
    "TrimaranError",
    "WatchedChanged",
    "__version__",
]

_HOMES = {"Client": ".client.client", "Gap": ".client.pubsub", "SyncClient": ".client.sync"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("trimaran")
    if name in __all__:
        return getattr(
            import_module(_HOMES.get(name, ".client.errors"), __package__ or __name__), name
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
