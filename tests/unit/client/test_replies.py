"""Values in the shapes of RESP2 and RESP3, as redis-py's own parsers would give them."""

from __future__ import annotations

from typing import Any  # Replies nest.

import pytest

from trimaran.client.errors import Refused, error_of
from trimaran.client.replies import ReplyReader
from trimaran.proto.execute import Malformed, encode_value
from trimaran.proto.reply import (
    NULL_ARRAY,
    OK,
    DecimalReply,
    ErrorReply,
    MapReply,
    PairsMapReply,
    PairsReply,
    Reply,
    SetReply,
    VerbatimReply,
)

NESTED = [1, [b"a", None], [[b"b", 2.5]]]

# The reply, as RESP2 has it, as RESP3 has it.
SHAPES: list[tuple[Reply, Any, Any]] = [
    (b"text", b"text", b"text"),
    (b"x" * 1000, b"x" * 1000, b"x" * 1000),
    (b"", b"", b""),
    (OK, b"OK", b"OK"),
    (-7, -7, -7),
    (1 << 62, 1 << 62, 1 << 62),
    (-(1 << 63), -(1 << 63), -(1 << 63)),
    (None, None, None),
    (NULL_ARRAY, None, None),
    (1.5, b"1.5", 1.5),
    (float("inf"), b"inf", float("inf")),
    (DecimalReply(13.361389338970184), b"13.36138933897018433", 13.361389338970184),
    (True, 1, True),
    ([], [], []),
    ([1, [b"a", None]], [1, [b"a", None]], [1, [b"a", None]]),
    (MapReply(((b"a", 1), (b"b", [2]))), [b"a", 1, b"b", [2]], {b"a": 1, b"b": [2]}),
    (PairsMapReply(((b"a", [1]),)), [[b"a", [1]]], {b"a": [1]}),
    (
        PairsReply(((b"a", 1.5), (b"b", 2.0))),
        [b"a", b"1.5", b"b", b"2"],
        [[b"a", 1.5], [b"b", 2.0]],
    ),
    (SetReply((b"a", b"b")), [b"a", b"b"], [b"a", b"b"]),
    (VerbatimReply("txt", b"said"), b"said", b"said"),
]


@pytest.mark.parametrize(("reply", "resp2", "resp3"), SHAPES)
def test_each_kind_has_its_shape_in_either_protocol(reply: Reply, resp2: Any, resp3: Any) -> None:
    value = encode_value(reply)
    assert ReplyReader(2, error_of).read(value) == resp2
    assert ReplyReader(3, error_of).read(value) == resp3


@pytest.mark.parametrize("reply", [b"\xc3\xa4", [b"\xc3\xa4"]])
def test_with_an_encoding_texts_are_decoded(reply: Reply) -> None:
    found = ReplyReader(2, error_of, "utf-8").read(encode_value(reply))
    assert found in ("ä", ["ä"])


def test_states_are_decoded_too() -> None:
    assert ReplyReader(3, error_of, "utf-8").read(encode_value(OK)) == "OK"


def test_an_error_is_a_value_also_inside_of_an_array() -> None:
    reader = ReplyReader(2, error_of)
    error = reader.read(encode_value(ErrorReply("WRONGTYPE", "no list")))
    assert isinstance(error, Refused)
    assert error.code == "WRONGTYPE"
    one, inner = reader.read(encode_value([1, ErrorReply("ERR", "no")]))
    assert one == 1
    assert isinstance(inner, Refused)


def test_a_kind_of_a_later_version_is_not_taken_for_anything_else() -> None:
    with pytest.raises(Malformed, match="unknown kind"):
        ReplyReader(2, error_of).read(b"\xa2\x06\x01a")  # Field 100.
