"""Trimaran: the Redis data model, replicated with Raft.

What a user imports, and nothing else. Lazy, so that the command line and the pure parts do not
pay for grpc; the names arrive with the SDK.
"""

from __future__ import annotations

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("trimaran")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
