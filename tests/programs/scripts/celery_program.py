"""Celery: a worker, results, a chain, a chord, a retry, an ETA."""

from __future__ import annotations

import os
import subprocess
import sys

os.environ["REDIS_URL"] = sys.argv[1]

import celery_app
from celery import chain, chord

words = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "solo"]
with subprocess.Popen([*words, "--loglevel", "warning"], cwd=os.path.dirname(__file__)) as worker:
    try:
        assert celery_app.add.delay(2, 3).get(timeout=60) == 5
        assert chain(celery_app.add.s(1, 2), celery_app.add.s(10))().get(timeout=30) == 13
        numbers = [celery_app.add.s(number, number) for number in range(10)]
        assert chord(numbers)(celery_app.total.s()).get(timeout=30) == 90
        assert celery_app.flaky.delay(2).get(timeout=30) == 2
        assert celery_app.add.apply_async((4, 4), countdown=1).get(timeout=30) == 8
        assert celery_app.app.control.ping(timeout=5)
    finally:
        worker.terminate()
        worker.wait(30)
print("passed")
