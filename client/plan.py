"""What `trimaran up` is about to start: names, ports, folders, commands; and whether it may.

No process is started here. All that can be refused is refused here, before anything runs: another
number of shards or nodes than the data's, ports that are taken, a second `up` on the same data.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

PORTS_PER_NODE = 4
PORT_STEP = 10  # Node i has the base port + 10 * i.
PORT_NAMES = ("RESP", "RESP cluster", "gRPC", "HTTP")
GRPC_OFFSET = 2
SHARDS = 16
NODES = 3
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104, RUF100  # Nobody can be told to call these.
RECORD_VERSION = 1


class Refused(Exception):
    """`up` may not go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class PlannedNode:
    name: str
    host: str  # Bound.
    announced: str  # Told to peers and clients.
    port: int
    folder: Path

    @property
    def address(self) -> str:
        return join_address(self.announced, self.port)

    @property
    def log(self) -> Path:
        return self.folder / "node.log"


@dataclass(frozen=True, slots=True)
class Plan:
    data: Path
    shards: int
    fsync: str
    nodes: tuple[PlannedNode, ...]

    def command(self, node: PlannedNode) -> list[str]:
        """The words that start this node: run by `up`, and printed for who starts it again."""
        members = ",".join(
            f"{one.name}={join_address(one.announced, one.port + GRPC_OFFSET)}"
            for one in self.nodes
        )
        words = [*_program(), "node", "--name", node.name, "--data", str(node.folder)]
        words += ["--port", str(node.port), "--host", node.host]
        if node.announced != node.host:
            words += ["--announce", node.announced]
        # Founders count in an empty folder only. Peers say where the others are after a move.
        words += ["--founders", members, "--peers", members]
        return [*words, "--shards", str(self.shards), "--fsync", self.fsync]

    def command_line(self, node: PlannedNode) -> str:
        return shlex.join(self.command(node))


def _program() -> list[str]:
    """How this very `trimaran` is called from any folder."""
    script = Path(sys.argv[0])
    if script.name == "trimaran" and script.is_file():
        return [str(script.absolute())]
    return [sys.executable, "-m", "trimaran.client.cli"]


def make_plan(
    *,
    data: Path,
    nodes: int | None,
    shards: int | None,
    port: int,
    host: str,
    announce: str | None,
    fsync: str,
) -> Plan:
    """The plan, with what the data says of itself; raises Refused."""
    if host in WILDCARDS and not announce:
        raise Refused(f"--host {host} needs --announce HOST: the address others call")
    data = data.absolute()
    nodes, shards = _agree_with_data(data, nodes, shards)
    last = port + PORT_STEP * (nodes - 1) + PORTS_PER_NODE - 1
    if last > 65535:
        raise Refused(f"--port {port}: {nodes} nodes need ports up to {last}, beyond 65535")
    return Plan(
        data=data,
        shards=shards,
        fsync=fsync,
        nodes=tuple(
            PlannedNode(
                name=f"n{i + 1}",
                host=host,
                announced=announce or host,
                port=port + PORT_STEP * i,
                folder=data / f"n{i + 1}",
            )
            for i in range(nodes)
        ),
    )


# --- What the data was made with: DATA/up.json.


def _agree_with_data(data: Path, nodes: int | None, shards: int | None) -> tuple[int, int]:
    """How many nodes and shards to run: the data's, which may not be contradicted."""
    made = _read_record(data)
    if made is None or not _is_founded(data):
        return nodes or NODES, shards or SHARDS
    made_nodes, made_shards = made
    if shards not in (None, made_shards):
        raise Refused(
            f"--shards {shards}: the data in {data} was made with {made_shards} shards, and the "
            f"number cannot change. Leave --shards away, or name another --data."
        )
    if nodes not in (None, made_nodes):
        raise Refused(
            f"--nodes {nodes}: the data in {data} belongs to {made_nodes} nodes. Leave --nodes "
            f"away, or name another --data."
        )
    return made


def _is_founded(data: Path) -> bool:
    """Whether a node has left anything but its log output there."""
    return any(
        not path.name.startswith("node.log") for path in data.glob("n[0-9]*/*") if path.is_file()
    )


def _read_record(data: Path) -> tuple[int, int] | None:
    path = data / "up.json"
    try:
        record = json.loads(path.read_bytes())
        if record["version"] != RECORD_VERSION:
            raise Refused(f"{path} was written by another version of trimaran")
        return int(record["nodes"]), int(record["shards"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} is damaged: {error}") from error


def write_record(plan: Plan) -> None:
    """Remembers what the data is made with, before the first node starts."""
    record = {"version": RECORD_VERSION, "nodes": len(plan.nodes), "shards": plan.shards}
    path = plan.data / "up.json"
    aside = path.with_suffix(".tmp")
    with aside.open("w") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


# --- One `up` per data folder: DATA/up.lock, held while it runs, with the processes it started.


class UpLock:
    """Held from before the first process until after the last."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._file = (data / "up.lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = read_processes(data).get("up")
            self._file.close()
            raise Refused(
                f"'trimaran up' is running on {data} already"
                + (f" (process {pid}). 'trimaran down --data {data}' stops it." if pid else ".")
            ) from None

    def record(self, processes: dict[str, int]) -> None:
        """Writes down the process ids, for `down` and for who meets the lock."""
        self._file.seek(0)
        self._file.truncate()
        json.dump(processes, self._file)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def is_locked(data: Path) -> bool:
    """Whether an `up` runs on this data."""
    try:
        with (data / "up.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def read_processes(data: Path) -> dict[str, int]:
    """Who runs, or last ran, there: `up` and the nodes by name."""
    try:
        processes = json.loads((data / "up.lock").read_text())
        return {str(name): int(pid) for name, pid in processes.items()}
    except (OSError, ValueError, AttributeError):
        return {}


# --- Ports.


def check_ports(plan: Plan) -> None:
    """Tries every port before any process starts; raises Refused naming each that is taken."""
    faults = [
        fault
        for node in plan.nodes
        for offset in range(PORTS_PER_NODE)
        if (fault := port_fault(node, offset)) is not None
    ]
    if faults:
        hint = (
            "Another --port moves all of them. If nodes of an 'up' that was killed still run: "
            f"trimaran down --data {plan.data}"
        )
        raise Refused("\n".join([*faults, hint]))


def port_fault(node: PlannedNode, offset: int) -> str | None:
    """Why the node could not listen on this port; None if it could."""
    port = node.port + offset
    what = f"port {port} on {node.host} ({node.name}, {PORT_NAMES[offset]})"
    try:
        family, kind, _, _, place = socket.getaddrinfo(
            node.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        return f"--host {node.host}: {error.strerror}"
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As servers do.
        try:
            probe.bind(place)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"{what} is taken"
            return f"{what} cannot be used: {error.strerror}"
    return None


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
