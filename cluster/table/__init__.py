"""The rows of the command table, and what COMMAND DOCS tells of them; one module per family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from . import (
    bitmaps,
    cluster,
    connection,
    geo,
    hashes,
    hyperloglog,
    keys,
    lists,
    pubsub,
    scripting,
    server,
    sets,
    sorted_sets,
    streams,
    strings,
)

if TYPE_CHECKING:
    from ..command import Command
    from ..doc import Doc


class Family(Protocol):
    @property
    def ROWS(self) -> tuple[Command, ...]: ...  # noqa: N802 - a module's constant.

    @property
    def DOCS(self) -> dict[bytes, Doc]: ...  # noqa: N802

    @property
    def ARGUMENTS(self) -> dict[bytes, str]: ...  # noqa: N802 - in the notation of `arguments.py`.


FAMILIES: Final[tuple[Family, ...]] = (
    strings, bitmaps, hyperloglog, keys, lists, sets, sorted_sets, geo, hashes, streams,
    pubsub, scripting, connection, server, cluster,
)  # fmt: skip
