"""What was measured, as Markdown: on the screen, and on top of the history in the docs."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .parse import Load
    from .rounds import Result, Sample

# New sections go behind this line; what stands above it explains how to read them.
MARK = "<!-- newest first -->"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a reader needs to believe the numbers or to repeat them."""

    command: str
    fsync: str
    rounds: int
    seconds: float
    idle_cpu_percent: dict[str, float]
    fdatasync_us: float
    load_before: float
    left_out: tuple[str, ...] = ()  # Ways that do not work here, and why.


def section(results: Sequence[Result], settings: Settings, root: Path) -> str:
    """One dated section with its tables."""
    ways = list(results[0].samples)
    now = datetime.datetime.now(tz=datetime.UTC)
    idle = ", ".join(f"{name} {share:.1f} %" for name, share in settings.idle_cpu_percent.items())
    busiest = max(
        sample.client_us * sample.load.rate / 1e4
        for result in results
        for samples in result.samples.values()
        for sample in samples
    )
    lines = [
        f"## {now:%Y-%m-%d %H:%M} UTC, commit {commit(root)}",
        "",
        f"`{settings.command}`; {settings.rounds} rounds of about {settings.seconds:g} s, medians.",
        f"fsync: ours `{settings.fsync}`, etcd always; one fdatasync of 4 KiB takes "
        f"{settings.fdatasync_us:.0f} us here.",
        f"Machine: {machine()}; load before the run {settings.load_before:.2f}.",
        f"CPU of the idle clusters, of one core: {idle}. "
        f"The load generator took at most {busiest:.0f} % of one core.",
        *settings.left_out,
        "",
        "### Commands per second (ratio to etcd in the same rounds)",
        "",
        *_table(results, ways, _rate),
        "",
        "### CPU microseconds per command, all three servers together",
        "",
        *_table(results, ways, lambda result, way: f"{result.median(way, _server_us):.1f}"),
        "",
        "### Latency in ms: p50 / p99",
        "",
        *_table(results, ways, _latency),
        "",
    ]
    return "\n".join(lines)


def part_section(part: str, command: str, table: str, fdatasync: float, root: Path) -> str:
    """One dated section for what `python -m tests.bench part ...` has measured."""
    now = datetime.datetime.now(tz=datetime.UTC)
    lines = [
        f"## {now:%Y-%m-%d %H:%M} UTC, commit {commit(root)}: {part}",
        "",
        f"`{command}`; fsync: always, {fdatasync:.0f} us for 4 KiB. "
        f"Machine: {machine()}; load at the end {os.getloadavg()[0]:.2f}.",
        "",
        table,
        "",
    ]
    return "\n".join(lines)


def prepend(document: Path, text: str) -> None:
    """Puts the section on top of the history."""
    whole = document.read_text()
    before, mark, after = whole.partition(MARK)
    if not mark:
        raise ValueError(f"{document} has no line {MARK}")
    sections = [text.strip(), *([after.strip()] if after.strip() else [])]
    document.write_text(f"{before}{mark}\n\n" + "\n\n".join(sections) + "\n")


def commit(root: Path) -> str:
    """The short hash of what is measured, and whether the tree differs from it."""
    head = _git(root, "rev-parse", "--short", "HEAD")
    if not head:
        return "none"
    is_changed = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return f"{head} (with changes)" if is_changed else head


def machine() -> str:
    """Processor, cores, memory and kernel."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model}, {cores} cores, {memory_gib:.1f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def fdatasync_us(directory: Path) -> float:
    """Median time of a 4 KiB write and its fdatasync in a preallocated file of this directory."""
    path = directory / "fdatasync.probe"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    times: list[int] = []
    try:
        os.pwrite(handle, bytes(4096 * 200), 0)
        os.fsync(handle)
        for place in range(200):
            started = time.perf_counter_ns()
            os.pwrite(handle, b"x" * 4096, 4096 * place)
            os.fdatasync(handle)
            times.append(time.perf_counter_ns() - started)
    finally:
        os.close(handle)
        path.unlink()
    return statistics.median(times) / 1000


def _table(
    results: Sequence[Result], ways: Sequence[str], cell: Callable[[Result, str], str]
) -> list[str]:
    head = ["command", "clients", "pipeline", *ways]
    rows = [
        [result.shape.op, str(result.shape.clients), str(result.shape.pipeline)]
        + [cell(result, way) for way in ways]
        for result in results
    ]
    align = ["---"] + ["---:"] * (len(head) - 1)
    return [f"| {' | '.join(row)} |" for row in [head, align, *rows]]


def _rate(result: Result, way: str) -> str:
    rate = f"{result.median(way, lambda sample: sample.load.rate):,.0f}"
    if way == "etcd" or "etcd" not in result.samples:
        return rate
    return f"{rate} ({result.ratio(way, 'etcd'):.2f}x)"


def _latency(result: Result, way: str) -> str:
    def middle(value: Callable[[Load], float]) -> float:
        return result.median(way, lambda sample: value(sample.load))

    return f"{middle(lambda load: load.p50_ms):.2f} / {middle(lambda load: load.p99_ms):.2f}"


def _server_us(sample: Sample) -> float:
    return sample.server_us


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
