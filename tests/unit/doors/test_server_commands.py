"""The server commands at a door: their answers, what they ask of the node, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from trimaran.cluster.commands import COMMANDS
from trimaran.node.doors.info import human
from trimaran.proto.reply import OK, ErrorReply

from .fakes import Client, Control, MemoryRouter, Rig

MS = 1_000_000


@pytest.fixture
def rig() -> Rig:
    return Rig(MemoryRouter())


@pytest.fixture
def client(rig: Rig) -> Client:
    return rig.client()


def control_of(rig: Rig) -> Control:
    control = rig.door.control
    assert isinstance(control, Control)
    return control


# Command (as a line) and its answer, as a real Redis 7 gives it.
ANSWERS: list[tuple[bytes, Any]] = [
    (b"ROLE", [b"master", 42, []]),
    (b"LASTSAVE", 1_700_000_000),
    (b"SAVE x", "ERR wrong number of arguments for 'save' command"),
    (b"BGSAVE x", "ERR syntax error"),
    (b"BGSAVE schedule", b"Background saving started"),
    (b"BGREWRITEAOF", b"Background append only file rewriting started"),
    (b"SHUTDOWN ABORT", "ERR No shutdown in progress."),
    (b"SHUTDOWN ABORT NOW", "ERR syntax error"),
    (b"SHUTDOWN SAVE NOSAVE", "ERR syntax error"),
    (b"SHUTDOWN foo", "ERR syntax error"),
    (b"SWAPDB a 1", "ERR invalid first DB index"),
    (b"SWAPDB 0 b", "ERR invalid second DB index"),
    (b"SWAPDB 0 99", "ERR DB index is out of range"),
    (b"SLOWLOG LEN", 0),
    (b"SLOWLOG GET", []),
    (b"SLOWLOG GET -1", []),
    (b"SLOWLOG GET -2", "ERR count should be greater than or equal to -1"),
    (b"SLOWLOG GET x", "ERR count should be greater than or equal to -1"),
    (
        b"SLOWLOG GET 1 2",
        "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.",
    ),
    (b"SLOWLOG RESET", b"OK"),
    (b"SLOWLOG foo", "ERR unknown subcommand 'foo'. Try SLOWLOG HELP."),
    (b"LATENCY LATEST", []),
    (b"LATENCY HISTORY command", []),
    (b"LATENCY GRAPH command", "ERR No samples available for event 'command'"),
    (b"LATENCY RESET", 0),
    (b"LATENCY RESET a b", 0),
    (b"LATENCY HISTOGRAM foo", []),
    (b"MEMORY PURGE", b"OK"),
    (b"MODULE LIST", []),
    (b"MODULE foo", "ERR unknown subcommand 'foo'. Try MODULE HELP."),
    (
        b"DEBUG foo",
        "ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP.",
    ),
    (
        b"DEBUG SLEEP",
        "ERR unknown subcommand or wrong number of arguments for 'sleep'. Try DEBUG HELP.",
    ),
    (b"DEBUG SLEEP 0", b"OK"),
    (b"DEBUG SLEEP x", b"OK"),
    (b"DEBUG SLEEP -1", b"OK"),
    (b"DEBUG STRINGMATCH-LEN a*c abc", 1),
    (b"DEBUG STRINGMATCH-LEN a*b abc", 0),
    (b"LOLWUT VERSION x", "ERR value is not an integer or out of range"),
    (b"ACL WHOAMI", b"default"),
    (b"ACL USERS", [b"default"]),
    (b"ACL LIST", [b"user default on nopass ~* &* +@all"]),
    (b"ACL GETUSER nobody", None),
    (b"ACL CAT foo", "ERR Unknown category 'foo'"),
    (b"ACL GENPASS x", "ERR value is not an integer or out of range"),
    (b"ACL LOG", []),
    (b"ACL LOG RESET", b"OK"),
    (b"ACL DELUSER nobody", 0),
    (b"ACL DELUSER default", "ERR The 'default' user cannot be removed"),
    (b"ACL DRYRUN default get k", b"OK"),
    (b"ACL DRYRUN nobody get k", "ERR User 'nobody' not found"),
    (b"ACL DRYRUN default foo", "ERR Command 'foo' not found"),
    (b"COMMAND GETKEYSANDFLAGS set k v", [[b"k", [b"OW", b"update"]]]),
    (b"COMMAND GETKEYSANDFLAGS set k v get", [[b"k", [b"RW", b"access", b"update"]]]),
    (
        b"COMMAND GETKEYSANDFLAGS rename a b",
        [[b"a", [b"RW", b"access", b"delete"]], [b"b", [b"OW", b"update"]]],
    ),
    (b"COMMAND GETKEYSANDFLAGS object encoding k", [[b"k", [b"RO"]]]),
    (b"COMMAND GETKEYSANDFLAGS ping x", "ERR The command has no key arguments"),
    (b"COMMAND GETKEYSANDFLAGS foo x", "ERR Invalid command specified"),
    (
        b"COMMAND GETKEYSANDFLAGS get a b",
        "ERR Invalid number of arguments specified for command",
    ),
]


@pytest.mark.parametrize(("line", "answer"), ANSWERS, ids=lambda value: str(value)[:40])
def test_answers_are_those_of_redis(client: Client, line: bytes, answer: Any) -> None:
    assert client.ask(line) == answer
    assert client.ask(b"PING") == b"PONG", "the connection lives on"


# What is refused, and the word for the way there is.
REFUSALS = [
    (b"REPLICAOF NO ONE", "trimaran status"),
    (b"SLAVEOF host 1", "trimaran node --founders"),
    (b"FAILOVER", "trimaran status"),
    (b"PSYNC ? -1", "trimaran node"),
    (b"SYNC", "trimaran node"),
    (b"REPLCONF listening-port 1", "trimaran node"),
    (b"SWAPDB 0 1", "SELECT"),
    (b"MODULE LOAD /x.so", "COMMAND LIST"),
    (b"MODULE LOADEX /x.so", "COMMAND LIST"),
    (b"MODULE UNLOAD x", "COMMAND LIST"),
    (b"ACL SETUSER x on", "default"),
    (b"ACL LOAD", "no ACL file"),
    (b"ACL SAVE", "no ACL file"),
]


@pytest.mark.parametrize(("line", "way"), REFUSALS, ids=lambda value: str(value)[:30])
def test_what_is_done_in_another_way_is_refused_and_the_way_named(
    client: Client, line: bytes, way: str
) -> None:
    reply = client.ask(line)
    assert reply.startswith("ERR ")
    assert way in reply
    assert client.ask(b"PING") == b"PONG"


@pytest.mark.parametrize(
    "word", [b"ACL", b"DEBUG", b"LATENCY", b"MEMORY", b"MODULE", b"OBJECT", b"SLOWLOG"]
)
def test_help_lists_what_there_is(client: Client, word: bytes) -> None:
    lines = client.ask(b"%b HELP" % word)
    assert lines[0].startswith(word + b" <subcommand>")
    told = {line.split()[0] for line in lines[1:] if not line.startswith(b" ")}
    assert set(COMMANDS[word].by_word) <= told


# --- Snapshots and stopping.


def test_save_answers_when_all_is_on_disk_and_later_commands_wait(rig: Rig, client: Client) -> None:
    client.send(b"SAVE", b"PING")
    assert client.replies() == []
    saving = control_of(rig).saving
    assert saving is not None
    saving(OK)
    assert client.replies() == [b"OK", b"PONG"]


def test_a_save_that_fails_says_why(rig: Rig, client: Client) -> None:
    client.send(b"SAVE")
    saving = control_of(rig).saving
    assert saving is not None
    saving(ErrorReply("ERR", "not saved"))
    assert client.replies() == ["ERR not saved"]


def test_only_one_save_in_the_background_runs(client: Client) -> None:
    assert client.ask(b"BGSAVE") == b"Background saving started"
    assert client.ask(b"BGSAVE") == "ERR Background save already in progress"
    assert client.ask(b"BGREWRITEAOF") == (
        "ERR Background append only file rewriting already in progress"
    )


@pytest.mark.parametrize(
    ("line", "is_saving"),
    [
        (b"SHUTDOWN", False),
        (b"SHUTDOWN NOSAVE NOW FORCE", False),
        (b"shutdown save", True),
    ],
)
def test_shutdown_stops_the_node_without_an_answer(
    rig: Rig, client: Client, line: bytes, *, is_saving: bool
) -> None:
    client.send(line, b"PING")
    assert client.replies() == []
    assert control_of(rig).stops == [is_saving]


def test_another_client_can_call_a_shutdown_off(rig: Rig, client: Client) -> None:
    client.send(b"SHUTDOWN SAVE")
    assert rig.client().ask(b"SHUTDOWN ABORT") == b"OK"
    assert client.replies() == ["ERR Errors trying to SHUTDOWN. Check logs."]


@pytest.mark.parametrize("line", [b"SAVE", b"SHUTDOWN", b"PSYNC ? -1", b"SYNC"])
def test_what_stops_or_blocks_is_no_part_of_a_transaction(client: Client, line: bytes) -> None:
    client.ask(b"MULTI")
    assert client.ask(line) == "ERR Command not allowed inside a transaction"


# --- DEBUG.


def test_a_sleep_holds_up_its_own_connection_only(rig: Rig, client: Client) -> None:
    client.send(b"DEBUG SLEEP 0.5", b"ECHO awake")
    assert rig.client().ask(b"PING") == b"PONG"
    rig.pass_time(0.4)
    assert client.replies() == []
    rig.pass_time(0.2)
    assert client.replies() == [b"OK", b"awake"]


def test_active_expiry_is_switched_on_this_node(rig: Rig, client: Client) -> None:
    assert client.ask(b"DEBUG SET-ACTIVE-EXPIRE 0") == b"OK"
    assert not control_of(rig).drives_expiry
    assert client.ask(b"DEBUG SET-ACTIVE-EXPIRE 1") == b"OK"
    assert control_of(rig).drives_expiry


# --- What was slow.


def test_the_slow_log_tells_command_time_and_client(rig: Rig, client: Client) -> None:
    rig.door.clients.stats.slow_log.slower_than_us = 0
    client.ask(b"CLIENT SETNAME me", b"SET k v")
    (newest, *_) = client.ask(b"SLOWLOG GET 1")
    number, at_s, took_us, args, address, name = newest
    assert (number, args, address, name) == (1, [b"SET", b"k", b"v"], b"127.0.0.1:5", b"me")
    assert at_s > 1_700_000_000
    assert took_us >= 0
    assert client.ask(b"SLOWLOG LEN") == 3
    assert client.ask(b"SLOWLOG RESET", b"SLOWLOG LEN") == 1, "the RESET itself"


def test_slow_events_are_told_as_samples_and_as_drawing(rig: Rig, client: Client) -> None:
    monitor = rig.door.clients.stats.latency
    monitor.threshold_ms = 5
    monitor.note("aof-fsync-always", 7 * MS)
    monitor.note("aof-fsync-always", 6 * MS)
    ((event, at_s, last_ms, worst_ms),) = client.ask(b"LATENCY LATEST")
    assert (event, last_ms, worst_ms) == (b"aof-fsync-always", 7, 7)
    assert client.ask(b"LATENCY HISTORY aof-fsync-always") == [[at_s, 7]]
    assert client.ask(b"LATENCY GRAPH aof-fsync-always").startswith(b"aof-fsync-always - high 7 ms")
    assert b"aof-fsync-always" in client.ask(b"LATENCY DOCTOR")
    assert client.ask(b"LATENCY RESET aof-fsync-always") == 1
    assert client.ask(b"LATENCY LATEST") == []


def test_the_histogram_of_commands_names_containers_and_their_parts(
    rig: Rig, client: Client
) -> None:
    client.ask(b"CLIENT ID", b"CLIENT GETNAME", b"SET k v", b"HELLO 3")
    told = client.ask(b"LATENCY HISTOGRAM client set set nothing")
    assert set(told) == {b"client|id", b"client|getname", b"set"}
    assert told[b"set"][b"calls"] == 1
    ((bound, count),) = told[b"set"][b"histogram_usec"].items()
    assert bound & (bound - 1) == 0
    assert count == 1
    assert set(client.ask(b"LATENCY HISTOGRAM")) >= {b"client|id", b"hello", b"latency|histogram"}


# --- Memory, users, art.


def test_memory_is_told_as_a_map_and_in_words(client: Client) -> None:
    client.ask(b"HELLO 3")
    told = client.ask(b"MEMORY STATS")
    assert told[b"total.allocated"] == told[b"dataset.bytes"] == 1_000
    assert (told[b"keys.count"], told[b"keys.bytes-per-key"]) == (10, 100)
    assert (told[b"peak.percentage"], told[b"fragmentation"]) == (50.0, 4.0)
    assert b"next to nothing" in client.ask(b"MEMORY DOCTOR")
    assert b"pymalloc" in client.ask(b"MEMORY MALLOC-STATS")


def test_the_one_user_may_do_everything(client: Client) -> None:
    client.ask(b"HELLO 3")
    told = client.ask(b"ACL GETUSER default")
    assert set(told[b"flags"]) == {b"on", b"nopass"}
    assert (told[b"commands"], told[b"keys"], told[b"channels"]) == (b"+@all", b"~*", b"&*")
    assert b"get" in client.ask(b"ACL CAT string")
    assert b"config|get" in client.ask(b"ACL CAT admin")
    assert len(client.ask(b"ACL GENPASS")) == 64
    assert len(client.ask(b"ACL GENPASS 5")) == 2


def test_lolwut_ends_with_the_version(client: Client) -> None:
    for line in (b"LOLWUT", b"LOLWUT VERSION 5", b"LOLWUT VERSION 5 1 2"):
        art = client.ask(line).decode()
        assert art.splitlines()[-1].startswith("Redis ver. 7.2.4")
        assert "\\===\\" in art
        assert "~" in art


# --- INFO.


def sections(client: Client, line: bytes) -> list[str]:
    text = client.ask(line).decode()
    return [one[2:] for one in text.splitlines() if one.startswith("# ")]


def test_info_without_arguments_leaves_out_what_grows(client: Client) -> None:
    assert sections(client, b"INFO") == [
        *("Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules"),
        *("Errorstats", "Cluster", "Keyspace"),
    ]
    assert sections(client, b"INFO default") == sections(client, b"INFO")
    everything = sections(client, b"INFO everything")
    assert {"Commandstats", "Latencystats"} < set(everything)
    assert sections(client, b"INFO all") == everything


def test_info_tells_the_sections_asked_for_once_and_in_their_order(client: Client) -> None:
    assert sections(client, b"INFO stats SERVER foo stats") == ["Server", "Stats"]
    assert sections(client, b"INFO foo") == []


def test_info_tells_calls_errors_and_times_of_commands(client: Client) -> None:
    client.ask(b"SET k v", b"GET k", b"INCR k", b"GET")
    told = client.ask(b"INFO commandstats errorstats latencystats").decode()
    fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    assert fields["cmdstat_get"].startswith("calls=1,usec=")
    assert fields["cmdstat_get"].endswith(",rejected_calls=1,failed_calls=0")
    assert fields["cmdstat_incr"].endswith(",rejected_calls=0,failed_calls=1")
    assert fields["errorstat_ERR"] == "count=2"
    assert fields["latency_percentiles_usec_set"].startswith("p50=")


def test_config_resetstat_begins_anew(client: Client) -> None:
    client.ask(b"SET k v", b"INCR k")
    client.ask(b"CONFIG RESETSTAT")
    told = client.ask(b"INFO commandstats errorstats").decode()
    assert "cmdstat_set" not in told
    assert "errorstat" not in told


def test_bytes_are_written_as_redis_writes_them_for_people() -> None:
    assert [human(count) for count in (0, 1023, 1536, 3 << 20, 1 << 40)] == [
        *("0B", "1023B", "1.50K", "3.00M", "1024.00G")
    ]


def test_a_pattern_that_would_stop_the_node_is_refused_by_debug(client: Client) -> None:
    pattern = b"*" + b"?" * 1_000 + b"c*"
    reply = client.ask([b"DEBUG", b"STRINGMATCH-LEN", pattern, b"a" * 70_000])
    assert reply == "ERR the pattern takes too long on texts that long"
