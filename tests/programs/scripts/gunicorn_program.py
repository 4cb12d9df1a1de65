"""gunicorn --preload: two workers use the client that was made before they were forked."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import trimaran

address = sys.argv[1]
folder = tempfile.mkdtemp()
path = os.path.join(folder, "socket")
words = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", f"unix:{path}"]
words += (
    ["--no-control-socket"]
    if "--no-control-socket"
    in subprocess.run(
        [sys.executable, "-m", "gunicorn", "--help"], capture_output=True, text=True, check=True
    ).stdout
    else []
)
environment = {**os.environ, "SDK_ADDRESS": address}
counts: list[tuple[int, int]] = []


def ask() -> tuple[int, int]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    connection.sock.connect(path)
    connection.request("GET", "/")
    response = connection.getresponse()
    text = response.read().decode()
    assert response.status == 200, text
    connection.close()
    pid, count = map(int, text.split())
    return pid, count


def ask_often() -> None:
    for _ in range(25):
        counts.append(ask())


with trimaran.SyncClient(address) as client:
    client.delete("hits", "hits-by-pid")
    with subprocess.Popen([*words, "gunicorn_app:application"], env=environment) as server:
        try:
            until = time.monotonic() + 60
            while not os.path.exists(path) and time.monotonic() < until:
                assert server.poll() is None, "gunicorn has ended"
                time.sleep(0.05)
            while len({pid for pid, _ in counts}) < 2:
                assert time.monotonic() < until, f"one worker answers alone: {counts}"
                threads = [threading.Thread(target=ask_often) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            assert int(client.get("preloaded-in")) == server.pid
        finally:
            server.terminate()
            server.wait(30)
    assert sorted(count for _, count in counts) == list(range(1, len(counts) + 1))
    by_pid = {int(pid): int(hits) for pid, hits in client.hgetall("hits-by-pid").items()}
    assert server.pid not in by_pid
    assert sum(by_pid.values()) == len(counts)
Path(path).unlink(missing_ok=True)
os.rmdir(folder)
print("passed")
