"""In place of the node, while there is none: what doors that are open already tell their clients.

From when the directory is ours until the cluster is formed, the log replayed and the snapshots
loaded. Whatever needs the data is answered LOADING, as Redis does (`admission.py`); a client that
waits goes on over the same connection. The rest is true of a node that has nothing yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ...cluster.topology import Topology
from ...proto.reply import ErrorReply
from ..errors import CommandError
from .backend import MemoryFacts
from .info import human

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...cluster.settings import Pairs
    from ...cluster.slots import ShardId
    from ...cluster.topology import NodeInfo
    from ...proto.reply import Reply
    from ..clock import Clock
    from ..commands.blocking import Waiting
    from ..errors import Unavailable
    from ..request import Args, Request
    from .backend import LinkFacts
    from .client import Client
    from .routes import Route

LOADING_TEXT = "Redis is loading the dataset in memory"
_REFUSAL = ErrorReply("LOADING", LOADING_TEXT)
GUESS_SHARE = 10  # One part of so many is loaded before the rest is guessed from it.


class ClosedRouting:
    """Nothing goes anywhere yet."""

    def __init__(self, *, is_cluster: bool) -> None:
        self.is_cluster = is_cluster

    def dispatch(self, client: Client, slot: int, route: Route, args: Args, cost: int) -> NoReturn:
        raise CommandError(LOADING_TEXT, "LOADING")

    def place(
        self, db: int, route: Route, args: Args, shard: ShardId | None, key: bytes
    ) -> NoReturn:
        raise CommandError(LOADING_TEXT, "LOADING")

    def any_shard(self) -> NoReturn:
        raise CommandError(LOADING_TEXT, "LOADING")

    def check_channels(self, names: Sequence[bytes]) -> NoReturn:
        raise CommandError(LOADING_TEXT, "LOADING")

    def refusal(self, route: Route, args: Args, error: Unavailable) -> ErrorReply:
        return _REFUSAL


class Loading:
    """The doors' Router, NodeFacts and NodeControl; and how far it is, for INFO and HTTP."""

    def __init__(
        self, name: str, clock: Clock, config: Mapping[str, str], stop: Callable[[], None]
    ) -> None:
        self.name = name
        self.waiting_for: list[str] = []  # Founders that are missing.
        self.total_bytes = 0  # Of log and snapshots, once they are being read;
        self.loaded_bytes = 0  # of which so many are.
        self._clock = clock
        self._config = config
        self._stop = stop
        self._topology = Topology(0, 0, 0, (), (), ())
        self._started_s = clock.wall_ms() // 1000

    # --- What is done meanwhile tells.

    def formed(self, topology: Topology) -> None:
        """This is the cluster; its settings are shown from now on."""
        self.waiting_for = []
        self._topology = topology

    def sized(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes

    def passed(self, loaded_bytes: int) -> None:
        self.loaded_bytes = min(self.loaded_bytes + loaded_bytes, self.total_bytes)

    @property
    def reason(self) -> str:
        """Why there is no node yet, in words."""
        if self.waiting_for:
            return f"waiting for {', '.join(self.waiting_for)}"
        if not self.total_bytes:
            return "starting"
        return f"loading: {self._percent:.0f} % of {human(self.total_bytes)}"

    @property
    def _percent(self) -> float:
        return 100 * self.loaded_bytes / self.total_bytes if self.total_bytes else 0.0

    # --- Router.

    @property
    def shards(self) -> int:
        return self._topology.shards

    def submit(self, request: Request) -> None:
        raise AssertionError("a request, and there is no node")

    def cancel(self, wait: Request) -> None:
        """Nothing waits yet."""

    def may_have(self, shard: ShardId, db: int, waiting: Waiting) -> bool:
        return False

    def leads(self, shard: ShardId) -> bool:
        return False

    def leader_of(self, shard: ShardId) -> NodeInfo | None:
        return None

    def last_leader_of(self, shard: ShardId) -> NodeInfo | None:
        return None

    def is_reachable(self, node: str) -> bool:
        return False

    def topology(self) -> Topology:
        return self._topology

    @property
    def is_full(self) -> bool:
        return False

    def now_ns(self) -> int:
        return self._clock.now_ns()

    def wall_us(self) -> int:
        return self._clock.wall_us()

    # --- NodeFacts.

    def info(self) -> Mapping[str, Mapping[str, str | int]]:
        elapsed_s = self._clock.wall_ms() // 1000 - self._started_s
        return {
            "persistence": {
                "loading": 1,
                "loading_start_time": self._started_s,
                "loading_total_bytes": self.total_bytes,
                "loading_rdb_used_mem": 0,  # The files do not say what their data will take.
                "loading_loaded_bytes": self.loaded_bytes,
                "loading_loaded_perc": f"{self._percent:.2f}",
                "loading_eta_seconds": self._eta_s(elapsed_s),
            },
            "trimaran": {"node": self.name, "waiting_for": ",".join(self.waiting_for)},
        }

    def _eta_s(self, elapsed_s: int) -> int:
        """Redis's guess; 1 until there is something to guess from. Clients wait for so long before
        they look again (ioredis up to ten seconds)."""
        if self.loaded_bytes * GUESS_SHARE < self.total_bytes or not self.loaded_bytes:
            return 1
        return elapsed_s * (self.total_bytes - self.loaded_bytes) // self.loaded_bytes or 1

    def links(self) -> Sequence[LinkFacts]:
        return ()

    def memory(self) -> MemoryFacts:
        return MemoryFacts(used=0, peak=0, resident=0, keys=0, log=0, links=0)

    def applied_total(self) -> int:
        return 0

    def config(self) -> Mapping[str, str]:
        return self._config

    # --- NodeControl.

    def save(self, done: Callable[[Reply], None]) -> None:
        done(_REFUSAL)

    def save_in_background(self) -> bool:
        return False

    def saved_at_s(self) -> int:
        return self._started_s

    def stop(self, *, is_saving: bool, failed: Callable[[Reply], None]) -> None:
        self._stop()  # There is nothing to be saved.

    def keep_running(self) -> bool:
        return False

    def drive_expiry(self, *, is_on: bool) -> None:
        raise CommandError(LOADING_TEXT, "LOADING")

    def change_settings(self, pairs: Pairs, done: Callable[[Reply], None]) -> None:
        done(_REFUSAL)
