"""`requirepass`: what clients must say before they are served, and what is refused until then.

One for all doors of a node (`door.clients.password`); CONFIG SET replaces it. The user is always
`default`.
"""

from __future__ import annotations

import hashlib
import hmac

from ..errors import CommandError

USER = b"default"


class Password:
    """Empty: none is asked for, and any is right."""

    __slots__ = ("_digest", "is_set", "text")

    def __init__(self, text: bytes = b"") -> None:
        self.text = text
        self.is_set = bool(text)
        self._digest = hashlib.sha256(text).digest()

    def is_right(self, given: bytes) -> bool:
        # Of digests, so that the time tells neither where the two differ nor how long ours is.
        return hmac.compare_digest(hashlib.sha256(given).digest(), self._digest) or not self.is_set

    @property
    def shown(self) -> bytes:
        """As ACL LIST shows it."""
        return self._digest.hex().encode()


# Made anew each time: an exception that is raised again grows by the places it passes.


def no_authentication() -> CommandError:
    return CommandError("Authentication required.", "NOAUTH")


def wrong_password() -> CommandError:
    return CommandError("invalid username-password pair or user is disabled.", "WRONGPASS")
