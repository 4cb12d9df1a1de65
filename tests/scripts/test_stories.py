"""Each file of `stories/` is played; what comes of it must be what stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from .story import Story

STORIES = sorted((Path(__file__).parent / "stories").glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_the_story_unfolds_as_told(path: Path, request: pytest.FixtureRequest) -> None:
    told = path.read_text()
    played = Story().play(told)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(played)
    else:
        assert played == told, f"if this is better: pytest {path.parent.parent} --rewrite"


def test_there_are_stories() -> None:
    assert len(STORIES) >= 8
