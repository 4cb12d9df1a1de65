"""Flask-Session: a session of several requests."""

from __future__ import annotations

import sys

import redis
from flask import Flask, session
from flask_session import Session

app = Flask("app")
app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.Redis.from_url(sys.argv[1]))
Session(app)


@app.get("/")
def count() -> str:
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.get("/end")
def end() -> str:
    session.clear()
    return "ended"


one, two = app.test_client(), app.test_client()
assert [one.get("/").text for _ in range(3)] == ["1", "2", "3"]
assert two.get("/").text == "1"
assert one.get("/end").text == "ended"
assert one.get("/").text == "1"
print("passed")
