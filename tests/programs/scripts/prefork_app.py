"""A Celery application whose client is made, and used, before the pool forks its workers."""

from __future__ import annotations

import os

import trimaran
from celery import Celery

app = Celery("app", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False

client = trimaran.SyncClient(os.environ["SDK_ADDRESS"])
client.set("loaded-in", os.getpid())


@app.task
def count() -> tuple[int, int]:
    return os.getpid(), client.incr("counted")


@app.task
def push(number: int) -> int:
    with client.lock("list", timeout=20, sleep=0.005):
        return client.rpush("pushed", number)
