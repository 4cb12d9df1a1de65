"""The committed generated code loads at both ends of the ranges that pyproject.toml promises.

Each end is installed once under build/, beside the environment and not into it. An interpreter
without site-packages then imports every generated module and sends one message through it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENDS = {
    "oldest": ["protobuf==6.31.*", "grpcio==1.76.*"],
    "newest": ["protobuf>=7,<8", "grpcio>=1.76"],
}
PROGRAM = """
import importlib, pathlib, sys
sys.path[:0] = sys.argv[1:3]
import google.protobuf, grpc
import trimaran
root = pathlib.Path(trimaran.__file__).parent / "proto"
messages = 0
for path in sorted(root.glob("*_pb2*.py")):
    module = importlib.import_module(f"trimaran.proto.{path.stem}")
    for name in getattr(getattr(module, "DESCRIPTOR", None), "message_types_by_name", ()):
        kind = getattr(module, name)
        assert kind.FromString(kind().SerializeToString()) == kind()
        messages += 1
assert messages, "no generated message was found"
print(google.protobuf.__version__, grpc.__version__)
"""


def installed(end: str) -> Path:
    """The folder that holds this end of the ranges; filled at the first call."""
    wanted = "\n".join(ENDS[end])
    folder = (
        ROOT / "build" / "protobuf-range" / f"{end}-{sys.version_info[0]}.{sys.version_info[1]}"
    )
    stamp = folder / ".installed"
    if not stamp.is_file() or stamp.read_text() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"),
                *("--disable-pip-version-check", "--no-warn-conflicts", "--target", str(folder)),
                *ENDS[end],
            ],
            check=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
        )
        stamp.write_text(wanted)
    return folder


@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", sorted(ENDS))
def test_generated_code_loads_and_speaks_at_this_end_of_the_range(end: str, tmp_path: Path) -> None:
    (tmp_path / "trimaran").symlink_to(ROOT)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(installed(end)), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    protobuf, grpc = done.stdout.split()
    if end == "oldest":
        assert (protobuf[:5], grpc[:5]) == ("6.31.", "1.76.")
    else:
        assert int(protobuf.split(".")[0]) == 7
