"""arq: jobs of asyncio, a result, a deferred one, a worker."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker

settings = RedisSettings.from_dsn(sys.argv[1])


async def add(_context: dict[str, object], one: int, two: int) -> int:
    return one + two


async def main() -> None:
    pool = await create_pool(settings)
    job = await pool.enqueue_job("add", 2, 3)
    later = await pool.enqueue_job("add", 20, 3, _defer_by=timedelta(seconds=1))
    twice = await pool.enqueue_job("add", 1, 1, _job_id="same")
    assert await pool.enqueue_job("add", 1, 1, _job_id="same") is None
    worker = Worker([add], redis_pool=pool, poll_delay=0.1, handle_signals=False)
    running = asyncio.create_task(worker.async_run())
    assert await job.result(timeout=30) == 5
    assert await twice.result(timeout=30) == 2
    assert await later.result(timeout=30) == 23
    await worker.close()
    await asyncio.wait([running])


asyncio.run(main())
print("passed")
