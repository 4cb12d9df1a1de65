"""Django: its cache and its sessions."""

from __future__ import annotations

import sys

import django
from django.conf import settings

settings.configure(
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": sys.argv[1],
        }
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SECRET_KEY="not one",
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import cache

cache.set("a", {"x": 1}, 100)
assert cache.get("a") == {"x": 1}
assert cache.add("a", 2) is False
assert cache.touch("a", 200)
cache.set_many({"b": 1, "c": [2, 3]}, 50)
assert cache.get_many(["a", "b", "c", "d"]) == {"a": {"x": 1}, "b": 1, "c": [2, 3]}
assert cache.incr("b", 5) == 6
assert cache.decr("b") == 5
assert cache.has_key("c")
cache.delete_many(["a", "b"])
assert cache.get("a") is None
assert cache.get_or_set("e", lambda: 7) == 7

session = SessionStore()
session["user"] = 42
session.save()
again = SessionStore(session_key=session.session_key)
assert again["user"] == 42
again.flush()
assert SessionStore(session_key=session.session_key).get("user") is None
cache.clear()
assert cache.get("e") is None
print("passed")
