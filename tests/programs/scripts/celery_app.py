"""What Celery's worker is to do."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("app", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False


@app.task
def add(one: int, two: int) -> int:
    return one + two


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(bind=True, max_retries=3, default_retry_delay=0)
def flaky(self, count: int) -> int:
    if self.request.retries < count:
        raise self.retry()
    return self.request.retries
