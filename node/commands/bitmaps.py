"""Bitmaps: strings as rows of bits, the highest of each byte first.

Long ones are worked on in pieces that become integers: Python counts and combines the bits of an
integer of 32 KiB as fast as memory allows, and no copy of a whole string is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, reduce
from operator import and_, or_, xor
from typing import TYPE_CHECKING, Final, TypeAlias

from ..data.keyspace import KEEP, Keyspace
from ..data.large_string import (
    CHUNK_BYTES,
    LARGE_BYTES,
    LargeString,
    String,
    piece,
    pieces,
)
from ..errors import CommandError
from .arguments import INT_MAX, int_argument, parse_int, syntax_error
from .strings import put, string_bytes_max, tell_new, write, write_string

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..request import Args
    from .context import Context

# Of all sources of a BITOP together: nothing else runs on a shard meanwhile.
BITOP_BYTES_MAX: Final = 1 << 30

_OPERATIONS: Final = {b"AND": and_, b"OR": or_, b"XOR": xor}
_BYTES: Final = bytes(range(256))


def setbit(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SETBIT key offset 0|1: the bit that was there."""
    _, key, offset, bit = args
    place = _place(offset, ctx)
    is_set = parse_int(bit)
    if is_set not in (0, 1):
        raise CommandError("bit is not an integer or out of range")
    at, mask = place >> 3, 0x80 >> (place & 7)
    value = keys.string(key)
    old = b"" if value is None else piece(value, at, at + 1)
    byte = old[0] if old else 0
    new = byte | mask if is_set else byte & ~mask
    if not old or new != byte:
        write(keys, key, value, at, _BYTES[new : new + 1], ctx, "setbit")
    return int(bool(byte & mask))


def getbit(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GETBIT key offset: the bit there; 0 behind the end."""
    place = _place(args[2], ctx)
    value = keys.string(args[1])
    byte = b"" if value is None else piece(value, place >> 3, (place >> 3) + 1)
    return byte[0] >> (7 - (place & 7)) & 1 if byte else 0


def _place(text: bytes, ctx: Context) -> int:
    """An offset in bits."""
    number = parse_int(text)
    if number is None or not 0 <= number >> 3 < string_bytes_max(ctx):
        raise _bad_place()
    return number


def _place_of(text: bytes, unit: int) -> int:
    """An offset in bits, however large; `#n` is n times `unit`."""
    is_counted = text.startswith(b"#")
    number = parse_int(text[1:] if is_counted else text)
    if number is None or number < 0:
        raise _bad_place()
    return number * unit if is_counted else number


def _bad_place() -> CommandError:
    return CommandError("bit offset is not an integer or out of range")


# --- Counting and looking for bits.


def bitcount(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BITCOUNT key [start end [BYTE|BIT]]: how many bits are set there."""
    value = keys.string(args[1])
    if value is None:
        return 0
    if len(args) == 2:
        return _count(value, 0, len(value))
    if len(args) not in (4, 5):
        raise syntax_error()
    start, end = int_argument(args[2]), int_argument(args[3])
    if start < 0 and end < 0 and start > end:
        return 0
    unit = _unit(args[4]) if len(args) == 5 else 8
    first, last = _bounds(start, end, len(value) * 8 // unit)
    return _count_bits(value, first * unit, (last + 1) * unit)


def _unit(word: bytes) -> int:
    """The bits that a place counts."""
    match word.upper():
        case b"BYTE":
            return 8
        case b"BIT":
            return 1
        case _:
            raise syntax_error()


def _bounds(start: int, end: int, length: int) -> tuple[int, int]:
    """The first and the last place; negative ones count from the end."""
    if start < 0:
        start = max(0, length + start)
    if end < 0:
        end = max(0, length + end)
    return start, min(end, length - 1)


def _count_bits(value: String, start: int, end: int) -> int:
    """How many are set from bit `start` up to bit `end`."""
    if start >= end:
        return 0
    first, last = start >> 3, (end - 1) >> 3
    count = _count(value, first, last + 1)
    if start & 7:
        count -= (piece(value, first, first + 1)[0] >> (8 - (start & 7))).bit_count()
    if end & 7:
        count -= (piece(value, last, last + 1)[0] & (0xFF >> (end & 7))).bit_count()
    return count


def _count(value: String, start: int, end: int) -> int:
    """How many are set from byte `start` up to byte `end`."""
    number = int.from_bytes
    return sum([number(one, "little").bit_count() for one in pieces(value, start, end)])


def bitpos(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BITPOS key 0|1 [start [end [BYTE|BIT]]]: where the first such bit is, or -1."""
    bit = int_argument(args[2])
    if bit not in (0, 1):
        raise CommandError("The bit argument must be 1 or 0.")
    value = keys.string(args[1])
    if value is None:
        return -1 if bit else 0
    if len(args) > 6:
        raise syntax_error()
    start = int_argument(args[3]) if len(args) > 3 else 0
    unit = _unit(args[5]) if len(args) == 6 else 8
    length = len(value) * 8 // unit
    end = int_argument(args[4]) if len(args) > 4 else length - 1
    first, last = _bounds(start, end, length)
    if first > last:
        return -1
    found = _find(value, bit, first * unit, (last + 1) * unit)
    if found < 0 and not bit and len(args) < 5:
        return len(value) * 8  # No end was given: zeros follow the last byte.
    return found


def _find(value: String, bit: int, start: int, end: int) -> int:
    """The first place of a `bit` from bit `start` up to bit `end`, or -1."""
    at = (start >> 3) << 3
    for view in pieces(value, start >> 3, (end + 7) >> 3):
        bits = len(view) * 8
        number = int.from_bytes(view, "big")
        if not bit:
            number ^= (1 << bits) - 1
        if at < start:
            number &= (1 << (bits - (start - at))) - 1
        if number:
            found = at + bits - number.bit_length()
            return found if found < end else -1
        at += bits
    return -1


# --- Combining strings.


def bitop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BITOP AND|OR|XOR|NOT target key ...: the length of what is put at `target`."""
    word, target, sources = args[1].upper(), args[2], args[3:]
    if word != b"NOT" and word not in _OPERATIONS:
        raise syntax_error()
    if word == b"NOT" and len(sources) != 1:
        raise CommandError("BITOP NOT must be called with a single source key.")
    values = [keys.string(key) or b"" for key in sources]
    if sum(map(len, values)) > BITOP_BYTES_MAX:
        raise CommandError("the strings are longer than BITOP takes (1 GiB together)")
    length = max(map(len, values))
    if not length:
        if keys.delete(target):
            ctx.notify("g", "del", target)
        return 0
    parts = _inverted(values[0]) if word == b"NOT" else _combined(word, values, length)
    put(keys, target, b"".join(parts), ctx, "set")
    return length


def _inverted(value: String) -> Iterator[bytes]:
    for view in pieces(value, 0, len(value)):
        ones = (1 << len(view) * 8) - 1
        yield (int.from_bytes(view, "little") ^ ones).to_bytes(len(view), "little")


def _combined(word: bytes, values: list[String], length: int) -> Iterator[bytes]:
    """Piece by piece; a shorter string goes on with zeros."""
    operation = _OPERATIONS[word]
    shortest = min(map(len, values))
    for start in range(0, length, CHUNK_BYTES):
        end = min(start + CHUNK_BYTES, length)
        if word == b"AND" and shortest <= start:
            yield bytes(end - start)
            continue
        values = [value for value in values if len(value) > start]
        # Little-endian, so that a piece that ends early has its zeros behind it.
        numbers = [int.from_bytes(piece(value, start, end), "little") for value in values]
        yield reduce(operation, numbers).to_bytes(end - start, "little")


# --- Integers of any width in a row of bits.

_OVERFLOWS: Final = (b"WRAP", b"SAT", b"FAIL")
_FIELD_WORDS: Final = {b"GET": 2, b"SET": 3, b"INCRBY": 3}  # How many follow.
_WRITES: Final = (b"INCRBY", b"SET")


class _Field:
    """What one operation of a BITFIELD does, and where; not with what number."""

    __slots__ = ("_bits", "_high", "_is_signed", "_low", "_mask", "_shift", "end", "first", "name",
                 "writes")  # fmt: skip

    def __init__(self, name: bytes, kind: bytes, offset: bytes) -> None:
        is_signed, bits = _kind(kind)
        place = _place_of(offset, bits)
        self.name = name
        self.writes = name != b"GET"
        self.first = place >> 3  # The byte where it begins,
        self.end = (place + bits + 7) >> 3  # and that behind its last.
        self._bits = bits
        self._is_signed = is_signed
        self._shift = self.end * 8 - place - bits
        self._mask = (1 << bits) - 1
        self._low = -(1 << bits - 1) if is_signed else 0
        self._high = self._mask >> is_signed

    def read(self, value: String) -> int:
        """The number in `value`, which has zeros behind its end."""
        if isinstance(value, bytes):
            span = value[self.first : self.end]
        else:
            span = piece(value, self.first, self.end)
        if len(span) < self.end - self.first:
            span = span.ljust(self.end - self.first, b"\0")
        return self._read_as_kind(int.from_bytes(span, "big") >> self._shift)

    def write(self, value: String, number: int) -> String:
        """`value`, which is long enough, with `number` in it; a large one is changed itself."""
        first, end, shift, mask = self.first, self.end, self._shift, self._mask
        if isinstance(value, bytes):
            span = int.from_bytes(value[first:end], "big") & ~(mask << shift)
            text = (span | (number & mask) << shift).to_bytes(end - first, "big")
            return text if len(text) == len(value) else value[:first] + text + value[end:]
        span = int.from_bytes(piece(value, first, end), "big") & ~(mask << shift)
        text = (span | (number & mask) << shift).to_bytes(end - first, "big")
        value.write(first, text)
        return value

    def result(self, old: int, number: int, overflow: bytes) -> int | None:
        """What takes the place of `old`; None if it does not fit and that is a failure."""
        high = self._high
        if self.name != b"SET":
            new = old + number
            if self._low <= new <= high:
                return new
            limit = high if new > high else self._low
        else:
            new = number
            if self._is_over(new):
                limit = high
            elif self._low <= new <= high:
                return new
            else:
                limit = high if new > high else self._low
        if overflow == b"FAIL":
            return None
        return limit if overflow == b"SAT" else self._read_as_kind(new)

    def _is_over(self, number: int) -> bool:
        """Whether what is SET is above all numbers of its kind to Redis, which compares in 64
        bits: as an unsigned one every negative number is, and so is one so low that its distance
        to the highest does not fit."""
        high = self._high
        if not self._is_signed:
            return number < 0 or number > high
        return number > high or (self._bits < 64 and high - number > INT_MAX)

    def _read_as_kind(self, number: int) -> int:
        number &= self._mask
        return number - self._mask - 1 if self._is_signed and number > self._high else number


_known_field = lru_cache(1024)(_Field)
_WORDS_BYTES_MAX: Final = 64  # Of a type and an offset that are kept.

_Operation: TypeAlias = tuple[_Field, int, bytes]  # With its number and its kind of overflow.


def bitfield(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BITFIELD key [GET type offset] [SET|INCRBY type offset number] [OVERFLOW WRAP|SAT|FAIL] ...:
    a number for each, nil for what did not fit."""
    key = args[1]
    if len(args) == 6 and ctx.events is None:
        reply = _one_written(keys, args, ctx)
        if reply is not None:
            return reply
    operations = _operations(args, ctx)
    if len(operations) == 1:
        end = operations[0][0].end if operations[0][0].writes else 0
    else:
        end = max([field.end for field, _, _ in operations if field.writes], default=0)
    if not end:
        return _read_fields(keys, key, operations)
    value = keys.string(key)
    length = 0 if value is None else len(value)
    # Room is made for all of them first, as in Redis, even if none of them fits.
    has_grown = end > length
    if ctx.events is not None:
        tell_new(keys, key, ctx)
    if length < LARGE_BYTES and end < LARGE_BYTES and not isinstance(value, LargeString):
        bits: String = (value or b"").ljust(end, b"\0") if has_grown or value is None else value
    else:
        write_string(keys, key, value, *((end - 1, b"\0") if has_grown else (0, b"")))
        large = keys.change(key, LargeString)
        assert large is not None
        bits = large
    replies: list[Reply] = []
    has_changed = False
    for field, number, overflow in operations:
        old = field.read(bits)
        if not field.writes:
            replies.append(old)
            continue
        new = field.result(old, number, overflow)
        replies.append(old if field.name == b"SET" and new is not None else new)
        if new is not None and (has_grown or new != old):
            has_changed = True
            bits = field.write(bits, new)
    if isinstance(bits, bytes) and (has_changed or has_grown):
        keys.put(key, bits, KEEP)
    if has_changed and ctx.events is not None:
        ctx.notify("$", "setbit", key)
    return replies


def _one_written(keys: Keyspace, args: Args, ctx: Context) -> Reply | None:
    """One SET or INCRBY of a string that is long enough, as most are; None, and nothing is done, of
    anything else."""
    _, key, name, kind, offset, text = args
    number = parse_int(text)
    if name not in _WRITES or number is None or len(kind) + len(offset) > _WORDS_BYTES_MAX:
        return None
    field = _known_field(name, kind, offset)
    value = keys.peek(key)
    if type(value) is not bytes or len(value) < field.end or field.first >= string_bytes_max(ctx):
        return None
    old = field.read(value)
    new = field.result(old, number, b"WRAP")
    if new is not None and new != old:
        written = field.write(value, new)
        assert isinstance(written, bytes)
        keys.put(key, written, KEEP)
    return [old if name == b"SET" else new]


def bitfield_ro(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """BITFIELD_RO key [GET type offset] ...: the numbers there."""
    operations = _operations(args, ctx)
    if any(field.writes for field, _, _ in operations):
        raise CommandError("BITFIELD_RO only supports the GET subcommand")
    return _read_fields(keys, args[1], operations)


def _read_fields(keys: Keyspace, key: bytes, operations: list[_Operation]) -> Reply:
    value = keys.string(key) or b""
    return [field.read(value) for field, _, _ in operations]


def _operations(args: Args, ctx: Context) -> list[_Operation]:
    operations: list[_Operation] = []
    overflow = b"WRAP"
    place, count, bytes_max = 2, len(args), string_bytes_max(ctx)
    while place < count:
        name, behind = args[place].upper(), count - place - 1
        if name == b"OVERFLOW" and behind >= 1:
            overflow = args[place + 1].upper()
            if overflow not in _OVERFLOWS:
                raise CommandError("Invalid OVERFLOW type specified")
            place += 2
            continue
        words = _FIELD_WORDS.get(name)
        if words is None or behind < words:
            raise syntax_error()
        kind, offset = args[place + 1], args[place + 2]
        is_short = len(kind) + len(offset) <= _WORDS_BYTES_MAX
        field = (_known_field if is_short else _Field)(name, kind, offset)
        if field.first >= bytes_max:
            raise _bad_place()
        number = int_argument(args[place + 3]) if words == 3 else 0
        operations.append((field, number, overflow))
        place += 1 + words
    return operations


def _kind(text: bytes) -> tuple[bool, int]:
    """Whether signed, and how many bits."""
    is_signed = text[:1] == b"i"
    bits = parse_int(text[1:]) if text[:1] in (b"i", b"u") else None
    if bits is None or not 1 <= bits <= (64 if is_signed else 63):
        raise CommandError(
            "Invalid bitfield type. Use something like i16 u8."
            " Note that u64 is not supported but i64 is."
        )
    return is_signed, bits
