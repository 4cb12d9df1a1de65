"""OBJECT: its HELP. The rest is answered by the shard of the key: `node/commands/objects.py`."""

from __future__ import annotations

from .subcommands import Subcommands

OBJECT = Subcommands(
    b"OBJECT",
    {},
    (
        "ENCODING <key>",
        "    Return how the value of a key is kept.",
        "FREQ <key>",
        "    Return how often a key is used; refused, since that is not tracked.",
        "IDLETIME <key>",
        "    Return for how long a key was not used; refused, since that is not tracked.",
        "REFCOUNT <key>",
        "    Return how often the value of a key is referred to.",
    ),
)
