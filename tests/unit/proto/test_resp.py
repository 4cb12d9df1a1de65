"""The RESP codec: what is read, what is refused and at what cost, what is written."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from random import Random

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.proto.reply import (
    NULL_ARRAY,
    OK,
    ErrorReply,
    MapReply,
    PairsMapReply,
    PairsReply,
    Reply,
    SetReply,
    Status,
    VerbatimReply,
)
from trimaran.proto.resp import (
    CommandReader,
    ReaderLimits,
    encode_in_pieces,
    encode_reply,
    format_double,
    is_long,
    split_inline,
)

TIGHT = ReaderLimits(command_bytes_max=200, bulk_bytes_max=100, elements_max=5, inline_bytes_max=50)


def encode(*args: bytes) -> bytes:
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in args)


def read(*chunks: bytes, limits: ReaderLimits | None = None) -> tuple[list[list[bytes]], str]:
    """All commands of the chunks, and the error that ended them."""
    reader = CommandReader(limits or ReaderLimits())
    commands: list[list[bytes]] = []
    for chunk in chunks:
        if not reader.error:
            commands += reader.feed(chunk)
    return commands, reader.error


def scan(*chunks: bytes) -> tuple[list[list[bytes]], str]:
    """As `read`, but always by the exact scanner: limits below the tables' switch them off."""
    return read(*chunks, limits=ReaderLimits(elements_max=1023))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(bounds)]


# Elements that look like the protocol itself are the interesting ones.
elements = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"", b"\r\n", b"*2\r\n", b"$5\r\nhello\r\n", b"\r", b"\n", b"*2000000000\r\n"]
    ),
    st.integers(0, 40).map(lambda count: b"x" * count * 10),
)
streams = st.lists(st.lists(elements, min_size=1, max_size=6), max_size=8)


# --- Reading.


@given(streams, st.lists(st.integers(0, 10_000), max_size=12))
def test_any_split_of_a_stream_gives_the_same_commands_on_both_ways(
    commands: list[list[bytes]], places: list[int]
) -> None:
    data = b"".join(encode(*args) for args in commands)
    chunks = cut(data, places)
    assert read(data) == (commands, "")
    assert read(*chunks) == (commands, "")
    assert scan(data) == (commands, "")
    assert scan(*chunks) == (commands, "")


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_garbage_in_any_split_is_read_the_same_and_never_raises(
    data: bytes, places: list[int]
) -> None:
    whole = read(data)
    assert read(*cut(data, places)) == whole
    assert scan(data) == whole


garbage = st.lists(
    st.sampled_from(
        (
            *(b"*1\r\n", b"*2\r\n", b"*-1\r\n", b"*01\r\n", b"$3\r\n", b"$-1\r\n", b"abc", b"\r\n"),
            *(
                b"PING\r\n",
                b'"a b"\r\n',
                b"'",
                b"*1\r\n$1\r\nx\r\n",
                b"*99999999999\r\n",
                b":1\r\n",
            ),
        )
    ),
    max_size=20,
).map(b"".join)


@given(garbage, st.lists(st.integers(0, 200), max_size=6))
def test_pieces_of_protocol_in_any_order_are_read_the_same_on_both_ways(
    data: bytes, places: list[int]
) -> None:
    whole = read(data)
    assert scan(data) == whole
    assert read(*cut(data, places)) == whole


def test_bytes_of_commands_are_counted_once_over_any_split() -> None:
    random = Random(11)
    data = b"".join(encode(b"SET", b"k%d" % n, b"x" * random.randrange(300)) for n in range(50))
    for _ in range(20):
        reader = CommandReader(ReaderLimits())
        taken = 0
        for chunk in cut(data, [random.randrange(len(data)) for _ in range(9)]):
            reader.feed(chunk)
            taken += reader.taken
        assert taken == len(data)
        assert reader.held_bytes == 0


def test_a_large_value_arrives_in_many_chunks() -> None:
    value = bytes(Random(5).randbytes(3_000_000))
    data = encode(b"SET", b"k", value) + encode(b"GET", b"k")
    chunks = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
    assert read(*chunks) == ([[b"SET", b"k", value], [b"GET", b"k"]], "")


def test_more_elements_than_the_tables_know() -> None:
    args = [b"MGET", *(b"key:%d" % number for number in range(5_000))]
    assert read(encode(*args)) == ([args], "")


def test_nothing_is_asked_by_an_empty_or_negative_array() -> None:
    assert read(b"*0\r\n*-5\r\n" + encode(b"PING")) == ([[b"PING"]], "")


def test_an_announced_array_costs_its_bytes_and_no_more() -> None:
    data = b"*1000000\r\n$60000000\r\n"
    tracemalloc.start()
    try:
        readers = [CommandReader(ReaderLimits()) for _ in range(100)]
        for reader in readers:
            assert reader.feed(data) == []
            assert not reader.error
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000  # The tables, made once; 100 arrays of a million would be 800 MB.


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"*2000000000\r\n", "invalid multibulk length"),
        (b"*99999999999999999999999\r\n", "invalid multibulk length"),
        (b"*1" + b"0" * 60 + b"\r\n", "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*1_0\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*" + b"1" * 70, "too big mbulk count string"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n\xff1\r\n", "expected '$', got '\udcff'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$100000000000\r\n", "invalid bulk length"),
        (b"*1\r\n$" + b"1" * 70, "too big bulk count string"),
        (b'"foo\r\n', "unbalanced quotes in request"),
        (b"x" * 70_000, "too big inline request"),
        (b"x" * 70_000 + b"\r\n", "too big inline request"),
    ],
)
def test_what_is_not_the_protocol_is_refused_in_the_words_of_redis(data: bytes, error: str) -> None:
    assert read(encode(b"PING") + data) == ([[b"PING"]], f"Protocol error: {error}")
    assert read(*(data[at : at + 1] for at in range(min(len(data), 100))), data[100:]) == (
        [],
        f"Protocol error: {error}",
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"*6\r\n", "invalid multibulk length"),
        (b"*1\r\n$101\r\n", "invalid bulk length"),
        (encode(b"x" * 100, b"x" * 90), "command is larger than command_bytes_max"),
        (b"x" * 51 + b"\r\n", "too big inline request"),
    ],
)
def test_each_limit_is_enforced(data: bytes, error: str) -> None:
    assert read(data, limits=TIGHT) == ([], f"Protocol error: {error}")


def test_what_is_just_within_the_limits_passes() -> None:
    fits = [encode(b"x" * 100), encode(*[b"x"] * 5), b"x" * 50 + b"\n"]
    commands, error = read(*fits, limits=TIGHT)
    assert (len(commands), error) == (3, "")


def test_nothing_is_read_after_an_error() -> None:
    assert read(encode(b"PING") + b"*1\r\n:" + encode(b"PING"))[0] == [[b"PING"]]


# --- Of a client that has not logged in.

SMALL, LOGIN = [b"GET", b"k"], [b"AUTH", b"secret"]
MANY, LONG = [b"EXISTS", *[b"k"] * 10], [b"ECHO", b"x" * 16_385]
MOST, LONGEST = [b"EXISTS", *[b"k"] * 9], [b"ECHO", b"x" * 16_384]


def read_before_login(*chunks: bytes) -> tuple[list[list[bytes]], str]:
    """As a connection does whose client has logged in once it has sent LOGIN."""
    reader = CommandReader(ReaderLimits())
    reader.restrict(is_strict=True)
    commands: list[list[bytes]] = []
    for chunk in chunks:
        if reader.error:
            break
        commands += reader.feed(chunk)
        while reader.has_stopped:
            assert reader.feed(b"") == [], "it waits for the answers"
            reader.restrict(is_strict=LOGIN not in commands)
            commands += reader.go_on()
        reader.restrict(is_strict=LOGIN not in commands)
    return commands, reader.error


@given(
    st.lists(st.sampled_from([SMALL, MOST, LONGEST, LOGIN, MANY, LONG]), max_size=8),
    st.lists(st.integers(0, 60_000), max_size=6),
)
def test_before_the_login_large_commands_are_refused_in_any_split(
    commands: list[list[bytes]], places: list[int]
) -> None:
    data = b"".join(encode(*args) for args in commands)
    allowed = 0
    while allowed < len(commands) and commands[allowed] not in (MANY, LONG, LOGIN):
        allowed += 1
    expected, error = commands, ""
    if allowed < len(commands) and commands[allowed] != LOGIN:
        expected = commands[:allowed]
        what = "multibulk" if commands[allowed] == MANY else "bulk"
        error = f"Protocol error: unauthenticated {what} length"
    assert read_before_login(data) == (expected, error)
    assert read_before_login(*cut(data, places)) == (expected, error)


# --- Inline commands.


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"PING", [b"PING"]),
        (b"  set  a\tb  ", [b"set", b"a", b"b"]),
        (b"", []),
        (b'set a "b c"', [b"set", b"a", b"b c"]),
        (b'"\\x41\\n\\t\\q\\"\\xZZ"', [b'A\n\tq"xZZ']),
        (b"'a\\'b\\n'", [b"a'b\\n"]),
        (b'a"b"', [b"ab"]),
        (b'""', [b""]),
        (b'"a"b', None),
        (b'"a', None),
        (b"'a", None),
        (b'"a\\', None),
        (b'"a\\"', None),
    ],
)
def test_inline_quoting_is_that_of_redis(line: bytes, words: list[bytes] | None) -> None:
    assert split_inline(line) == words


def test_inline_commands_and_arrays_mix_and_empty_lines_are_ignored() -> None:
    data = b"\r\nPING\r\n\n" + encode(b"GET", b"k") + b"ECHO 'a b'\n\r\n" + encode(b"QUIT")
    expected = [[b"PING"], [b"GET", b"k"], [b"ECHO", b"a b"], [b"QUIT"]]
    assert read(data) == (expected, "")
    assert read(*(data[at : at + 1] for at in range(len(data)))) == (expected, "")


# --- Writing.


@pytest.mark.parametrize(
    ("reply", "resp2", "resp3"),
    [
        (OK, b"+OK\r\n", b"+OK\r\n"),
        (Status("PONG"), b"+PONG\r\n", b"+PONG\r\n"),
        (b"ab", b"$2\r\nab\r\n", b"$2\r\nab\r\n"),
        (b"", b"$0\r\n\r\n", b"$0\r\n\r\n"),
        (0, b":0\r\n", b":0\r\n"),
        (-1, b":-1\r\n", b":-1\r\n"),
        (256, b":256\r\n", b":256\r\n"),
        (None, b"$-1\r\n", b"_\r\n"),
        (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (False, b":0\r\n", b"#f\r\n"),
        (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
        (float("inf"), b"$3\r\ninf\r\n", b",inf\r\n"),
        (ErrorReply("ERR", "no"), b"-ERR no\r\n", b"-ERR no\r\n"),
        ([], b"*0\r\n", b"*0\r\n"),
        ([1, [b"a", None], OK], b"*3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n+OK\r\n", None),
        (MapReply(((b"a", 1),)), b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
        (
            PairsMapReply(((b"a", [1]),)),
            b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n$1\r\na\r\n*1\r\n:1\r\n",
        ),
        (SetReply((b"a",)), b"*1\r\n$1\r\na\r\n", b"~1\r\n$1\r\na\r\n"),
        (VerbatimReply("txt", b"hi"), b"$2\r\nhi\r\n", b"=6\r\ntxt:hi\r\n"),
    ],
)
def test_each_kind_of_reply_in_both_versions(
    reply: Reply, resp2: bytes, resp3: bytes | None
) -> None:
    assert encode_reply(reply, 2) == resp2
    if resp3 is not None:
        assert encode_reply(reply, 3) == resp3


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("count", [1, 4096, 4097, 10_000])
def test_a_long_reply_in_pieces_is_the_same_as_in_one(protocol: int, count: int) -> None:
    words = [b"word%d" % number for number in range(count)]
    pairs = tuple((word, number / 4) for number, word in enumerate(words))
    entries = [[word, [b"field", word]] for word in words]
    replies: list[Reply] = [
        words,
        (*words[6:], 1, None, 2.5, -0.0, OK, True) if count > 6 else (True,),
        MapReply(tuple(zip(words, words, strict=True))),
        PairsReply(pairs),
        SetReply(tuple(words)),
        entries,
        PairsMapReply(((b"stream", entries), (b"other", entries[:1]))),
        [b"0", words],
    ]
    for reply in replies:
        assert is_long(reply) == (count > 4096)
        pieces = list(encode_in_pieces(reply, protocol))
        assert b"".join(pieces) == encode_reply(reply, protocol)
        assert max(map(len, pieces)) < 100_000 or count <= 4096


def test_an_error_text_cannot_break_out_of_its_line() -> None:
    assert encode_reply(ErrorReply("ERR", "a\r\n+OK\nb"), 2) == b"-ERR a  +OK b\r\n"
    assert encode_reply(Status("a\r\nb"), 2) == b"+a  b\r\n"


def test_bytes_of_the_client_that_are_no_text_come_back_as_they_came() -> None:
    text = b"a\xff".decode("utf-8", "surrogateescape")
    assert encode_reply(ErrorReply("ERR", text), 2) == b"-ERR a\xff\r\n"


def test_what_is_not_a_reply_is_refused() -> None:
    with pytest.raises(TypeError, match="object is not a reply"):
        encode_reply(object(), 2)  # type: ignore[arg-type]  # That is the point.


leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.binary())
nested = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4), max_leaves=20)


@given(nested, st.sampled_from([2, 3]))
def test_a_client_library_reads_back_what_is_written(reply: Reply, protocol: int) -> None:
    reader = hiredis.Reader()
    reader.feed(encode_reply(reply, protocol))
    assert reader.gets() == (reply if protocol == 3 else _with_numbers(reply))


def _with_numbers(reply: Reply) -> object:
    if isinstance(reply, list):
        return [_with_numbers(one) for one in reply]
    return int(reply) if isinstance(reply, bool) else reply


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.0, "3"),
        (0.1, "0.10000000000000001"),
        (-2.5, "-2.5"),
        (1e6, "1000000"),
        (123456789.125, "123456789.125"),
        (1e-5, "1.0000000000000001e-05"),
        (1e17, "1e+17"),
        (1e30, "1e+30"),
        (5e-324, "4.9406564584124654e-324"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_doubles_are_printed_as_in_redis_7_0(value: float, text: str) -> None:
    assert format_double(value) == text


@given(st.floats(allow_nan=False))
def test_every_double_reads_back_as_itself(value: float) -> None:
    assert float(format_double(value)) == value
