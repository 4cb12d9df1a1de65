"""Every exception of the package that is not a Python one.

Four families, told apart by what the caller may do next: `CommandError` is the caller's mistake,
`Unavailable` was surely not applied and may be tried again, `OutcomeUnknown` may or may not have
been applied, `Corrupt` stops the node. `node/doors` maps each to its RESP and gRPC code.
"""

from __future__ import annotations


class TrimaranError(Exception):
    """The root of what this package raises."""


class CommandError(TrimaranError):
    """The caller's mistake; becomes `-CODE text`. Compared by value: it is also a reply."""

    def __init__(self, text: str, code: str = "ERR") -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, CommandError) and self.code == other.code and self.text == other.text
        )

    def __hash__(self) -> int:
        return hash((self.code, self.text))


class Unavailable(TrimaranError):
    """Surely not applied; another try, perhaps elsewhere, may succeed."""


class NotLeader(Unavailable):
    """`hint` is the node believed to lead, or None."""

    def __init__(self, hint: str | None) -> None:
        super().__init__(f"not the leader (try {hint})" if hint else "no leader is known")
        self.hint = hint


class NoQuorum(Unavailable):
    """The shard found no majority in time; nothing was proposed."""


class Overloaded(Unavailable):
    """A limit is reached; `limit` names its configuration field."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"overloaded: {limit} is reached")
        self.limit = limit


class OutcomeUnknown(TrimaranError):
    """The write was proposed and its fate is not known: it may or may not have been applied."""


class Corrupt(TrimaranError):
    """Bytes on disk are not what was written; the message names file, offset and shard."""


class ConfigError(TrimaranError):
    """The configuration is wrong; the message lists every fault found."""


class IdentityError(TrimaranError):
    """This directory may not run under this name or in this cluster (correctness B1, B2)."""


class SessionUnknown(Unavailable):
    """The session is not, or no longer, known to this shard; nothing was applied (A8)."""

    def __init__(self) -> None:
        super().__init__("the session is not known here: open a new one")


class ExpiryPending(TrimaranError):
    """A read met a key that is due, but no applied stamp is past its expiry yet.

    Saying "absent" now could be undone by a failover to a slower clock: first an entry with a
    later stamp must commit, for instance an expiry command for `key` (correctness A2).
    """

    def __init__(self, db: int, key: bytes) -> None:
        super().__init__(f"the expiry of a key in database {db} is not in the log yet")
        self.db = db
        self.key = key
