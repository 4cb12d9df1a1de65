"""SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE and SHUTDOWN: what this node alone does with its disk.

Every acknowledged write is on disk before its answer. SAVE makes a snapshot of each replica here,
so that the log behind it may go; nothing is lost without it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ...proto.reply import OK, Reply, Status
from ..errors import CommandError
from .subcommands import Later

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client

log = logging.getLogger(__name__)

_SYNTAX = "syntax error"


def save(client: Client, args: Args) -> Later:
    return Later(client.door.control.save)


def bgsave(client: Client, args: Args) -> Reply:
    """BGSAVE [SCHEDULE]: there is nothing to wait for, so SCHEDULE begins at once."""
    if len(args) > 2 or (len(args) == 2 and args[1].upper() != b"SCHEDULE"):
        raise CommandError(_SYNTAX)
    if not client.door.control.save_in_background():
        raise CommandError("Background save already in progress")
    return Status("Background saving started")


def bgrewriteaof(client: Client, args: Args) -> Reply:
    """The log is shortened as BGSAVE does it: by a snapshot."""
    if not client.door.control.save_in_background():
        raise CommandError("Background append only file rewriting already in progress")
    return Status("Background append only file rewriting started")


def lastsave(client: Client, args: Args) -> Reply:
    return client.door.control.saved_at_s()


def shutdown(client: Client, args: Args) -> Reply | Later:
    """SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]: this node ends as after SIGTERM, without a
    reply. NOW and FORCE change nothing: no replica could lose a write that was acknowledged."""
    options = [word.upper() for word in args[1:]]
    is_aborted = b"ABORT" in options
    if (
        not {*options} <= {b"NOSAVE", b"SAVE", b"NOW", b"FORCE", b"ABORT"}
        or (is_aborted and len(options) > 1)
        or {b"SAVE", b"NOSAVE"} <= {*options}
    ):
        raise CommandError(_SYNTAX)
    control = client.door.control
    if is_aborted:
        if not control.keep_running():
            raise CommandError("No shutdown in progress.")
        return OK
    is_saving = b"SAVE" in options
    log.warning("shutdown client=%s name=%r", client.address, client.name)
    return Later(lambda done: control.stop(is_saving=is_saving, failed=done))
