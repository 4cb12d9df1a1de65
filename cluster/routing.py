"""From a command and its arguments to the shards it concerns, and from their replies back to one.

Pure functions over rows of the command table, called for every command: nothing here allocates for
a command on one key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: replies nest.

from ..proto.reply import ErrorReply, Reply
from .command import Command, Spread
from .slots import (
    DATABASES,
    SHARDS_MAX,
    SLOTS,
    ShardId,
    Slot,
    shard_of,
    shard_of_slot,
    slot_of,
    slots_of_shard,
)

CURSOR_PLACE_BITS: Final = 32  # A SCAN cursor: slot, then the place by hash of the key within it.
CURSOR_END: Final = SLOTS << CURSOR_PLACE_BITS  # Below 2**53: exact in every client.

_CURSOR_MAX: Final = (1 << 64) - 1
_DIGITS_MAX: Final = 21  # More than any cursor has.

_ALONE = tuple((ShardId(shard),) for shard in range(SHARDS_MAX))
_NOWHERE: tuple[ShardId, ...] = ()
_DATABASE_WORDS = {b"%d" % number: number for number in range(DATABASES)}


def shards_of(row: Command, db: int, args: Sequence[bytes], shards: int) -> tuple[ShardId, ...]:
    """The shards a command goes to, each once; none if the door answers it by itself.

    A ONE_SHARD command that has several is to be refused (CROSSSLOT), and so is a NAMES_DB one
    (`databases_apart` says how).
    """
    keys = row.keys
    if row.spread is Spread.NAMES_DB and (target := named_database(row, args)) is not None:
        source = shard_of(db, args[keys.first], shards)
        return tuple(dict.fromkeys((source, shard_of(target, args[keys.last], shards))))
    if keys.first and keys.first == keys.last and row.finder is None:
        return _ALONE[shard_of(db, args[keys.first], shards)]
    if row.spread is Spread.LOCAL:
        return _NOWHERE
    if row.spread is Spread.EVERYWHERE:
        return tuple(map(ShardId, range(shards)))
    if db:
        return _ALONE[db * shards // DATABASES]
    if row.spread is Spread.ALL_SHARDS:
        return tuple(map(ShardId, range(shards)))
    if row.spread is Spread.BY_CURSOR:
        return _ALONE[_shard_of_cursor(args[1], shards)]
    found = tuple(dict.fromkeys([shard_of(0, key, shards) for key in row.keys_of(args)]))
    return found or _ALONE[0]  # Without a key it can go anywhere.


def is_anywhere(row: Command, db: int, args: Sequence[bytes], shards: int) -> bool:
    """Whether any shard will do: a script without keys."""
    return row.spread is Spread.ONE_SHARD and not (row.keys_of(args) or (db and shards > 1))


def named_database(row: Command, args: Sequence[bytes]) -> int | None:
    """The database that a NAMES_DB command names beside its connection's; None if there is none,
    or if its words are wrong, which its handler will say."""
    text = None
    if row.name == b"MOVE":
        text = args[2]
    else:  # COPY source target [REPLACE] [DB database]: the last one counts.
        place = 3
        while place < len(args):
            is_db = args[place].upper() == b"DB"
            if is_db and place + 1 < len(args):
                text = args[place + 1]
            place += 1 + is_db
    return None if text is None else _DATABASE_WORDS.get(text)


def databases_apart(row: Command, db: int, args: Sequence[bytes], shards: int) -> str | None:
    """Why a NAMES_DB command cannot run: its two databases keep these keys on different shards."""
    target = named_database(row, args)
    if target is None or target == db:
        return None
    source_shard = shard_of(db, args[row.keys.first], shards)
    target_shard = shard_of(target, args[row.keys.last], shards)
    if source_shard == target_shard:
        return None
    return (
        f"{row.name.decode()} from database {db} to database {target} is refused: their keys live"
        f" on different shards ({_whose(db)} on shard {source_shard},"
        f" {_whose(target)} on shard {target_shard})"
    )


def not_in_cluster(row: Command, args: Sequence[bytes]) -> str | None:
    """Why a NAMES_DB command is refused at the cluster door, which has database 0 alone."""
    if row.name == b"MOVE":
        return "MOVE is not allowed in cluster mode"
    if named_database(row, args):
        return "Copying to another database is not allowed in cluster mode"
    return None


def _whose(db: int) -> str:
    return f"database {db}" if db else "this key of database 0"


def slot_of_keys(row: Command, args: Sequence[bytes]) -> Slot | None:
    """The slot that all keys of a command (it has some) share, or None if they do not."""
    keys = row.keys
    if keys.first == keys.last and row.finder is None:
        return slot_of(args[keys.first])
    found = {slot_of(key) for key in row.keys_of(args)}
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Part:
    """What one shard is asked of a command whose keys lie in several."""

    shard: ShardId
    args: Sequence[bytes]
    places: Sequence[int]  # Of its keys among the keys of the whole command.


def split_keys(row: Command, db: int, args: Sequence[bytes], shards: int) -> list[Part]:
    """A SPLIT_KEYS command, cut by shards; each part is a command of its own."""
    parts: dict[ShardId, Part] = {}
    for place, key in enumerate(args[1:]):
        shard = shard_of(db, key, shards)
        part = parts.get(shard)
        if part is None:
            part = parts[shard] = Part(shard, [args[0]], [])
        assert isinstance(part.args, list)
        assert isinstance(part.places, list)
        part.args.append(key)
        part.places.append(place)
    return list(parts.values())


def join_split(row: Command, parts: Sequence[Part], replies: Sequence[Reply]) -> Reply:
    """One reply from those of the parts: values in the order of the keys asked, else a sum."""
    for reply in replies:
        if isinstance(reply, ErrorReply):
            return reply
    if row.name == b"MGET":
        values: list[Any] = [None] * sum(len(part.places) for part in parts)
        for part, reply in zip(parts, replies, strict=True):
            assert isinstance(reply, list)
            for place, value in zip(part.places, reply, strict=True):
                values[place] = value
        return values
    return _sum(replies)


def join_all(row: Command, replies: Sequence[Reply], fraction: float) -> Reply:
    """One reply from those of all shards; `fraction` in [0, 1) chooses where one must be chosen."""
    for reply in replies:
        if isinstance(reply, ErrorReply):
            return reply
    if row.name == b"KEYS":
        return [key for reply in replies if isinstance(reply, list) for key in reply]
    if row.name == b"RANDOMKEY":
        keys = [reply for reply in replies if reply is not None]
        return keys[int(fraction * len(keys))] if keys else None
    if row.name == b"DBSIZE":
        return _sum(replies)
    if row.name == b"SCRIPT|EXISTS":
        return [int(all(known)) for known in zip(*replies, strict=True)]
    return replies[0]  # FLUSHALL, FLUSHDB: OK. SCRIPT LOAD: the same everywhere.


def _sum(replies: Sequence[Reply]) -> int:
    return sum(reply for reply in replies if isinstance(reply, int))


# --- SCAN.


def parse_cursor(text: bytes) -> int | None:
    """A cursor as SCAN takes it, or None if it is none."""
    text = text.partition(b"\0")[0]  # Redis reads it as a string of C,
    if not text:
        return 0
    sign, digits = (text[:1], text[1:]) if text[:1] in (b"+", b"-") else (b"", text)
    significant = digits.lstrip(b"0")[:_DIGITS_MAX]
    if not digits.isdigit() or int(significant or b"0") > _CURSOR_MAX:
        return None
    number = int(significant or b"0")
    if sign == b"-":
        number = -number & _CURSOR_MAX  # and by strtoul.
    return min(number, CURSOR_END)  # Any number will do, as in Redis; behind the end is nothing.


def _shard_of_cursor(text: bytes, shards: int) -> ShardId:
    """Of one that is no cursor: some shard, which will say so."""
    slot = (parse_cursor(text) or 0) >> CURSOR_PLACE_BITS
    return shard_of_slot(min(slot, SLOTS - 1), shards)


def next_scan_cursor(asked: bytes, answered: bytes, db: int, shards: int) -> bytes:
    """The cursor to hand to the client, when the shard that `asked` is in gave `answered`.

    A shard answers 0 when it has no key left; the next shard's slots follow, until there is none.
    """
    if answered != b"0" or db:
        return answered
    shard = _shard_of_cursor(asked, shards) + 1
    if shard >= shards:
        return b"0"
    return b"%d" % (slots_of_shard(ShardId(shard), shards).start << CURSOR_PLACE_BITS)
