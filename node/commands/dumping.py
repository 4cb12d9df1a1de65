"""DUMP and RESTORE: values as a real Redis writes and reads them (`data/dump.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.settings import DEFAULTS, Settings
from ...proto.reply import OK, Reply
from ..data.dump import WrongFooter, check_footer, dump, restore, with_footer
from ..data.rdb import Malformed
from ..errors import CommandError
from .arguments import INT_MAX, int_argument, syntax_error
from .context import REPLY_BYTES_MAX

if TYPE_CHECKING:
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

# A payload of that size may take long enough to read that nobody should wait for it: it is read
# aside (`making.py`). A million entries of a stream, the slowest of all, take half a second a MiB.
LONG_BYTES = 32 << 10

RESTORES = frozenset((b"RESTORE", b"RESTORE-ASKING"))

_FREQUENCY_MAX = 255
_WRONG_FOOTER = "DUMP payload version or checksum are wrong"
_MALFORMED = "Bad data format"
_NO_TYPE = with_footer((b"\xff",))


def dump_(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """DUMP key: what RESTORE takes, here or in a real Redis; nil if it is absent."""
    value = keys.peek(args[1])
    if value is None:
        return None
    if (keys.size_of(args[1]) or 0) > REPLY_BYTES_MAX:
        raise CommandError("the value is larger than a reply may be (512 MiB)")
    return dump(value)


def restore_(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]: OK."""
    key = args[1]
    is_replacing, is_absolute, use = _options(args)
    if not is_replacing and keys.exists(key):
        raise CommandError("Target key name already exists.", "BUSYKEY")
    time_ms = int_argument(args[2])
    if time_ms < 0:
        raise CommandError("Invalid TTL value, must be >= 0")
    value = ctx.take_made(args[3])
    if value is None:
        value = value_of(args[3], ctx.settings)
    if time_ms and not is_absolute:
        time_ms += ctx.now_ms
    # In Redis what is more than 64 bits is a number below 0.
    if time_ms and not ctx.now_ms < time_ms <= INT_MAX:
        if keys.delete(key):
            ctx.notify("g", "del", key)
        return OK
    ctx.notify("n", "new", key)  # What was there is gone first.
    keys.put(key, value, time_ms or None)
    keys.note_use(key, idle_s=use.get(b"IDLETIME"), frequency=use.get(b"FREQ"))
    ctx.notify("g", "restore", key)
    return OK


def restore_asking(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """RESTORE-ASKING: what a Redis Cluster sends in RESTORE's place, and here the same."""
    return restore_(keys, args, ctx)


def vet_restore(args: list[bytes]) -> None:
    """Before a RESTORE can get into a log: read its payload here (correctness A4). One that cannot
    be read gives way to one that is harmless and answered in the same way."""
    try:
        value_of(args[3], DEFAULTS)
    except CommandError as error:
        if error.text == _WRONG_FOOTER:
            args[3] = b""
        elif error.text == _MALFORMED:
            args[3] = _NO_TYPE
        else:
            raise


def _options(args: Args) -> tuple[bool, bool, dict[bytes, int]]:
    """Whether REPLACE, whether ABSTTL, and IDLETIME or FREQ if it says one."""
    is_replacing = is_absolute = False
    use: dict[bytes, int] = {}
    rest = iter(args[4:])
    for word in rest:
        option = word.upper()
        if option == b"REPLACE":
            is_replacing = True
        elif option == b"ABSTTL":
            is_absolute = True
        elif option in (b"IDLETIME", b"FREQ") and (not use or option in use):
            text = next(rest, None)
            if text is None:
                raise syntax_error()
            use[option] = int_argument(text)
            _check_use(option, use[option])
        else:
            raise syntax_error()
    return is_replacing, is_absolute, use


def _check_use(option: bytes, number: int) -> None:
    if option == b"IDLETIME" and number < 0:
        raise CommandError("Invalid IDLETIME value, must be >= 0")
    if option == b"FREQ" and not 0 <= number <= _FREQUENCY_MAX:
        raise CommandError("Invalid FREQ value, must be >= 0 and <= 255")


def is_long(args: Args) -> bool:
    """Whether one of RESTORES carries a payload that takes long to read."""
    return len(args) > 3 and len(args[3]) >= LONG_BYTES


def value_of(payload: bytes, settings: Settings) -> object:
    """The value of a payload, whatever it is; raises CommandError. It depends on nothing else, and
    touches nothing else: it may be asked for in a thread."""
    try:
        check_footer(payload)
        return restore(payload, settings)
    except WrongFooter:
        raise CommandError(_WRONG_FOOTER) from None
    except Malformed:
        raise CommandError(_MALFORMED) from None
