"""Registered scripts: redis-py's, which know redis-py's own pipelines alone.

Called with a pipeline as `client` they have it load them before it sends anything.
"""

from __future__ import annotations

from typing import Any  # Any: redis-py's clients, keys and arguments.

from redis.commands import core

from .pipeline import Pipeline


class AsyncScript(core.AsyncScript):
    """Made by `register_script` of `Client` and its pipelines."""

    async def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        client = self.registered_client if client is None else client
        if isinstance(client, Pipeline):
            client.scripts.add(self)
        return await super().__call__(keys, args, client)


class Script(core.Script):
    """Made by `register_script` of `SyncClient` and its pipelines."""

    def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        from .sync import SyncPipeline

        client = self.registered_client if client is None else client
        if isinstance(client, SyncPipeline):
            client.scripts.add(self)
        return super().__call__(keys, args, client)
