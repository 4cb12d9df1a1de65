"""The pieces that Redis's RDB format is made of: lengths, strings, listpacks and their forerunners.

What is read comes from outside: whatever it is, reading it ends with a result or with `Malformed`,
and takes no more memory than EXPANDED_BYTES_MAX and ELEMENTS_MAX allow. Values are `dump.py`'s.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from struct import Struct, unpack_from
from typing import Final

import lzf  # python-neo-lzf: Redis's own liblzf, with wheels; in Python 64 MiB took many seconds.

from ..errors import CommandError
from .integers import parse_int

EXPANDED_BYTES_MAX: Final = 512 << 20  # Of all strings of a value that come compressed, together.
# Of a value; a field and its value, a member and its score are two. A million pairs take three
# seconds, on every replica.
ELEMENTS_MAX: Final = 2 << 20

# As Redis does it, to the same bytes; longer strings are left as they are, since compressing one
# of 64 MiB would stop everything for a quarter of a second.
_COMPRESSED_MIN, _COMPRESSED_MAX = 21, 1 << 20
_EXPANSION_MAX: Final = 88  # Of LZF: at most 264 bytes from three.
_INTEGER_DIGITS_MAX: Final = 11  # Of what is kept as an integer in a string's place.

_INT8, _INT16, _INT32, _LZF = range(4)
_DOUBLE: Final = Struct("<d")
_BYTES: Final = [bytes((number,)) for number in range(256)]


class Malformed(Exception):
    """What is read is not what it should be."""


class Reader:
    """Takes a value apart, from its first byte on."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = len(data)
        self._expanded = 0
        self._elements = 0

    def take(self, count: int) -> bytes:
        start = self._at
        self._at += count
        if self._at > self._end:
            raise Malformed
        return self._data[start : self._at]

    @property
    def is_at_end(self) -> bool:
        return self._at >= self._end

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self, size: int) -> int:
        """A signed one, the lowest byte first."""
        return int.from_bytes(self.take(size), "little", signed=True)

    def double(self) -> float:
        number: float = _DOUBLE.unpack(self.take(8))[0]
        return number

    def length(self) -> int:
        length, is_special = self._length()
        if is_special:
            raise Malformed
        return length

    def _length(self) -> tuple[int, bool]:
        first = self.byte()
        kind = first >> 6
        if kind == 0:
            return first, False
        if kind == 1:
            return (first & 63) << 8 | self.byte(), False
        if kind == 3:
            return first & 63, True
        if first not in (0x80, 0x81):
            raise Malformed
        return int.from_bytes(self.take(4 if first == 0x80 else 8), "big"), False

    def string(self) -> bytes:
        length, is_special = self._length()
        if not is_special:
            return self.take(length)
        if length == _LZF:
            return self._expand()
        if length > _LZF:
            raise Malformed
        return b"%d" % self.integer(1 << length)

    def _expand(self) -> bytes:
        size, length = self.length(), self.length()
        packed = self.take(size)
        self._expanded += length
        if length > size * _EXPANSION_MAX:
            raise Malformed
        if self._expanded > EXPANDED_BYTES_MAX:
            raise too_large(f"{EXPANDED_BYTES_MAX} bytes")
        try:
            text: bytes | None = lzf.decompress(packed, length)
        except ValueError as error:
            raise Malformed from error
        if text is None or len(text) != length:
            raise Malformed
        return text

    def count(self) -> int:
        """How many elements follow, of which each takes a byte at least."""
        count = self.length()
        if count > self._end - self._at:
            raise Malformed
        self.count_elements(count)
        return count

    def count_pairs(self) -> int:
        """How many pairs follow."""
        count = self.count()
        self.count_elements(count)
        return count

    def count_elements(self, count: int) -> None:
        self._elements += count
        if self._elements > ELEMENTS_MAX:
            raise too_large(f"{ELEMENTS_MAX} elements")

    def strings(self, count: int) -> list[bytes]:
        """The next ones. Most are short and as they are: those without a call for each."""
        data, end, at = self._data, self._end, self._at
        found: list[bytes] = []
        for _ in range(count):
            if at < end and (length := data[at]) < 0x40:
                start = at + 1
                at = start + length
                found.append(data[start:at])
            else:
                self._at = at
                found.append(self.string())
                at = self._at
        return self._found(found, at)

    def _found(self, found: list[bytes], at: int) -> list[bytes]:
        """All strings up to a place; one that is cut off would have ended behind all there is."""
        self._at = at
        if at > self._end:
            raise Malformed
        return found

    def scored(self, count: int) -> tuple[list[bytes], array[float]]:
        """The next strings, and the number behind each."""
        data, end, at = self._data, self._end, self._at
        found: list[bytes] = []
        numbers: list[bytes] = []
        for _ in range(count):
            if at < end and (length := data[at]) < 0x40:
                start = at + 1
                at = start + length
                found.append(data[start:at])
            else:
                self._at = at
                found.append(self.string())
                at = self._at
            numbers.append(data[at : at + 8])
            at += 8
        doubles = array("d")
        self._found(found, at)
        doubles.frombytes(b"".join(numbers))
        if sys.byteorder == "big":
            doubles.byteswap()
        return found, doubles

    def listpack(self) -> list[bytes]:
        return self._counted(read_listpack(self.string(), ELEMENTS_MAX))

    def words(self) -> list[bytes | int]:
        """A listpack, with numbers as such."""
        words = read_words(self.string(), ELEMENTS_MAX)
        self.count_elements(len(words))
        return words

    def ziplist(self) -> list[bytes]:
        return self._counted(_read_ziplist(self.string()))

    def intset(self) -> list[bytes]:
        return self._counted(_read_intset(self.string()))

    def _counted(self, elements: list[bytes]) -> list[bytes]:
        self.count_elements(len(elements))
        return elements


def too_large(bound: str) -> CommandError:
    return CommandError(f"the value is larger than RESTORE takes ({bound})")


# --- Listpacks: short elements in a row, integers as such.


def read_listpack(data: bytes, elements_max: int) -> list[bytes]:
    words = read_words(data, elements_max)
    return [word if isinstance(word, bytes) else b"%d" % word for word in words]


def read_words(data: bytes, elements_max: int) -> list[bytes | int]:
    """The same, with numbers as such."""
    last = len(data) - 1
    if last < 6 or int.from_bytes(data[:4], "little") != len(data) or data[last] != 0xFF:
        raise Malformed
    found: list[bytes | int] = []
    element: bytes | int
    at = 6
    # What begins in front of the end can be looked at up to the end mark; where an element goes on
    # past it, the next place is past it, too.
    while at < last:
        byte = data[at]
        if byte < 0x80:
            size = 1
            element = byte
        elif byte < 0xC0:
            size = 1 + (byte & 63)
            element = data[at + 1 : at + size]
        elif byte < 0xE0:
            size = 2
            number = (byte & 31) << 8 | data[at + 1]
            element = number - 8192 if number > 4095 else number
        elif byte < 0xF0:
            size = 2 + ((byte & 15) << 8 | data[at + 1])
            element = data[at + 2 : at + size]
        elif byte == 0xF0:
            size = 5 + int.from_bytes(data[at + 1 : at + 5], "little")
            element = data[at + 5 : at + size]
        elif byte in _LISTPACK_INTEGERS:
            size = 1 + _LISTPACK_INTEGERS[byte]
            element = int.from_bytes(data[at + 1 : at + size], "little", signed=True)
        else:
            raise Malformed
        found.append(element)
        at += size + 1 if size <= 127 else size + _back_size(size)
        if len(found) > elements_max:
            raise too_large(f"{ELEMENTS_MAX} elements")
    count = int.from_bytes(data[4:6], "little")
    if at != last or count not in (len(found), 0xFFFF):
        raise Malformed
    return found


_LISTPACK_INTEGERS: Final = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}


def _back_size(size: int) -> int:
    """The bytes that tell an element's size to who comes from behind."""
    if size <= 127:
        return 1
    return 2 if size < 16383 else 3 if size < 2097151 else 4 if size < 268435455 else 5


def _back(size: int) -> bytes:
    """Seven bits each, the lowest last; all but the first are marked."""
    if size <= 127:
        return bytes((size,))
    count = _back_size(size)
    marks = [size >> 7 * place & 127 | 128 for place in range(count)]
    marks[count - 1] &= 127
    return bytes(reversed(marks))


def listpack_element(element: bytes) -> bytes:
    """An element as it stands in a listpack."""
    length = len(element)
    # What begins behind the digits is no number: the most there is.
    if 0 < length <= 20 and element[0] <= 0x39:
        number = parse_int(element)
        if number is not None:
            return listpack_integer(number)
    if length < 64:
        return _BYTES[0x80 | length] + element + _BYTES[length + 1]
    if length < 4096:
        data = bytes((0xE0 | length >> 8, length & 255)) + element
    else:
        data = b"\xf0" + length.to_bytes(4, "little") + element
    return data + _back(len(data))


def listpack_integer(number: int) -> bytes:
    """The same of an integer of 64 bits."""
    if 0 <= number < 128:
        return _SMALL[number]
    if -4096 <= number < 4096:
        return bytes((0xC0 | number >> 8 & 31, number & 255, 2))
    bits = (number if number >= 0 else ~number).bit_length() + 1
    code, size = next((code, size) for code, size in _LISTPACK_INTEGERS.items() if bits <= size * 8)
    data = bytes((code,)) + number.to_bytes(size, "little", signed=True)
    return data + _back(len(data))


_SMALL: Final = [bytes((number, 1)) for number in range(128)]


def join_listpack(elements: Sequence[bytes]) -> bytes:
    """Of elements as `listpack_element` makes them."""
    body = b"".join(elements)
    count = min(len(elements), 0xFFFF)
    return b"".join(
        ((len(body) + 7).to_bytes(4, "little"), count.to_bytes(2, "little"), body, b"\xff")
    )


def write_listpack(elements: Iterable[bytes]) -> bytes:
    return join_listpack([listpack_element(element) for element in elements])


# --- What versions before 7 had in their place, and sets of integers.

_ZIPLIST_INTEGERS: Final = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}


def _read_ziplist(data: bytes) -> list[bytes]:
    last = len(data) - 1
    if last < 10 or int.from_bytes(data[:4], "little") != len(data) or data[last] != 0xFF:
        raise Malformed
    found: list[bytes] = []
    at = 10
    while at < last:
        at += 5 if data[at] == 0xFE else 1  # The size of the element before.
        if at >= last:
            raise Malformed
        byte = data[at]
        kind = byte >> 6
        if kind == 0:
            start, size = at + 1, byte & 63
        elif kind == 1:
            start, size = at + 2, (byte & 63) << 8 | data[at + 1]
        elif kind == 2:
            start, size = at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
        elif byte in _ZIPLIST_INTEGERS:
            start, size = at + 1, _ZIPLIST_INTEGERS[byte]
        elif 0xF1 <= byte <= 0xFD:
            start, size = at + 1, 0
        else:
            raise Malformed
        at = start + size
        if kind < 3:
            found.append(data[start:at])
        elif size:
            found.append(b"%d" % int.from_bytes(data[start:at], "little", signed=True))
        else:
            found.append(b"%d" % ((byte & 15) - 1))
        if len(found) > ELEMENTS_MAX:
            raise too_large(f"{ELEMENTS_MAX} elements")
    count = int.from_bytes(data[8:10], "little")
    if at != last or count not in (len(found), 0xFFFF):
        raise Malformed
    return found


_INTSET_CODES: Final = {2: "h", 4: "i", 8: "q"}


def _read_intset(data: bytes) -> list[bytes]:
    size, count = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
    if size not in _INTSET_CODES or len(data) != 8 + size * count:
        raise Malformed
    if count > ELEMENTS_MAX:
        raise too_large(f"{ELEMENTS_MAX} elements")
    numbers = unpack_from(f"<{count}{_INTSET_CODES[size]}", data, 8)
    if any(numbers[place] >= numbers[place + 1] for place in range(count - 1)):
        raise Malformed
    return [b"%d" % number for number in numbers]


def write_intset(numbers: Sequence[int]) -> bytes:
    """Of numbers in ascending order, at least one."""
    size = next(
        size
        for size in _INTSET_CODES
        if -(1 << size * 8 - 1) <= numbers[0] and numbers[-1] < 1 << size * 8 - 1
    )
    body = b"".join([number.to_bytes(size, "little", signed=True) for number in numbers])
    return size.to_bytes(4, "little") + len(numbers).to_bytes(4, "little") + body


# --- Writing.


def write_length(length: int) -> bytes:
    if length < 1 << 6:
        return bytes((length,))
    if length < 1 << 14:
        return bytes((0x40 | length >> 8, length & 255))
    if length < 1 << 32:
        return b"\x80" + length.to_bytes(4, "big")
    return b"\x81" + length.to_bytes(8, "big")


def write_string(text: bytes) -> bytes:
    length = len(text)
    if length <= _INTEGER_DIGITS_MAX:
        number = parse_int(text)
        if number is not None:
            for code in (_INT8, _INT16, _INT32):
                bits = 8 << code
                if -(1 << bits - 1) <= number < 1 << bits - 1:
                    return bytes((0xC0 | code,)) + number.to_bytes(1 << code, "little", signed=True)
    if _COMPRESSED_MIN <= length <= _COMPRESSED_MAX:
        # Five bytes less: what saves fewer Redis does not compress.
        packed: bytes | None = lzf.compress(text, length - 5)
        if packed is not None:
            head = bytes((0xC0 | _LZF,)) + write_length(len(packed)) + write_length(length)
            return head + packed
    return write_length(length) + text


def write_strings(texts: Iterable[bytes]) -> list[bytes]:
    """Each as `write_string`: most are neither numbers nor worth compressing."""
    return [
        _BYTES[len(text)] + text
        if 0 < len(text) < _COMPRESSED_MIN and text[0] > 0x39
        else write_string(text)
        for text in texts
    ]


def write_double(number: float) -> bytes:
    return _DOUBLE.pack(number)
