"""redis-py's Lock: one holder at a time, over several connections and threads."""

from __future__ import annotations

import sys
import threading

import redis
from redis.exceptions import LockError

client = redis.Redis.from_url(sys.argv[1])
counts = {"inside": 0, "most": 0, "all": 0}


def work() -> None:
    own = redis.Redis.from_url(sys.argv[1])
    for _ in range(10):
        with own.lock("lock", timeout=20, sleep=0.005, blocking_timeout=60):
            counts["inside"] += 1
            counts["most"] = max(counts["most"], counts["inside"])
            counts["all"] += 1
            counts["inside"] -= 1


threads = [threading.Thread(target=work) for _ in range(5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert counts == {"inside": 0, "most": 1, "all": 50}

lock = client.lock("other", timeout=50)
assert lock.acquire()
assert not client.lock("other").acquire(blocking=False)
assert lock.extend(10)
assert lock.reacquire()
lock.release()
try:
    lock.release()
except LockError:
    print("passed")
