"""What the rules of all families draw from: names, numbers, values, options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any  # What a strategy draws.

from hypothesis import strategies as st

if TYPE_CHECKING:
    from trimaran.proto.reply import Reply

    from .driver import Word

NAMES = [b"a", b"b", b"{tag}1", b"{tag}2", b"", b"key\r\n\x00\xff"]
KEYS = st.sampled_from([*NAMES, b"a", b"a", b"a", b"b", b"b"])  # Few, so that commands meet.
NUMBERS = ["0", "1", "-1", "7", "10", "-10", "9223372036854775807", "-9223372036854775808"]
NUMBERS += ["9223372036854775", "9223372036854776", "-9223372036854775", "-9223372036854776"]
NOT_NUMBERS = ["9223372036854775808", "123456789012345678901", "-0", "+1", "01", "1_0", "-", "x"]
NOT_NUMBERS += ["", " 1", "1 ", "1.0", "1e3", "-9223372036854775809"]
INTS = st.sampled_from(NUMBERS + NOT_NUMBERS)
LETTERS = st.text("abc", max_size=12).map(str.encode)
VALUES = st.one_of(
    INTS.map(str.encode),
    st.binary(max_size=6),
    LETTERS,
    st.sampled_from([b"10000", b"9999", b"x" * 44, b"x" * 45, b"3.0", b"1e3"]),
)


def cased(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name, name.lower(), name.title()])


def pair(name: str, numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Word]]:
    return st.tuples(cased(name), numbers).map(list)


def flat(parts: list[list[Word]]) -> list[Word]:
    return [word for part in parts for word in part]


def alone(name: str) -> st.SearchStrategy[list[Word]]:
    return cased(name).map(lambda word: [word])


def options(*parts: st.SearchStrategy[list[Word]]) -> st.SearchStrategy[list[Word]]:
    return st.lists(st.one_of(*parts), max_size=3).map(flat)


class Rules:
    """The rules of one family, to be a base of the machine, which has these."""

    def key(self, name: bytes) -> bytes:
        """The key of that name, looked at after the step."""
        raise NotImplementedError

    def check(self, *args: Word, slack: int = 0) -> Reply:
        """Play a command on both, which must answer the same."""
        raise NotImplementedError

    def run_both(self, *args: Word) -> tuple[Reply, Reply]:
        """Play a command on both; what ours and Redis answered."""
        raise NotImplementedError
