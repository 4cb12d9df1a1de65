"""What a cluster says of itself: read from its nodes' HTTP doors, merged, shown.

Every node answers `GET /status` on base port + 3 with what it knows itself; `ask` asks one node,
then every node that one names, and puts together what each knows best: a node its own memory, a
leader its own followers. `trimaran up` and `trimaran status` look through here and nowhere else.

The JSON of `/status` (a key may be missing where a default stands below; unknown keys are ignored):

    {"version": 1, "node": "n1", "cluster_id": "9f...", "state": "forming" | "loading" | "starting"
                                                       | "ready",
     "waiting_for": ["n2"], "epoch": 1, "shards_total": 16,
     "nodes": [{"name", "host", "port", "is_up", "memory_bytes", "zone"}, ...],
     "shards": [{"shard": 0 | ... | "meta", "leader": "n1" | null, "term", "commit_index",
                 "applied_index", "last_index",
                 "replicas": [{"node", "role", "match_index"}, ...]}, ...],
     "settings": {"maxmemory": "1073741824", ...}}

`state` is `forming` while founders are missing, `loading` while the node reads its data, `ready`
once every shard this node holds has a leader it knows. `waiting_for` names the nodes without which
it cannot go on. `match_index` is known to leaders only, null elsewhere.
`settings` are the parameters of the whole cluster that CONFIG SET has changed.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any  # JSON in, JSON out.

STATUS_VERSION = 1
HTTP_OFFSET = 3  # The HTTP door is the fourth port of a node.
STATUS_BYTES_MAX = 16 << 20


class Unreachable(Exception):
    """No node answered there; the text says what was tried."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    name: str
    host: str
    port: int  # Base port.
    is_up: bool = False
    memory_bytes: int | None = None  # Known once the node itself was asked.
    zone: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    node: str
    role: str = ""
    match_index: int | None = None


@dataclass(frozen=True, slots=True)
class ShardStatus:
    shard: int | str  # A number, or "meta".
    leader: str | None = None
    term: int = 0
    commit_index: int = 0
    applied_index: int = 0
    last_index: int = 0
    replicas: tuple[ReplicaStatus, ...] = ()

    @property
    def lag(self) -> int | None:
        """How many entries the slowest replica is behind the leader's log; None if not known."""
        known = [one.match_index for one in self.replicas if one.match_index is not None]
        return max(0, self.last_index - min(known)) if known else None


@dataclass(frozen=True, slots=True)
class Status:
    """What one node says, or what all say together."""

    node: str
    cluster_id: str = ""
    state: str = "forming"
    waiting_for: tuple[str, ...] = ()
    epoch: int = 0
    shards_total: int = 0
    nodes: tuple[NodeStatus, ...] = ()
    shards: tuple[ShardStatus, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)  # Cluster-wide, not at their defaults.

    @property
    def leaderless(self) -> tuple[int | str, ...]:
        """The shards nobody is known to lead."""
        return tuple(one.shard for one in self.shards if one.leader is None)

    @property
    def is_ready(self) -> bool:
        """Whether the cluster is formed and every shard has a leader."""
        return self.state == "ready" and bool(self.shards) and not self.leaderless

    def to_json(self) -> dict[str, Any]:
        shards = [asdict(one) | {"lag": one.lag} for one in self.shards]
        return {"version": STATUS_VERSION, **asdict(self), "shards": shards}


def parse(value: Any) -> Status:
    """The status a node answered; raises ValueError when it is none or of another version."""
    if not isinstance(value, dict) or "node" not in value:
        raise ValueError("this is not a node's status")
    if value.get("version") != STATUS_VERSION:
        raise ValueError(
            f"status format version {value.get('version')!r} is not {STATUS_VERSION}: "
            "the node runs another version of trimaran"
        )
    return Status(
        **_known(Status, value)
        | {
            "waiting_for": tuple(value.get("waiting_for", ())),
            "nodes": tuple(NodeStatus(**_known(NodeStatus, one)) for one in value.get("nodes", ())),
            "shards": tuple(_parse_shard(one) for one in value.get("shards", ())),
        }
    )


def _parse_shard(value: dict[str, Any]) -> ShardStatus:
    replicas = [ReplicaStatus(**_known(ReplicaStatus, one)) for one in value.get("replicas", ())]
    return ShardStatus(**_known(ShardStatus, value) | {"replicas": tuple(replicas)})


def _known(kind: type, value: dict[str, Any]) -> dict[str, Any]:
    """The keys of `value` that `kind` has; a newer node may say more."""
    return {key: value[key] for key in kind.__dataclass_fields__ if key in value}  # type: ignore[attr-defined]  # A dataclass.


def fetch(host: str, http_port: int, timeout_s: float = 2.0) -> Status:
    """What the node with this HTTP port says; raises OSError, HTTPException or ValueError."""
    connection = http.client.HTTPConnection(host, http_port, timeout=timeout_s)
    try:
        connection.request("GET", "/status", headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(STATUS_BYTES_MAX)
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise ValueError(f"GET /status answers {response.status} {response.reason}")
    return parse(json.loads(body))


def ask(host: str, port: int, timeout_s: float = 2.0) -> Status:
    """The whole cluster, as its nodes see it, beginning at the node with this base port.

    The HTTP port itself will do as well. Raises Unreachable when neither answers.
    """
    reasons = []
    for http_port in (port + HTTP_OFFSET, port):
        try:
            first = fetch(host, http_port, timeout_s)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(f"{http_port}: {error}")
        else:
            return merge([first, *_ask_others(first, timeout_s)])
    raise Unreachable(f"no node answers at {host}:{port} ({'; '.join(reasons)})")


def _ask_others(first: Status, timeout_s: float) -> list[Status]:
    """What the other nodes say that `first` names; those that do not answer are left out."""

    def one(node: NodeStatus) -> Status | None:
        try:
            return fetch(node.host, node.port + HTTP_OFFSET, timeout_s)
        except (OSError, http.client.HTTPException, ValueError):
            return None

    others = [node for node in first.nodes if node.name != first.node]
    if not others:
        return []
    with ThreadPoolExecutor(len(others)) as pool:
        answers = pool.map(one, others)
    return [it for it in answers if it is not None and it.cluster_id == first.cluster_id]


def merge(views: list[Status]) -> Status:
    """One status out of several nodes' views; the first view decides what nodes and shards are.

    A node is up if it answered or if one that answered is connected to it: an announced address
    need not be reachable from here. Of a shard we believe its leader, and when more than one
    claims to lead, the one of the highest term (correctness D5).
    """
    first = views[0]
    by_name = {view.node: view for view in views}
    alive = set(by_name) | {one.name for view in views for one in view.nodes if one.is_up}
    nodes = []
    for node in first.nodes:
        view = by_name.get(node.name)
        own = next((one for one in view.nodes if one.name == node.name), node) if view else node
        nodes.append(replace(own, is_up=node.name in alive))

    def trust(told: tuple[Status, ShardStatus]) -> tuple[int, ...]:
        view, shard = told
        is_own = shard.leader == view.node
        return (shard.leader in alive, shard.term, is_own, shard.commit_index)

    shards = []
    for shard in first.shards:
        told = [(view, one) for view in views for one in view.shards if one.shard == shard.shard]
        _, best = max(told, key=trust)
        # A leader that died leads nobody, even while the others have not noticed yet.
        shards.append(best if best.leader in alive else replace(best, leader=None))
    not_ready = [view.state for view in views if view.state != "ready"]
    newest = max(views, key=lambda view: view.epoch)
    return replace(
        first,
        epoch=newest.epoch,
        settings=newest.settings,
        state=not_ready[0] if not_ready else "ready",
        waiting_for=tuple(sorted({name for view in views for name in view.waiting_for})),
        nodes=tuple(nodes),
        shards=tuple(shards),
    )


# --- How it is shown.


def table(status: Status) -> str:
    """The status as an operator reads it."""
    led = len(status.shards) - len(status.leaderless)
    up = sum(node.is_up for node in status.nodes)
    head = (
        f"cluster {status.cluster_id or '-'}  {status.state}  epoch {status.epoch}  "
        f"{up} of {len(status.nodes)} nodes up  {led} of {len(status.shards)} shards led"
    )
    parts = [head]
    if status.waiting_for:
        parts.append(f"waiting for {', '.join(status.waiting_for)}")
    if status.settings:
        shown = "  ".join(f"{name} {value}" for name, value in sorted(status.settings.items()))
        parts.append(f"settings of the whole cluster: {shown}")
    leads = [one.leader for one in status.shards]
    parts.append("")
    parts += _columns(
        [("node", "address", "up", "leads", "memory")]
        + [
            (
                node.name,
                f"{node.host}:{node.port}",
                "yes" if node.is_up else "NO",
                str(leads.count(node.name)),
                size(node.memory_bytes),
            )
            for node in status.nodes
        ]
    )
    parts.append("")
    parts += _columns(
        [("shard", "leader", "term", "commit", "applied", "last", "lag", "replicas")]
        + [_shard_row(one) for one in status.shards]
    )
    return "\n".join(parts)


def _shard_row(shard: ShardStatus) -> tuple[str, ...]:
    numbers = (shard.term, shard.commit_index, shard.applied_index, shard.last_index)
    return (
        str(shard.shard),
        shard.leader or "NONE",
        *map(str, numbers),
        "-" if shard.lag is None else str(shard.lag),
        " ".join(one.node for one in shard.replicas),
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def size(count: int | None) -> str:
    """Bytes as people read them."""
    if count is None:
        return "-"
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
