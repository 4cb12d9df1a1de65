"""redis-py at work: python -m tests.chaos.workers.redis_py PLAN."""

from __future__ import annotations

import asyncio
import threading
from typing import Any  # What redis-py answers.

import redis
import redis.asyncio
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from .ledger import Ledger, Plan, read_plan

LANES = 2
HOST = "127.0.0.1"


def sync(plan: Plan) -> None:
    """One client shared by threads."""
    client: Any  # Redis or RedisCluster: the same method of both is used.
    if plan["kind"] == "cluster":
        client = RedisCluster(HOST, plan["port"])
    elif plan["kind"] == "no-retries":
        client = redis.Redis(HOST, plan["port"], plan["db"], retry=Retry(NoBackoff(), 0))
    else:
        client = redis.Redis(HOST, plan["port"], plan["db"])
    ledger = Ledger(plan, LANES)
    threads = [
        threading.Thread(
            target=ledger.work, args=(lane, lambda words: client.execute_command(*words))
        )
        for lane in ledger.lanes.values()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.write()


async def with_asyncio(plan: Plan) -> None:
    client: Any
    if plan["kind"] == "asyncio-cluster":
        client = AsyncRedisCluster(host=HOST, port=plan["port"])
    else:
        client = redis.asyncio.Redis(host=HOST, port=plan["port"], db=plan["db"], protocol=2)
    ledger = Ledger(plan, LANES)
    async with asyncio.TaskGroup() as tasks:
        for lane in ledger.lanes.values():
            tasks.create_task(
                ledger.work_async(lane, lambda words: client.execute_command(*words), asyncio.sleep)
            )
    ledger.write()


def main() -> None:
    plan = read_plan()
    if plan["kind"].startswith("asyncio"):
        asyncio.run(with_asyncio(plan))
    else:
        sync(plan)


if __name__ == "__main__":
    main()
