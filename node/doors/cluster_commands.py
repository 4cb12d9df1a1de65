"""CLUSTER: the topology as Redis Cluster clients want it told.

Every node once, as a master with the slots it leads now, and no replicas: here a node leads some
shards and follows others, and clients keep one role per node (correctness D5). The addresses are
those of the +1 ports, at whichever door it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.slots import SLOTS, Slot, shard_of_slot, slot_of
from ...proto.reply import OK, ErrorReply, MapReply, Reply, VerbatimReply
from ..commands.arguments import int_argument
from ..commands.internal import COUNT_KEYS_IN_SLOT, GET_KEYS_IN_SLOT
from ..errors import CommandError
from ..request import Done, NotApplied, Request
from .cluster_view import ClusterView, Member, node_id, shard_id_of
from .outcomes import refusal, uncertain
from .subcommands import Later, Subcommands, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..request import Args, Outcome
    from .client import Client

_NO_METADATA = MapReply(())


def _view(client: Client) -> ClusterView:
    return ClusterView(client.door.router, client.door.listener)


def _slots(client: Client, args: Args) -> Reply:
    """[[first slot, last slot, [host, port, id, metadata]], ...], by slot."""
    rows: list[tuple[int, list[Reply]]] = []
    for member in _view(client).members:
        place = [member.host.encode(), member.port, member.id.encode(), _NO_METADATA]
        rows += [(first, [first, last, place]) for first, last in member.ranges]
    return [row for _, row in sorted(rows, key=lambda one: one[0])]


def _shards(client: Client, args: Args) -> Reply:
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
                                (b"health", b"fail" if member.is_failed else b"online"),
                            )
                        )
                    ],
                ),
            )
        )
        for member in _view(client).members
    ]


def _nodes(client: Client, args: Args) -> Reply:
    view = _view(client)
    lines = []
    for member in view.members:
        link = "connected" if member.is_reachable else "disconnected"
        slots = "".join(
            f" {first}-{last}" if first < last else f" {first}" for first, last in member.ranges
        )
        lines.append(
            f"{member.id} {member.host}:{member.port}@{member.bus_port} {member.flags} - 0 0"
            f" {view.epoch} {link}{slots}\n"
        )
    return VerbatimReply("txt", "".join(lines).encode())


def _info(client: Client, args: Args) -> Reply:
    view = _view(client)
    suspected = view.slots_suspected
    fields = {
        "cluster_state": "ok" if view.is_ok else "fail",
        "cluster_slots_assigned": view.slots_assigned,
        "cluster_slots_ok": view.slots_assigned - suspected,
        "cluster_slots_pfail": suspected,
        "cluster_slots_fail": 0,  # Of a node that failed for good, others lead them.
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


def _links(client: Client, args: Args) -> Reply:
    """Two per node in reach: the one we write to, and the one it writes to."""
    door = client.door
    ids = {member.name: member.id.encode() for member in _view(client).members}
    return [
        MapReply(
            (
                (b"direction", direction),
                (b"node", ids[link.node]),
                (b"create-time", link.since_ms),
                (b"events", events),
                (b"send-buffer-allocated", waiting),
                (b"send-buffer-used", waiting),
            )
        )
        for link in door.facts.links()
        if link.node in ids
        for direction, events, waiting in ((b"to", b"rw", link.queue_bytes), (b"from", b"r", 0))
    ]


def _myid(client: Client, args: Args) -> Reply:
    return node_id(client.door.router).encode()


def _myshardid(client: Client, args: Args) -> Reply:
    return shard_id_of(node_id(client.door.router)).encode()


def _member(client: Client, node: bytes) -> Member:
    for member in _view(client).members:
        if member.id.encode() == node:
            return member
    raise CommandError(f"Unknown node {shown(node)}")


def _replicas(client: Client, args: Args) -> Reply:
    """None: a node that follows in one shard leads another, and is shown as what it leads."""
    _member(client, args[2])
    return []


def _count_failure_reports(client: Client, args: Args) -> Reply:
    """None: nodes do not report each other, they elect whom a majority can reach."""
    _member(client, args[2])
    return 0


def _keyslot(client: Client, args: Args) -> Reply:
    return slot_of(args[2])


# --- What is in a slot. Its leader says, behind a read barrier, as it does for any read.


def _countkeysinslot(client: Client, args: Args) -> Reply | Later:
    number = int_argument(args[2])
    if not 0 <= number < SLOTS:
        raise CommandError("Invalid slot")
    return _of_slot(client, Slot(number), [COUNT_KEYS_IN_SLOT, b"%d" % number], 0)


def _getkeysinslot(client: Client, args: Args) -> Reply | Later:
    number, count = int_argument(args[2]), int_argument(args[3])
    if not 0 <= number < SLOTS or count < 0:
        raise CommandError("Invalid slot or number of keys")
    asked = [GET_KEYS_IN_SLOT, b"%d" % number, b"%d" % min(count, 1 << 31)]
    return _of_slot(client, Slot(number), asked, [])


def _of_slot(client: Client, slot: Slot, asked: Args, nothing: Reply) -> Reply | Later:
    """At +1 a slot that another node leads holds nothing here, so no key is there twice (D5)."""
    door = client.door
    shard = shard_of_slot(slot, door.router.shards)
    if door.is_cluster and not door.router.leads(shard):
        return nothing

    def start(done: Callable[[Reply], None]) -> None:
        door.router.submit(
            Request(
                shard,
                0,
                [asked],
                has_write=False,
                deadline_ns=client.now_ns + door.command_timeout_ns,
                complete=lambda outcome: done(_reply_of(outcome)),
                may_pass_on=not door.is_cluster,
            )
        )

    return Later(start)


def _reply_of(outcome: Outcome) -> Reply:
    match outcome:
        case Done(replies=replies):
            return replies[0]
        case NotApplied(error=error):
            return refusal(error)
        case _:
            return uncertain(outcome.error, is_write=False)


# --- What Redis's operators do by hand. Each is told what there is instead.

_MEMBERS = (
    "nodes are named when the cluster is founded, by 'trimaran up --nodes' or"
    " 'trimaran node --founders'; 'trimaran status' shows them"
)
_PLACES = (
    "a slot belongs to a shard for good, and shards are placed on the nodes when the cluster is"
    " founded; 'trimaran status' shows where"
)
_LEADERS = (
    "every shard elects its leader among its replicas, whenever one is missing; 'trimaran status'"
    " shows who leads"
)
_KEPT = (
    "the cluster keeps its topology and epoch itself, on disk on a majority of the nodes;"
    " 'trimaran status' shows them"
)
_REFUSED: dict[bytes, str] = {
    b"ADDSLOTS": _PLACES,
    b"ADDSLOTSRANGE": _PLACES,
    b"BUMPEPOCH": _KEPT,
    b"DELSLOTS": _PLACES,
    b"DELSLOTSRANGE": _PLACES,
    b"FAILOVER": _LEADERS,
    b"FLUSHSLOTS": _PLACES,
    b"FORGET": _MEMBERS,
    b"MEET": _MEMBERS,
    b"REPLICATE": _PLACES,
    b"RESET": _MEMBERS,
    b"SAVECONFIG": _KEPT,
    b"SET-CONFIG-EPOCH": _KEPT,
    b"SETSLOT": _PLACES,
}


def _refused(client: Client, args: Args) -> Reply:
    word = args[1].upper()
    return ErrorReply("ERR", f"CLUSTER {word.decode()} changes nothing here: {_REFUSED[word]}")


def readonly(client: Client, args: Args) -> Reply:
    """Accepted: no node is shown as a replica, so there is nothing to read from one."""
    return OK


def readwrite(client: Client, args: Args) -> Reply:
    return OK


def asking(client: Client, args: Args) -> Reply:
    """Accepted: slots never move between shards, so nobody is ever told to ask."""
    return OK


CLUSTER = Subcommands(
    b"CLUSTER",
    {
        b"COUNT-FAILURE-REPORTS": _count_failure_reports,
        b"COUNTKEYSINSLOT": _countkeysinslot,
        b"GETKEYSINSLOT": _getkeysinslot,
        b"INFO": _info,
        b"KEYSLOT": _keyslot,
        b"LINKS": _links,
        b"MYID": _myid,
        b"MYSHARDID": _myshardid,
        b"NODES": _nodes,
        b"REPLICAS": _replicas,
        b"SHARDS": _shards,
        b"SLAVES": _replicas,
        b"SLOTS": _slots,
        **dict.fromkeys(_REFUSED, _refused),
    },
    (
        "COUNT-FAILURE-REPORTS <node-id>",
        "    Return 0: nodes here do not report each other.",
        "COUNTKEYSINSLOT <slot>",
        "    Return the number of keys in <slot>; on the cluster port, if this node leads it.",
        "GETKEYSINSLOT <slot> <count>",
        "    Return up to <count> keys of <slot>; on the cluster port, if this node leads it.",
        "INFO",
        "    Return the state of the cluster as this node sees it.",
        "KEYSLOT <key>",
        "    Return the slot of <key>.",
        "LINKS",
        "    Return the links between this node and those it reaches.",
        "MYID",
        "    Return the id of this node.",
        "MYSHARDID",
        "    Return the id of what this node leads.",
        "NODES",
        "    Return every node once, with the slots it leads now, in lines of:",
        "    <id> <ip:port@bus-port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
        "REPLICAS <node-id>",
        "    Return nothing: nodes that follow in one shard lead another.",
        "SLAVES <node-id>",
        "    The same.",
        "SHARDS",
        "    Return every node with the slots it leads now.",
        "SLOTS",
        "    Return the ranges of slots and who leads them: first, last, [host, port, id].",
        *(
            line
            for word in _REFUSED
            for line in (word.decode(), "    Change nothing, and say what there is instead.")
        ),
    ),
)
