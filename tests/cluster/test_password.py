"""`trimaran up` with a password: what it starts and what looks at it need nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from .command import trimaran

if TYPE_CHECKING:
    from .conftest import StartUp


def test_a_variable_reaches_every_node_and_status_needs_no_password(
    start_up: StartUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMARAN_REQUIREPASS", "a secret")
    up = start_up("--shards", "2")
    up.wait_ready()
    for node in ("n1", "n2", "n3"):
        with up.redis(node) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        with redis.Redis(port=up.base(node), password="a secret") as client:
            assert client.set(node, "1")
    monkeypatch.delenv("TRIMARAN_REQUIREPASS")
    done = trimaran("status", "--url", up.urls)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = up.node_logs() + up.said
    assert "a secret" not in logs
    assert "requirepass = (set)" in (up.data / "n1" / "node.log").read_text()
