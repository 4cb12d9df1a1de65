"""Whatever happens, what a command was told is true."""

from __future__ import annotations

import pytest

from trimaran.client import session

from .storm import WINDOW, play


@pytest.mark.parametrize("seed", [*range(10), 771, 1717])
def test_what_each_command_was_told_is_true(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """771: a machine sleeps while a session is being opened; 1717: what it had sent comes late."""
    monkeypatch.setattr(session, "WINDOW_MAX", WINDOW)
    play(seed)
