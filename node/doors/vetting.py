"""What must be looked at before a command may be proposed (correctness A4): payloads of RESTORE.

A large one takes a second and more to read. That is done in a thread: only the connection that sent
it waits, for commands behind it must not overtake it; everybody else is served meanwhile.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from ...proto.reply import ErrorReply
from ..commands.dumping import is_long
from ..errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..request import Args
    from .connection import Connection
    from .routes import Route

INTERNAL_ERROR: Final = ErrorReply("ERR", "internal error: the node's log tells more")

log = logging.getLogger(__name__)


def is_vetted(client: Connection, route: Route, args: list[bytes], slot: int, cost: int) -> bool:
    """Look at what a command brings along; raises CommandError. False: that takes long, and the
    command goes on by itself when it is done."""
    vet = route.vet
    if vet is None:
        return True
    if not is_long(args):
        vet(args)
        return True
    client.hold()
    go_on = partial(_go_on, client, route, args, slot, cost)
    client.door.run_aside(partial(_fault_of, vet, args), go_on)
    return False


def _fault_of(vet: Callable[[list[bytes]], None], args: list[bytes]) -> Exception | None:
    """What is wrong with it; in the thread."""
    try:
        vet(args)
    except Exception as error:  # noqa: BLE001 - a root; the loop deals with it.
        return error
    return None


def _go_on(
    client: Connection, route: Route, args: Args, slot: int, cost: int, fault: Exception | None
) -> None:
    if client.is_lost:
        return
    if fault is None:
        fault = _dispatch(client, route, args, slot, cost)
    if isinstance(fault, CommandError):
        refusal = ErrorReply(fault.code, fault.text)
        client.door.clients.stats.rejected(route.row, refusal)
        client.put(slot, refusal)
    elif fault is not None:
        place = (client.address, route.name)
        log.error("command_failed client=%s name=%s", *place, exc_info=fault)
        client.put(slot, INTERNAL_ERROR)
    client.release()


def _dispatch(
    client: Connection, route: Route, args: Args, slot: int, cost: int
) -> Exception | None:
    try:
        client.door.dispatch(client, slot, route, args, cost)
    except Exception as error:  # noqa: BLE001 - of this command alone; the client goes on.
        return error
    return None
