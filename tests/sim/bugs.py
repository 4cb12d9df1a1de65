"""All planted bugs."""

from __future__ import annotations

from . import bugs_node, bugs_objects, bugs_raft, bugs_sdk, bugs_waiting

BUGS = bugs_raft.BUGS + bugs_node.BUGS + bugs_objects.BUGS + bugs_waiting.BUGS
BUGS += bugs_sdk.BUGS
