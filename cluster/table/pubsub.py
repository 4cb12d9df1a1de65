"""Rows of the command table: channels."""

from __future__ import annotations

from ..command import ALL, CONN, FAST, LOADING, LOCAL, NO_KEYS, ONE, OTHER, PUBSUB, STALE, Command
from ..doc import Doc

_LISTENS = PUBSUB | CONN
_PUBLISHES = PUBSUB | LOADING | STALE | FAST
_TELLS = PUBSUB | LOADING | STALE

# fmt: off
ROWS = (
    #       name             arity  flags                 keys     category  spread      tips
    Command(b"PSUBSCRIBE",      -2, _LISTENS,             NO_KEYS, OTHER,    LOCAL),
    Command(b"PUBLISH",          3, _PUBLISHES,           NO_KEYS, OTHER,    LOCAL),
    Command(b"PUBSUB",          -2, 0,                    NO_KEYS, OTHER,    LOCAL, (), (
        Command(b"PUBSUB|CHANNELS", -2, _TELLS,           NO_KEYS, OTHER,    LOCAL),
        Command(b"PUBSUB|HELP",      2, LOADING | STALE,  NO_KEYS, OTHER,    LOCAL),
        Command(b"PUBSUB|NUMPAT",    2, _TELLS,           NO_KEYS, OTHER,    LOCAL),
        Command(b"PUBSUB|NUMSUB",   -2, _TELLS,           NO_KEYS, OTHER,    LOCAL),
        Command(b"PUBSUB|SHARDCHANNELS", -2, _TELLS,      NO_KEYS, OTHER,    LOCAL),
        Command(b"PUBSUB|SHARDNUMSUB", -2, _TELLS,        NO_KEYS, OTHER,    LOCAL),
    )),
    Command(b"PUNSUBSCRIBE",    -1, _LISTENS,             NO_KEYS, OTHER,    LOCAL),
    Command(b"SPUBLISH",         3, _PUBLISHES,           ONE,     OTHER,    LOCAL,
            key_flags="not_key"),
    Command(b"SSUBSCRIBE",      -2, _LISTENS,             ALL,     OTHER,    LOCAL,
            key_flags="not_key"),
    Command(b"SUBSCRIBE",       -2, _LISTENS,             NO_KEYS, OTHER,    LOCAL),
    Command(b"SUNSUBSCRIBE",    -1, _LISTENS,             ALL,     OTHER,    LOCAL,
            key_flags="not_key"),
    Command(b"UNSUBSCRIBE",     -1, _LISTENS,             NO_KEYS, OTHER,    LOCAL),
)
# fmt: on

_PUBSUB = "pubsub"
_N_CHANNELS = "O(N) where N is the number of channels named"
_N_ALL = "O(N) where N is the number of channels that somebody listens to"
_N_RECEIVERS = "O(N+M) where N is the number of subscribers and M that of all patterns"

DOCS: dict[bytes, Doc] = {
    b"PSUBSCRIBE": Doc(_PUBSUB, "2.0.0", _N_CHANNELS, "Listens to channels that match patterns."),
    b"PUBLISH": Doc(
        _PUBSUB, "2.0.0", _N_RECEIVERS, "Sends a message to all who listen to a channel."
    ),
    b"PUBSUB": Doc(_PUBSUB, "2.8.0", "That of its subcommand", "Commands about who listens."),
    b"PUBSUB|CHANNELS": Doc(_PUBSUB, "2.8.0", _N_ALL, "Answers channels somebody listens to."),
    b"PUBSUB|HELP": Doc(_PUBSUB, "6.2.0", "O(1)", "Answers what PUBSUB understands."),
    b"PUBSUB|NUMPAT": Doc(_PUBSUB, "2.8.0", "O(1)", "Counts patterns somebody listens to."),
    b"PUBSUB|NUMSUB": Doc(_PUBSUB, "2.8.0", _N_CHANNELS, "Counts the subscribers of channels."),
    b"PUBSUB|SHARDCHANNELS": Doc(
        _PUBSUB, "7.0.0", _N_ALL, "Answers shard channels somebody listens to."
    ),
    b"PUBSUB|SHARDNUMSUB": Doc(
        _PUBSUB, "7.0.0", _N_CHANNELS, "Counts the subscribers of shard channels."
    ),
    b"PUNSUBSCRIBE": Doc(_PUBSUB, "2.0.0", _N_CHANNELS, "Stops listening to patterns, or to all."),
    b"SPUBLISH": Doc(
        _PUBSUB, "7.0.0", _N_RECEIVERS, "Sends a message to all who listen to a shard channel."
    ),
    b"SSUBSCRIBE": Doc(_PUBSUB, "7.0.0", _N_CHANNELS, "Listens to shard channels."),
    b"SUBSCRIBE": Doc(_PUBSUB, "2.0.0", _N_CHANNELS, "Listens to channels."),
    b"SUNSUBSCRIBE": Doc(
        _PUBSUB, "7.0.0", _N_CHANNELS, "Stops listening to shard channels, or to all."
    ),
    b"UNSUBSCRIBE": Doc(_PUBSUB, "2.0.0", _N_CHANNELS, "Stops listening to channels, or to all."),
}

ARGUMENTS: dict[bytes, str] = {
    b"PSUBSCRIBE": "pattern{pattern:pattern}...",
    b"PUBLISH": "channel message",
    b"PUBSUB|CHANNELS": "[pattern:pattern]",
    b"PUBSUB|NUMSUB": "[channel...]",
    b"PUBSUB|SHARDCHANNELS": "[pattern:pattern]",
    b"PUBSUB|SHARDNUMSUB": "[shardchannel...]",
    b"PUNSUBSCRIBE": "[pattern:pattern...]",
    b"SPUBLISH": "shardchannel message",
    b"SSUBSCRIBE": "shardchannel...",
    b"SUBSCRIBE": "channel...",
    b"SUNSUBSCRIBE": "[shardchannel...]",
    b"UNSUBSCRIBE": "[channel...]",
}
