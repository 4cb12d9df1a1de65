"""Frames of `trimaran top`, made of what nodes told at two moments."""

from __future__ import annotations

from trimaran.client.readings import Metrics, Reading, quantile, rate
from trimaran.client.status import NodeStatus, ReplicaStatus, ShardStatus, Status
from trimaran.client.top import ALARM, frame

NODES = (NodeStatus("n1", "h", 7379, is_up=True, memory_bytes=3 << 20), NodeStatus("n2", "h", 7389))
SHARD = ShardStatus(
    0, "n1", 4, 90, 90, 100, (ReplicaStatus("n1", "leader", 100), ReplicaStatus("n2", "", 58))
)


def metrics(at: float, commands: int, fast: int = 0, slow: int = 0) -> Metrics:
    lines = [
        "# HELP something",
        f"trimaran_commands_total {commands}",
        "trimaran_clients 7",
        f"process_cpu_seconds_total {at / 4}",
        f'trimaran_shard_commands_applied_total{{shard="0"}} {commands / 2}',
        'trimaran_shard_keys{shard="0"} 1234',
        'trimaran_shard_memory_bytes{shard="0"} 2048',
    ]
    for bound, count in (("0.001", fast), ("0.064", fast + slow), ("+Inf", fast + slow)):
        lines.append(
            f'trimaran_command_duration_seconds_bucket{{family="write",le="{bound}"}} {count}'
        )
    return Metrics("\n".join(lines), at)


def reading(told: Metrics, *, shard: ShardStatus = SHARD) -> Reading:
    status = Status("n1", "ab", "ready", epoch=1, nodes=NODES, shards=(shard,))
    return Reading(status, {"n1": told}, {"n2": "h:7392: Connection refused"})


def blanks(line: str) -> str:
    """With one between two columns."""
    return " ".join(line.split())


def test_a_frame_shows_what_changed_between_two_readings() -> None:
    before, now = metrics(10.0, 1000, 100, 0), metrics(12.0, 9000, 100 + 98, 2)
    lines = [text for _, text in frame(reading(before), reading(now))]
    assert lines[0] == (
        "cluster ab  ready  epoch 1  1 of 2 nodes up  1 of 1 shards led  4,000 commands/s"
    )
    assert lines[1] == "n2 is down: h:7392: Connection refused"
    node = next(line for line in lines if line.startswith("n1 "))
    assert blanks(node) == "n1 h:7379 yes 1 7 4,000 - - 1.0 ms 64.0 ms - - 25% 3.0 MiB"
    assert blanks(lines[-1]) == "0 n1 4 1,234 2.0 KiB 2,000 90 42 n1 n2(-42)"


def test_the_first_frame_has_no_rates() -> None:
    lines = [text for _, text in frame(None, reading(metrics(10.0, 1000)))]
    assert lines[0].endswith("  - commands/s")


def test_what_is_wrong_stands_out() -> None:
    lost = ShardStatus(0, None, 4)
    lines = frame(None, reading(metrics(10.0, 0), shard=lost))
    alarming = [text for style, text in lines if style == ALARM]
    assert alarming[0].startswith("cluster ab")
    assert alarming[1:3] == ["n2 is down: h:7392: Connection refused", "without a leader: 0"]
    assert alarming[3].startswith("n2 ")
    assert blanks(alarming[4]).startswith("0 NONE 4 ")


def test_a_node_that_was_restarted_has_no_rate_until_the_next_look() -> None:
    before, now = metrics(10.0, 1000, 5), metrics(12.0, 10, 1)
    assert rate(before, now, "trimaran_commands_total") is None
    assert quantile(before, now, 0.5, "trimaran_command_duration_seconds", family="write") is None
    assert rate(now, metrics(14.0, 30), "trimaran_commands_total") == 10
    assert rate(None, now, "trimaran_commands_total") is None
    assert rate(before, now, "trimaran_nothing_total") is None
