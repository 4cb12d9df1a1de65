"""What is counted of commands: calls, times, errors, slow ones, slow events."""

from __future__ import annotations

import pytest

from trimaran.cluster.command import LOCAL
from trimaran.cluster.commands import COMMANDS
from trimaran.node.doors.latency import FSYNC, SAMPLES_MAX, LatencyMonitor
from trimaran.node.doors.slowlog import STORM, SlowLog, cut
from trimaran.node.doors.stats import CODES_MAX, OTHER_CODES, Stats
from trimaran.node.errors import NotLeader, OutcomeUnknown
from trimaran.node.histogram import BUCKETS, Histogram, bucket_of, cumulative, percentile
from trimaran.node.request import NotApplied, Unknown
from trimaran.proto.reply import OK, ErrorReply

from .fakes import Client, MemoryRouter, Rig, Router

MS = 1_000_000
WRONG_TYPE = ErrorReply("WRONGTYPE", "no")


class Counted:
    """Statistics and a client whose commands are told to them."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000
        self.stats = Stats(lambda: self.now_s * 1_000_000)
        self.client = Rig(MemoryRouter()).client().connection


@pytest.fixture
def counted() -> Counted:
    return Counted()


# --- Histograms.


@pytest.mark.parametrize(
    ("value", "bucket"),
    [(-1, 0), (0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1024, 10), (1025, 11)],
)
def test_a_bucket_holds_what_is_at_most_its_power_of_two(value: int, bucket: int) -> None:
    assert bucket_of(value) == bucket


def test_what_is_too_large_for_all_buckets_is_in_the_last() -> None:
    assert bucket_of(1 << 60) == BUCKETS - 1


def test_a_percentile_is_a_bound_that_the_share_does_not_exceed() -> None:
    times = Histogram()
    times.add(3, times=98)
    times.add(700)
    times.add(5000)
    assert (times.count, times.total) == (100, 3 * 98 + 700 + 5000)
    assert cumulative(times.counts) == [(4, 98), (1024, 99), (8192, 100)]
    assert [percentile(times.counts, share) for share in (0.5, 0.98, 0.99, 0.999)] == [
        *(4, 4, 1024, 8192)
    ]
    assert percentile([0] * BUCKETS, 0.5) == 0


# --- Commands.


@pytest.mark.parametrize("size", [1, 4, 5, 50])
def test_every_command_of_a_batch_is_counted_with_the_age_of_the_batch(
    counted: Counted, size: int
) -> None:
    batch = [[b"SET", b"k", b"v"]] * size + [[b"GET", b"k"]]
    counted.stats.answered(counted.client, batch, [OK] * size + [b"v"], 300_000)
    assert counted.stats.commands[b"SET"].calls == size
    assert counted.stats.commands[b"SET"].usec == 300 * size
    assert counted.stats.commands[b"GET"].calls == 1


def test_errors_are_counted_by_command_and_by_code(counted: Counted) -> None:
    counted.stats.answered(counted.client, [[b"INCR", b"k"], [b"GET", b"k"]], [WRONG_TYPE, None], 5)
    counted.stats.rejected(COMMANDS[b"GET"], ErrorReply("CLUSTERDOWN", "x"))
    counted.stats.rejected(None, ErrorReply("ERR", "unknown command"))
    stats = counted.stats.commands
    assert (stats[b"INCR"].calls, stats[b"INCR"].failed) == (1, 1)
    assert (stats[b"GET"].calls, stats[b"GET"].rejected) == (1, 1)
    assert counted.stats.errors == {"WRONGTYPE": 1, "CLUSTERDOWN": 1, "ERR": 1}


def test_what_the_table_does_not_name_takes_no_room(counted: Counted) -> None:
    counted.stats.answered(counted.client, [[b"_WAIT", b"1"]], [1], 5)
    assert not counted.stats.commands


def test_no_more_codes_are_kept_than_there_may_be(counted: Counted) -> None:
    for number in range(CODES_MAX + 5):
        counted.stats.rejected(None, ErrorReply(f"MADEUP{number}", "x"))
    assert len(counted.stats.errors) == CODES_MAX + 1
    assert counted.stats.errors[OTHER_CODES] == 5


# --- The slow log.


def test_only_what_took_long_enough_is_in_the_slow_log_and_each_at_its_time(
    counted: Counted,
) -> None:
    log = counted.stats.slow_log
    counted.stats.answered(counted.client, [[b"GET", b"fast"]], [None], 9_999_000)
    counted.stats.answered(counted.client, [[b"GET", b"slow"]], [None], 10 * MS)
    counted.now_s += 5
    counted.client.name = b"me"
    row = COMMANDS[b"LOLWUT"]
    counted.stats.answered_here(counted.client, row, [b"lolwut"], b"art", 20 * MS)
    newest, oldest = log.newest(10)
    assert newest == (1, 1_700_000_005, 20_000, (b"lolwut",), "127.0.0.1:5", b"me")
    assert oldest == (0, 1_700_000_000, 10_000, (b"GET", b"slow"), "127.0.0.1:5", b"")


def test_the_slow_log_keeps_the_newest_and_forgets_when_it_shrinks() -> None:
    log = SlowLog()
    for number in range(200):
        log.add([b"GET", b"%d" % number], 1, 1, address="", name=b"")
    assert len(log) == 128
    log.length_max = 2
    assert [one.id for one in log.newest(10)] == [199, 198]
    log.length_max = 0
    log.add([b"GET"], 1, 1, address="", name=b"")
    assert len(log) == 0


def test_where_all_is_slow_the_slow_log_keeps_some_of_each_second_and_counts_the_rest(
    counted: Counted,
) -> None:
    log = counted.stats.slow_log
    log.length_max = 10_000
    for _ in range(2):
        for number in range(100):
            batch = [[b"GET", b"%d" % number]] * 16
            counted.stats.answered(counted.client, batch, [None] * 16, 50 * MS)
        counted.now_s += 1
    assert len(log) == 2 * STORM
    assert log.added == 2 * 1600
    log.slower_than_us = 0  # Who asks for everything gets everything.
    counted.stats.answered(counted.client, [[b"GET", b"k"]] * 5_000, [None] * 5_000, 1)
    counted.stats.answered(counted.client, [[b"GET", b"last"]], [None], 1)
    assert len(log) == 2 * STORM + 5_001
    assert log.newest(1)[0].args == (b"GET", b"last")


def test_everything_is_slow_at_0_and_nothing_below(counted: Counted) -> None:
    counted.stats.slow_log.slower_than_us = 0
    counted.stats.answered(counted.client, [[b"GET", b"k"]], [None], 1)
    counted.stats.slow_log.slower_than_us = -1
    counted.stats.answered(counted.client, [[b"GET", b"k"]], [None], 1 << 40)
    assert len(counted.stats.slow_log) == 1


def test_long_commands_are_cut_as_redis_does() -> None:
    assert cut([b"x" * 200])[0] == b"x" * 128 + b"... (72 more bytes)"
    many = cut([b"a"] * 40)
    assert (len(many), many[-1]) == (32, b"... (9 more arguments)")


def test_a_subcommand_and_its_container_stand_as_they_were_sent(counted: Counted) -> None:
    counted.stats.slow_log.slower_than_us = 0
    batch = [[b"OBJECT|ENCODING", b"encoding", b"k"], [b"EXEC"]]
    counted.stats.answered(counted.client, batch, [b"int", []], MS)
    (one,) = counted.stats.slow_log.newest(10)  # EXEC is not kept, its commands are.
    assert one.args == (b"OBJECT", b"encoding", b"k")
    assert counted.stats.commands[b"OBJECT|ENCODING"].calls == 1


def test_passwords_are_not_kept(counted: Counted) -> None:
    log = counted.stats.slow_log
    log.add([b"auth", b"user", b"secret"], 1, 1, address="", name=b"")
    log.add(
        [b"HELLO", b"3", b"AUTH", b"user", b"secret", b"SETNAME", b"me"], 1, 1, address="", name=b""
    )
    log.add(
        [b"config", b"set", b"timeout", b"1", b"RequirePass", b"secret"],
        *(1, 1),
        address="",
        name=b"",
    )
    hidden = b"(redacted)"
    assert [one.args for one in log.newest(3)] == [
        (b"config", b"set", b"timeout", b"1", b"RequirePass", hidden),
        (b"HELLO", b"3", b"AUTH", hidden, hidden, b"SETNAME", b"me"),
        (b"auth", hidden, hidden),
    ]


# --- The latency monitor.


def test_the_monitor_is_off_until_it_has_a_threshold(counted: Counted) -> None:
    monitor = counted.stats.latency
    monitor.note(FSYNC, 900 * MS)
    assert not monitor.series
    assert "CONFIG SET" in monitor.report()
    monitor.threshold_ms = 100
    assert "Nothing" in monitor.report()
    monitor.note(FSYNC, 99 * MS)
    monitor.note(FSYNC, 100 * MS)
    assert list(monitor.series[FSYNC].samples) == [(1_700_000_000, 100)]
    assert FSYNC in monitor.report()


def test_slow_commands_are_events_by_how_dear_they_are(counted: Counted) -> None:
    counted.stats.latency.threshold_ms = 1
    counted.stats.answered(counted.client, [[b"GET", b"k"], [b"SET", b"k", b"v"]], [b"v", OK], MS)
    assert set(counted.stats.latency.series) == {"command", "fast-command"}


def test_a_second_has_one_sample_its_worst_and_only_so_many_are_kept() -> None:
    now_s = 0
    monitor = LatencyMonitor(lambda: now_s)
    monitor.threshold_ms = 1
    for number in range(SAMPLES_MAX + 10):
        now_s = number
        monitor.note(FSYNC, 5 * MS)
        monitor.note(FSYNC, 9 * MS if number else 70 * MS)
        monitor.note(FSYNC, 3 * MS)
    series = monitor.series[FSYNC]
    assert len(series.samples) == SAMPLES_MAX
    assert series.samples[-1] == (SAMPLES_MAX + 9, 9)
    assert series.worst_ms == 70
    assert monitor.reset(["nothing"]) == 0
    assert monitor.reset() == 1
    assert not monitor.series


def test_the_graph_has_a_column_for_each_sample_with_its_age() -> None:
    now_s = 0
    monitor = LatencyMonitor(lambda: now_s)
    monitor.threshold_ms = 1
    for at_s, took_ms in ((0, 10), (4000, 40), (7190, 20)):
        now_s = at_s
        monitor.note(FSYNC, took_ms * MS)
    now_s = 7200
    title, _, *rows = monitor.graph(FSYNC).splitlines()
    assert title == "aof-fsync-always - high 40 ms, low 10 ms (all time high 40 ms)"
    assert rows == [" #", " |", " |#", "#||", "", "251", "h30", " ms"]


# --- Through a door.


def test_a_write_whose_fate_is_unknown_was_answered_and_one_not_applied_was_rejected() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"SET k v")
    rig.router.finish(Unknown(OutcomeUnknown("gone")))
    client.send(b"SET k v")
    rig.router.finish(NotApplied(NotLeader(None)))
    assert [reply.split()[0] for reply in client.replies()] == ["UNCERTAIN", "CLUSTERDOWN"]
    told = rig.door.clients.stats.commands[b"SET"]
    assert (told.calls, told.failed, told.rejected) == (1, 1, 1)
    assert rig.door.clients.stats.errors == {"UNCERTAIN": 1, "CLUSTERDOWN": 1}


def test_a_door_tells_of_every_kind_of_answer() -> None:
    rig = Rig(MemoryRouter())
    client: Client = rig.client()
    client.ask(b"SET k v", b"GET k", b"INCR k", b"get", b"nothing", b"config get save", b"PING")
    stats = rig.door.clients.stats
    calls = {name: one.calls for name, one in stats.commands.items()}
    assert calls == {b"SET": 1, b"GET": 1, b"INCR": 1, b"CONFIG|GET": 1, b"PING": 1}
    assert stats.commands[b"INCR"].failed == 1
    assert stats.commands[b"GET"].rejected == 1
    assert stats.errors == {"ERR": 3}


def test_a_command_over_several_shards_is_counted_once() -> None:
    rig = Rig(MemoryRouter())
    client = rig.client()
    client.ask([b"MGET", *[b"%d" % number for number in range(50)]])
    client.ask(b"DBSIZE")
    stats = rig.door.clients.stats.commands
    assert (stats[b"MGET"].calls, stats[b"DBSIZE"].calls) == (1, 1)


def test_every_local_command_of_the_table_is_counted_under_its_name() -> None:
    rig = Rig(MemoryRouter())
    client = rig.client()
    for name in (b"ROLE", b"TIME", b"LASTSAVE", b"LOLWUT", b"ECHO x"):
        assert COMMANDS[name.split()[0]].spread is LOCAL
        client.ask(name)
    assert set(rig.door.clients.stats.commands) == {
        b"ROLE",
        b"TIME",
        b"LASTSAVE",
        b"LOLWUT",
        b"ECHO",
    }
