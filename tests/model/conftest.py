from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .redis_server import RedisConnection, RedisServer


@pytest.fixture(scope="session")
def redis_connection() -> Iterator[RedisConnection]:
    # Not tmp_path: the name of a socket file must be short.
    with tempfile.TemporaryDirectory(prefix="model") as directory:
        server = RedisServer(Path(directory))
        try:
            connection = server.connect()
            yield connection
            connection.close()
        finally:
            server.close()
