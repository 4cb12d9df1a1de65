"""HyperLogLog: about how many different elements were added, in at most 12 KiB.

A read does not write here: PFCOUNT uses a count that is kept in the string, but never puts one
there as Redis does. GET and DUMP answer the same as there while nobody has asked Redis to count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ...proto.reply import OK, Reply, Status
from ..data.hyperloglog import (
    EMPTY,
    SMALL_BYTES,
    HyperLogLog,
    cached,
    cardinality,
    count_of,
    dense_of,
    highest,
    is_dense,
    is_valid,
    opcodes,
    registers,
    small_with,
    stale,
)
from ..data.keyspace import KEEP, Keyspace
from ..data.large_string import whole
from ..errors import CommandError
from .strings import put

if TYPE_CHECKING:
    from ..request import Args
    from .context import Context

# Nothing else runs on a shard meanwhile. An element is counted with ELEMENT_COST and its bytes.
ADD_COST_MAX: Final = 8 << 20
_NOT_ZERO: Final = re.compile(rb"[^\0]", re.DOTALL)
ELEMENT_COST: Final = 64
KEYS_MAX: Final = 1024


def _find(keys: Keyspace, key: bytes) -> bytes | None:
    """The HyperLogLog at `key`, or None; raises if it holds anything else."""
    value = keys.string(key)
    if value is None:
        return None
    text = value if type(value) is bytes else whole(value)
    if not is_valid(text):
        raise CommandError("Key is not a valid HyperLogLog string value.", "WRONGTYPE")
    return text


def _check_count(keys: int) -> None:
    if keys > KEYS_MAX:
        raise CommandError(f"too many keys: at most {KEYS_MAX} at once")


def pfadd(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PFADD key [element ...]: whether it looks otherwise now."""
    key, elements = args[1], args[2:]
    if (len(args) != 3 or len(args[2]) > ELEMENT_COST) and (
        sum(map(len, elements)) + ELEMENT_COST * len(elements) > ADD_COST_MAX
    ):
        raise CommandError("too many or too long elements for one PFADD")
    value = keys.peek(key)
    bytes_max = ctx.settings.hll_sparse_max_bytes
    if value is None or (type(value) is bytes and len(value) <= SMALL_BYTES):
        small = small_with(EMPTY if value is None else value, elements, bytes_max)
        if small is not None:  # What most are, by far.
            if small is value:
                return 0
            if ctx.events is None and elements:
                keys.put(key, small, KEEP)  # As `put`, without a call.
            else:
                put(keys, key, stale(small), ctx, "pfadd", KEEP)
            return 1
    text = _find(keys, key)
    counter = HyperLogLog(text or EMPTY, bytes_max)
    updates = [counter.add(element) for element in elements]
    if text is not None and not any(updates):
        counter.finish()
        return 0
    counter.set_stale()
    put(keys, key, counter.finish(), ctx, "pfadd", KEEP)
    return 1


def pfcount(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PFCOUNT key ...: about how many different elements were added to all of them together."""
    _check_count(len(args) - 1)
    if len(args) == 2:
        text = _find(keys, args[1])
        if text is None:
            return 0
        count = cached(text)
        return count_of(text) if count is None else count
    values = [registers(text) for text in _each(keys, args[1:])]
    return cardinality(highest(values)) if values else 0


def _each(keys: Keyspace, names: Sequence[bytes]) -> Iterator[bytes]:
    """Those that are there, in order: the first that is no good is what is answered."""
    for name in names:
        text = _find(keys, name)
        if text is not None:
            yield text


def pfmerge(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PFMERGE target [source ...]: OK; the target has counted what all of them have."""
    _check_count(len(args) - 1)
    target = args[1]
    sources = [(registers(text), is_dense(text)) for text in _each(keys, args[1:])]
    text = _find(keys, target) or EMPTY
    values = highest([values for values, _ in sources])
    counter = HyperLogLog(text, ctx.settings.hll_sparse_max_bytes)
    if any(has_all for _, has_all in sources):
        counter = HyperLogLog(bytes(dense_of(text, values)), 0)
    else:
        for found in _NOT_ZERO.finditer(values):
            counter.raise_register(found.start(), values[found.start()])
    counter.set_stale()
    put(keys, target, counter.finish(), ctx, "pfadd", KEEP)
    return OK


def pfdebug(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """PFDEBUG GETREG|DECODE|ENCODING|TODENSE key: how a HyperLogLog is kept, for its tests."""
    word, key = args[1], args[2]
    text = _find(keys, key)
    if text is None:
        raise CommandError("The specified key does not exist")
    match word.upper():
        case b"GETREG":
            values = registers(text)
            _make_dense(keys, key, text)
            return list(values)
        case b"DECODE":
            return _decoded(text)
        case b"ENCODING":
            return Status("dense" if is_dense(text) else "sparse")
        case b"TODENSE":
            return int(_make_dense(keys, key, text))
        case _:
            shown = word.decode("utf-8", "surrogateescape")
            raise CommandError(f"Unknown PFDEBUG subcommand '{shown}'")


def _make_dense(keys: Keyspace, key: bytes, text: bytes) -> bool:
    if is_dense(text):
        return False
    keys.put(key, bytes(dense_of(text, registers(text))), KEEP)
    return True


def _decoded(text: bytes) -> Reply:
    """The runs of sparse registers: z and Z for zeros, v for a value."""
    if is_dense(text):
        raise CommandError("HLL encoding is not sparse")
    return b" ".join(
        b"v:%d,%d" % (value, length) if value else b"%b:%d" % (kind, length)
        for kind, value, length in opcodes(text)
    )
