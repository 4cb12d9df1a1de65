from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .redis_server import RedisConnection, RedisServer


@pytest.fixture(scope="module")  # What one module did to its statistics is not another's business.
def redis_server() -> Iterator[RedisServer]:
    # Not tmp_path: the name of a socket file must be short.
    with tempfile.TemporaryDirectory(prefix="model") as directory:
        server = RedisServer(Path(directory))
        try:
            yield server
        finally:
            server.close()


@pytest.fixture
def redis_connection(redis_server: RedisServer) -> Iterator[RedisConnection]:
    connection = redis_server.connect()
    yield connection
    connection.close()
