"""gRPC, loaded as suits a program that waits for one answer after the other.

By default threads of its event engine read the sockets and wake the thread that waits for messages,
which wakes the loop; without them that one reads the sockets itself (decision 23). gRPC takes this
from nowhere but the environment, and only while it is loaded: behind that the environment is as it
was. An application that has set the variable, or has loaded gRPC before, has its way, and a version
with which this was not tried has its default.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

VARIABLE = "GRPC_EXPERIMENTS"
WANTED = "-event_engine_client,-event_engine_listener"
TRIED_MAX = (1, 85)


def load() -> None:
    """Import gRPC; to be called before anything else does."""
    environment = os.environ  # noqa: TID251 - gRPC takes it from nowhere else.
    if "grpc" in sys.modules or VARIABLE in environment or not _is_tried(version("grpcio")):
        return
    environment[VARIABLE] = WANTED
    try:
        import grpc.aio  # noqa: F401 - for what happens meanwhile.
    finally:
        del environment[VARIABLE]


def _is_tried(text: str) -> bool:
    major, minor, *_ = text.split(".")
    return (int(major), int(minor)) <= TRIED_MAX


load()
