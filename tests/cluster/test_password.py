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
    address = ("--address", f"127.0.0.1:{up.port + 2}")
    assert trimaran("cli", *address, "--password", "a secret", "GET", "n2").stdout == "1\n"
    done = trimaran("cli", *address, "GET", "n2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Authentication required" in done.stderr
    assert "TRIMARAN_PASSWORD" in done.stderr
    monkeypatch.setenv("TRIMARAN_PASSWORD", "a secret")
    assert trimaran("cli", *address, "GET", "n3").stdout == "1\n"
    logs = up.node_logs() + up.said
    assert "a secret" not in logs
    assert "requirepass = (set)" in (up.data / "n1" / "node.log").read_text()
