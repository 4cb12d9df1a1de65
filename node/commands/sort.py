"""SORT and SORT_RO: the elements of a list, a set or a sorted set in another order.

BY and GET look at keys whose names are made from the elements, so in database 0 they are refused
unless all such keys are in the slot of the key that is sorted: others may be on another shard.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from ...cluster.slots import Slot, slot_of
from ..data.hash import Hash
from ..data.keyspace import wrong_type
from ..data.large_string import LargeString
from ..data.quicklist import ListValue
from ..data.set import SetValue
from ..data.sorted_order import in_order
from ..data.sorted_set import SortedSet
from ..errors import CommandError
from .arguments import int_argument, syntax_error
from .context import REPLY_BYTES_MAX
from .doubles import parse_double
from .hashes import value_of

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

LOOKUPS_MAX: Final = (
    4_000_000  # Elements, and keys looked at for them: nothing else runs meanwhile.
)
WEIGHTS_BYTES_MAX: Final = 64 << 20  # To compare, or to read numbers from.

_BLANKS: Final = b" \t\n\v\f\r"
_PLAIN_MAX: Final = 15  # So many digits are a double exactly.
# A hash tag that is over before anything that a pattern can stand for.
_TAGGED: Final = re.compile(rb"[^*?\[\\{]*\{[^*?\[\\}]+\}", re.DOTALL)
# Numbers in lines, without exponents, so short that none is too large or too small for a double.
_NUMBER: Final = rb"-?[0-9]{1,17}(?:\.[0-9]{1,17})?"
_ORDINARY: Final = re.compile(_NUMBER + rb"(?:\n" + _NUMBER + rb")*")
_WILD: Final = re.compile(rb"[*?\[\\]")

_Sortable = ListValue | SetValue | SortedSet


@dataclass(slots=True)
class _Options:
    by: _Pattern | None = None
    is_sorted: bool = True  # BY a name without a star: left in the order they have.
    gets: list[_Pattern] = field(default_factory=list)
    limit: tuple[int, int] = (0, -1)
    is_descending: bool = False
    is_alpha: bool = False
    target: bytes | None = None


class _Pattern:
    """The name of a key with a star for the element, perhaps with `->field`; or `#`."""

    __slots__ = ("_field", "_is_element", "_is_name", "_prefix", "_suffix")

    def __init__(self, text: bytes) -> None:
        self._is_element = text == b"#"
        self._prefix, star, rest = text.partition(b"*")
        self._is_name = bool(star)
        suffix, _, of_hash = rest.partition(b"->")
        self._suffix = suffix if of_hash else rest
        self._field = of_hash or None

    @property
    def is_constant(self) -> bool:
        return not self._is_name

    def find(self, keys: Keyspace, element: bytes) -> bytes | None:
        """What is there for an element; None for a key that is absent or of another type."""
        if self._is_element:
            return element
        if not self._is_name:
            return None
        key = b"".join((self._prefix, element, self._suffix))
        value = keys.peek(key)
        if self._field is not None:
            return value_of(keys, key, value, self._field) if isinstance(value, Hash) else None
        if isinstance(value, LargeString):
            return value.whole()
        return value if isinstance(value, bytes) else None


def sort(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA]
    [STORE target]: the elements in order, or what GET says; how many, if they are stored."""
    options = _read_options(args, ctx.db, may_store=True)
    found = _found(keys, args[1], options)
    if options.target is None:
        return found
    if options.gets:
        found = [text or b"" for text in found]
    return _store(keys, options.target, cast("list[bytes]", found), ctx)  # Without GET none is nil.


def sort_ro(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """SORT_RO key ...: as SORT, without STORE."""
    return _found(keys, args[1], _read_options(args, ctx.db, may_store=False))


def _store(keys: Keyspace, target: bytes, texts: Sequence[bytes], ctx: Context) -> int:
    if not texts:
        if keys.delete(target):
            ctx.notify("g", "del", target)
        return 0
    value = ListValue()
    value.push(texts, ctx.settings.list_max_listpack_size, at_head=False)
    if not keys.exists(target):
        ctx.notify("n", "new", target)
    keys.put(target, value)
    ctx.notify("l", "sortstore", target)
    return len(texts)


# --- Words.


def _read_options(args: Args, db: int, *, may_store: bool) -> _Options:
    options = _Options()
    slot = slot_of(args[1]) if db == 0 else None
    rest = iter(args[2:])
    left = len(args) - 2
    for word in rest:
        left -= 1
        option = word.upper()
        if option in (b"ASC", b"DESC"):
            options.is_descending = option == b"DESC"
        elif option == b"ALPHA":
            options.is_alpha = True
        elif option == b"LIMIT" and left >= 2:
            options.limit = int_argument(next(rest)), int_argument(next(rest))
            left -= 2
        elif option in (b"BY", b"GET", b"STORE") and left >= 1:
            left -= 1
            _read_name(options, option, next(rest), slot, may_store=may_store)
        else:
            raise syntax_error()
    return options


def _read_name(
    options: _Options, option: bytes, name: bytes, slot: Slot | None, *, may_store: bool
) -> None:
    if option == b"STORE":
        if not may_store:
            raise syntax_error()
        options.target = name
        return
    pattern = _Pattern(name)
    is_looked_up = name != b"#" if option == b"GET" else not pattern.is_constant
    if slot is not None and is_looked_up and _slot_of_pattern(name) != slot:
        raise CommandError(
            f"{option.decode()} option of SORT denied in cluster mode when keys formed by the"
            " pattern may be in different slots."
        )
    if option == b"GET":
        options.gets.append(pattern)
        return
    options.by = pattern
    options.is_sorted &= not pattern.is_constant


def _slot_of_pattern(pattern: bytes) -> Slot | None:
    """The slot of all keys that it can name, or None if they may be in several."""
    tagged = _TAGGED.match(pattern)
    if tagged is not None:
        return slot_of(tagged[0])
    return None if _WILD.search(pattern) else slot_of(pattern)


# --- In order.


def _found(keys: Keyspace, key: bytes, options: _Options) -> list[bytes] | list[bytes | None]:
    """The elements asked for, or what GET finds for each."""
    value = keys.peek(key)
    if value is None:
        return []
    if not isinstance(value, _Sortable):
        raise wrong_type()
    start, stop = _range(options.limit, len(value))
    lookups = len(value) * options.is_sorted + (stop - start) * (1 + len(options.gets))
    if lookups > LOOKUPS_MAX:
        raise CommandError(f"more than {LOOKUPS_MAX} elements would have to be looked at at once")
    elements = _in_order(keys, value, options, start, stop)
    if not options.gets:
        if value.size_bytes() > REPLY_BYTES_MAX:
            _check_size(elements)
        return elements
    found: list[bytes | None] = []
    size = 0
    for element in elements:
        for pattern in options.gets:
            text = pattern.find(keys, element)
            found.append(text)
            size += len(text) if text is not None else 0
        if size > REPLY_BYTES_MAX:
            raise _too_large()
    return found


def _check_size(elements: Sequence[bytes]) -> None:
    if sum(map(len, elements)) > REPLY_BYTES_MAX:
        raise _too_large()


def _too_large() -> CommandError:
    return CommandError("the elements are larger than a reply may be (512 MiB)")


def _range(limit: tuple[int, int], length: int) -> tuple[int, int]:
    """From where up to where; a negative count is all that there are."""
    start = min(max(limit[0], 0), length)
    return start, length if limit[1] < 0 else min(start + limit[1], length)


def _in_order(
    keys: Keyspace, value: _Sortable, options: _Options, start: int, stop: int
) -> list[bytes]:
    if options.is_sorted:
        ordered = _sorted(keys, _slice(value, 0, len(value)), options)
        return ordered[start:stop] if stop - start < len(ordered) else ordered
    if isinstance(value, SetValue):
        # Stored, it must have an order that does not hang on how the set is kept.
        members = value.members()
        if options.target is not None:
            members.sort(reverse=options.is_descending)
        return members[start:stop]
    if options.is_descending:
        return _slice(value, len(value) - stop, len(value) - start)[::-1]
    return _slice(value, start, stop)


def _slice(value: _Sortable, start: int, stop: int) -> list[bytes]:
    """The elements at these places in the order that it has by itself."""
    if isinstance(value, ListValue):
        return [element for piece in value.between(start, stop) for element in piece]
    if isinstance(value, SortedSet):
        return value.members(start, stop)
    return value.members()[start:stop]


def _sorted(keys: Keyspace, elements: list[bytes], options: _Options) -> list[bytes]:
    """These in order; the list given may be put into another."""
    by, is_descending = options.by, options.is_descending
    if by is None and options.is_alpha:
        return sorted(elements, reverse=is_descending)
    texts: list[bytes | None] = [*elements]
    if by is not None:
        texts = _weights(keys, by, elements)
    if options.is_alpha:
        # What is absent comes first.
        weights = [(text is not None, text or b"") for text in texts]
        order = sorted(range(len(elements)), key=weights.__getitem__, reverse=is_descending)
        return [elements[place] for place in order]
    # Of one score they are in the order of their bytes.
    ordered, _ = in_order(elements, _scores_of(texts))
    if is_descending:
        ordered.reverse()
    return ordered


def _weights(keys: Keyspace, by: _Pattern, elements: list[bytes]) -> list[bytes | None]:
    """What BY finds for each. A thousand elements may name one long string."""
    texts: list[bytes | None] = []
    size = 0
    for element in elements:
        text = by.find(keys, element)
        texts.append(text)
        size += len(text) if text is not None else 0
        if size > WEIGHTS_BYTES_MAX:
            raise CommandError(f"what BY names is longer than {WEIGHTS_BYTES_MAX >> 20} MiB")
    return texts


def _scores_of(texts: Sequence[bytes | None]) -> list[float]:
    """Of each what it weighs, 0 if it is absent. Numbers as most people write them are looked at
    all together."""
    there = [text for text in texts if text is not None]
    if len(there) == len(texts):
        if all(map(bytes.isdigit, there)) and max(map(len, there), default=0) <= _PLAIN_MAX:
            return list(map(float, there))
        joined = b"\n".join(there)
        # Nothing but numbers, and none with the end of a line in it.
        if _ORDINARY.fullmatch(joined) and joined.count(b"\n") == len(there) - 1:
            return list(map(float, there))
    return [0.0 if text is None else _score_of(text) for text in texts]


def _score_of(text: bytes) -> float:
    """The number that C's strtod reads there; it must be all there is, up to a zero byte."""
    if text.isdigit() and len(text) <= _PLAIN_MAX:
        return float(text)
    text = text.partition(b"\0")[0]
    score = parse_double(text.lstrip(_BLANKS)) if text else 0.0
    if score is None:
        raise CommandError("One or more scores can't be converted into double")
    return score
