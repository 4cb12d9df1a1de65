"""What gRPC is told before a node loads it."""

from __future__ import annotations

import subprocess
import sys


def test_a_node_sets_grpc_before_it_loads_it() -> None:
    code = (
        "import os, sys\n"
        "from trimaran.node import grpc_environment\n"
        "assert 'grpc' not in sys.modules\n"
        "import trimaran.node.__main__\n"
        "assert 'grpc' in sys.modules\n"
        "print(os.environ['GRPC_EXPERIMENTS'], os.environ['GRPC_VERBOSITY'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout.split() == ["-event_engine_client,-event_engine_listener", "ERROR"]


def test_what_the_environment_says_already_stands() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os\n"
            "from trimaran.node import grpc_environment\n"
            "print(os.environ['GRPC_VERBOSITY'])\n",
        ],
        capture_output=True, text=True, check=True, timeout=60,
        env={"PYTHONPATH": ":".join(sys.path), "GRPC_VERBOSITY": "INFO"},
    )  # fmt: skip
    assert done.stdout.split() == ["INFO"]
