"""RQ: jobs, a worker that forks, retries, the registry of what failed, the scheduler."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import redis
import rq
import rq_jobs

connection = redis.Redis.from_url(sys.argv[1])
queue = rq.Queue("work", connection=connection)
marker = Path(tempfile.mkdtemp()) / "tried"

good = queue.enqueue(rq_jobs.add, 2, 3)
bad = queue.enqueue(rq_jobs.fail)
again = queue.enqueue(rq_jobs.fail_once, str(marker), retry=rq.Retry(max=2))
after = queue.enqueue(rq_jobs.add, 10, 1, depends_on=good)
worker = rq.Worker([queue], connection=connection)
assert worker.work(burst=True)
assert good.latest_result().return_value == 5
assert after.latest_result().return_value == 11
assert again.latest_result().return_value == "at the second try"
assert bad.get_status(refresh=True) == "failed"
assert bad.id in queue.failed_job_registry.get_job_ids()
queue.failed_job_registry.requeue(bad.id)
assert queue.job_ids == [bad.id]
queue.empty()

later = queue.enqueue_in(timedelta(seconds=1), rq_jobs.add, 20, 2)
assert later.id in queue.scheduled_job_registry.get_job_ids()
deadline = time.monotonic() + 30
while later.get_status(refresh=True) != "finished":
    assert time.monotonic() < deadline, later.get_status()
    rq.Worker([queue], connection=connection).work(burst=True, with_scheduler=True)
assert later.latest_result().return_value == 22
print("passed")
