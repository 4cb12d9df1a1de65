"""What gRPC finds in the environment while the SDK loads it, and what is there behind that."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from trimaran.client.grpc_loading import TRIED_MAX, VARIABLE, WANTED

SCRIPT = f"""
import os, sys

class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("{VARIABLE}"))

sys.meta_path.insert(0, Watch)
{{}}
import trimaran
trimaran.Client()
assert "grpc" not in sys.modules or {{!r}}
from trimaran.client import core
assert "grpc" in sys.modules
print(os.environ.get("{VARIABLE}"))
"""


def seen(first: str = "", **environment: str) -> list[str]:
    """While gRPC is loaded, and behind that."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(first, first)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_variable_is_there_while_grpc_is_loaded_and_gone_behind_that() -> None:
    major, minor, *_ = version("grpcio").split(".")
    expected = WANTED if (int(major), int(minor)) <= TRIED_MAX else "None"
    assert seen() == [expected, "None"]


def test_what_the_application_has_set_stands() -> None:
    assert seen(**{VARIABLE: "tcp_rcv_lowat"}) == ["tcp_rcv_lowat", "tcp_rcv_lowat"]


def test_a_grpc_that_is_loaded_already_is_left_alone() -> None:
    assert seen("import grpc") == ["None", "None"]


@pytest.mark.parametrize("text", ["1.86.0", "2.0.0.dev1"])
def test_a_version_that_was_not_tried_has_its_default(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimaran.client import grpc_loading

    monkeypatch.setattr(grpc_loading, "version", lambda _: text)
    monkeypatch.delitem(sys.modules, "grpc", raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)
    grpc_loading.load()
    assert "grpc" not in sys.modules
    assert VARIABLE not in os.environ  # noqa: TID251 - what this is about.
