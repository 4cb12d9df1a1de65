"""Values as DUMP writes them and RESTORE reads them: Redis's RDB format, a version, a checksum.

What is written here Redis can read from 7.0 on, and is what Redis 7.0 would write where that is
within reach; what Redis 6 to 7.4 writes can be read here. A hash whose fields expire takes the form
of 7.4. The pieces of the format are in `rdb.py`, streams in `dump_streams.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any, Final  # Any: values of every type.

import anycrc

from ..errors import CommandError
from .dump_streams import read_stream, write_stream
from .hash import HASHTABLE, Hash
from .large_string import LargeString, whole
from .quicklist import ListValue
from .rdb import (
    Malformed,
    Reader,
    join_listpack,
    listpack_element,
    write_double,
    write_intset,
    write_length,
    write_listpack,
    write_string,
    write_strings,
)
from .set import INTSET, SetValue, encoding_of
from .sorted_set import SortedSet
from .stream import Stream

if TYPE_CHECKING:
    from ...cluster.settings import Settings

VERSION: Final = 10  # Of Redis 7.0, which reads none that is higher,
_VERSION_EXPIRING_FIELDS: Final = 12  # and of 7.4.
VERSION_MAX: Final = 12  # Of what is read.
FOOTER_BYTES: Final = 10

_STRING, _LIST, _SET, _ZSET, _HASH, _ZSET_2 = range(6)
_LIST_ZIPLIST, _SET_INTSET, _ZSET_ZIPLIST, _HASH_ZIPLIST, _LIST_QUICKLIST = range(10, 15)
_STREAM, _HASH_LISTPACK, _ZSET_LISTPACK, _LIST_QUICKLIST_2, _STREAM_2 = range(15, 20)
_SET_LISTPACK, _STREAM_3 = 20, 21
_HASH_EXPIRING, _HASH_EXPIRING_LISTPACK = 24, 25

_PLAIN, _PACKED = 1, 2  # Kinds of nodes of a list.
_NODE_BYTES: Final = 8192
_FEW: Final = 4096  # More elements than any value holds in another form than a table.
_SCORE_INTEGER_MAX: Final = 1 << 52  # Up to here Redis writes scores as integers.

# Jones's polynomial, low bits first, and no complement at either end. anycrc takes any polynomial,
# has wheels for every platform, and takes 6 ms for 64 MiB.
_POLYNOMIAL: Final = 0xAD93D23594C935A9
_crc64: Callable[[bytes | memoryview], int] = anycrc.CRC(64, _POLYNOMIAL, 0, True, True, 0).calc  # noqa: FBT003 - by place.


class WrongFooter(Exception):
    """Not a payload, of a version not known, or changed on the way."""


def check_footer(payload: bytes) -> None:
    """Raises WrongFooter unless version and checksum are right."""
    end = len(payload) - FOOTER_BYTES
    if end < 0 or int.from_bytes(payload[end : end + 2], "little") > VERSION_MAX:
        raise WrongFooter
    if _crc64(memoryview(payload)[:-8]) != int.from_bytes(payload[-8:], "little"):
        raise WrongFooter


def with_footer(parts: Sequence[bytes], version: int = VERSION) -> bytes:
    payload = b"".join((*parts, version.to_bytes(2, "little")))
    return payload + _crc64(payload).to_bytes(8, "little")


# --- Writing.


def dump(value: Any) -> bytes:
    """The payload of a value of any type."""
    if isinstance(value, bytes | LargeString):
        return with_footer((bytes((_STRING,)), write_string(whole(value))))
    if isinstance(value, Hash):
        return _dump_hash(value)
    write = _WRITERS.get(type(value))
    if write is None:
        raise CommandError("values of this type cannot be dumped")
    return with_footer(list(write(value)))


def _write_list(value: ListValue) -> Iterator[bytes]:
    nodes: list[bytes] = []
    node: list[bytes] = []
    size = 0
    for element in value:
        packed = listpack_element(element)
        if node and size + len(packed) > _NODE_BYTES:
            nodes.append(write_string(join_listpack(node)))
            node, size = [], 0
        node.append(packed)
        size += len(packed)
    nodes.append(write_string(join_listpack(node)))
    yield bytes((_LIST_QUICKLIST_2,)) + write_length(len(nodes))
    for one in nodes:
        yield write_length(_PACKED)
        yield one


def _write_set(value: SetValue) -> Iterator[bytes]:
    members = value.members()
    if value.encoding == INTSET:
        yield bytes((_SET_INTSET,))
        yield write_string(write_intset(sorted(map(int, members))))
    else:
        yield bytes((_SET,)) + write_length(len(members))
        yield from write_strings(members)


def _write_sorted_set(value: SortedSet) -> Iterator[bytes]:
    if value.is_listpack:
        words = [word for member, score in value.items() for word in (member, _score_text(score))]
        yield bytes((_ZSET_LISTPACK,))
        yield write_string(write_listpack(words))
    else:
        yield bytes((_ZSET_2,)) + write_length(len(value))
        members, scores = value.columns()
        for member, score in zip(
            reversed(write_strings(members)), map(write_double, reversed(scores)), strict=True
        ):
            yield member
            yield score


def _score_text(score: float) -> bytes:
    if abs(score) < _SCORE_INTEGER_MAX and score == int(score):
        return b"%d" % score
    return b"%.17g" % score


def _write_stream(value: Stream) -> Iterator[bytes]:
    yield bytes((_STREAM_2,))
    yield from write_stream(value)


def _dump_hash(value: Hash) -> bytes:
    fields = value.fields
    pairs = [word for pair in fields.items() for word in pair]
    if value.expiring:
        times = {field: value.expiry_of(field) for field in fields}
        return with_footer(list(_write_expiring(pairs, times)), _VERSION_EXPIRING_FIELDS)
    if value.encoding is not HASHTABLE:
        return with_footer((bytes((_HASH_LISTPACK,)), write_string(write_listpack(pairs))))
    head = bytes((_HASH,)) + write_length(len(fields))
    return with_footer([head, *write_strings(pairs)])


def _write_expiring(pairs: list[bytes], times: dict[bytes, int | None]) -> Iterator[bytes]:
    """Each field behind its time: 0 for none, else how long after the first of all, and one."""
    first_ms = min([time for time in times.values() if time is not None])
    yield bytes((_HASH_EXPIRING,)) + first_ms.to_bytes(8, "little") + write_length(len(times))
    for field, value in zip(pairs[::2], pairs[1::2], strict=True):
        time_ms = times[field]
        yield write_length(0 if time_ms is None else time_ms - first_ms + 1)
        yield write_string(field) + write_string(value)


_WRITERS: Final[dict[type, Callable[[Any], Iterator[bytes]]]] = {
    ListValue: _write_list,
    SetValue: _write_set,
    SortedSet: _write_sorted_set,
    Stream: _write_stream,
}


# --- Reading. What is left behind a value is not looked at, as in Redis.


def restore(payload: bytes, settings: Settings) -> Any:
    """The value of a payload whose footer is right; raises Malformed."""
    reader = Reader(payload)  # With the footer: so far does Redis read.
    read = _READERS.get(reader.byte())
    if read is None:
        raise Malformed
    return read(reader, settings)


def _read_string(reader: Reader, _: Settings) -> bytes:
    return reader.string()


def _read_list(reader: Reader, settings: Settings) -> ListValue:
    return _list_of(reader.strings(reader.count()), settings)


def _read_list_ziplist(reader: Reader, settings: Settings) -> ListValue:
    return _list_of(reader.ziplist(), settings)


def _read_quicklist(reader: Reader, settings: Settings) -> ListValue:
    elements: list[bytes] = []
    for _ in range(reader.count()):
        elements += reader.ziplist()
    return _list_of(elements, settings)


def _read_quicklist_2(reader: Reader, settings: Settings) -> ListValue:
    elements: list[bytes] = []
    for _ in range(reader.count()):
        kind = reader.length()
        if kind == _PLAIN:
            elements.append(reader.string())
        elif kind == _PACKED:
            elements += reader.listpack()
        else:
            raise Malformed
    return _list_of(elements, settings)


def _list_of(elements: list[bytes], settings: Settings) -> ListValue:
    _check_some(elements)
    value = ListValue()
    value.push(elements, settings.list_max_listpack_size, at_head=False)
    return value


def _read_set(reader: Reader, settings: Settings) -> SetValue:
    return _set_of(reader.strings(reader.count()), settings)


def _read_intset(reader: Reader, settings: Settings) -> SetValue:
    return _set_of(reader.intset(), settings)


def _read_set_listpack(reader: Reader, settings: Settings) -> SetValue:
    return _set_of(reader.listpack(), settings)


def _set_of(members: list[bytes], settings: Settings) -> SetValue:
    _check_few(members)
    value = SetValue.of(members, encoding_of(members, settings))
    if value.table is not None:
        _check_many(members, len(value.table))
    return value


def _read_sorted_set(reader: Reader, settings: Settings) -> SortedSet:
    pairs = [(reader.string(), _old_score(reader)) for _ in range(reader.count_pairs())]
    return _sorted_set_of([one for one, _ in pairs], [score for _, score in pairs], settings)


def _old_score(reader: Reader) -> float:
    size = reader.byte()
    if size > 252:
        return {253: float("nan"), 254: float("inf"), 255: float("-inf")}[size]
    return _score_of(reader.take(size))


def _read_sorted_set_2(reader: Reader, settings: Settings) -> SortedSet:
    members, scores = reader.scored(reader.count_pairs())
    # From the highest to the lowest: it need not be sorted.
    members.reverse()
    scores.reverse()
    return _sorted_set_of(members, scores.tolist(), settings)


def _read_sorted_set_ziplist(reader: Reader, settings: Settings) -> SortedSet:
    return _scored(reader.ziplist(), settings)


def _read_sorted_set_listpack(reader: Reader, settings: Settings) -> SortedSet:
    return _scored(reader.listpack(), settings)


def _scored(words: list[bytes], settings: Settings) -> SortedSet:
    if len(words) % 2:
        raise Malformed
    return _sorted_set_of(words[::2], list(map(_score_of, words[1::2])), settings)


def _score_of(text: bytes) -> float:
    if b"_" in text:
        raise Malformed
    try:
        return float(text)
    except ValueError as error:
        raise Malformed from error


def _sorted_set_of(members: list[bytes], scores: list[float], settings: Settings) -> SortedSet:
    _check_few(members)
    if any(map(isnan, scores)):
        raise Malformed
    value = SortedSet.of_two(members, scores, settings)
    _check_many(members, len(value))
    return value


def _read_hash(reader: Reader, settings: Settings) -> Hash:
    return _hash_of(reader.strings(2 * reader.count_pairs()), settings)


def _read_hash_ziplist(reader: Reader, settings: Settings) -> Hash:
    return _hash_of(reader.ziplist(), settings)


def _read_hash_listpack(reader: Reader, settings: Settings) -> Hash:
    return _hash_of(reader.listpack(), settings)


def _read_hash_expiring(reader: Reader, settings: Settings) -> Hash:
    first_ms = reader.integer(8)
    pairs: list[bytes] = []
    times: dict[bytes, int] = {}
    for _ in range(reader.count_pairs()):
        after_ms = reader.length()
        field, value = reader.string(), reader.string()
        pairs += (field, value)
        if after_ms:
            times[field] = first_ms + after_ms - 1
    return _hash_of(pairs, settings, times)


def _read_hash_expiring_listpack(reader: Reader, settings: Settings) -> Hash:
    reader.integer(8)  # The first of the times, which are all there.
    words = reader.listpack()
    if len(words) % 3:
        raise Malformed
    pairs = [word for place, word in enumerate(words) if place % 3 < 2]
    times: dict[bytes, int] = {}
    for field, time in zip(words[::3], words[2::3], strict=True):
        if not time.isdigit() or len(time) > _TIME_DIGITS_MAX:
            raise Malformed
        if int(time):
            times[field] = int(time)
    return _hash_of(pairs, settings, times)


_TIME_DIGITS_MAX: Final = 15
_TIME_MAX: Final = 1 << 46  # Of a field's expiry, in ms: as Redis allows it.


def _hash_of(pairs: list[bytes], settings: Settings, times: dict[bytes, int] | None = None) -> Hash:
    if len(pairs) % 2:
        raise Malformed
    fields = pairs[::2]
    _check_few(fields)
    value = Hash.of(fields, pairs[1::2], settings)
    _check_many(fields, len(value))
    for field, at_ms in (times or {}).items():
        if not 0 <= at_ms < _TIME_MAX:
            raise Malformed
        value.expire(field, at_ms)
    return value


def _read_stream(version: int) -> Callable[[Reader, Settings], Stream]:
    return lambda reader, settings: read_stream(reader, version)


def _check_some(elements: Sequence[object]) -> None:
    if not elements:
        raise Malformed


def _check_few(elements: Sequence[bytes]) -> None:
    """Some, and if they are few no two the same."""
    _check_some(elements)
    if len(elements) <= _FEW and len(dict.fromkeys(elements)) != len(elements):
        raise Malformed


def _check_many(elements: Sequence[bytes], count: int) -> None:
    """Of many so many were different when a value was made of them."""
    if len(elements) > _FEW and count != len(elements):
        raise Malformed


_READERS: Final[dict[int, Callable[[Reader, Settings], Any]]] = {
    _STRING: _read_string,
    _LIST: _read_list,
    _SET: _read_set,
    _ZSET: _read_sorted_set,
    _HASH: _read_hash,
    _ZSET_2: _read_sorted_set_2,
    _LIST_ZIPLIST: _read_list_ziplist,
    _SET_INTSET: _read_intset,
    _ZSET_ZIPLIST: _read_sorted_set_ziplist,
    _HASH_ZIPLIST: _read_hash_ziplist,
    _LIST_QUICKLIST: _read_quicklist,
    _STREAM: _read_stream(1),
    _HASH_LISTPACK: _read_hash_listpack,
    _ZSET_LISTPACK: _read_sorted_set_listpack,
    _LIST_QUICKLIST_2: _read_quicklist_2,
    _STREAM_2: _read_stream(2),
    _SET_LISTPACK: _read_set_listpack,
    _STREAM_3: _read_stream(3),
    _HASH_EXPIRING: _read_hash_expiring,
    _HASH_EXPIRING_LISTPACK: _read_hash_expiring_listpack,
}
