"""Celery's prefork pool: its workers use the client that was made before they were forked."""

from __future__ import annotations

import os
import subprocess
import sys

import trimaran

os.environ["REDIS_URL"], os.environ["SDK_ADDRESS"] = sys.argv[1:3]

import prefork_app

CALLS = 60
words = [sys.executable, "-m", "celery", "-A", "prefork_app", "worker", "--pool", "prefork"]
words += ["--concurrency", "2", "--loglevel", "warning"]
with trimaran.SyncClient(sys.argv[2]) as client:
    client.delete("counted", "pushed")
    with subprocess.Popen(words, cwd=os.path.dirname(__file__)) as worker:
        try:
            calls = [prefork_app.count.delay() for _ in range(CALLS)]
            pushes = [prefork_app.push.delay(number) for number in range(CALLS)]
            counted = [call.get(timeout=60) for call in calls]
            assert sorted(push.get(timeout=60) for push in pushes) == list(range(1, CALLS + 1))
            assert int(client.get("loaded-in")) == worker.pid
        finally:
            worker.terminate()
            worker.wait(30)
    pids = {pid for pid, _ in counted}
    assert len(pids) == 2, pids
    assert worker.pid not in pids
    assert sorted(count for _, count in counted) == list(range(1, CALLS + 1))
    assert int(client.get("counted")) == CALLS
    assert sorted(map(int, client.lrange("pushed", 0, -1))) == list(range(CALLS))
prefork_app.client.close()
print("passed")
