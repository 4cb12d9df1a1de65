"""Chunks, parts and packed rows of a few elements, while a run lasts.

A run has hardly time to write a thousand elements; what happens where a chunk splits, a row becomes
a table or a value leaves in parts must happen all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trimaran.node.commands import bitmaps, context, strings
from trimaran.node.data import (
    chunk,
    chunks,
    field_times,
    hash,  # noqa: A004 - the module of that name.
    id_map,
    keyspace,
    large_string,
    ordered_table,
    quicklist,
    set,  # noqa: A004
    sorted_order,
    sorted_set,
    stream_parts,
    table,
    table_chunk,
)

if TYPE_CHECKING:
    from types import ModuleType

CHUNK_BYTES = 16  # Of a large string.

SIZES: tuple[tuple[ModuleType, str, object], ...] = (
    (bitmaps, "CHUNK_BYTES", CHUNK_BYTES),
    (bitmaps, "LARGE_BYTES", 2 * CHUNK_BYTES),
    (context, "FEW_DRAWS", 3),
    (chunk, "CHUNK_ELEMENTS", 3),
    (chunk, "END_ELEMENTS_MAX", 5),
    (chunk, "END_ELEMENTS_KEPT", 2),
    (chunk, "PART_BYTES", 32),
    (chunks, "BLOCK_CHUNKS", 3),
    (chunks, "END_ELEMENTS_MAX", 5),
    (field_times, "PACKED_MAX", 2),
    (hash, "PACKED_MAX", 4),
    (id_map, "BLOCK_MAX", 8),
    (id_map, "MERGE_BELOW", 1),
    (keyspace, "BUCKET_KEYS_MAX", 4),
    (large_string, "LARGE_BYTES", 2 * CHUNK_BYTES),
    (large_string, "CHUNK_BYTES", CHUNK_BYTES),
    (large_string, "_PART_BYTES", 2 * CHUNK_BYTES),
    (large_string, "_ZEROS", bytes(CHUNK_BYTES)),
    (ordered_table, "READY_AFTER", 1),
    (ordered_table, "READY_SHARE", 1),
    (ordered_table, "UNORDERED_MAX", 16),
    (quicklist, "SHORT_ELEMENTS", 6),
    (set, "INTS_MAX", 4),
    (set, "ROW_MAX", 4),
    (sorted_order, "CHUNK_MAX", 8),
    (sorted_order, "CHUNK_MIN", 3),
    (sorted_order, "CHUNK_JOINED_MAX", 6),
    (sorted_order, "BLOCK_MAX", 6),
    (sorted_order, "BLOCK_MIN", 2),
    (sorted_order, "BLOCK_JOINED_MAX", 4),
    (sorted_set, "PART_BYTES", 32),
    (sorted_set, "SMALL_MAX", 4),
    (stream_parts, "PART_BYTES", 64),
    (stream_parts, "PART_ENTRIES", 3),
    (strings, "LARGE_BYTES", 2 * CHUNK_BYTES),
    (table, "CHUNK_MAX", 6),
    (table, "FILLED", 4),
    (table, "MERGED_MAX", 3),
    (table, "PART_BYTES", 32),
    (table_chunk, "NEAR", 1),
)


@contextmanager
def small_sizes() -> Iterator[None]:
    """They are small while this lasts."""
    kept = [(module, name, getattr(module, name)) for module, name, _ in SIZES]
    for module, name, value in SIZES:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)
