"""CLUSTER: the topology as Redis Cluster clients want it told.

Every node once, as a master with the slots it leads now, and no replicas: here a node leads some
shards and follows others, and clients keep one role per node (correctness D5). The addresses are
those of the +1 ports, at whichever door it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.slots import SLOTS, Slot, slot_of
from ...proto.reply import OK, MapReply, Reply, VerbatimReply
from ..errors import CommandError
from .cluster_view import ClusterView, node_id, shard_id_of
from .subcommands import Subcommands

if TYPE_CHECKING:
    from ..request import Args
    from .connection import Connection

_NO_METADATA = MapReply(())


def _slots(client: Connection, args: Args) -> Reply:
    """[[first slot, last slot, [host, port, id, metadata]], ...], by slot."""
    view = ClusterView(client.door.router)
    rows: list[tuple[int, list[Reply]]] = []
    for member in view.members:
        place = [member.host.encode(), member.port, member.id.encode(), _NO_METADATA]
        rows += [(first, [first, last, place]) for first, last in member.ranges]
    return [row for _, row in sorted(rows, key=lambda one: one[0])]


def _shards(client: Connection, args: Args) -> Reply:
    """One per node, since to cluster clients a shard is a master and its replicas."""
    return [
        MapReply(
            (
                (b"slots", [slot for bounds in member.ranges for slot in bounds]),
                (
                    b"nodes",
                    [
                        MapReply(
                            (
                                (b"id", member.id.encode()),
                                (b"port", member.port),
                                (b"ip", member.host.encode()),
                                (b"endpoint", member.host.encode()),
                                (b"role", b"master"),
                                (b"replication-offset", 0),
                                (b"health", b"online" if member.is_reachable else b"fail"),
                            )
                        )
                    ],
                ),
            )
        )
        for member in ClusterView(client.door.router).members
    ]


def _nodes(client: Connection, args: Args) -> Reply:
    view = ClusterView(client.door.router)
    lines = []
    for member in view.members:
        flags = "myself," * member.is_self + "master" + ",fail" * (not member.is_reachable)
        link = "connected" if member.is_reachable else "disconnected"
        slots = "".join(
            f" {first}-{last}" if first < last else f" {first}" for first, last in member.ranges
        )
        lines.append(
            f"{member.id} {member.host}:{member.port}@{member.bus_port} {flags} - 0 0 {view.epoch}"
            f" {link}{slots}\n"
        )
    return VerbatimReply("txt", "".join(lines).encode())


def _info(client: Connection, args: Args) -> Reply:
    view = ClusterView(client.door.router)
    fields = {
        "cluster_state": "ok" if view.slots_led == SLOTS else "fail",
        "cluster_slots_assigned": SLOTS,
        "cluster_slots_ok": view.slots_led,
        "cluster_slots_pfail": 0,
        "cluster_slots_fail": SLOTS - view.slots_led,
        "cluster_known_nodes": len(view.members),
        "cluster_size": sum(1 for member in view.members if member.ranges),
        "cluster_current_epoch": view.epoch,
        "cluster_my_epoch": view.epoch,
        "cluster_stats_messages_sent": 0,
        "cluster_stats_messages_received": 0,
        "total_cluster_links_buffer_limit_exceeded": 0,
    }
    text = "".join(f"{name}:{value}\r\n" for name, value in fields.items())
    return VerbatimReply("txt", text.encode())


def _myid(client: Connection, args: Args) -> Reply:
    return node_id(client.door.router).encode()


def _myshardid(client: Connection, args: Args) -> Reply:
    return shard_id_of(node_id(client.door.router)).encode()


def _keyslot(client: Connection, args: Args) -> Reply:
    return slot_of(args[2])


def _slot(word: bytes) -> Slot:
    if not word.isdigit() or len(word) > 5 or int(word) >= SLOTS:
        raise CommandError("Invalid slot")
    return Slot(int(word))


def _countkeysinslot(client: Connection, args: Args) -> Reply:
    """As this node's replica of the shard has it, as in Redis."""
    return client.door.facts.count_keys_in_slot(_slot(args[2]))


def _getkeysinslot(client: Connection, args: Args) -> Reply:
    slot = _slot(args[2])
    if not args[3].isdigit() or len(args[3]) > 9:
        raise CommandError("Invalid number of keys")
    return list(client.door.facts.keys_in_slot(slot, int(args[3])))


def readonly(client: Connection, args: Args) -> Reply:
    """Accepted: no node is shown as a replica, so there is nothing to read from one."""
    return OK


def readwrite(client: Connection, args: Args) -> Reply:
    return OK


def asking(client: Connection, args: Args) -> Reply:
    """Accepted: slots never move between shards, so nobody is ever told to ask."""
    return OK


CLUSTER = Subcommands(
    b"CLUSTER",
    {
        b"INFO": _info,
        b"COUNTKEYSINSLOT": _countkeysinslot,
        b"GETKEYSINSLOT": _getkeysinslot,
        b"KEYSLOT": _keyslot,
        b"MYID": _myid,
        b"MYSHARDID": _myshardid,
        b"NODES": _nodes,
        b"SHARDS": _shards,
        b"SLOTS": _slots,
    },
    (
        "COUNTKEYSINSLOT <slot>",
        "    Return the number of keys in <slot>.",
        "GETKEYSINSLOT <slot> <count>",
        "    Return key names stored by this node in a slot.",
        "INFO",
        "    Return information about the cluster.",
        "KEYSLOT <key>",
        "    Return the hash slot for <key>.",
        "MYID",
        "    Return the node id.",
        "MYSHARDID",
        "    Return the node's shard id.",
        "NODES",
        "    Return cluster configuration seen by node. Output format:",
        "    <id> <ip:port@bus-port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
        "SHARDS",
        "    Return the nodes and the slots each leads.",
        "SLOTS",
        "    Return slot ranges and who leads them: start, end, [host, port, id].",
    ),
)
