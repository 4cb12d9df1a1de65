"""etcd beside us: a cluster on loopback with real fsync, and its messages as raw bytes.

Only two of its calls are needed, so the three fields they have are written here by hand and no
generated code of etcd is kept. Field numbers are those of etcd's rpc.proto.
"""

from __future__ import annotations

import json
import struct
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from .processes import Process, Processes

PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"  # Linearizable unless asked otherwise.


@dataclass(frozen=True, slots=True)
class EtcdMember:
    name: str
    client_port: int
    process: Process


@dataclass(frozen=True, slots=True)
class EtcdStatus:
    """What the cluster says of itself through one member."""

    leader: str
    term: int
    revision: int


class EtcdCluster:
    """Members as Debian packages them: all defaults except addresses."""

    def __init__(self, processes: Processes, directory: Path, base_port: int, size: int) -> None:
        self._base_port = base_port
        self._size = size
        self.members: dict[str, EtcdMember] = {}
        self._name_of: dict[int, str] = {}  # Member ids, learnt from what each says of itself.
        founders = ",".join(f"{self._name(i)}={self._peer_url(i)}" for i in range(size))
        for i in range(size):
            name = self._name(i)
            argv = [
                "etcd",
                *("--name", name),
                *("--data-dir", str(directory / name)),
                *("--listen-client-urls", self._client_url(i)),
                *("--advertise-client-urls", self._client_url(i)),
                *("--listen-peer-urls", self._peer_url(i)),
                *("--initial-advertise-peer-urls", self._peer_url(i)),
                *("--initial-cluster", founders),
                *("--initial-cluster-state", "new"),
                *("--logger", "zap", "--log-level", "error"),
            ]
            process = processes.start(name, argv, directory / f"{name}.output")
            self.members[name] = EtcdMember(name, base_port + i, process)

    @staticmethod
    def ports(size: int) -> list[int]:
        """Offsets from the base port that such a cluster binds."""
        return list(range(2 * size))

    @property
    def pids(self) -> list[int]:
        return [member.process.pid for member in self.members.values()]

    def wait_ready(self, timeout_s: float = 30.0) -> EtcdStatus:
        """Until every member answers and names the same leader."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            seen = [self.status_of(name) for name in self.members]
            if all(seen) and len({status.leader for status in seen if status}) == 1:
                assert seen[0] is not None
                return seen[0]
            time.sleep(0.1)
        tails = "\n".join(member.process.tail() for member in self.members.values())
        raise RuntimeError(f"etcd has no leader after {timeout_s:.0f} s\n{tails}")

    def status(self) -> EtcdStatus:
        """As seen by any member that runs and knows a leader."""
        for name, member in self.members.items():
            if member.process.is_running and (status := self.status_of(name)) is not None:
                return status
        raise RuntimeError("no member of etcd answers")

    def status_of(self, name: str) -> EtcdStatus | None:
        """As seen by one member; None when it does not answer or knows no leader."""
        endpoint = f"127.0.0.1:{self.members[name].client_port}"
        argv = ["etcdctl", "--command-timeout=2s", "--endpoints", endpoint]
        argv += ["endpoint", "status", "-w", "json"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return None
        answer: Any = json.loads(done.stdout)  # JSON: checked by use below.
        status = answer[0]["Status"]
        header = status["header"]
        self._name_of[int(header["member_id"])] = name
        leader = self._name_of.get(int(status.get("leader", 0)))
        if leader is None:
            return None
        return EtcdStatus(leader, int(header["raft_term"]), int(header["revision"]))

    @staticmethod
    def _name(i: int) -> str:
        return f"etcd{i + 1}"

    def _client_url(self, i: int) -> str:
        return f"http://127.0.0.1:{self._base_port + i}"

    def _peer_url(self, i: int) -> str:
        return f"http://127.0.0.1:{self._base_port + self._size + i}"


def put_request(key: bytes, value: bytes) -> bytes:
    """PutRequest{key = 1, value = 2}."""
    return _field(1, key) + _field(2, value)


def range_request(key: bytes) -> bytes:
    """RangeRequest{key = 1}."""
    return _field(1, key)


def framed(message: bytes) -> bytes:
    """As gRPC sends it: not compressed, length, message."""
    return struct.pack(">BI", 0, len(message)) + message


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
