"""HyperLogLogs as Redis keeps them: a string with a header and 16384 registers of 6 bits.

`HYLL`, the encoding, three spare bytes, 8 bytes with the cardinality that was counted last (the
highest bit says that it is no longer right), then the registers: dense, 6 bits each, or sparse, in
runs. Every byte is as a real Redis has it after the same commands, so that GET and DUMP agree.
The estimate is Ertl's (arXiv:1702.01284). Commands are in `commands/hyperloglog.py`.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from math import inf, sqrt
from operator import length_hint
from struct import Struct, unpack_from
from typing import ClassVar, Final

from ..errors import CommandError

_INDEX_BITS: Final = 14
REGISTERS: Final = 1 << _INDEX_BITS
_INDEX_MASK: Final = REGISTERS - 1
HEADER_BYTES: Final = 16
DENSE_BYTES: Final = HEADER_BYTES + REGISTERS * 6 // 8
DENSE, SPARSE = 0, 1

# Nothing counted: one run of all registers at 0.
EMPTY: Final = b"HYLL" + bytes([SPARSE]) + bytes(11) + b"\x7f\xff"

_ENCODING_AT: Final = 4
_DENSE_BEGINNING, _SPARSE_BEGINNING = b"HYLL\0", b"HYLL\1"
_CARDINALITY_AT: Final = 8
_STALE_AT, _STALE = 15, 0x80

_RANK_MAX: Final = 51  # Of 50 bits of a hash: as many zeros, and the one behind them.
_SPARSE_RANK_MAX: Final = 32
_RUN_MAX: Final = 4  # Registers of one `value` opcode,
_ZEROS_MAX: Final = 64  # and of one `zeros` opcode; `many zeros` takes two bytes and all of them.
_MERGED_OPCODES: Final = 5  # So many are looked at for neighbours that can be made one.

_KEPT_MAX: Final = 64  # About 100 KB each,
_KEPT_OPCODES_MAX: Final = 4096  # since larger ones are not kept.

SMALL_BYTES: Final = 128  # Of one that is not taken apart to be changed.
_GROWTH_MAX: Final = 4  # More bytes a register does not take.

_SELF_TEST_ELEMENTS: Final = 200
_SELF_TEST_ERROR: Final = 0.04  # Five times what is usual.

_ALPHA: Final = 0.721347520444481703680

# Of an opcode by its byte: how many registers have its value; 0 if that takes a second byte.
_LENGTHS: Final[list[int]] = [*range(1, 65), *[0] * 64, *[1, 2, 3, 4] * 32]

# And its first byte's share of that, if there are two.
_LENGTHS_OF_TWO: Final[list[int]] = [((byte & 63) << 8) + 1 for byte in range(256)]

# Of so many registers at 0, `many zeros` is this and their number; with one between two of them.
_ZEROS: Final = 0x3FFF
_pack_around: Final = Struct(">HBH").pack

# The opcode of one register by its value.
_VALUES: Final = tuple(bytes((0x80 | (value - 1 & 31) << 2,)) for value in range(33))

# The place of the first bit that is set in a byte, which mostly tells a rank; 0 if none is.
_RANKS: Final = tuple((byte & -byte).bit_length() for byte in range(256))

# A base64 digit is 6 bits, too, but the first digit has the highest ones of three bytes: in a
# reversed string it is the last register.
_DIGITS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_DIGITS: Final = bytes.maketrans(bytes(range(64)), _DIGITS)
_FROM_DIGITS: Final = bytes.maketrans(_DIGITS, bytes(range(64)))

_ABOVE: Final = int.from_bytes(b"\x80" * REGISTERS, "little")

_MASK: Final = (1 << 64) - 1
_MULTIPLIER: Final = 0xC6A4A7935BD1E995
_SEED: Final = 0xADC83B19


# What a hash begins with, and how its words of 8 bytes are read, for elements of usual lengths.
_HASHED_AT_ONCE: Final = 128
_FIRSTS: Final = tuple(_SEED ^ (size * _MULTIPLIER & _MASK) for size in range(_HASHED_AT_ONCE))
_from_bytes: Final = int.from_bytes
_WORDS: Final = tuple(Struct(f"<{size >> 3}Q").unpack_from for size in range(_HASHED_AT_ONCE))


def hash_of(element: bytes) -> int:
    """MurmurHash64A with Redis's seed."""
    size = len(element)
    if size < _HASHED_AT_ONCE:
        number = _FIRSTS[size]
        blocks = _WORDS[size](element) if size > 7 else ()
    else:
        number = _SEED ^ (size * _MULTIPLIER & _MASK)
        blocks = unpack_from(f"<{size >> 3}Q", element)
    for block in blocks:
        mixed = block * _MULTIPLIER & _MASK
        number = (number ^ ((mixed ^ mixed >> 47) * _MULTIPLIER & _MASK)) * _MULTIPLIER & _MASK
    if size & 7:
        rest = int.from_bytes(element[size & ~7 :], "little")
        number = (number ^ rest) * _MULTIPLIER & _MASK
    number = (number ^ number >> 47) * _MULTIPLIER & _MASK
    return number ^ number >> 47


def register_of(element: bytes) -> tuple[int, int]:
    """The register that counts `element`, and its rank: the place of the first bit that is set."""
    size = len(element)
    if 0 < size < 8:  # As `hash_of`, without a call.
        number = (_FIRSTS[size] ^ _from_bytes(element, "little")) * _MULTIPLIER & _MASK
        number = (number ^ number >> 47) * _MULTIPLIER & _MASK
        number ^= number >> 47
    else:
        number = hash_of(element)
    rank = _RANKS[number >> _INDEX_BITS & 255]
    if not rank:
        bits = number >> _INDEX_BITS | 1 << _RANK_MAX - 1
        rank = (bits & -bits).bit_length()
    return number & _INDEX_MASK, rank


def is_valid(text: bytes) -> bool:
    """Whether a string may be a HyperLogLog; its sparse registers can still be damaged."""
    if text.startswith(_SPARSE_BEGINNING):
        return len(text) >= HEADER_BYTES
    return text.startswith(_DENSE_BEGINNING) and len(text) == DENSE_BYTES


def is_dense(text: bytes | bytearray) -> bool:
    return text[_ENCODING_AT] == DENSE and len(text) == DENSE_BYTES


def corrupted() -> CommandError:
    return CommandError("Corrupted HLL object detected", "INVALIDOBJ")


# --- Reading.


def registers(text: bytes | bytearray) -> bytes:
    """The registers, a byte for each."""
    if is_dense(text):
        digits = b2a_base64(text[HEADER_BYTES:][::-1], newline=False)
        return digits.translate(_FROM_DIGITS)[::-1]
    values = b"".join([bytes((value,)) * length for _, value, length in opcodes(text)])
    if len(values) != REGISTERS:
        raise corrupted()
    return values


def opcodes(text: bytes | bytearray) -> Iterator[tuple[bytes, int, int]]:
    """Of sparse registers: (kind, value, how many registers have it) each; for more registers than
    there are it raises, since any long string may say that it is one."""
    left = REGISTERS
    rest = iter(memoryview(text)[HEADER_BYTES:])
    for byte in rest:
        if byte & 0x80:
            opcode = b"v", (byte >> 2 & 31) + 1, (byte & 3) + 1
        elif byte & 0x40:
            opcode = b"Z", 0, ((byte & 63) << 8 | next(rest, 0)) + 1
        else:
            opcode = b"z", 0, byte + 1
        left -= opcode[2]
        if left < 0:
            raise corrupted()
        yield opcode


def highest(many: Iterable[bytes]) -> bytes:
    """Of several HyperLogLogs' registers the highest each: those of all that they counted.

    All registers of two at once, as long integers: with a bit more above each of the one, taking
    away the other leaves that bit where the one is not the lower.
    """
    result = 0
    for values in many:
        other = int.from_bytes(values, "little")
        not_lower = ((result | _ABOVE) - other & _ABOVE) >> 7
        result = other ^ (result ^ other) & not_lower * 255
    return result.to_bytes(REGISTERS, "little")


def cached(text: bytes) -> int | None:
    """The cardinality that was counted last, if nothing has been added since."""
    if text[_STALE_AT] & _STALE:
        return None
    return int.from_bytes(text[_CARDINALITY_AT:HEADER_BYTES], "little")


def count_of(text: bytes) -> int:
    """The estimate of one."""
    if is_dense(text):
        return cardinality(registers(text))
    counts = [0] * 64
    for _, value, length in opcodes(text):
        counts[value] += length
    if sum(counts) != REGISTERS:
        raise corrupted()
    return _estimate(counts)


def cardinality(values: bytes) -> int:
    """The estimate from registers, a byte for each."""
    counts = [0] * 64
    left = REGISTERS
    for value in range(64):
        counts[value] = values.count(value)
        left -= counts[value]
        if not left:
            break
    return _estimate(counts)


def _estimate(counts: list[int]) -> int:
    """From how many registers have each value."""
    total = REGISTERS * _tau((REGISTERS - counts[_RANK_MAX]) / REGISTERS)
    for value in range(_RANK_MAX - 1, 0, -1):
        total = (total + counts[value]) * 0.5
    total += REGISTERS * _sigma(counts[0] / REGISTERS)
    if total == 0:
        return 0  # No hash gives such registers; Redis divides by it.
    estimate = _ALPHA * REGISTERS * REGISTERS / total
    return int(estimate + 0.5)


def _sigma(x: float) -> float:
    if x == 1.0:
        return inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x = sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) * (1 - x) * y
    return z / 3


# --- Writing.


def dense_of(text: bytes | bytearray, values: bytes) -> bytearray:
    """A dense HyperLogLog with the header of `text` and these registers."""
    dense = bytearray(text[:HEADER_BYTES])
    dense[_ENCODING_AT] = DENSE
    return dense + a2b_base64(values[::-1].translate(_TO_DIGITS))[::-1]


def small_with(text: bytes, elements: Iterable[bytes], sparse_bytes_max: int) -> bytes | None:
    """A small sparse one with `elements` counted too, and without the right cardinality if that
    makes a difference; None if it is not small, or damaged, or might not stay sparse."""
    if not text.startswith(_SPARSE_BEGINNING) or len(text) < HEADER_BYTES:
        return None
    before = text
    bytes_max = sparse_bytes_max - _GROWTH_MAX
    if bytes_max > SMALL_BYTES:
        bytes_max = SMALL_BYTES
    try:
        for element in elements:
            index, rank = register_of(element)
            if rank > _SPARSE_RANK_MAX or len(text) > bytes_max:
                return None
            text = _small_raised(text, index, rank)
    except StopIteration:
        return None  # It ends too early.
    return text if text is before or text[_STALE_AT] & _STALE else stale(text)


def stale(text: bytes) -> bytes:
    """The same, whose cardinality that was counted last is not right any more."""
    last = text[_STALE_AT]
    if last & _STALE:
        return text
    return b"%b%c%b" % (text[:_STALE_AT], last | _STALE, text[HEADER_BYTES:])


def _small_raised(text: bytes, index: int, rank: int) -> bytes:
    """`text` with a register at least at `rank`, which a sparse one can hold."""
    lengths, lengths_of_two, rest = _LENGTHS, _LENGTHS_OF_TWO, iter(text[HEADER_BYTES:])
    before = behind = length = 0
    for byte in rest:  # Over the opcodes up to that of the register.
        length = lengths[byte] or lengths_of_two[byte] + next(rest)
        behind += length
        if index < behind:
            break
        before = byte
    else:
        raise StopIteration
    old = (byte >> 2 & 31) + 1 if byte & 0x80 else 0
    if rank <= old:
        return text
    left = length_hint(rest)
    place = len(text) - left  # Behind the opcode.
    left_size, right_size = index - behind + length, behind - index - 1
    if left_size > _ZEROS_MAX < right_size and (
        not left or (left > 1 and text[place] >= 0x80 > text[place + 1])
    ):
        # In the midst of many zeros, with nothing behind them that could be merged, as most are:
        # two opcodes of two bytes around it.
        around = _pack_around(_ZEROS + left_size, 0x80 | (rank - 1) << 2, _ZEROS + right_size)
        return text[: place - 2] + around + text[place:]
    at = place - 1 if lengths[byte] else place - 2
    first = behind - length
    parts = _run(old, left_size), _VALUES[rank], _run(old, right_size)
    text = b"%b%b%b%b%b" % (text[:at], *parts, text[place:])
    if first:
        at -= 1 if lengths[before] else 2
    return _small_merged(text, at)


def _small_merged(text: bytes, at: int) -> bytes:
    """As `_Runs` merges neighbours, from the opcode at `at` on."""
    size = len(text) - 1
    for _ in range(_MERGED_OPCODES):
        if at >= size:
            break
        one, other = text[at], text[at + 1]
        if one & 0x80:
            length = (one & 3) + (other & 3) + 2
            if one & 0xFC == other & 0xFC and length <= _RUN_MAX:
                text = b"%b%c%b" % (text[:at], one & 0xFC | length - 1, text[at + 2 :])
                size -= 1
                continue
        elif one & 0x40:
            at += 1
        at += 1
    return text


class HyperLogLog:
    """One that is being changed; `finish` tells what it has become."""

    def __init__(self, text: bytes, sparse_bytes_max: int) -> None:
        self._before = text
        self._is_changed = False
        self._text = bytearray(text)  # Of a sparse one the header alone is kept right.
        self._runs = None if is_dense(text) else _Runs.of(text)
        self._sparse_bytes_max = sparse_bytes_max

    def finish(self) -> bytes:
        text = self._before
        if self._is_changed:
            text = bytes(self._text)
            if self._runs is not None:
                text = self._runs.put_behind(text[:HEADER_BYTES])
        if self._runs is not None:
            self._runs.keep(text)
        return text

    def set_stale(self) -> None:
        """The cardinality that was counted last is not right any more."""
        self._text[_STALE_AT] |= _STALE
        self._is_changed = True

    def add(self, element: bytes) -> bool:
        """Count an element; whether that made a difference."""
        return self.raise_register(*register_of(element))

    def raise_register(self, index: int, rank: int) -> bool:
        """Let a register be at least `rank`; whether it was lower."""
        if self._runs is not None:
            done = None
            if rank <= _SPARSE_RANK_MAX:
                done = self._runs.raise_register(index, rank, self._sparse_bytes_max)
            if done is not None:
                self._is_changed |= done
                return done
            header = bytes(self._text[:HEADER_BYTES])
            self._text = dense_of(header, registers(self._runs.put_behind(header)))
            self._runs = None
        text = self._text
        at, shift = HEADER_BYTES + index * 6 // 8, index * 6 & 7
        pair = int.from_bytes(text[at : at + 2], "little")
        old = pair >> shift & 63
        if rank <= old:
            return False
        width = min(2, DENSE_BYTES - at)
        text[at : at + 2] = (pair + ((rank - old) << shift)).to_bytes(width, "little")
        self._is_changed = True
        return True


class _Runs:
    """Sparse registers: opcodes one behind the other, and the first register of each.

    Who adds to a HyperLogLog will mostly do so again: the last ones that were written are kept as
    they are here, by their text, so that they are not taken apart each time.
    """

    __slots__ = ("_firsts", "_opcodes", "_rest", "_size")
    _kept: ClassVar[OrderedDict[bytes, _Runs]] = OrderedDict()

    def __init__(self, text: bytes) -> None:
        codes: list[bytes] = []
        firsts: list[int] = []
        size = len(text)
        first, at = 0, HEADER_BYTES
        while at < size and first < REGISTERS:
            length = _LENGTHS[text[at]]
            opcode = text[at : at + (1 if length else 2)]
            codes.append(opcode)
            firsts.append(first)
            at += len(opcode)
            first += length or _length_of(opcode)
        self._opcodes, self._firsts, self._size = codes, firsts, size
        self._rest = text[at:]  # Of a damaged one.

    @classmethod
    def of(cls, text: bytes) -> _Runs:
        return cls._kept.pop(text, None) or cls(text)

    def put_behind(self, header: bytes) -> bytes:
        return b"".join((header, *self._opcodes, self._rest))

    def keep(self, text: bytes) -> None:
        """For the next who changes that text."""
        if len(self._opcodes) > _KEPT_OPCODES_MAX or self._rest:
            return
        self._kept[text] = self
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)

    def raise_register(self, index: int, rank: int, bytes_max: int) -> bool | None:
        """Whether it was lower; None if the text would be too long for a sparse one."""
        place = bisect_right(self._firsts, index) - 1
        if place < 0:
            raise corrupted()
        opcode, first = self._opcodes[place], self._firsts[place]
        behind = first + _length_of(opcode) - 1 - index
        if behind < 0:
            raise corrupted()
        old = (opcode[0] >> 2 & 31) + 1 if opcode[0] & 0x80 else 0
        if rank <= old:
            return False
        new = [(_run(rank, 1), index)]
        if index > first:
            new.insert(0, (_run(old, index - first), first))
        if behind:
            new.append((_run(old, behind), index + 1))
        more = sum([len(one) for one, _ in new]) - len(opcode)
        if more > 0 and self._size + more > bytes_max:
            return None
        self._size += more
        self._opcodes[place : place + 1] = [one for one, _ in new]
        self._firsts[place : place + 1] = [one for _, one in new]
        self._merge(max(0, place - 1))
        return True

    def _merge(self, place: int) -> None:
        """Make one of neighbours with the same value, from an opcode on: the few that may be."""
        runs = self._opcodes
        for _ in range(_MERGED_OPCODES):
            if place + 1 >= len(runs):
                return
            one, other = runs[place][0], runs[place + 1][0]
            length = (one & 3) + (other & 3) + 2
            if one & 0x80 and one & 0xFC == other & 0xFC and length <= _RUN_MAX:
                runs[place : place + 2] = [bytes((one & 0xFC | length - 1,))]
                del self._firsts[place + 1]
                self._size -= 1
            else:
                place += 1


def _length_of(opcode: bytes) -> int:
    """How many registers it is about; 0 of half an opcode."""
    if len(opcode) == 2:
        return ((opcode[0] & 63) << 8 | opcode[1]) + 1
    return _LENGTHS[opcode[0]]


def _run(value: int, length: int) -> bytes:
    """The opcode of so many registers with this value; none for no registers."""
    if not length:
        return b""
    if value:
        return b"%c" % (0x80 | (value - 1) << 2 | length - 1)
    length -= 1
    return b"%c" % length if length < _ZEROS_MAX else (_ZEROS + 1 + length).to_bytes(2, "big")


def passes_self_test() -> bool:
    """Whether both forms hold the same registers, and count what they were given."""
    sparse, dense = HyperLogLog(EMPTY, DENSE_BYTES), HyperLogLog(EMPTY, 0)
    for number in range(_SELF_TEST_ELEMENTS):
        sparse.add(b"%d" % number)
        dense.add(b"%d" % number)
    values = registers(sparse.finish())
    error = abs(cardinality(values) - _SELF_TEST_ELEMENTS) / _SELF_TEST_ELEMENTS
    return registers(dense.finish()) == values and error < _SELF_TEST_ERROR
