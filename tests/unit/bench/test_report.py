"""The tables say what was measured, and the history in the docs only grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...bench.generators import Shape
from ...bench.parse import Load
from ...bench.report import MARK, Settings, prepend, section
from ...bench.rounds import Result, Sample

SETTINGS = Settings("python -m tests.bench", "always", 3, 5.0, {"etcd": 2.5}, 74.2, 0.25)


def _samples(*rates: float, server_us: float) -> list[Sample]:
    load = [Load(1000, rate, p50_ms=1.5, p99_ms=2.25) for rate in rates]
    return [Sample(one, server_us=server_us, client_us=3.0) for one in load]


def _result() -> Result:
    result = Result(Shape("SET", 50, 1))
    result.samples["etcd"] = _samples(1000, 500, 2000, server_us=168.0)
    result.samples["db 1"] = _samples(2000, 1500, 3000, server_us=57.04)
    return result


def test_a_ratio_is_made_within_a_round() -> None:
    """Rounds have 2x, 3x and 1.5x; the medians of the rates alone would also give 2x by chance."""
    result = _result()
    assert result.ratio("db 1", "etcd") == 2.0
    result.samples["etcd"] = _samples(500, 1000, 2000, server_us=168.0)
    assert result.ratio("db 1", "etcd") == 1.5


def test_a_section_shows_rate_ratio_cpu_and_latency(tmp_path: Path) -> None:
    text = section([_result()], SETTINGS, tmp_path)
    assert "| SET | 50 | 1 | 1,000 | 2,000 (2.00x) |" in text
    assert "| SET | 50 | 1 | 168.0 | 57.0 |" in text
    assert "| SET | 50 | 1 | 1.50 / 2.25 | 1.50 / 2.25 |" in text


def test_a_section_names_commit_and_fsync_mode(tmp_path: Path) -> None:
    text = section([_result()], SETTINGS, tmp_path)
    assert "commit none" in text  # The folder is no repository.
    assert "fsync: ours `always`, etcd always; one fdatasync of 4 KiB takes 74 us" in text


def test_a_new_section_stands_above_the_older_ones(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"# Benchmarks\n\n{MARK}\n")
    prepend(document, "## one\n")
    prepend(document, "## two\n")
    assert document.read_text() == f"# Benchmarks\n\n{MARK}\n\n## two\n\n## one\n"


def test_a_document_without_the_mark_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("# Benchmarks\n")
    with pytest.raises(ValueError, match="newest first"):
        prepend(document, "## one\n")
    assert document.read_text() == "# Benchmarks\n"


def test_requests_are_whole_pipelines_of_all_clients() -> None:
    shape = Shape("GET", 50, 16)
    assert [shape.whole(requests) for requests in (1, 1199, 1201, 8000)] == [800, 800, 1600, 8000]
