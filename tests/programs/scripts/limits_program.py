"""limits: a rate limiter whose windows are scripts in Lua."""

from __future__ import annotations

import sys

from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)

storage = RedisStorage(sys.argv[1])
assert storage.check()
for limiter in (
    FixedWindowRateLimiter(storage),
    MovingWindowRateLimiter(storage),
    SlidingWindowCounterRateLimiter(storage),
):
    limit = RateLimitItemPerMinute(3)
    name = type(limiter).__name__
    assert [limiter.hit(limit, name) for _ in range(5)] == [True, True, True, False, False]
    assert not limiter.test(limit, name)
    assert limiter.get_window_stats(limit, name).remaining == 0
    assert limiter.hit(limit, name + " of another")
    limiter.clear(limit, name)
    assert limiter.test(limit, name)
print("passed")
