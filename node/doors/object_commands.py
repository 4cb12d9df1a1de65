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
        "    Return the counter of a key's uses, under an LFU policy of eviction.",
        "IDLETIME <key>",
        "    Return the seconds since a key was used last, as far as its leader knows.",
        "REFCOUNT <key>",
        "    Return how often the value of a key is referred to.",
    ),
)
