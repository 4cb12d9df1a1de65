"""What commands on streams are given: ids, ranges of them, how to trim, what to read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..data.stream import ID_MAX, PART_MAX
from ..errors import CommandError
from .arguments import int_argument, parse_int, syntax_error

if TYPE_CHECKING:
    from ..request import Args

_ID_BYTES_MAX = 127
_UNSIGNED = re.compile(rb"[ \t\n\v\f\r]*([+-]?)0*([0-9]{1,20})")  # As strtoull reads one.

NEW_ID_BEGINS = frozenset(bytes((byte,)) for byte in b"*0123456789")  # No option does.

TRIM_LIMIT = 10_000  # Of `~` without LIMIT, where nodes have no bound;
TRIM_LIMIT_MAX = 1_000_000  # otherwise 100 nodes, and never more than this.


def c_text(text: bytes) -> str:
    """As Redis puts it into a text: up to a zero byte. Bytes that are no UTF-8 survive."""
    return text.partition(b"\0")[0].decode("utf-8", "surrogateescape")


# --- Ids.


def invalid_id() -> CommandError:
    return CommandError("Invalid stream ID specified as stream command argument")


def parse_id(text: bytes, missing: int = 0) -> int | None:
    """`ms` or `ms-sequence`; with `missing` as the sequence where there is none."""
    parts = parse_parts(text, missing)
    return None if parts is None else parts[0] << 64 | parts[1]


def parse_parts(text: bytes, missing: int = 0) -> tuple[int, int] | None:
    """The two parts of the id that `parse_id` finds."""
    first, dash, second = text.partition(b"-")
    if len(text) <= 20 and first.isdigit() and second.isdigit():
        return int(first), int(second)  # As nearly all are.
    if len(text) > _ID_BYTES_MAX:
        return None
    first, dash, second = text.partition(b"\0")[0].partition(b"-")
    ms = _unsigned(first)
    sequence = _unsigned(second) if dash else missing
    return None if ms is None or sequence is None else (ms, sequence)


def _unsigned(text: bytes) -> int | None:
    """A number of 64 bits, written as Redis takes one in an id."""
    if text.isdigit() and len(text) < 20:
        return int(text)
    if parse_int(text) is not None:
        return None  # A negative one.
    found = _UNSIGNED.fullmatch(text)
    if found is None:
        return None
    number = int(found[2])
    if number > PART_MAX:
        return None
    return -number & PART_MAX if found[1] == b"-" else number


def id_argument(text: bytes) -> int:
    """An id as such: `-` and `+` are none."""
    found = parse_id(text)
    if found is None:
        raise invalid_id()
    return found


def any_id_argument(text: bytes, missing: int = 0) -> int:
    """An id, or `-` or `+` for the lowest and the highest."""
    plain = text.partition(b"\0")[0]
    if plain == b"-":
        return 0
    if plain == b"+":
        return ID_MAX
    found = parse_id(text, missing)
    if found is None:
        raise invalid_id()
    return found


def start_argument(text: bytes) -> int:
    """The lowest id of a range; behind `(` it is not part of it."""
    if text[:1] != b"(" or len(text) == 1:
        return any_id_argument(text)
    found = id_argument(text[1:])
    if found == ID_MAX:
        raise CommandError("invalid start ID for the interval")
    return found + 1


def end_argument(text: bytes) -> int:
    """The highest id of a range; without a sequence it is the last of its millisecond."""
    if text[:1] != b"(" or len(text) == 1:
        return any_id_argument(text, PART_MAX)
    found = parse_id(text[1:], PART_MAX)
    if found is None:
        raise invalid_id()
    if found == 0:
        raise CommandError("invalid end ID for the interval")
    return found - 1


def named_int_argument(text: bytes, error: str) -> int:
    """A number with an error of its own."""
    number = parse_int(text)
    if number is None:
        raise CommandError(error)
    return number


# --- XADD and XTRIM.


@dataclass(slots=True)
class Trim:
    """What is to be cut off, and for XADD its id and where that stands."""

    length: int | None = None  # MAXLEN,
    below: int | None = None  # or MINID, or neither.
    is_exact: bool = True
    limit: int = 0
    is_creating: bool = True
    id_place: int = 0
    id_given: tuple[int, bool] | None = None  # As `new_id_argument` reads it.


def trim_arguments(args: Args, node_entries_max: int, *, is_add: bool) -> Trim:
    """The options from the third word on, for XADD up to the id."""
    if is_add and args[2].upper() == b"MAXLEN":
        plain = _plain_maxlen(args, node_entries_max)
        if plain is not None:
            return plain
    trim = Trim()
    limit: int | None = None
    place = 2
    while place < len(args):
        option = args[place].upper()
        has_more = place + 1 < len(args)
        if is_add and option == b"*":
            break
        if option in (b"MAXLEN", b"MINID") and has_more:
            place = _trim_bound(args, place, trim)
        elif option == b"LIMIT" and has_more:
            place += 1
            limit = int_argument(args[place])
            if limit < 0:
                raise CommandError("The LIMIT argument must be >= 0.")
        elif is_add and option == b"NOMKSTREAM":
            trim.is_creating = False
        elif is_add:
            break
        else:
            raise syntax_error()
        place += 1
    if is_add and place < len(args):
        # Redis reads it before it looks at the rest.
        trim.id_given = new_id_argument(args[place])
    trim.id_place = place
    _check_trim(trim, limit, is_add=is_add)
    if not trim.is_exact:
        trim.limit = trim_limit(node_entries_max) if limit is None else limit
    return trim


def _plain_maxlen(args: Args, node_entries_max: int) -> Trim | None:
    """MAXLEN [=|~] bound, and the id behind it: what nearly all have that have options."""
    place = 4 if args[3] in (b"~", b"=") else 3
    if len(args) < place + 2 or args[place + 1][:1] not in NEW_ID_BEGINS:
        return None
    length = parse_int(args[place])
    if length is None or length < 0:
        return None
    is_exact = args[3] != b"~"
    limit = 0 if is_exact else trim_limit(node_entries_max)
    id_given = new_id_argument(args[place + 1])
    return Trim(length, None, is_exact, limit, id_place=place + 1, id_given=id_given)


def _trim_bound(args: Args, place: int, trim: Trim) -> int:
    """Reads `MAXLEN|MINID [=|~] bound` into `trim`; the place of the bound."""
    if trim.length is not None or trim.below is not None:
        raise CommandError(
            "syntax error, MAXLEN and MINID options at the same time are not compatible"
        )
    is_length = args[place].upper() == b"MAXLEN"
    place += 1
    trim.is_exact = True
    if args[place] in (b"~", b"=") and place + 1 < len(args):
        trim.is_exact = args[place] == b"="
        place += 1
    if is_length:
        trim.length = int_argument(args[place])
        if trim.length < 0:
            raise CommandError("The MAXLEN argument must be >= 0.")
    else:
        trim.below = id_argument(args[place])
    return place


def _check_trim(trim: Trim, limit: int | None, *, is_add: bool) -> None:
    is_trimming = trim.length is not None or trim.below is not None
    if limit and not is_trimming:
        raise CommandError(
            "syntax error, LIMIT cannot be used without specifying a trimming strategy"
        )
    if not is_add and not is_trimming:
        raise CommandError("syntax error, XTRIM must be called with a trimming strategy")
    if limit is not None and trim.is_exact:
        raise CommandError("syntax error, LIMIT cannot be used without the special ~ option")


def trim_limit(node_entries_max: int) -> int:
    """Of `~` without LIMIT."""
    return min(100 * node_entries_max or TRIM_LIMIT, TRIM_LIMIT_MAX)


def new_id_argument(text: bytes) -> tuple[int, bool] | None:
    """The id of a new entry and whether its sequence is given; None for `*`."""
    if text == b"*":
        return None
    id_ = parse_id(text)
    if id_ is not None:
        return id_, True
    plain = text.partition(b"\0")[0]
    if not plain.endswith(b"-*") or len(text) > _ID_BYTES_MAX:
        raise invalid_id()
    return id_argument(plain[:-2] + b"-0"), False


# --- XREAD and XREADGROUP.


@dataclass(frozen=True, slots=True)
class Reading:
    """What XREAD and XREADGROUP are asked."""

    keys: Args
    ids: Args  # As they were given, one for each key.
    count: int  # 0 is no bound.
    block_ms: int | None  # 0 is for ever, None not at all.
    group: bytes | None
    consumer: bytes
    needs_ack: bool  # What is delivered becomes pending.


def read_arguments(args: Args) -> Reading:
    """Everything but the ids, which Redis reads one by one with their keys."""
    is_group = args[0] == b"XREADGROUP"
    count = 0
    block_ms: int | None = None
    group: bytes | None = None
    consumer = b""
    needs_ack = True
    place = 1
    while place < len(args):
        option = args[place].upper()
        more = len(args) - place - 1
        if option == b"BLOCK" and more:
            block_ms = _timeout_ms(args[place + 1])
            place += 2
        elif option == b"COUNT" and more:
            count = max(int_argument(args[place + 1]), 0)
            place += 2
        elif option == b"STREAMS" and more:
            break
        elif option == b"GROUP" and more >= 2:
            _check_group_option("GROUP", is_group=is_group)
            group, consumer = args[place + 1], args[place + 2]
            place += 3
        elif option == b"NOACK":
            _check_group_option("NOACK", is_group=is_group)
            needs_ack = False
            place += 1
        else:
            raise syntax_error()
    rest = args[place + 1 :]
    if len(rest) % 2:
        raise CommandError(
            "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
        )
    if not rest:
        raise syntax_error()
    if is_group and group is None:
        raise CommandError("Missing GROUP option for XREADGROUP")
    half = len(rest) // 2
    return Reading(rest[:half], rest[half:], count, block_ms, group, consumer, needs_ack)


def _check_group_option(name: str, *, is_group: bool) -> None:
    if not is_group:
        raise CommandError(
            f"The {name} option is only supported by XREADGROUP. You called XREAD instead."
        )


def _timeout_ms(text: bytes) -> int:
    number = named_int_argument(text, "timeout is not an integer or out of range")
    if number < 0:
        raise CommandError("timeout is negative")
    return number
