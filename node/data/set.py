"""A set: few members packed into one byte string, few integers in an array, many in a table.

How it lies in memory follows from what is in it; what OBJECT ENCODING calls it follows from the
settings at the time of the writes and from what has been in it, as in Redis, and is kept beside it.
Both are part of the state, for they decide the order of members: ascending for integers, as they
came in a packed row, by hash in a table. Algebra of several sets: `set_algebra.py`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias  # Any: what msgpack packs.

from .integers import parse_int
from .packed import pack_one, pack_row, unpack_row
from .table import Table, bytes_object_size

if TYPE_CHECKING:
    from ...cluster.settings import Settings

# What Redis calls it; of no meaning for how it is kept here.
INTSET, LISTPACK, HASHTABLE = range(3)
ENCODINGS: Final = ("intset", "listpack", "hashtable")

ROW_MAX: Final = 128  # Members of a packed row,
ROW_MEMBER_BYTES_MAX: Final = 64  # and bytes of the longest.
INTS_MAX: Final = 1024  # Integers of an array.
# To list all members costs about as much as to find one of so many in a table at random.
LISTED: Final = 32

_INTSET_MAX: Final = 1 << 30  # Whatever the settings say, as in Redis.
_OBJECT_BYTES: Final = 56
_ARRAY_BYTES: Final = 80  # Of an array beside its integers and the room it keeps for more.
_TYPECODES: Final = {2: "h", 4: "i", 8: "q"}  # By the bytes of one integer.

Held: TypeAlias = "bytes | array[int] | Table[None]"


class SetValue:
    """Its members, each once. `encoding` is an index of ENCODINGS."""

    __slots__ = ("_count", "_held", "encoding")

    def __init__(self) -> None:
        self._held: Held = b""
        self._count = 0
        self.encoding = LISTPACK

    @classmethod
    def of(cls, members: Sequence[bytes], encoding: int) -> SetValue:
        """A new one of different members, with the encoding given."""
        value = cls()
        value.encoding = encoding
        value._count = len(members)
        if encoding == INTSET and len(members) <= INTS_MAX:
            value._held = _array_of(sorted(map(int, members)))
        else:
            value._held = _row_or_table(members)
        return value

    def __len__(self) -> int:
        return self._count

    @property
    def table(self) -> Table[None] | None:
        """The table of a large one, for reading."""
        return self._held if isinstance(self._held, Table) else None

    # --- One member.

    def __contains__(self, member: bytes) -> bool:
        held = self._held
        if isinstance(held, bytes):
            # What is not found is not there; what is found may be a piece of something else.
            return pack_one(member) in held and member in unpack_row(held, self._count)
        if isinstance(held, Table):
            return member in held
        return _place_of(held, member) >= 0

    def add(self, member: bytes, settings: Settings) -> bool:
        """Whether it is new."""
        if member in self:
            return False
        self.insert(member, settings)
        return True

    def insert(self, member: bytes, settings: Settings) -> None:
        """Add one that is not in it."""
        held = self._held
        if self.encoding != HASHTABLE:
            self.encoding = self._encoding_with(member, settings)
        if isinstance(held, array) and (self.encoding != INTSET or self._count >= INTS_MAX):
            held = _row_or_table(_texts_of(held))
        if isinstance(held, bytes):
            if self._count < ROW_MAX and len(member) <= ROW_MEMBER_BYTES_MAX:
                held += pack_one(member)
            else:
                held = Table.of(unpack_row(held, self._count), None)
                held.put(member, None)
        elif isinstance(held, Table):
            held.put(member, None)
        else:
            held = _with_number(held, int(member))
        self._held = held
        self._count += 1

    def discard(self, member: bytes) -> bool:
        """Remove it; whether it was there."""
        if member not in self:
            return False
        self.remove(member)
        return True

    def remove(self, member: bytes) -> None:
        """Remove one that is in it."""
        held = self._held
        if isinstance(held, bytes):
            one = pack_one(member)
            start = held.find(one)
            if held.find(one, start + 1) < 0:
                self._held = held[:start] + held[start + len(one) :]
            else:  # Where it is a piece of another member, too.
                members = unpack_row(held, self._count)
                members.remove(member)
                self._held = pack_row(members)
        elif isinstance(held, Table):
            held.pop(member)
        else:
            del held[_place_of(held, member)]
        self._count -= 1

    def remove_all(self, members: Sequence[bytes]) -> None:
        """Remove these, all of which are there."""
        if isinstance(self._held, Table) and len(members) * 2 > self._count:
            # Fewer are left than go.
            gone = dict.fromkeys(members)
            self._held = Table.of([one for one in self.members() if one not in gone], None)
            self._count -= len(members)
            return
        for member in members:
            self.remove(member)

    # --- What Redis calls it.

    def expect(self, first: bytes, count: int, settings: Settings) -> None:
        """So many are going to be added, `first` first: Redis chooses by their number already."""
        if not self._count:
            if parse_int(first) is not None and count <= settings.set_max_intset_entries:
                self.encoding = INTSET
                self._held = array(_TYPECODES[2])
            elif count > settings.set_max_listpack_entries:
                self.encoding = HASHTABLE
        elif self.encoding != HASHTABLE and count > self._named_max(settings):
            self.encoding = HASHTABLE
            if isinstance(self._held, array):
                self._held = _row_or_table(_texts_of(self._held))

    def _named_max(self, settings: Settings) -> int:
        if self.encoding == INTSET:
            return min(settings.set_max_intset_entries, _INTSET_MAX)
        return settings.set_max_listpack_entries

    def _encoding_with(self, member: bytes, settings: Settings) -> int:
        """The encoding of one that is no table for Redis, once `member` has been added."""
        longest = len(member)
        if self.encoding == INTSET:
            if parse_int(member) is not None:
                return INTSET if self._count < self._named_max(settings) else HASHTABLE
            longest = max(longest, max(map(len, self.members()), default=0))
        fits = longest <= settings.set_max_listpack_value
        return LISTPACK if fits and self._count < settings.set_max_listpack_entries else HASHTABLE

    # --- All members, or some.

    def members(self) -> list[bytes]:
        """All of them, in an order that is the same on every replica."""
        held = self._held
        if isinstance(held, bytes):
            return unpack_row(held, self._count)
        if isinstance(held, array):
            return _texts_of(held)
        found: list[bytes] = []
        for some in held.dicts():
            found += some
        if self.encoding == INTSET:
            found.sort(key=int)
        return found

    def random(self, draw: Callable[[], float]) -> bytes:
        """One of the members, of which there is at least one, each as likely as any other."""
        held = self._held
        if isinstance(held, Table):
            return held.random(draw)[0]
        number = int(draw() * self._count)
        if isinstance(held, bytes):
            return unpack_row(held, self._count)[number]
        return b"%d" % held[number]

    def sample(self, count: int, draw: Callable[[], float]) -> list[bytes]:
        """`count` different members at random, all of them in order if there are no more."""
        if count >= self._count:
            return self.members()
        if isinstance(self._held, Table) and count * LISTED < self._count:
            return [member for member, _ in self._held.sample(count, draw)]
        members = self.members()
        for place in range(count):
            other = place + int(draw() * (len(members) - place))
            members[place], members[other] = members[other], members[place]
        return members[:count]

    def random_many(self, count: int, draw: Callable[[], float]) -> list[bytes]:
        """`count` members at random, of which there is at least one; one may come several times."""
        if isinstance(self._held, Table) and count * LISTED < self._count:
            return [self._held.random(draw)[0] for _ in range(count)]
        members = self.members()
        size = len(members)
        return [members[int(draw() * size)] for _ in range(count)]

    def page(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next cursor, 0 at the end, and about `count` members; all at once of a small one."""
        if not isinstance(self._held, Table):
            return 0, self.members()
        next_cursor, found = self._held.page(cursor, count)
        return next_cursor, [member for member, _ in found]

    # --- For the keyspace.

    @property
    def size_bytes(self) -> int:
        held = self._held
        if isinstance(held, Table):
            return _OBJECT_BYTES + held.size_bytes
        if isinstance(held, bytes):
            return _OBJECT_BYTES + bytes_object_size(len(held))
        room = self._count + self._count // 16 + 3
        return _OBJECT_BYTES + _ARRAY_BYTES + held.itemsize * room

    def copy(self) -> SetValue:
        """One of its own with the same members; a table's chunks are shared."""
        other = SetValue()
        other.encoding, other._count = self.encoding, self._count
        held = self._held
        if isinstance(held, bytes):
            other._held = held
        else:
            other._held = held[:] if isinstance(held, array) else held.copy()
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        if not isinstance(self._held, bytes | array):
            yield from self._held.take_apart()

    def pack(self) -> list[Any]:
        """All of a small one; of a large one what is not in its parts."""
        held = self._held
        if isinstance(held, bytes):
            return [self.encoding, self._count, held]
        if isinstance(held, array):
            return [self.encoding, held.itemsize, held.tolist()]
        return [self.encoding]

    @classmethod
    def unpack(cls, packed: list[Any]) -> SetValue:
        value = cls()
        value.encoding = packed[0]
        if len(packed) == 1:
            value._held = Table()
        elif isinstance(packed[2], bytes):
            value._count, value._held = packed[1], packed[2]
        else:
            value._held = array(_TYPECODES[packed[1]], packed[2])
            value._count = len(packed[2])
        return value

    def parts(self) -> Iterator[Any]:
        """Of a large one, what is in its table."""
        return self._held.parts() if isinstance(self._held, Table) else iter(())

    def extend(self, part: Any) -> None:
        """Take one of another's parts, in their order."""
        assert isinstance(self._held, Table), "a small set comes in one part"
        self._held.extend(part)
        self._count = len(self._held)


def encoding_of(members: Sequence[bytes], settings: Settings, *, is_table: bool = False) -> int:
    """What Redis calls a set that a command has made of these; `is_table` if it made it as one."""
    count = len(members)
    are_few = count <= min(settings.set_max_intset_entries, _INTSET_MAX)
    if are_few and all(parse_int(member) is not None for member in members):
        return INTSET
    if is_table or count > settings.set_max_listpack_entries:
        return HASHTABLE
    longest = max(map(len, members), default=0)
    return LISTPACK if longest <= settings.set_max_listpack_value else HASHTABLE


def _row_or_table(members: Sequence[bytes]) -> Held:
    if len(members) <= ROW_MAX and max(map(len, members), default=0) <= ROW_MEMBER_BYTES_MAX:
        return pack_row(members)
    return Table.of(members, None)


# --- Arrays of integers in ascending order.


def _array_of(numbers: Sequence[int]) -> array[int]:
    """Of numbers in order."""
    width = max(map(_width_of, (numbers[0], numbers[-1]))) if numbers else 2
    return array(_TYPECODES[width], numbers)


def _width_of(number: int) -> int:
    """The bytes it takes, of those that an array can have."""
    bits = (number if number >= 0 else ~number).bit_length() + 1
    return 2 if bits <= 16 else 4 if bits <= 32 else 8


def _with_number(numbers: array[int], number: int) -> array[int]:
    """With one more, the same array if it has room for one as large."""
    if _width_of(number) > numbers.itemsize:
        numbers = array(_TYPECODES[_width_of(number)], numbers)
    numbers.insert(bisect_left(numbers, number), number)
    return numbers


def _place_of(numbers: array[int], member: bytes) -> int:
    number = parse_int(member)
    if number is None:
        return -1
    place = bisect_left(numbers, number)
    return place if place < len(numbers) and numbers[place] == number else -1


def _texts_of(numbers: array[int]) -> list[bytes]:
    return [b"%d" % number for number in numbers]
