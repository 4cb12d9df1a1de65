"""Settings: the parameters that are the same in the whole cluster; a frozen value, and their table.

What changes a reply or a keyspace cannot be one node's own choice: all replicas of a shard must
compute the same (correctness A1). These are part of the topology, changed by CONFIG SET through the
meta group; a leader stamps them into each entry, and handlers read `ctx.settings`. A field is
written once, here; names, bounds, defaults (those of Redis) and the documentation follow from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any  # Values of any kind of parameter.

from .parameters import (
    INT_MAX,
    LONG_MAX,
    ULONG_MAX,
    Choice,
    Events,
    Integer,
    Kind,
    Memory,
)

CACHE_MAX = 64  # Settings in use at the same time: those of entries in flight, hardly ever two.

POLICIES = (
    "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
    "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction",
)  # fmt: skip

Pairs = tuple[tuple[str, str], ...]  # Names and values as texts, by name.


def _parameter(kind: Kind, default: object, text: str, *aliases: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": text, "aliases": aliases})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every cluster-wide parameter; `maxmemory_samples` is `maxmemory-samples` outside."""

    proto_max_bulk_len: int = _parameter(
        Memory(1 << 20, LONG_MAX),
        512 << 20,
        "The longest string that APPEND and SETRANGE make; never more than 512 MiB.",
    )
    maxmemory: int = _parameter(
        Memory(0, ULONG_MAX), 0, "Memory for keys and values; 0 is without a limit."
    )
    maxmemory_policy: str = _parameter(
        Choice(POLICIES), "noeviction", "Which keys make room at `maxmemory`."
    )
    maxmemory_samples: int = _parameter(
        Integer(1, INT_MAX), 5, "Keys that are compared to find one to evict."
    )
    lfu_log_factor: int = _parameter(
        Integer(0, INT_MAX), 10, "How slowly the counter of a key's uses rises."
    )
    lfu_decay_time: int = _parameter(
        Integer(0, INT_MAX), 1, "Minutes after which that counter falls by one."
    )
    notify_keyspace_events: str = _parameter(
        Events(), "", "Which changes of keys are published; empty is none."
    )
    list_max_listpack_size: int = _parameter(
        Integer(-INT_MAX - 1, INT_MAX),
        -2,
        "Elements, or as a negative number size, of one node of a list.",
        "list-max-ziplist-size",
    )
    list_compress_depth: int = _parameter(
        Integer(0, INT_MAX), 0, "Nodes at each end of a list that are not compressed."
    )
    hash_max_listpack_entries: int = _parameter(
        Integer(0, LONG_MAX),
        512,
        "Fields up to which a hash is called a listpack.",
        "hash-max-ziplist-entries",
    )
    hash_max_listpack_value: int = _parameter(
        Memory(0, LONG_MAX), 64, "Bytes of the longest field of such.", "hash-max-ziplist-value"
    )
    set_max_intset_entries: int = _parameter(
        Integer(0, LONG_MAX), 512, "Members up to which a set of integers is called an intset."
    )
    set_max_listpack_entries: int = _parameter(
        Integer(0, LONG_MAX), 128, "Members up to which a set is called a listpack."
    )
    set_max_listpack_value: int = _parameter(
        Integer(0, LONG_MAX), 64, "Bytes of the longest member of such."
    )
    zset_max_listpack_entries: int = _parameter(
        Integer(0, LONG_MAX),
        128,
        "Members up to which a sorted set is called a listpack.",
        "zset-max-ziplist-entries",
    )
    zset_max_listpack_value: int = _parameter(
        Memory(0, LONG_MAX), 64, "Bytes of the longest member of such.", "zset-max-ziplist-value"
    )
    stream_node_max_bytes: int = _parameter(
        Memory(0, LONG_MAX), 4096, "Bytes of one node of a stream; 0 is without a limit."
    )
    stream_node_max_entries: int = _parameter(
        Integer(0, LONG_MAX), 100, "Entries of one node of a stream; 0 is without a limit."
    )
    hll_sparse_max_bytes: int = _parameter(
        Memory(0, LONG_MAX), 3000, "Bytes up to which a HyperLogLog is kept sparse."
    )

    lua_budget: int = _parameter(
        Integer(100_000, 1_000_000_000),
        20_000_000,
        "What a script may cost, in units of about one instruction of Lua.",
    )
    lua_scripts_bytes_max: int = _parameter(
        Memory(0, LONG_MAX),
        64 << 20,
        "Bytes of scripts of SCRIPT LOAD, and of functions, that each shard keeps.",
    )

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Settings:
        """The defaults with these changed; raises ValueError for what this version does not know,
        since a replica that passed over it would compute something else than the others."""
        values: dict[str, Any] = {}
        for name, text in pairs:
            parameter = PARAMETERS.get(name)
            if parameter is None:
                raise ValueError(f"a setting {name!r}: it was made by another version of trimaran")
            try:
                values[parameter.field] = parameter.kind.parse(text)
            except ValueError as error:
                raise ValueError(f"the setting {name} = {text!r}: {error}") from error
        return cls(**values)

    def changed(self) -> Pairs:
        """What differs from the defaults, by name."""
        return tuple(
            sorted(
                (one.name, one.kind.text(value))
                for one in TABLE
                if (value := getattr(self, one.field)) != one.default
            )
        )

    def show(self) -> Iterator[tuple[str, str]]:
        """Every name, old names too, with its value as CONFIG GET prints it."""
        for one in TABLE:
            value = one.kind.show(getattr(self, one.field))
            for name in (one.name, *one.aliases):
                yield name, value


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    field: str  # Of Settings.
    kind: Kind
    default: object
    help: str
    aliases: tuple[str, ...]


TABLE: tuple[Parameter, ...] = tuple(
    Parameter(
        one.name.replace("_", "-"),
        one.name,
        one.metadata["kind"],
        one.default,
        one.metadata["help"],
        one.metadata["aliases"],
    )
    for one in fields(Settings)
)
PARAMETERS: dict[str, Parameter] = {name: one for one in TABLE for name in (one.name, *one.aliases)}
DEFAULTS = Settings()


# --- As bytes, for entries: one line each, nothing for the defaults.


def settings_of(pairs: Pairs) -> Settings:
    """The same, out of a topology."""
    return unpack_settings(pack_settings(pairs))


def pack_settings(pairs: Pairs) -> bytes:
    return "\n".join(f"{name} {value}" for name, value in pairs).encode()


@lru_cache(maxsize=CACHE_MAX)
def unpack_settings(data: bytes) -> Settings:
    """Raises ValueError for what is none. The same bytes are parsed once."""
    if not data:
        return DEFAULTS
    pairs = [line.partition(" ")[::2] for line in data.decode().split("\n")]
    return Settings.of((name, value) for name, value in pairs)
