"""How values are kept: OBJECT, MEMORY USAGE, DEBUG OBJECT and DEBUG DIGEST-VALUE.

Redis has several encodings of a type, and which one a value has depends on its history too. Here a
string is plain bytes, so the answer is the encoding that Redis chooses when it is set to that value
(docs/compatibility.md lists what differs). How a key was used is known to each replica for itself
(`data/uses.py`): answered by the leader to a read, and not part of what an entry may see.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1  # As Redis's digests of values are made; nothing is kept safe by it.
from typing import TYPE_CHECKING, Any  # Any: values of every type.

from ...proto.reply import Reply, Status
from ...proto.resp import format_double
from ..data.hash import Hash
from ..data.large_string import LargeString
from ..data.quicklist import ListValue
from ..data.set import ENCODINGS, SetValue
from ..data.sorted_set import SortedSet
from ..data.stream import Stream, id_text
from ..errors import CommandError
from .arguments import int_argument, parse_int, syntax_error

if TYPE_CHECKING:
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

EMBEDDED_BYTES_MAX = 44
SHARED_INTEGERS = 10_000  # Redis keeps each of these once, and counts it as used for ever.
SHARED_COUNT = (1 << 31) - 1

_NOT_TRACKED = (
    "Please note that when switching between policies at runtime LRU and LFU data will take some"
    " time to adjust."
)


def object_encoding(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """OBJECT ENCODING key: how Redis would keep it, or nil."""
    value = keys.examine(args[2])
    return None if value is None else _encoding_of(keys, args[2], value).encode()


def _encoding_of(keys: Keyspace, key: bytes, value: object) -> str:
    if type(value) is not bytes:
        encoding = _ENCODINGS.get(type(value))
        return encoding(value) if encoding is not None else keys.type_of(key) or ""
    if parse_int(value) is not None:
        return "int"
    return "embstr" if len(value) <= EMBEDDED_BYTES_MAX else "raw"


def object_refcount(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """OBJECT REFCOUNT key: 1, or that of the integers which Redis shares, or nil."""
    value = keys.examine(args[2])
    return None if value is None else _refcount_of(value, ctx)


def _refcount_of(value: object, ctx: Context) -> int:
    if type(value) is not bytes:
        return 1
    settings = ctx.settings
    if settings.maxmemory and settings.maxmemory_policy.endswith(("-lru", "-lfu")):
        return 1  # Each key needs a clock of its own then.
    number = parse_int(value)
    return SHARED_COUNT if number is not None and 0 <= number < SHARED_INTEGERS else 1


def object_idletime(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """OBJECT IDLETIME key: seconds since its last use, as far as is known; nil if it is absent."""
    if keys.examine(args[2]) is None:
        return None
    if ctx.settings.maxmemory_policy.endswith("-lfu"):
        raise CommandError(
            f"An LFU maxmemory policy is selected, idle time not tracked. {_NOT_TRACKED}"
        )
    return keys.idle_s(args[2])


def object_freq(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """OBJECT FREQ key: the counter of its uses under an LFU policy; nil if it is absent."""
    if keys.examine(args[2]) is None:
        return None
    if not ctx.settings.maxmemory_policy.endswith("-lfu"):
        raise CommandError(
            f"An LFU maxmemory policy is not selected, access frequency not tracked. {_NOT_TRACKED}"
        )
    return keys.frequency(args[2])


def memory_usage(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """MEMORY USAGE key [SAMPLES number]: the bytes it is counted with, or nil."""
    rest = iter(args[3:])
    for word in rest:
        number = next(rest, None)
        # How many elements to look at: here all of them are counted already.
        if word.upper() != b"SAMPLES" or number is None or int_argument(number) < 0:
            raise syntax_error()
    return keys.size_of(args[2])


def debug_object(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """DEBUG OBJECT key: what OBJECT tells, in one line. There is no address to show."""
    key = args[2]
    value = keys.examine(key)
    if value is None:
        raise CommandError("no such key")
    return Status(
        f"Value at:0x0 refcount:{_refcount_of(value, ctx)}"
        f" encoding:{_encoding_of(keys, key, value)}"
        f" serializedlength:{_serialized_bytes(keys, key, value)}"
    )


def _serialized_bytes(keys: Keyspace, key: bytes, value: object) -> int:
    """Of a string, in Redis's dump format without compression; of others as they are counted."""
    if type(value) is not bytes and type(value) is not LargeString:
        return keys.size_of(key) or 0
    number = parse_int(value) if type(value) is bytes else None
    if number is not None:
        for bits, size in ((8, 2), (16, 3), (32, 5)):
            if -(1 << bits - 1) <= number < 1 << bits - 1:
                return size
    length = len(value)
    return length + (1 if length < 1 << 6 else 2 if length < 1 << 14 else 5)


def debug_digest_value(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """DEBUG DIGEST-VALUE key ...: a digest of each, equal to Redis's of the same value."""
    return [Status(_digest_of(keys, key).hex()) for key in args[2:]]


def _digest_of(keys: Keyspace, key: bytes) -> bytes:
    value = keys.examine(key)
    if value is None:
        return bytes(20)
    digest_of = _DIGESTS.get(type(value))
    if digest_of is None:
        raise CommandError(f"no digest of a {keys.type_of(key)} yet")
    digest = digest_of(value)
    return digest if keys.expiry_of(key) is None else _xored(digest, b"!!expire!!")


def _digest_of_string(value: bytes) -> bytes:
    return _mixed(_mixed(bytes(20), bytes(4)), value)  # The first is the type: 0, a string.


def _digest_of_list(value: ListValue) -> bytes:
    digest = _mixed(bytes(20), b"\0\0\0\1")
    for element in value:
        digest = _mixed(digest, element)
    return digest


def _digest_of_set(value: SetValue) -> bytes:
    digest = _mixed(bytes(20), b"\0\0\0\2")
    for member in value.members():
        digest = _xored(digest, member)
    return digest


def _digest_of_sorted_set(value: SortedSet) -> bytes:
    digest = _mixed(bytes(20), b"\0\0\0\3")
    total = int.from_bytes(digest, "big")
    for member, score in value.items():
        one = _mixed(_mixed(bytes(20), member), format_double(score).encode())
        total ^= int.from_bytes(_sha1(one), "big")
    return total.to_bytes(20, "big")


def _digest_of_hash(value: Hash) -> bytes:
    digest = _mixed(bytes(20), b"\0\0\0\4")
    for field, text in value.fields.items():
        digest = _xored(digest, _mixed(_mixed(bytes(20), field), text))
    return digest


def _digest_of_stream(value: Stream) -> bytes:
    digest = _mixed(bytes(20), b"\0\0\0\6")
    for id_, flat in value.entries():
        digest = _mixed(digest, id_text(id_).replace(b"-", b"."))
        for text in flat:
            digest = _mixed(digest, text)
    return digest


def _xored(digest: bytes, data: bytes) -> bytes:
    """The order in which these are taken together does not matter."""
    number = int.from_bytes(digest, "big") ^ int.from_bytes(_sha1(data), "big")
    return number.to_bytes(20, "big")


def _mixed(digest: bytes, data: bytes) -> bytes:
    """Here it does."""
    return _sha1(_xored(digest, data))


def _sha1(data: bytes) -> bytes:
    return sha1(data, usedforsecurity=False).digest()


# Of every type but strings, whose encoding follows from the text.
_ENCODINGS: dict[type, Callable[[Any], str]] = {
    LargeString: lambda _: "raw",
    ListValue: lambda value: "quicklist" if value.is_quicklist else "listpack",
    SetValue: lambda value: ENCODINGS[value.encoding],
    Hash: lambda value: value.encoding,
    SortedSet: lambda value: "listpack" if value.is_listpack else "skiplist",
    Stream: lambda _: "stream",
}
_DIGESTS: dict[type, Callable[[Any], bytes]] = {
    bytes: _digest_of_string,
    LargeString: lambda value: _digest_of_string(value.whole()),
    ListValue: _digest_of_list,
    SetValue: _digest_of_set,
    Hash: _digest_of_hash,
    SortedSet: _digest_of_sorted_set,
    Stream: _digest_of_stream,
}
