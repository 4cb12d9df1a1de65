"""What a door answers by itself although it is about keys: MIGRATE and PFSELFTEST."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proto.reply import OK, ErrorReply, Reply
from ..data.hyperloglog import passes_self_test
from ..errors import CommandError

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client


def migrate(client: Client, args: Args) -> Reply:
    """MIGRATE: refused. A shard is many replicas, none of which may call another server alone."""
    raise CommandError(
        "MIGRATE is not supported: a client copies a key with DUMP here and RESTORE there,"
        " then removes it with DEL"
    )


def pfselftest(client: Client, args: Args) -> Reply:
    """PFSELFTEST: OK, if counting works."""
    return OK if passes_self_test() else ErrorReply("TESTFAILED", "HyperLogLog")
