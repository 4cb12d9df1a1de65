"""The first topology: what the founders, each for itself, compute from the record they all saved.

It is epoch 1 and needs no agreement, so that every founder can create its replicas at once. The
first leader of the meta group writes it as that group's first value; from then on everything reads
it from there, and changes raise the epoch (design, section 10). Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..cluster.ring import first_topology
from ..cluster.topology import NodeInfo, Topology
from .config import split_address

if TYPE_CHECKING:
    from .storage.identity import Founding

GRPC_OFFSET = 2


def topology_of(founding: Founding) -> Topology:
    """Where everything is at the beginning."""
    nodes = []
    for one in founding.founders:
        host, port = split_address(one.address)
        nodes.append(NodeInfo(one.name, one.incarnation, host, port - GRPC_OFFSET, one.zone))
    return first_topology(founding.cluster_id, founding.shards, nodes)
