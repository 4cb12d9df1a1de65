"""CONFIG: what is the cluster's and what this node's, all or nothing, and the truth about both."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from trimaran.cluster.settings import TABLE, Settings
from trimaran.node.doors.config_table import CHANGEABLE, NODE_PARAMETERS, NODE_TABLE
from trimaran.proto.reply import OK, ErrorReply

from .fakes import Client, Control, Rig, Router, encode


@pytest.fixture
def rig() -> Rig:
    return Rig(Router())


@pytest.fixture
def client(rig: Rig) -> Client:
    return rig.client()


@pytest.fixture
def control(rig: Rig) -> Control:
    assert isinstance(rig.door.control, Control)
    return rig.door.control


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


def get(client: Client, name: str) -> str:
    found = client.ask(b"CONFIG GET %b" % name.encode())
    assert len(found) == 2, f"{name}: {found}"
    return str(found[1].decode())


def failed(name: str, why: str) -> str:
    return f"ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"


# --- GET


def test_every_parameter_is_shown_under_all_its_names(client: Client) -> None:
    shown = client.ask(b"CONFIG GET *")[::2]
    names = [name for one in TABLE for name in (one.name, *one.aliases)]
    names += [name for one in NODE_TABLE for name in (one.name, *one.aliases)]
    assert sorted(shown) == sorted(name.encode() for name in names)
    assert len(set(names)) == len(names)


def test_several_patterns_show_each_parameter_once(client: Client) -> None:
    found = client.ask(b"CONFIG GET maxmemory MAXMEM* maxmemory-polic?")
    assert found[::2] == [
        b"maxmemory",
        b"maxmemory-clients",
        b"maxmemory-policy",
        b"maxmemory-samples",
    ]


def test_a_plain_name_is_answered_in_the_letters_it_was_asked_in(client: Client) -> None:
    assert client.ask(b"CONFIG GET MaxClients maxclients") == [b"MaxClients", b"10000"]
    assert client.ask(b"CONFIG GET nothing") == []


def test_it_is_a_map_in_resp3(client: Client) -> None:
    client.ask(b"HELLO 3")
    assert client.ask(b"CONFIG GET maxmemory appendonly") == {
        b"maxmemory": b"0",
        b"appendonly": b"yes",
    }


def test_what_the_node_was_started_with_is_told(client: Client) -> None:
    assert client.ask(b"CONFIG GET dir appendfsync hz") == [
        *(b"dir", b"/somewhere", b"appendfsync", b"no", b"hz", b"50"),
    ]


# --- SET of what is this node's own.


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("maxclients", b"77", "77"),
        ("timeout", b"30", "30"),
        ("tcp-keepalive", b"0", "0"),
        ("slowlog-log-slower-than", b"-1", "-1"),
        ("slowlog-max-len", b"3", "3"),
        ("latency-monitor-threshold", b"5", "5"),
        ("latency-tracking-info-percentiles", b"50 99.5", "50 99.5"),
        ("loglevel", b"warning", "warning"),
        (
            "client-output-buffer-limit",
            b"normal 1mb 0 0",
            "normal 1048576 0 0 slave 0 0 0 pubsub 33554432 0 0",
        ),
        ("requirepass", b"two words", "two words"),
        ("acllog-max-len", b"7", "7"),
    ],
)
def test_each_of_them_is_set_and_shown(
    client: Client, rig: Rig, name: str, value: bytes, shown: str
) -> None:
    other = rig.client()
    assert client.ask([b"CONFIG", b"SET", name.encode(), value]) == b"OK"
    assert get(client, name) == shown
    # On this node, for every client of every door.
    assert get(other, name) == shown


def test_the_test_above_has_them_all() -> None:
    mark = next(one for one in test_each_of_them_is_set_and_shown.pytestmark)  # type: ignore[attr-defined]  # pytest's.
    assert {row[0] for row in mark.args[1]} == {one.name for one in CHANGEABLE}


def test_they_act(client: Client, rig: Rig) -> None:
    client.ask(b"CONFIG SET maxclients 2 slowlog-log-slower-than 0 slowlog-max-len 5")
    assert rig.door.clients.limits.clients_max == 2
    rig.client()
    assert b"max number of clients" in rig.client().written
    stats = rig.door.clients.stats
    assert (stats.slow_log.slower_than_us, stats.slow_log.length_max) == (0, 5)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("xx", "Wrong number of arguments in buffer limit configuration."),
        ("foo 1 2 3", "Invalid client class specified in buffer limit configuration."),
        (
            "normal a 2 3",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        ("normal 10 5 60", "there is no soft limit here: give 0 0"),
        ("normal 0 0 0", "every client has a limit here: 0 is not possible"),
    ],
)
def test_an_output_limit_that_cannot_be_kept_is_refused(
    client: Client, value: str, why: str
) -> None:
    answer = client.ask([b"CONFIG", b"SET", b"client-output-buffer-limit", value.encode()])
    assert answer == failed("client-output-buffer-limit", why)
    assert get(client, "client-output-buffer-limit").startswith("normal 268435456 0 0")


def test_a_limit_for_replicas_is_taken_and_means_nothing(client: Client) -> None:
    asked = [b"CONFIG", b"SET", b"client-output-buffer-limit", b"replica 256mb 64mb 60"]
    assert client.ask(asked) == b"OK"
    assert get(client, "client-output-buffer-limit").startswith("normal 268435456 0 0")


def test_more_clients_than_the_system_has_files_for_are_refused(client: Client) -> None:
    answer = client.ask(b"CONFIG SET maxclients 4294967295")
    assert "The operating system is not able to handle" in answer or answer == b"OK"
    if answer != b"OK":
        assert get(client, "maxclients") == "10000"


def test_the_clusters_bound_on_strings_bounds_what_may_be_sent(rig: Rig) -> None:
    clients = rig.door.clients
    command = encode(b"SET", b"k", b"x" * (1 << 20) + b"x")
    clients.settings_changed(Settings(proto_max_bulk_len=1 << 20))
    client = rig.client()
    client.send_raw(command)
    assert client.replies() == ["ERR Protocol error: invalid bulk length"]
    clients.settings_changed(Settings())
    client = rig.client()
    client.send_raw(command)
    assert client.replies() == []  # It is with the router.


# --- SET of what is so.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("save", b""),
        ("appendonly", b"yes"),
        ("appendfsync", b"no"),  # As the node of this test was started.
        ("dir", b"/somewhere"),
        ("requirepass", b""),
        ("activedefrag", b"no"),
        ("lazyfree-lazy-user-del", b"no"),
        ("latency-tracking", b"YES"),
    ],
)
def test_what_is_so_already_may_be_set(client: Client, name: str, value: bytes) -> None:
    assert client.ask([b"CONFIG", b"SET", name.encode(), value]) == b"OK"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("save", "3600 1", "snapshots follow the size of the log, --snapshot-log-bytes"),
        ("appendonly", "no", "every write is in the log before it is answered"),
        ("appendfsync", "always", "--fsync is given when the node starts"),
        ("dir", "/elsewhere", "--data is given when the node starts"),
        ("port", "1", "--port is given when the node starts"),
        ("lua-time-limit", "100", "a script ends at lua-budget, whatever time it takes"),
        ("appendonly", "maybe", "argument must be 'yes' or 'no'"),
        ("appendfsync", "x", "argument(s) must be one of the following: everysec, always, no"),
    ],
)
def test_what_is_not_so_is_refused_with_the_reason(
    client: Client, name: str, value: str, why: str
) -> None:
    answer = client.ask([b"CONFIG", b"SET", name.encode(), value.encode()])
    assert answer == failed(name, why)


@pytest.mark.parametrize("one", [one for one in NODE_TABLE if one.is_immutable])
def test_what_redis_never_lets_change_is_refused_as_there(client: Client, one: object) -> None:
    name = getattr(one, "name")  # noqa: B009 - parametrized.
    answer = client.ask([b"CONFIG", b"SET", name.encode(), get(client, name).encode()])
    assert answer == failed(name, "can't set immutable config")


def test_whatever_cannot_be_changed_says_why() -> None:
    assert [one.name for one in NODE_TABLE if not (one.set or one.why or one.is_immutable)] == []


# --- SET of what is the cluster's.


def test_a_setting_of_the_cluster_is_answered_when_the_cluster_has_it(
    client: Client, control: Control
) -> None:
    client.send(b"CONFIG SET MAXMEMORY 100mb hash-max-ziplist-entries 7", b"PING")
    assert client.replies() == []
    pairs, done = control.changes.pop()
    assert pairs == (("maxmemory", str(100 << 20)), ("hash-max-listpack-entries", "7"))
    done(OK)
    assert client.replies() == [b"OK", b"PONG"]


def test_both_kinds_in_one_command_are_all_or_nothing(client: Client, control: Control) -> None:
    both = b"CONFIG SET timeout 30 maxmemory 1mb"
    client.send(both)
    assert get(client.__class__(client.connection.door, []), "timeout") == "0"
    control.changes.pop()[1](ErrorReply("CLUSTERDOWN", "no"))
    assert client.replies() == ["CLUSTERDOWN no"]
    assert get(client, "timeout") == "0"
    client.send(both)
    control.changes.pop()[1](OK)
    assert client.replies() == [b"OK"]
    assert get(client, "timeout") == "30"


def test_what_is_set_but_not_known_everywhere_takes_the_nodes_part_too(
    client: Client, control: Control
) -> None:
    client.send(b"CONFIG SET timeout 30 maxmemory 1mb")
    control.changes.pop()[1](ErrorReply("ERR", "the parameters are set, but ..."))
    assert client.replies() == ["ERR the parameters are set, but ..."]
    assert get(client, "timeout") == "30"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"CONFIG SET maxmemory", "ERR wrong number of arguments for 'config|set' command"),
        (b"CONFIG SET maxmemory 1 foo", "ERR syntax error"),
        (
            b"CONFIG SET maxmemory x foo 2",
            "ERR Unknown option or number of arguments for CONFIG SET - 'foo'",
        ),
        (b"CONFIG SET maxmemory 1 MaxMemory 2", failed("MaxMemory", "duplicate parameter")),
        (b"CONFIG SET databases 5 foo 1", failed("databases", "can't set immutable config")),
        (
            b"CONFIG SET timeout 5 maxmemory x",
            failed("maxmemory", "argument must be a memory value"),
        ),
        (
            b"CONFIG SET maxmemory 1 timeout -1",
            failed("timeout", "argument must be between 0 and 2147483647 inclusive"),
        ),
    ],
)
def test_one_fault_and_nothing_is_set(
    client: Client, control: Control, command: bytes, answer: str
) -> None:
    assert client.ask(command) == answer
    assert control.changes == []
    assert get(client, "timeout") == "0"


# --- REWRITE, RESETSTAT, HELP


def test_rewrite_is_ok_while_a_restart_would_change_nothing(client: Client) -> None:
    assert client.ask(b"CONFIG REWRITE") == b"OK"
    client.ask(b"CONFIG SET timeout 30 maxclients 100")
    answer = client.ask(b"CONFIG REWRITE")
    assert answer.startswith("ERR Rewriting config file: ")
    assert answer.endswith("until this node restarts: maxclients, timeout")
    client.ask(b"CONFIG SET timeout 0 maxclients 10000")
    assert client.ask(b"CONFIG REWRITE") == b"OK"


def test_resetstat_begins_anew(client: Client, rig: Rig) -> None:
    client.ask(b"PING")
    client.ask(b"CONFIG RESETSTAT")
    assert rig.door.clients.connections == 0


def test_help_says_which_are_the_clusters_and_which_the_nodes(client: Client) -> None:
    lines = [str(line) for line in client.ask(b"CONFIG HELP")]
    text = "\n".join(lines)
    cluster, _, node = text.partition("this node's own")
    assert [one.name for one in TABLE if one.name not in cluster] == []
    assert [one.name for one in CHANGEABLE if one.name not in node] == []
    assert max(map(len, lines)) <= 100
    assert "timeout" in NODE_PARAMETERS


# --- The documentation.


def test_the_page_for_operators_has_every_parameter_as_the_tables_do() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text()
    lines = [
        f"| {', '.join(f'`{name}`' for name in (one.name, *one.aliases))} | {one.kind.describe()}"
        f" | `{one.kind.show(one.default)}` | {one.help} |".replace("``", "(empty)")
        for one in TABLE
    ]
    lines += [f"| `{one.name}` | {one.kind.describe()} |" for one in CHANGEABLE]
    assert [line for line in lines if line not in page] == []
