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
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias  # Any: what msgpack packs.

from .integers import parse_int
from .packed import HEADER, HEADERS, find_short, pack_row, unpack_row
from .table import Table

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
REBUILT: Final = 4  # To take out a member costs as much as to put so many into a new table.

_INTSET_MAX: Final = 1 << 30  # Whatever the settings say, as in Redis.
_OBJECT_BYTES: Final = 48
_TYPECODES: Final = {2: "h", 4: "i", 8: "q"}  # By the bytes of one integer.
_STRUCTS: Final = {size: Struct(code) for size, code in _TYPECODES.items()}

# What is not in a table is one byte string. Words: how many, and a row of them (`packed.py`).
# Integers, which is what a set that is called an intset holds there: the bytes of one, and all of
# them in ascending order.
_BYTES: Final = [bytes([number]) for number in range(256)]
_NO_WORDS: Final = _BYTES[0]
_NO_INTEGERS: Final = _BYTES[2]

Held: TypeAlias = "bytes | Table[None]"


class SetValue:
    """Its members, each once. `encoding` is an index of ENCODINGS."""

    __slots__ = ("_held", "encoding")

    def __init__(self) -> None:
        self._held: Held = _NO_WORDS
        self.encoding = LISTPACK

    @classmethod
    def of(cls, members: Sequence[bytes], encoding: int) -> SetValue:
        """A new one of different members, with the encoding given."""
        value = cls()
        value.encoding = encoding
        if encoding == INTSET and len(members) <= INTS_MAX:
            value._held = _integers(sorted(map(int, members)))
        else:
            value._held = _words_or_table(members)
        return value

    @classmethod
    def of_one(cls, member: bytes, settings: Settings) -> SetValue:
        """A new one of one member, as most begin."""
        value = cls()
        length = len(member)
        is_short = length <= min(settings.set_max_listpack_value, ROW_MEMBER_BYTES_MAX)
        if is_short and settings.set_max_listpack_entries > 0 and parse_int(member) is None:
            value._held = b"".join((_BYTES[1], HEADERS[length], member))
        else:
            value.expect(member, 1, settings)
            value.insert(member, settings)
        return value

    @classmethod
    def of_table(cls, table: Table[None]) -> SetValue:
        """One that Redis keeps as a table, too."""
        value = cls()
        value.encoding = HASHTABLE
        value._held = table
        return value

    def __len__(self) -> int:
        held = self._held
        if type(held) is not bytes:
            return len(held)
        return (len(held) - 1) // held[0] if self.encoding == INTSET else held[0]

    @property
    def table(self) -> Table[None] | None:
        """The table of a large one, for reading."""
        return None if isinstance(self._held, bytes) else self._held

    # --- One member.

    def __contains__(self, member: bytes) -> bool:
        return self.find(member) >= 0

    def find(self, member: bytes) -> int:
        """Where `remove` finds it until something is changed; negative if it is not there."""
        held = self._held
        if type(held) is not bytes:
            return 0 if member in held else -1
        if self.encoding != INTSET:
            length = len(member)
            if length > ROW_MEMBER_BYTES_MAX:
                return -1
            at = held.find(HEADERS[length] + member, 1)
            if at <= 1 or held.count(HEADER, 1) == held[0]:  # No member has such a byte.
                return at
            return find_short(held, member, 1, len(held), held[0])[1]
        number = parse_int(member)
        return -1 if number is None else _place_of_number(held, number)

    def add(self, member: bytes, settings: Settings) -> bool:
        """Whether it is new."""
        held, length = self._held, len(member)
        if type(held) is bytes and self.encoding != INTSET and length <= ROW_MEMBER_BYTES_MAX:
            packed = HEADERS[length] + member
            count = held[0]
            if (  # What most are: a few, of which none looks like it, and it has room beside them.
                count < ROW_MAX
                and count < settings.set_max_listpack_entries
                and length <= settings.set_max_listpack_value
                and held.find(packed, 1) < 0
            ):
                self._held = b"".join((_BYTES[count + 1], held[1:], packed))
                return True
        if self.find(member) >= 0:
            return False
        self.insert(member, settings)
        return True

    def insert(self, member: bytes, settings: Settings) -> None:
        """Add one that is not in it."""
        held = self._held
        if type(held) is not bytes:
            if self.encoding != HASHTABLE:
                self.encoding = self._encoding_with(member, len(held), settings)
            held.put(member, None)  # type: ignore[union-attr]  # `type() is` does not narrow it.
            return
        if self.encoding == INTSET:
            self._insert_beside_integers(held, member, settings)
            return
        count, length = held[0], len(member)
        if count >= settings.set_max_listpack_entries or length > settings.set_max_listpack_value:
            self.encoding = HASHTABLE
        if count < ROW_MAX and length <= ROW_MEMBER_BYTES_MAX:
            self._held = b"".join((_BYTES[count + 1], held[1:], HEADERS[length], member))
        else:
            self._held = table = Table.of(_words_of(held), None)
            table.put(member, None)

    def _insert_beside_integers(self, held: bytes, member: bytes, settings: Settings) -> None:
        count = (len(held) - 1) // held[0]
        number = parse_int(member)
        if number is not None and count < self._named_max(settings) and count < INTS_MAX:
            self._held = _with_number(held, number)
            return
        self.encoding = self._encoding_with(member, count, settings)
        texts = _texts_of(held)
        self._held = Table.of(texts, None) if self.encoding == INTSET else _words_or_table(texts)
        self.insert(member, settings)

    def discard(self, member: bytes) -> bool:
        """Remove it; whether it was there."""
        held, length = self._held, len(member)
        if type(held) is bytes and self.encoding != INTSET and length <= ROW_MEMBER_BYTES_MAX:
            # To cut the row there is no dearer than to look, and it is looked at once.
            before, found, behind = held.partition(HEADERS[length] + member)
            if not found:
                return False
            if len(before) == 1 or held.count(HEADER, 1) == held[0]:  # As in `find`.
                self._held = b"".join((_BYTES[held[0] - 1], before[1:], behind))
                return True
        place = self.find(member)
        if place < 0:
            return False
        self.remove(member, place)
        return True

    def remove(self, member: bytes, place: int) -> None:
        """Remove one that is in it, where `find` says."""
        held = self._held
        if type(held) is not bytes:
            held.pop(member)  # type: ignore[union-attr]  # As above.
        elif self.encoding == INTSET:
            self._held = _without_number(held, place)
        else:
            rest = held[place + 2 + held[place + 1] :]
            self._held = b"".join((_BYTES[held[0] - 1], held[1:place], rest))

    def pop(self, draw: Callable[[], float]) -> tuple[bytes, int]:
        """Remove one of the members, of which there is at least one, each as likely as any other:
        which one it was, and how many are left."""
        held = self._held
        if type(held) is not bytes:
            return held.pop_random(draw)  # type: ignore[union-attr]  # As above.
        member = self.random(draw)
        self.remove(member, self.find(member))
        return member, len(self)

    def pop_several(self, count: int, draw: Callable[[], float]) -> list[bytes]:
        """Remove `count` members at random, fewer than there are; which ones they were."""
        held = self._held
        if not isinstance(held, bytes) and count * LISTED < len(held):
            return [held.pop_random(draw)[0] for _ in range(count)]
        popped = self.sample(count, draw)
        self.remove_all(popped)
        return popped

    def remove_all(self, members: Sequence[bytes]) -> None:
        """Remove these, all of which are there."""
        if not isinstance(self._held, bytes) and len(members) * REBUILT > len(self._held):
            gone = dict.fromkeys(members)
            self._held = Table.of([one for one in self.members() if one not in gone], None)
            return
        for member in members:
            self.remove(member, self.find(member))

    # --- What Redis calls it.

    def expect(self, first: bytes, count: int, settings: Settings) -> None:
        """So many are going to be added, `first` first: Redis chooses by their number already."""
        if not self:
            if parse_int(first) is not None and count <= settings.set_max_intset_entries:
                self.encoding = INTSET
                self._held = _NO_INTEGERS
            elif count > settings.set_max_listpack_entries:
                self._become_hashtable()
        elif self.encoding != HASHTABLE and count > self._named_max(settings):
            self._become_hashtable()

    def _become_hashtable(self) -> None:
        """In name; integers are kept as words or in a table from then on."""
        held = self._held
        if self.encoding == INTSET and isinstance(held, bytes):
            self._held = _words_or_table(_texts_of(held))
        self.encoding = HASHTABLE

    def _named_max(self, settings: Settings) -> int:
        if self.encoding == INTSET:
            return min(settings.set_max_intset_entries, _INTSET_MAX)
        return settings.set_max_listpack_entries

    def _encoding_with(self, member: bytes, count: int, settings: Settings) -> int:
        """The encoding of one of so many that is no table for Redis, once `member` has been
        added."""
        longest = len(member)
        if self.encoding == INTSET:
            if parse_int(member) is not None:
                return INTSET if count < self._named_max(settings) else HASHTABLE
            longest = max(longest, max(map(len, self.members()), default=0))
        fits = longest <= settings.set_max_listpack_value
        return LISTPACK if fits and count < settings.set_max_listpack_entries else HASHTABLE

    # --- All members, or some.

    def members(self) -> list[bytes]:
        """All of them, in an order that is the same on every replica."""
        held = self._held
        if isinstance(held, bytes):
            return _texts_of(held) if self.encoding == INTSET else _words_of(held)
        found: list[bytes] = []
        for some in held.dicts():
            found += some
        if self.encoding == INTSET:
            found.sort(key=int)
        return found

    def random(self, draw: Callable[[], float]) -> bytes:
        """One of the members, of which there is at least one, each as likely as any other."""
        held = self._held
        if not isinstance(held, bytes):
            return held.random(draw)[0]
        if self.encoding != INTSET:
            return _words_of(held)[int(draw() * held[0])]
        size = held[0]
        place = int(draw() * ((len(held) - 1) // size))
        return b"%d" % _STRUCTS[size].unpack_from(held, 1 + size * place)[0]

    def sample(self, count: int, draw: Callable[[], float]) -> list[bytes]:
        """`count` different members at random, all of them in order if there are no more."""
        size = len(self)
        if count >= size:
            return self.members()
        if not isinstance(self._held, bytes) and count * LISTED < size:
            return [member for member, _ in self._held.sample(count, draw)]
        members = self.members()
        for place in range(count):
            other = place + int(draw() * (len(members) - place))
            members[place], members[other] = members[other], members[place]
        return members[:count]

    def random_many(self, count: int, draw: Callable[[], float]) -> list[bytes]:
        """`count` members at random, of which there is at least one; one may come several times."""
        if not isinstance(self._held, bytes) and count * LISTED < len(self._held):
            return [self._held.random(draw)[0] for _ in range(count)]
        members = self.members()
        size = len(members)
        return [members[int(draw() * size)] for _ in range(count)]

    def page(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next cursor, 0 at the end, and about `count` members; all at once of a small one."""
        if isinstance(self._held, bytes):
            return 0, self.members()
        next_cursor, found = self._held.page(cursor, count)
        return next_cursor, [member for member, _ in found]

    # --- For the keyspace.

    def size_bytes(self) -> int:
        held = self._held
        if type(held) is bytes:
            # As `bytes_object_size`, without the call: this is asked twice for every change.
            return _OBJECT_BYTES + (len(held) + 48 & -16)
        return _OBJECT_BYTES + held.size_bytes  # type: ignore[union-attr]  # As above.

    def copy(self) -> SetValue:
        """One of its own with the same members; a table's chunks are shared."""
        other = SetValue()
        other.encoding = self.encoding
        held = self._held
        other._held = held if isinstance(held, bytes) else held.copy()
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        if not isinstance(self._held, bytes):
            yield from self._held.take_apart()

    def pack(self) -> list[Any]:
        """All of a small one; of a large one what is not in its parts."""
        held = self._held
        if not isinstance(held, bytes):
            return [self.encoding]
        if self.encoding == INTSET:
            return [INTSET, held[0], _numbers_of(held).tolist()]
        return [self.encoding, held[0], held[1:]]

    @classmethod
    def unpack(cls, packed: list[Any]) -> SetValue:
        value = cls()
        value.encoding = packed[0]
        if len(packed) == 1:
            value._held = Table()
        elif isinstance(packed[2], bytes):
            value._held = _BYTES[packed[1]] + packed[2]
        else:
            value._held = _bytes_of(array(_TYPECODES[packed[1]], packed[2]))
        return value

    def parts(self) -> Iterator[Any]:
        """Of a large one, what is in its table."""
        return iter(()) if isinstance(self._held, bytes) else self._held.parts()

    def extend(self, part: Any) -> None:
        """Take one of another's parts, in their order."""
        assert not isinstance(self._held, bytes), "a small set comes in one part"
        self._held.extend(part)


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


def _words_or_table(members: Sequence[bytes]) -> Held:
    if len(members) <= ROW_MAX and max(map(len, members), default=0) <= ROW_MEMBER_BYTES_MAX:
        return _words(members)
    return Table.of(members, None)


# --- Words.


def _words(members: Sequence[bytes]) -> bytes:
    return _BYTES[len(members)] + pack_row(members)


def _words_of(held: bytes) -> list[bytes]:
    return unpack_row(held[1:], held[0])


# --- Integers.


def _integers(numbers: Sequence[int]) -> bytes:
    """Of numbers in order."""
    width = max(map(_width_of, (numbers[0], numbers[-1]))) if numbers else 2
    return _bytes_of(array(_TYPECODES[width], numbers))


def _bytes_of(numbers: array[int]) -> bytes:
    return _BYTES[numbers.itemsize] + numbers.tobytes()


def _numbers_of(held: bytes) -> array[int]:
    return array(_TYPECODES[held[0]], held[1:])


def _texts_of(held: bytes) -> list[bytes]:
    return [b"%d" % number for number in _numbers_of(held)]


def _width_of(number: int) -> int:
    """The bytes it takes, of those that an array can have."""
    bits = (number if number >= 0 else ~number).bit_length() + 1
    return 2 if bits <= 16 else 4 if bits <= 32 else 8


def _last_of(held: bytes) -> int:
    """The highest of some."""
    number: int = _STRUCTS[held[0]].unpack_from(held, len(held) - held[0])[0]
    return number


def _place_of_number(held: bytes, number: int) -> int:
    """Which of some it is; negative if it is none."""
    if len(held) == 1 or number > _last_of(held):  # As with numbers that are given out in turn.
        return -1
    numbers = _numbers_of(held)
    place = bisect_left(numbers, number)
    return place if numbers[place] == number else -1


def _with_number(held: bytes, number: int) -> bytes:
    """With one more, as wide as that needs."""
    size = _width_of(number)
    if size <= held[0] and (len(held) == 1 or number > _last_of(held)):
        return held + _STRUCTS[held[0]].pack(number)
    numbers = _numbers_of(held)
    if size > held[0]:
        numbers = array(_TYPECODES[size], numbers)
    numbers.insert(bisect_left(numbers, number), number)
    return _bytes_of(numbers)


def _without_number(held: bytes, place: int) -> bytes:
    """Without the one at that place."""
    start = 1 + place * held[0]
    return held[:start] + held[start + held[0] :]
