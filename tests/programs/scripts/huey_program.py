"""huey: tasks, results, a schedule, locks, a consumer."""

from __future__ import annotations

import sys
import time

from huey import RedisHuey, crontab
from huey.exceptions import TaskException

huey = RedisHuey("work", url=sys.argv[1])


@huey.task()
def add(one: int, two: int) -> int:
    return one + two


@huey.task(retries=2, retry_delay=0)
def flaky() -> int:
    count = huey.get("tries", peek=True) or 0
    huey.put("tries", count + 1)
    if count < 2:
        raise ValueError("not yet")
    return count


@huey.periodic_task(crontab(minute="*"))
def every_minute() -> None:
    pass


consumer = huey.create_consumer(workers=1, periodic=False, initial_delay=0.01, max_delay=0.1)
consumer.start()
try:
    assert add(2, 3).get(blocking=True, timeout=30) == 5
    assert add.schedule((4, 5), delay=1).get(blocking=True, timeout=30) == 9
    result = flaky()
    deadline = time.monotonic() + 30
    while True:  # Each try that fails leaves its error as a result, until the next one.
        try:
            assert result.get(blocking=True, timeout=30) == 2
            break
        except TaskException:
            assert time.monotonic() < deadline
            result.reset()
    pipeline = add.s(1, 1).then(add, 10)
    assert huey.enqueue(pipeline).get(blocking=True, timeout=30) == [2, 12]
    with huey.lock_task("lock"):
        assert huey.is_locked("lock")
finally:
    consumer.stop(graceful=True)
print("passed")
