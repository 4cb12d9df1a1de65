"""What COMMAND DOCS tells of one command."""

from __future__ import annotations

from typing import NamedTuple


class Doc(NamedTuple):
    group: str
    since: str  # The version of Redis that had it first.
    complexity: str
    summary: str
    deprecated_since: str = ""
    replaced_by: str = ""
