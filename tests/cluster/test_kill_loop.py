"""Nodes killed with -9 all at once, in a loop, under load: a short form of `make chaos`."""

from __future__ import annotations

from pathlib import Path

from ..chaos.scenarios import run_with_history

SECONDS = 20.0
CLIENTS = 6


async def test_nothing_acknowledged_is_lost_when_all_nodes_die_again_and_again(
    tmp_path: Path,
) -> None:
    outcome = await run_with_history(
        "kill-all", tmp_path / "nodes", seconds=SECONDS, seed=1, clients=CLIENTS
    )
    assert outcome.violations == []
    assert outcome.faults > 1
