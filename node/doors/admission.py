"""What a client is refused whatever its command says: it has not logged in, it has subscribed, or
there is no node yet. In Redis's order and words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.command import LOADING, NO_AUTH
from ..errors import CommandError
from .loading import LOADING_TEXT
from .password import no_authentication

if TYPE_CHECKING:
    from .client import Client
    from .routes import Route

SUBSCRIBED_ONLY = (
    "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
)
WHILE_SUBSCRIBED = frozenset(
    {b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"}
    | {b"PING", b"QUIT", b"RESET"}
)


def check_admitted(client: Client, route: Route) -> None:
    """Raises CommandError; for a command that there is, with a right number of arguments."""
    flags = route.row.flags
    if not flags & NO_AUTH and client.needs_password:
        raise no_authentication()
    if client.protocol == 2 and route.name not in WHILE_SUBSCRIBED and client.is_subscriber:
        raise CommandError(f"Can't execute '{route.row.display_name}': {SUBSCRIBED_ONLY}")
    needs_data = not flags & LOADING or route.handler is None or route.row.keys.first
    if needs_data and client.door.clients.is_loading:
        raise CommandError(LOADING_TEXT, "LOADING")
