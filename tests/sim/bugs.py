"""All planted bugs."""

from __future__ import annotations

from . import bugs_node, bugs_raft

BUGS = bugs_raft.BUGS + bugs_node.BUGS
