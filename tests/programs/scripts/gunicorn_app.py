"""A WSGI application whose client is made, and used, before gunicorn forks its workers."""

from __future__ import annotations

import os

import trimaran

client = trimaran.SyncClient(os.environ["SDK_ADDRESS"])
client.set("preloaded-in", os.getpid())


def application(environ, start_response):
    count = client.incr("hits")
    client.hincrby("hits-by-pid", os.getpid(), 1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {count}\n".encode()]
