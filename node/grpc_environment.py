"""How gRPC is set for a node where only the environment can: to be imported before gRPC is.

Its default is an event engine: threads of it read the sockets and wake the one that waits for
messages, which wakes the loop. Without it that one reads the sockets itself. A SET that is alone
then wakes 36 threads over three nodes instead of 54, and costs a sixth less CPU. A version that
does not know these names says so in one line and goes on with its default.
"""

from __future__ import annotations

import os

os.environ.setdefault(  # noqa: TID251 - gRPC takes it from nowhere else.
    "GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener"
)
# Its documented default: without it each peer that stops is a line of its C core in our log.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # noqa: TID251 - as above.
