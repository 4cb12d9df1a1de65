"""What a handler may know beside the keyspace and its arguments: the entry it is part of."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from ...cluster.settings import DEFAULTS, Settings
from ...proto.reply import Reply
from ..data.keyspace import Keyspace
from ..request import Args

# A large value costs nothing to name a thousand times; its copies in the reply would cost a node.
REPLY_BYTES_MAX = 512 << 20


class Context:
    """The same on every replica. One serves all commands of an entry; `db` is set for each."""

    __slots__ = ("_rng", "_seed", "db", "now_ms", "settings")

    def __init__(self, db: int, now_ms: int, seed: int, settings: Settings = DEFAULTS) -> None:
        self.db = db
        self.now_ms = now_ms  # The entry's stamp; a read has its leader's time.
        # The entry's too: this node's own view of them may be older or newer (correctness A1).
        self.settings = settings
        self._seed = seed
        self._rng: Random | None = None

    @property
    def rng(self) -> Random:
        """Seeded by the entry. Call only `.random()`: Python keeps that sequence stable."""
        if self._rng is None:
            self._rng = Random(self._seed)
        return self._rng


Handler: TypeAlias = Callable[[Keyspace, Args, Context], Reply]
