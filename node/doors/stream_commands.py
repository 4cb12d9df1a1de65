"""XGROUP and XINFO: their HELP. The rest is answered by the shard of the key: see
`node/commands/stream_groups.py` and `stream_info.py`.
"""

from __future__ import annotations

from .subcommands import Subcommands

XGROUP = Subcommands(
    b"XGROUP",
    {},
    (
        "CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
        "    Make a consumer group that reads what comes behind an id.",
        "CREATECONSUMER <key> <group> <consumer>",
        "    Make a consumer of a group.",
        "DELCONSUMER <key> <group> <consumer>",
        "    Remove a consumer and what is pending with it.",
        "DESTROY <key> <group>",
        "    Remove a group.",
        "SETID <key> <group> <id|$> [ENTRIESREAD <count>]",
        "    Set how far a group has read.",
    ),
)

XINFO = Subcommands(
    b"XINFO",
    {},
    (
        "CONSUMERS <key> <group>",
        "    Return what consumers a group has.",
        "GROUPS <key>",
        "    Return what groups a stream has.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    Return how long a stream is and where it begins and ends; with FULL, what is in it.",
    ),
)
