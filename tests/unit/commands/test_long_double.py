"""INCRBYFLOAT's numbers; the answers are those of a Redis on x86-64."""

from __future__ import annotations

import time
from decimal import Decimal
from random import Random

import pytest

from trimaran.node.commands.long_double import add, parse, short, short_sum, tiny, tiny_sum, to_text


def plus(one: str, other: str) -> str | None:
    first, second = parse(one.encode()), parse(other.encode())
    assert first is not None
    assert second is not None
    total = add(first, second)
    return None if total is None else to_text(total).decode()


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [
        ("10.5", "0.1", "10.6"),
        ("5.0e3", "2.0e2", "5200"),
        ("0.1", "0.2", "0.3"),  # A double would say 0.30000000000000004.
        ("0", "3.3333333333333333333333", "3.33333333333333333"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551616", "1", "18446744073709551616"),  # Beyond 64 bits.
        ("18446744073709551618", "1", "18446744073709551620"),
        ("0", "-5e-18", "0"),  # Not -0.
        ("0", "5e-18", "0"),
        ("0", "6e-18", "0.00000000000000001"),
        ("-0", "-0", "0"),
        ("0x1p4", "0x.8", "16.5"),
        ("1.", ".5", "1.5"),
        ("1e4932", "1e4932", None),
        ("inf", "1", None),
        ("inf", "-inf", None),
    ],
)
def test_sums_are_those_of_80_bit_numbers(one: str, other: str, total: str | None) -> None:
    assert plus(one, other) == total


def test_the_largest_number_is_printed_whole() -> None:
    text = plus("1.18973149535723176502e4932", "0")
    assert text is not None
    assert len(text) == 4933
    assert text.startswith("118973149535723176502126385303097020516906332229462420044032373389173")


NO_NUMBERS = ["", ".", " 1", "1 ", "1e", "1e+", "nan", "-nan", "x", "1_0", "0x", "0xp1", "infi"]
NO_NUMBERS += ["1e4933", "-1e4933", "1e-5000", "0x1p16384", "1\0", "--1", "+-1", "1,5", "9" * 5120]
NO_NUMBERS += ["1e99999999999999999999999", "1e-99999999999999999999999"]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_redis_takes_for_no_number_is_none(text: str) -> None:
    assert parse(text.encode()) is None


@pytest.mark.parametrize("text", ["0e99999999999999999999", "3.7e-4951", "0x1p-16445", "9" * 4932])
def test_what_is_only_long_or_small_is_one(text: str) -> None:
    assert parse(text.encode()) is not None


def test_halves_are_rounded_to_the_even_one_also_when_more_was_cut_off() -> None:
    half = "0x1.00000000000000010"
    assert parse(f"{half}p0".encode()) == parse(b"1")
    assert parse(f"{half}1p0".encode()) == parse(b"0x1.0000000000000002p0")
    assert parse(b"0x1.00000000000000030p0") == parse(b"0x1.0000000000000004p0")
    assert parse(b"0x1.8p-16445") == parse(b"0x2p-16445")  # Below the normal ones too.


def test_no_number_takes_long() -> None:
    hostile = ["1e4932", "9" * 5119, "1" * 5000 + "e-10000", "." + "3" * 5100, "0x" + "f" * 4000]
    began = time.process_time()
    for text in hostile * 20:
        number = parse(text.encode())
        total = None if number is None else add(number, number)
        if total is not None:
            to_text(total)
    assert time.process_time() - began < 1.0  # 100 of them; measured 0.1 s.


def _random_text(rng: Random) -> bytes:
    """Mostly a short number; now and then one just too long, or none at all."""

    def digits(most: int) -> str:
        return "".join(str(int(rng.random() * 10)) for _ in range(int(rng.random() * (most + 1))))

    alike = rng.random()
    if alike < 0.2:  # Halves of the last place, and what is next to them.
        number = Decimal(int(rng.random() * 2**64) * 2 + 1) / 2 ** int(rng.random() * 30)
        return f"{number:f}"[: 1 + int(rng.random() * 40)].encode()
    if alike < 0.3:
        return _text_near_a_half(rng)
    sign = "-" if rng.random() < 0.4 else ""
    most = 3 if rng.random() < 0.5 else 19
    point = "." if rng.random() < 0.8 else ""
    return f"{sign}{digits(most)}{point}{digits(most) if point else ''}".encode()


def _text_near_a_half(rng: Random) -> bytes:
    """A number of 65 bits: between two that 64 hold, or hardly beside the middle."""
    whole_bits = 3 + int(rng.random() * 50)
    mantissa = (1 << 64 | int(rng.random() * 2**53) << 11 | 1) + int(rng.random() * 3) - 1
    number = Decimal(mantissa) / Decimal(2 ** (65 - whole_bits))
    return f"{number:f}"[: whole_bits // 3 + 18].encode()


def test_tiny_numbers_are_added_as_all_others() -> None:
    rng = Random(2)
    sums = 0
    for _ in range(5_000):
        whole = int(rng.random() * 40)
        decimals = int(rng.random() * 8)
        one = b"%d" % whole
        if decimals:
            one += b"." + str(rng.random())[2 : 2 + decimals].encode()
        for other in (b"0", b"31.999999", b"0.1", b"1.", b"07", b"%d.5" % whole):
            first, second = tiny(one), tiny(other)
            if first is not None and second is not None:
                assert tiny_sum(first, second) == short_sum(one, short(other)), (one, other)
                sums += 1
    assert sums > 10_000
    for text in (b"", b".", b".5", b"-1", b"+1", b"32", b"1e1", b"1.1234567", b"1.x", b"1.2.3"):
        assert tiny(text) is None


def test_short_numbers_are_added_as_all_others() -> None:
    rng = Random(1)
    texts = [b"", *b". - -. .-5 1.-5 --1 1.2.3 -0 0.0 -.5 5.".split()]
    texts += [b"9" * 17, b"9" * 18, b"." + b"9" * 17, b"9" * 17 + b"." + b"9" * 17, b"1e5", b"+1"]
    short_ones = 0
    for number in range(12_000):
        one = texts[number % len(texts)] if number % 10 == 0 else _random_text(rng)
        other = _random_text(rng)
        text = short_sum(one, short(other))
        if text is not None:
            first, second = parse(one), parse(other)
            assert first is not None
            assert second is not None
            total = add(first, second)
            assert total is not None
            assert text == to_text(total), (one, other)
            short_ones += 1
    assert short_ones > 5_000
