"""From a seed to a scenario: how many nodes and shards, what kind of day, how bad it gets."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from . import scripts
from .network import NetworkProfile
from .schedule import MS, SECOND
from .workload import KINDS, STRINGS

# What goes wrong on which kind of day, and how likely beside the others.
FLAVOURS: dict[str, dict[str, int]] = {
    "calm": {"break": 2, "transfer": 1, "skew": 1},
    "crashes": {"kill": 3, "power": 4, "flap": 1, "break": 1, "stall": 1},
    "flappers": {"flap": 2, "pause": 3},
    "blackouts": {"power_all": 3, "kill_all": 1, "power": 3},
    "partitions": {"isolate": 4, "one_way": 4, "usurp": 2, "break": 2, "pause": 1},
    "pauses": {"pause": 5, "break": 1, "isolate": 1, "kill": 1},
    "clocks": {"skew": 3, "kill": 1, "transfer": 8, "isolate": 1},
    "disks": {"stall": 4, "fail_sync": 2, "power": 3},
    "laggards": {"away": 5, "power": 2, "break": 1, "isolate": 1},
    "usurpers": {"usurp": 5, "transfer": 1},
    "storms": {"one_way": 5, "isolate": 2, "usurp": 2, "pause": 2, "break": 1, "stall": 1},
    "everything": {
        "kill": 2, "power": 3, "power_all": 1, "isolate": 2, "one_way": 2, "break": 2,
        "pause": 2, "skew": 1, "stall": 2, "fail_sync": 1, "transfer": 1, "away": 1, "usurp": 1,
    },
}  # fmt: skip


# Where a leader may not know that it is none any more, or what time it is.
WITH_READERS = ("partitions", "pauses", "usurpers", "clocks")

POLICIES = ("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "noeviction")

LONG_LOG_BYTES = 1 << 20  # More than a run writes.

EVENTS = ("notify-keyspace-events", "KEA")
SMALL = (
    ("hash-max-listpack-entries", "3"),
    ("hll-sparse-max-bytes", "40"),
    ("list-max-listpack-size", "3"),
    ("set-max-intset-entries", "3"),
    ("set-max-listpack-entries", "3"),
    ("stream-node-max-entries", "3"),
    ("zset-max-listpack-entries", "3"),
)

DRIFT_PPM = 45_000  # A lease holds while no clock is faster than another by a tenth.

# On such days a third of what is said is lost and much of it comes far too late.
STORM = NetworkProfile(
    delay_max_ns=20 * MS, is_stream=False, drop=0.3, duplicate=0.1, late=0.2, late_max_ns=2 * SECOND
)


@dataclass(frozen=True, slots=True)
class Scenario:
    seed: int
    flavour: str
    nodes: int
    shards: int
    faults: dict[str, int]
    fault_every_ns: int
    duration_ns: int  # Of the faults; what it takes to finish the work afterwards comes on top.
    network: NetworkProfile
    has_wire: bool  # Batches become bytes and are read again.
    plain_clients: int
    session_clients: int
    has_readers: bool  # One more client at each node, which only reads.
    has_config: bool  # Clients that change cluster-wide parameters.
    client_pause_ns: int
    kinds: tuple[str, ...]  # Of keys.
    election_timeout_ns: int
    heartbeat_interval_ns: int
    tick_ns: int
    segment_bytes: int
    snapshot_log_bytes: int
    log_keep_bytes: int
    disk_max_ns: int  # The longest a write takes on a good day.
    append_bytes_max: int
    inflight_appends_max: int
    has_collections: bool  # Values of every type, and clients of WATCH.
    settings: tuple[tuple[str, str], ...]  # Cluster-wide parameters at the beginning.
    policy: str  # Of eviction; "" where there is memory enough.
    has_waiters: bool = False  # Clients that wait for data.
    has_sdk: bool = False  # Clients with the SDK's router.
    has_stale_reads: bool = False  # Clients that read from any replica.
    lease_parts: tuple[int, ...] = (0,)  # In election timeouts / 8, node by node.
    drift_ppm: int = 200  # How far the rate of a clock is off at most.

    @property
    def has_snapshots(self) -> bool:
        """Its logs are cut again and again."""
        return self.snapshot_log_bytes < LONG_LOG_BYTES

    @property
    def has_cut_collections(self) -> bool:
        return self.has_collections and self.has_snapshots

    @property
    def has_evictions(self) -> bool:
        return self.policy not in ("", "noeviction")

    @property
    def has_datagrams(self) -> bool:
        """What is said may come twice, late and in another order."""
        return not self.network.is_stream

    def __str__(self) -> str:
        manner = "streams" if self.network.is_stream else "datagrams"
        return (
            f"{self.flavour}, {self.nodes} nodes, {self.shards} shards, {manner}, "
            f"{self.duration_ns // MS} ms of faults"
        )


def make_scenario(seed: int) -> Scenario:
    rng = Random(seed * 7919 + 1)
    policy = _policy(Random(seed * 104_729 + 7))
    flavour = rng.choice(sorted(FLAVOURS))
    election_timeout_ns = rng.choice((150, 300, 600)) * MS
    has_collections = not policy  # They would fill what memory there is.
    is_about_time = flavour == "clocks" and rng.random() < 0.7
    has_small_log = flavour == "laggards" or rng.random() < 0.5
    return Scenario(
        seed=seed,
        flavour=flavour,
        nodes=5 if rng.random() < 0.2 else 3,
        shards=1 if is_about_time else rng.choice((1, 2, 2, 3)),
        faults=FLAVOURS[flavour],
        fault_every_ns=rng.randrange(100, 200 if is_about_time else 1200) * MS,
        duration_ns=rng.randrange(3000, 8000) * MS,
        network=STORM if flavour == "storms" else _network(rng),
        plain_clients=rng.choice((2, 3, 4)),
        session_clients=rng.choice((1, 2)),
        has_readers=flavour in WITH_READERS,
        client_pause_ns=rng.randrange(10, 60) * MS,
        kinds=("volatile", "field") if is_about_time else KINDS if has_collections else STRINGS,
        election_timeout_ns=election_timeout_ns,
        heartbeat_interval_ns=election_timeout_ns // 4,
        tick_ns=rng.choice((20, 30)) * MS,
        segment_bytes=rng.choice((6, 8, 16, 64)) << 10,
        snapshot_log_bytes=rng.choice((1500, 4000)) if has_small_log else LONG_LOG_BYTES,
        log_keep_bytes=rng.choice((0, 500, 2000)),
        disk_max_ns=(50 if flavour == "usurpers" else rng.choice((1, 3, 3, 50))) * MS,
        append_bytes_max=rng.choice((300, 2000, 1 << 20)),
        inflight_appends_max=rng.choice((2, 16, 64)),
        has_wire=rng.random() < 0.25,
        has_config=rng.random() < 0.5 or bool(policy),
        has_collections=has_collections,
        settings=_settings(Random(seed * 15_485_863 + 3)) if has_collections else (),
        policy=policy,
        has_waiters=Random(seed * 32_452_843 + 5).random() < 0.4,
        has_sdk=Random(seed * 49_979_687 + 11).random() < 0.4,
        has_stale_reads=Random(seed * 67_867_967 + 13).random() < 0.5,
        lease_parts=_leases(Random(seed * 86_028_121 + 17)),
        drift_ppm=DRIFT_PPM if Random(seed * 122_949_823 + 19).random() < 0.5 else 200,
    )


def _leases(rng: Random) -> tuple[int, ...]:
    """Mostly alike; some nodes may be configured otherwise, or not lead by lease at all."""
    dice = rng.random()
    if dice < 0.15:
        return (0,)
    if dice < 0.75:
        return (rng.choice((5, 5, 8)),)
    return tuple(rng.choice((0, 3, 5, 8)) for _ in range(5))


def _settings(rng: Random) -> tuple[tuple[str, str], ...]:
    """Few, since they stand in every entry."""
    return (EVENTS, scripts.SETTINGS, *rng.sample(SMALL, 2))


def _policy(rng: Random) -> str:
    """Only keys with an expiry are evicted: those may vanish at any time anyway, which the check of
    histories knows; what else a client has written must stay."""
    return rng.choice(POLICIES) if rng.random() < 0.3 else ""


def _network(rng: Random) -> NetworkProfile:
    delay_max_ns = rng.choice((1, 3, 20)) * MS
    if rng.random() < 0.6:
        return NetworkProfile(delay_max_ns=delay_max_ns)
    return NetworkProfile(
        delay_max_ns=delay_max_ns,
        is_stream=False,
        drop=rng.choice((0.0, 0.02, 0.1)),
        duplicate=rng.choice((0.0, 0.05)),
        late=rng.choice((0.0, 0.02, 0.1)),
        late_max_ns=rng.choice((100 * MS, 2 * SECOND)),
    )
