"""Patterns; random ones are compared with a real Redis in tests/model/."""

from __future__ import annotations

import pytest

from trimaran.node.data.glob import PATTERN_BYTES_MAX, Glob, Search
from trimaran.node.errors import CommandError


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        (b"", [b""], [b"a"]),
        (b"*", [b"", b"a", b"a\nb"], []),
        (b"a*", [b"a", b"ab"], [b"", b"ba"]),
        (b"*a*b*", [b"ab", b"xaxbx"], [b"ba", b"a"]),
        (b"a*a", [b"aa", b"aba"], [b"a", b"ab"]),
        (b"h?llo", [b"hello", b"h\nllo"], [b"hllo", b"heello"]),
        (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo"]),
        (b"h[^e]llo", [b"hallo", b"hbllo"], [b"hello"]),
        (b"h[a-c]llo", [b"hallo", b"hcllo"], [b"hdllo"]),
        (b"h[c-a]llo", [b"hbllo"], [b"hdllo"]),
        (b"[\\]]", [b"]"], [b"\\"]),
        (b"[abc", [b"a", b"c"], [b"d", b"["]),
        (b"[]a", [], [b"a", b"]a"]),
        (b"[^]", [b"a", b"\n"], [b"", b"ab"]),
        (b"\\*", [b"*"], [b"a", b"\\*"]),
        (b"a\\", [b"a\\"], [b"a"]),
        (b"\xff?", [b"\xff\x00"], [b"\xff"]),
        (b"a.c", [b"a.c"], [b"abc"]),
    ],
)
def test_pattern(pattern: bytes, matching: list[bytes], others: list[bytes]) -> None:
    matches = Glob(pattern).matches
    assert [one for one in matching + others if matches(one)] == matching


def test_no_pattern_takes_forever() -> None:
    # As one regular expression this would take longer than the universe has lasted.
    assert not Glob(b"a*" * 200 + b"b").matches(b"a" * 5000)


def test_a_pattern_that_would_take_long_to_compile_is_refused() -> None:
    assert Glob(b"?" * PATTERN_BYTES_MAX).matches(b"a" * PATTERN_BYTES_MAX)
    with pytest.raises(CommandError, match="longer than 16384 bytes"):
        Glob(b"*a" * PATTERN_BYTES_MAX)


def test_what_one_command_compares_is_bounded() -> None:
    search = Search(b"*" + b"?" * 8000 + b"b*")
    assert not search.matches(b"a" * 8000)  # So much is done at once,
    with pytest.raises(CommandError, match="takes too long"):
        [search.matches(b"a" * 9000) for _ in range(100)]  # but not again and again.
    with pytest.raises(CommandError, match="takes too long"):
        Search(b"*" + b"[ab]" * 4000 + b"*").matches(b"c" * (1 << 20))


def test_names_as_they_mostly_are_can_be_compared_by_the_million() -> None:
    search = Search(b"*user:?:*")
    assert sum(map(search.matches, [b"some:user:7:name"] * 20_000)) == 20_000
    assert search.matches(b"x" * 100_000 + b"user:1:y")
