"""What `import trimaran; trimaran.Client()` loads: nothing of a node's, no gRPC, and not much.

Counted, not timed: a busy machine says nothing about time.
"""

from __future__ import annotations

import subprocess
import sys

# What pyproject.toml installs for nodes and for tests alone, and what the command line needs. Not
# grpc_health and grpc_reflection: grpc loads them itself where they are installed.
NOT_FOR_CLIENTS = (
    *("trimaran.node", "trimaran.client.cli", "trimaran.client.up"),
    *("aiohttp", "anycrc", "click", "crc32c", "lupa", "lzf", "prometheus_client", "uvloop"),
    *("hypothesis", "pytest", "prompt_toolkit", "rich", "textual"),
)
MODULES_MAX = 400  # 320 with redis-py 8.1: asyncio, redis, ours. Most of its time is redis-py's.
# What the first command loads. A server that forks its workers has none of gRPC before.
LATER = ("grpc", "google.protobuf", "trimaran.client.core", "trimaran.client.channels")
SCRIPT = """
import sys

class NoTelemetry:  # It is an extra, and large.
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ImportError(name)

before = set(sys.modules)
sys.meta_path.insert(0, NoTelemetry)
import trimaran
trimaran.{}()
print(*sorted(set(sys.modules) - before))
"""


def loaded(name: str) -> list[str]:
    """What making a client of that name imports."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_client_loads_nothing_that_only_a_node_or_the_command_line_needs() -> None:
    for name in ("Client", "SyncClient"):
        modules = loaded(name)
        assert "trimaran.client.client" in modules
        wrong = [
            module
            for module in modules
            if any(module == one or module.startswith(f"{one}.") for one in NOT_FOR_CLIENTS)
        ]
        assert wrong == []


def test_a_client_loads_few_modules_and_no_grpc_before_it_is_used() -> None:
    modules = loaded("SyncClient")
    assert len(modules) < MODULES_MAX
    assert not set(LATER) & set(modules)


def test_the_package_alone_loads_neither_grpc_nor_redis() -> None:
    script = "import sys, trimaran; assert not {'grpc', 'redis', 'asyncio'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
