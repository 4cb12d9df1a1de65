"""A type of value that is changed in place, to hold the keyspace to correctness L7."""

from __future__ import annotations

from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.values import TYPES, ValueType


class Words(list[bytes]):
    """Counted by its length alone, so that what is not counted shows."""

    def size_bytes(self) -> int:
        return sum(map(len, self))


WORDS = ValueType(99, "words", list, Words, Words)


def keyspace_with_words() -> Keyspace:
    return Keyspace(types={**TYPES, Words: WORDS})
