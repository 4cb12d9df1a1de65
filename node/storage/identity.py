"""Whose data directory this is: one incarnation of one node of one cluster, one process at a time.

    <data>/lock             held while a process runs here; its process id
    <data>/identity.json    name, incarnation, shards, how the cluster was founded
    <data>/topology.json    the newest topology this node has known
    <data>/log, snapshots, incoming

A node never runs on under its old identity with its memory gone: it would vote twice (correctness
B2). A founder's incarnation is on disk before it answers "empty" to anybody, and what it agreed to
found is on disk before the cluster is formed (correctness B1). That the log knows all replicas this
node was founded with is on disk before the first of them votes: from then on a log without one of
them has lost its promises.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass, replace
from typing import Any  # JSON in, JSON out.

from ...cluster.slots import SHARDS_DEFAULT
from ...cluster.topology import Topology
from ..errors import Corrupt, IdentityError
from .disk import AlreadyLocked, Disk, Lock
from .records import checksum, wrong_version

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Founder:
    """A node as it was when the cluster was founded."""

    name: str
    incarnation: int
    address: str  # host:port of its gRPC door, as it announces it.
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Founding:
    """What all founders write down before the cluster is formed."""

    cluster_id: int
    founders: tuple[Founder, ...]
    shards: int
    options_hash: str  # Of the founders option, so that lists that differ are noticed.


@dataclass(frozen=True, slots=True)
class Identity:
    node: str
    incarnation: int  # 64 random bits, drawn when the directory was first used.
    shards: int
    cluster_id: int | None = None  # None while the cluster is not formed.
    founding: Founding | None = None  # Agreed to; the cluster may not be formed yet.
    is_started: bool = False  # Its replicas are in the log, and may have made promises.

    def to_json(self) -> dict[str, Any]:
        founding = self.founding
        return {
            "version": FORMAT_VERSION,
            "cluster_id": None if self.cluster_id is None else f"{self.cluster_id:016x}",
            "node": self.node,
            "incarnation": f"{self.incarnation:016x}",
            "shards": self.shards,
            "is_started": self.is_started,
            "founding": founding
            and {
                "cluster_id": f"{founding.cluster_id:016x}",
                "founders": [
                    {
                        "name": one.name,
                        "incarnation": f"{one.incarnation:016x}",
                        "address": one.address,
                        "zone": one.zone,
                    }
                    for one in founding.founders
                ],
                "shards": founding.shards,
                "options_hash": founding.options_hash,
            },
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Identity:
        cluster_id, founding = value["cluster_id"], value["founding"]
        return cls(
            node=value["node"],
            incarnation=int(value["incarnation"], 16),
            shards=value["shards"],
            is_started=value["is_started"],
            cluster_id=None if cluster_id is None else int(cluster_id, 16),
            founding=founding
            and Founding(
                cluster_id=int(founding["cluster_id"], 16),
                founders=tuple(
                    Founder(one["name"], int(one["incarnation"], 16), one["address"], one["zone"])
                    for one in founding["founders"]
                ),
                shards=founding["shards"],
                options_hash=founding["options_hash"],
            ),
        )


class DataDirectory:
    """An opened, locked data directory. Blocking; used at start and at bootstrap."""

    def __init__(self, disk: Disk, path: str, lock: Lock, identity: Identity) -> None:
        self.path = path
        self._disk = disk
        self._lock = lock
        self._identity = identity

    @classmethod
    def open(
        cls, disk: Disk, path: str, *, name: str, shards: int | None, incarnation: int
    ) -> DataDirectory:
        """Lock the directory and read who lives there; an empty one becomes that of `name`, with
        `incarnation` and `shards`. `shards` None: whatever is there, else SHARDS_DEFAULT. Raises
        IdentityError."""
        disk.makedirs(path)
        try:
            lock = disk.lock(posixpath.join(path, "lock"))
        except AlreadyLocked as error:
            who = "another process" if error.pid is None else f"process {error.pid}"
            raise IdentityError(f"{path} is in use by {who}; stop it first") from None
        try:
            disk.fsync_dir(path)  # What is read must last before anybody is told of it.
            identity = _read_identity(disk, path)
            if identity is None:
                _refuse_remains(disk, path)
                identity = Identity(name, incarnation, shards or SHARDS_DEFAULT)
                _write_json(disk, path, "identity.json", identity.to_json())
            _check(path, identity, name=name, shards=shards)
        except BaseException:
            lock.release()
            raise
        return cls(disk, path, lock, identity)

    @property
    def identity(self) -> Identity:
        return self._identity

    def agree(self, founding: Founding) -> None:
        """Write down what is to be founded; lasting when this returns (correctness B1)."""
        before = self._identity.founding
        if before is not None and before != founding:
            raise IdentityError(
                f"{self.path} agreed to found {_describe(before)}; now {_describe(founding)} is "
                "proposed"
            )
        self.check_cluster(founding.cluster_id)
        if founding.shards != self._identity.shards:
            raise IdentityError(
                f"{self.path} was set up for {self._identity.shards} shards; "
                f"a cluster of {founding.shards} shards is proposed"
            )
        self._save(replace(self._identity, founding=founding))

    def form(self, cluster_id: int) -> None:
        """The cluster is formed: from here on this directory belongs to it alone."""
        self.check_cluster(cluster_id)
        if self._identity.cluster_id is None:
            self._save(replace(self._identity, cluster_id=cluster_id))

    @property
    def is_started(self) -> bool:
        return self._identity.is_started

    def mark_started(self) -> None:
        """The replicas this node was founded with are in the log, lastingly (correctness B2)."""
        self._save(replace(self._identity, is_started=True))

    def check_cluster(self, cluster_id: int) -> None:
        """Raises IdentityError when the directory is known to be of another cluster."""
        known = self._identity.cluster_id
        if known is not None and known != cluster_id:
            raise IdentityError(
                f"{self.path} belongs to cluster {known:016x}, not to {cluster_id:016x}"
            )

    def topology(self, founded: Topology) -> Topology:
        """The newest topology this node has known, or else the one of the founding.

        The meta group has it too, but what it agreed on is known only when it has a leader again;
        until then nothing that was acknowledged may be forgotten. Lost, it is learned from there.
        """
        try:
            value = _read_json(self._disk, self.path, "topology.json", "topology")
            found = founded if value is None else Topology.from_json(value["topology"])
        except (Corrupt, KeyError, TypeError):
            return founded
        except ValueError as error:
            raise Corrupt(f"{posixpath.join(self.path, 'topology.json')}: {error}") from error
        return found if found.epoch > founded.epoch else founded

    def save_topology(self, topology: Topology) -> None:
        value = {"version": FORMAT_VERSION, "topology": topology.to_json()}
        _write_json(self._disk, self.path, "topology.json", value)

    def close(self) -> None:
        self._lock.release()

    def _save(self, identity: Identity) -> None:
        _write_json(self._disk, self.path, "identity.json", identity.to_json())
        self._identity = identity


def _describe(founding: Founding) -> str:
    names = ",".join(f"{one.name}={one.address}" for one in founding.founders)
    return f"cluster {founding.cluster_id:016x} of {founding.shards} shards with {names}"


def _check(path: str, identity: Identity, *, name: str, shards: int | None) -> None:
    if identity.node != name:
        raise IdentityError(f"{path} belongs to node {identity.node}, not to {name}")
    if shards is not None and shards != identity.shards:
        raise IdentityError(
            f"{path} was set up for {identity.shards} shards, not for {shards}; "
            "the number of shards cannot be changed"
        )


def _refuse_remains(disk: Disk, path: str) -> None:
    """Without an identity the directory must be empty: raises if a log or snapshots are there."""
    for name in ("log", "snapshots"):
        inside = posixpath.join(path, name)
        if disk.exists(inside) and disk.listdir(inside):
            raise IdentityError(
                f"{path} is damaged: identity.json is missing, but {inside} is not empty. "
                "Put identity.json back from where it went, with everything else as it was; or "
                "move the directory away and have the node admitted anew"
            )


def _read_identity(disk: Disk, path: str) -> Identity | None:
    value = _read_json(disk, path, "identity.json", "identity")
    if value is None:
        return None
    try:
        return Identity.from_json(value)
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{posixpath.join(path, 'identity.json')}: {error!r}") from error


def _read_json(disk: Disk, directory: str, name: str, what: str) -> dict[str, Any] | None:
    """The checked content of a file that `_write_json` wrote; None if there is none."""
    path = posixpath.join(directory, name)
    if not disk.exists(path):
        return None
    file = disk.open(path)
    try:
        data = file.pread(file.size(), 0)
    finally:
        file.close()
    try:
        value = json.loads(data)
        if not isinstance(value, dict):
            raise TypeError("not an object")  # noqa: TRY301 - one place says that it is damaged.
    except (TypeError, ValueError) as error:
        raise Corrupt(f"{path} is damaged: {error}") from error
    if value.get("version") != FORMAT_VERSION:
        raise Corrupt(wrong_version(path, what, value.get("version"), FORMAT_VERSION))
    if value.pop("check", None) != _check_of(value):
        raise Corrupt(f"{path} is damaged, or was edited: its check does not fit")
    return value


def _write_json(disk: Disk, directory: str, name: str, value: dict[str, Any]) -> None:
    """Replaces a small file: the old or the new one is there whenever the power goes."""
    path = posixpath.join(directory, name)
    temporary = path + ".tmp"
    if disk.exists(temporary):
        disk.unlink(temporary)
    file = disk.create(temporary)
    try:
        text = json.dumps({**value, "check": _check_of(value)}, indent=2) + "\n"
        file.pwrite(text.encode(), 0)
        file.fsync()
    finally:
        file.close()
    disk.rename(temporary, path)
    disk.fsync_dir(directory)


def _check_of(value: dict[str, Any]) -> str:
    return f"{checksum(json.dumps(value, sort_keys=True).encode()):08x}"
