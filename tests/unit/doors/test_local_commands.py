"""What a connection answers itself, in Redis's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from trimaran.cluster.command import LOCAL
from trimaran.cluster.commands import COMMANDS
from trimaran.node.doors.local_commands import LOCAL_HANDLERS
from trimaran.node.doors.routes import LOCAL_WORDS_MAX
from trimaran.node.doors.subcommands import Subcommands

from .fakes import Client, Facts, MemoryRouter, Rig, Router


@pytest.fixture
def rig() -> Rig:
    return Rig(MemoryRouter())


@pytest.fixture
def client(rig: Rig) -> Client:
    return rig.client()


def test_every_local_row_of_the_table_has_its_handler_and_none_is_left_over() -> None:
    assert {name for name, row in COMMANDS.items() if row.spread is LOCAL} == set(LOCAL_HANDLERS)


def test_every_subcommand_of_the_table_has_its_handler(client: Client) -> None:
    for name, handler in LOCAL_HANDLERS.items():
        if isinstance(handler, Subcommands):
            rows = COMMANDS[name].by_word.items()
            local = {word for word, row in rows if row.spread is LOCAL}
            assert {*handler.handlers, b"HELP"} == local


# Command (as a line) and its answer, as a real Redis 7 gives it.
ANSWERS: list[tuple[bytes, Any]] = [
    (b"PING", b"PONG"),
    (b"ping hello", b"hello"),
    (b"PING a b", "ERR wrong number of arguments for 'ping' command"),
    (b"ECHO x", b"x"),
    (b"ECHO", "ERR wrong number of arguments for 'echo' command"),
    (b"foo a b", "ERR unknown command 'foo', with args beginning with: 'a' 'b' "),
    (b"GET", "ERR wrong number of arguments for 'get' command"),
    (b"gEt none", None),
    (b"SELECT 15", b"OK"),
    (b"SELECT 16", "ERR DB index is out of range"),
    (b"SELECT -1", "ERR DB index is out of range"),
    (b"SELECT x", "ERR value is not an integer or out of range"),
    (
        b"AUTH x",
        "ERR AUTH <password> called without any password configured for the default user. Are you"
        " sure your configuration is correct?",
    ),
    (b"AUTH default x", b"OK"),
    (b"AUTH a b", "WRONGPASS invalid username-password pair or user is disabled."),
    (b"AUTH a b c", "ERR syntax error"),
    (b"HELLO 4", "NOPROTO unsupported protocol version"),
    (b"HELLO x", "ERR Protocol version is not an integer or out of range"),
    (b"HELLO 2 foo", "ERR Syntax error in HELLO option 'foo'"),
    (b"HELLO 2 auth a", "ERR Syntax error in HELLO option 'auth'"),
    (b"HELLO 3 AUTH a b", "WRONGPASS invalid username-password pair or user is disabled."),
    (b"RESET", b"RESET"),
    (b"TIME", [b"1700000000", b"1"]),
    (b"CLIENT", "ERR wrong number of arguments for 'client' command"),
    (b"CLIENT foo", "ERR unknown subcommand 'foo'. Try CLIENT HELP."),
    (b"CLIENT id x", "ERR wrong number of arguments for 'client|id' command"),
    (
        b"CLIENT MAINT_NOTIFICATIONS ON",
        "ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.",
    ),
    (b"CLIENT GETNAME", None),
    (b"CLIENT SETINFO lib-name x", b"OK"),
    (b"CLIENT SETINFO foo x", "ERR Unrecognized option 'foo'"),
    (b"CLIENT NO-EVICT on", b"OK"),
    (b"CLIENT NO-TOUCH x", "ERR syntax error"),
    (b"CLIENT LIST TYPE foo", "ERR Unknown client type 'foo'"),
    (b"CLIENT LIST foo", "ERR syntax error"),
    (b"CLIENT LIST ID x", "ERR Invalid client ID"),
    (b"CLIENT LIST ID 999", b""),
    (b"CONFIG", "ERR wrong number of arguments for 'config' command"),
    (b"CONFIG GET", "ERR wrong number of arguments for 'config|get' command"),
    (b"CONFIG GET save appendon* SAVE", [b"save", b"", b"appendonly", b"yes"]),
    (b"CONFIG GET nothing", []),
    (b"CONFIG RESETSTAT", b"OK"),
    (b"COMMAND foo", "ERR unknown subcommand 'foo'. Try COMMAND HELP."),
    (b"COMMAND GETKEYS mset a 1 b 2", [b"a", b"b"]),
    (b"COMMAND GETKEYS foo a", "ERR Invalid command specified"),
    (b"COMMAND GETKEYS get a b", "ERR Invalid number of arguments specified for command"),
    (b"COMMAND GETKEYS ping a", "ERR The command has no key arguments"),
    (b"COMMAND LIST FILTERBY PATTERN mge*", [b"mget"]),
    (b"COMMAND LIST FILTERBY MODULE json", []),
    (b"COMMAND LIST x", "ERR syntax error"),
    (b"COMMAND DOCS foo", []),
    (b"INFO foo", b""),
    (b"WAIT 0 0", 2),
    (b"WAIT x 0", "ERR value is not an integer or out of range"),
    (b"WAIT 0 -1", "ERR timeout is negative"),
    (b"READONLY", b"OK"),
]


@pytest.mark.parametrize(("line", "answer"), ANSWERS, ids=lambda value: str(value)[:30])
def test_answers_are_those_of_redis(client: Client, line: bytes, answer: Any) -> None:
    assert client.ask(line) == answer
    assert client.ask(b"PING") == b"PONG", "the connection lives on"


def test_hello_says_who_answers_and_changes_the_version(client: Client) -> None:
    told = client.ask(b"HELLO 3 SETNAME me")
    assert told == {
        b"server": b"redis",
        b"version": b"7.2.4",
        b"proto": 3,
        b"id": client.connection.id,
        b"mode": b"standalone",
        b"role": b"master",
        b"modules": [],
    }
    assert client.ask(b"CLIENT GETNAME") == b"me"
    assert client.ask(b"HELLO 2")[:4] == [b"server", b"redis", b"version", b"7.2.4"]


def test_a_hello_that_fails_changes_nothing(client: Client) -> None:
    assert client.ask([b"HELLO", b"3", b"SETNAME", b"a b"]).startswith("ERR Client names cannot")
    assert client.connection.protocol == 2
    assert client.ask(b"CLIENT GETNAME") is None


def test_reset_forgets_name_database_and_version(client: Client) -> None:
    client.ask(b"HELLO 3 SETNAME me", b"SELECT 4")
    assert client.ask(b"RESET") == b"RESET"
    assert client.ask(b"CLIENT GETNAME") is None
    assert (client.connection.db, client.connection.protocol) == (0, 2)


def test_quit_answers_what_came_before_then_ok_then_closes() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"GET k", b"QUIT", b"PING")
    assert not client.transport.is_closed
    rig.router.answer(b"v")
    assert client.replies() == [b"v", b"OK"]
    assert client.transport.is_closed


def test_the_list_of_clients_tells_them_apart(rig: Rig, client: Client) -> None:
    other = rig.client()
    other.ask(b"CLIENT SETNAME other", b"CLIENT SETINFO LIB-NAME lib", b"SELECT 2")
    lines = client.ask(b"CLIENT LIST").decode().splitlines()
    assert len(lines) == 2
    fields = dict(field.split("=") for field in lines[1].split(" "))
    assert fields["id"] == str(other.connection.id)
    assert (fields["name"], fields["lib-name"], fields["db"]) == ("other", "lib", "2")
    assert (fields["cmd"], fields["addr"], fields["resp"]) == ("select", "127.0.0.1:5", "2")
    (own,) = client.ask(b"CLIENT INFO").decode().splitlines()
    assert own.startswith(f"id={client.connection.id} ")
    assert client.ask(b"CLIENT LIST ID 2").decode().splitlines()[0].startswith("id=2 ")


@pytest.mark.parametrize(
    ("is_cluster", "mode", "enabled"), [(False, "standalone", 0), (True, "cluster", 1)]
)
def test_info_tells_what_clients_look_for(*, is_cluster: bool, mode: str, enabled: int) -> None:
    client = Rig(MemoryRouter(), is_cluster=is_cluster).client()
    told = client.ask(b"INFO").decode()
    fields = dict(line.split(":", 1) for line in told.split("\r\n") if ":" in line)
    assert fields["redis_version"] == "7.2.4"
    assert fields["redis_mode"] == mode
    assert fields["cluster_enabled"] == str(enabled)
    assert fields["loading"] == "0"
    assert fields["role"] == "master"
    assert fields["arch_bits"] == "64"
    assert fields["maxmemory_policy"] == "noeviction"
    assert len(fields["run_id"]) == 40
    assert fields["db0"] == "keys=1,expires=0,avg_ttl=0"
    assert "trimaran_version" in fields
    assert told.startswith("# Server\r\n")
    assert "\r\n\r\n# Clients\r\n" in told


def test_info_can_be_asked_by_section(client: Client) -> None:
    assert client.ask(b"INFO keyspace") == b"# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n"
    both = client.ask(b"INFO CPU cluster")
    assert both.startswith(b"# CPU\r\n")
    assert both.endswith(b"\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n")


def test_the_command_table_is_told_as_clients_parse_it(client: Client) -> None:
    rows = client.ask(b"COMMAND")
    assert client.ask(b"COMMAND COUNT") == len(rows)
    assert {len(row) for row in rows} == {10}
    get, none = client.ask(b"COMMAND INFO get foo")
    assert get[:6] == [b"get", 2, [b"readonly", b"fast"], 1, 1, 1]
    assert none is None
    (name, docs) = client.ask(b"COMMAND DOCS get")
    assert name == b"get"
    assert docs[0] == b"summary"
    assert client.ask(b"COMMAND INFO config|get")[0][0] == b"config|get"


@pytest.mark.parametrize("word", [b"CLIENT", b"CONFIG", b"COMMAND", b"CLUSTER"])
def test_help_lists_what_there_is(client: Client, word: bytes) -> None:
    lines = client.ask(b"%b HELP" % word)
    assert lines[0].startswith(word + b" <subcommand>")
    heads = [line for line in lines[1:] if not line.startswith(b" ")]
    told = {word.rstrip(b",") for line in heads for word in line.split()}
    assert set(COMMANDS[word].by_word) <= told


class BrokenFacts(Facts):
    def info(self) -> Mapping[str, Mapping[str, str | int]]:
        raise LookupError("a fault of ours")


def test_a_fault_in_a_handler_is_told_to_its_client_which_goes_on() -> None:
    rig = Rig(MemoryRouter())
    rig.door.facts = BrokenFacts()
    client = rig.client()
    client.send(b"INFO", b"PING")
    assert client.replies() == ["ERR internal error: the node's log tells more", b"PONG"]


def test_a_browser_is_not_talked_to(client: Client) -> None:
    client.send_raw(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k 1\r\n")
    assert client.transport.is_aborted
    assert client.written == b""


def test_bytes_that_are_no_text_come_back_in_errors_without_harm(client: Client) -> None:
    assert "unknown command" in client.ask([b"\xff\r\n-ERR"])
    assert "unknown subcommand" in client.ask([b"CLIENT", b"\xff\r\n"])
    assert client.ask(b"PING") == b"PONG"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            [b"a\xff\0b", b"\xfe\0x"],
            b"-ERR unknown command 'a\xff', with args beginning with: '\xfe' ",
        ),
        ([b"ACL", b"\xff"], b"-ERR unknown subcommand '\xff'. Try ACL HELP."),
        ([b"HELLO", b"-1"], b"-NOPROTO unsupported protocol version"),
        ([b"HELLO", b"03"], b"-ERR Protocol version is not an integer or out of range"),
        ([b"SELECT", b"-0"], b"-ERR value is not an integer or out of range"),
        (
            [b"SELECT", b"2147483648"],
            b"-ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
        ([b"SWAPDB", b"-1", b"x"], b"-ERR invalid second DB index"),
        ([b"SWAPDB", b"01", b"99"], b"-ERR invalid first DB index"),
    ],
)
def test_errors_are_those_of_redis_to_the_byte(
    client: Client, words: list[bytes], error: bytes
) -> None:
    client.send(words)
    client.turn()
    assert client.written == error + b"\r\n"


def test_the_list_of_commands_has_subcommands_and_redis_patterns(client: Client) -> None:
    found = client.ask(b"COMMAND LIST FILTERBY PATTERN Config|[^a-fh-z]*")
    assert found == [b"config|get"]
    assert {b"config", b"config|set", b"get"} <= set(client.ask(b"COMMAND LIST"))


@pytest.mark.parametrize("words", [b"CONFIG GET", b"COMMAND INFO", b"CLIENT LIST ID", b"PING"])
def test_what_the_door_answers_at_once_is_asked_in_so_many_words(
    client: Client, words: bytes
) -> None:
    begun = [*words.split(), *[b"1"] * LOCAL_WORDS_MAX]
    assert "too many arguments" in client.ask(begun)
    client.send(b"MULTI", begun, b"EXEC")
    assert "too many arguments" in client.replies()[-1][0]
    assert "unknown command" in client.ask([b"NOSUCH", *[b"1"] * LOCAL_WORDS_MAX])
