"""`requirepass`: what a client is told until it has logged in, in Redis's words."""

from __future__ import annotations

import hashlib
from typing import Any  # Any: what hiredis reads.

import pytest

from trimaran.node.doors.password import Password

from .fakes import Client, MemoryRouter, Rig, encode

NO_AUTH = "NOAUTH Authentication required."
WRONG = "WRONGPASS invalid username-password pair or user is disabled."
HELLO_FIRST = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH"
    " <user> <pass> option can be used to authenticate the client and select the RESP protocol"
    " version at the same time"
)
NONE_SET = (
    "ERR AUTH <password> called without any password configured for the default user. Are you sure"
    " your configuration is correct?"
)
TOO_MANY = "ERR Protocol error: unauthenticated multibulk length"
TOO_LONG = "ERR Protocol error: unauthenticated bulk length"


@pytest.fixture(params=[False, True], ids=["any key", "cluster"])
def rig(request: pytest.FixtureRequest) -> Rig:
    rig = Rig(MemoryRouter(), is_cluster=request.param)
    rig.door.clients.password = Password(b"secret")
    return rig


@pytest.fixture
def client(rig: Rig) -> Client:
    return rig.client()


# Commands in turn and their answers, as redis-server 7.0.15 gives them with a password.
@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"PING", NO_AUTH),
        (b"GET a", NO_AUTH),
        (b"MULTI", NO_AUTH),
        (b"MONITOR", NO_AUTH),
        (b"SUBSCRIBE a", NO_AUTH),
        (b"COMMAND COUNT", NO_AUTH),
        (b"CLIENT ID", NO_AUTH),
        (b"CLUSTER SLOTS", NO_AUTH),
        (b"INFO", NO_AUTH),
        (b"NOSUCH x", "ERR unknown command 'NOSUCH', with args beginning with: 'x' "),
        (b"CLIENT FOO", "ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
        (b"GET", "ERR wrong number of arguments for 'get' command"),
        (b"AUTH", "ERR wrong number of arguments for 'auth' command"),
        (b"AUTH a b c", "ERR syntax error"),
        (b"AUTH bad", WRONG),
        (b"AUTH default bad", WRONG),
        (b"AUTH nosuch secret", WRONG),
        (b"HELLO", HELLO_FIRST),
        (b"HELLO 3", HELLO_FIRST),
        (b"HELLO 3 SETNAME me", HELLO_FIRST),
        (b"HELLO 4", "NOPROTO unsupported protocol version"),
        (b"HELLO 3 AUTH default bad", WRONG),
        (b"RESET", b"RESET"),
        (b"QUIT", b"OK"),
    ],
)
def test_who_has_not_logged_in_is_answered_as_by_redis(
    client: Client, command: bytes, answer: Any
) -> None:
    assert client.ask(command) == answer


@pytest.mark.parametrize(
    "login",
    [b"AUTH secret", b"AUTH default secret", b"HELLO 3 AUTH default secret"],
)
def test_the_password_opens_the_door(client: Client, login: bytes) -> None:
    client.ask(login)
    assert client.ask(b"PING") == b"PONG"
    assert client.ask(b"ACL WHOAMI") == b"default"


def test_a_wrong_password_afterwards_changes_nothing_and_reset_ends_the_login(
    client: Client,
) -> None:
    assert client.ask(b"AUTH secret", b"AUTH bad") == WRONG
    assert client.ask(b"PING") == b"PONG"
    assert client.ask(b"RESET", b"PING") == NO_AUTH


def test_hello_logs_in_even_if_its_other_options_are_refused(client: Client) -> None:
    answer = client.ask([b"HELLO", b"3", b"AUTH", b"default", b"secret", b"SETNAME", b"a b"])
    assert answer.startswith("ERR Client names cannot contain spaces")
    assert client.ask(b"PING") == b"PONG"


def test_commands_of_one_chunk_count_from_the_login_on(client: Client) -> None:
    client.send(b"GET a", b"AUTH secret", b"PING", b"RESET", b"PING")
    assert client.replies() == [NO_AUTH, b"OK", b"PONG", b"RESET", NO_AUTH]


def test_refusals_are_counted_and_wrong_passwords_told_in_info(rig: Rig, client: Client) -> None:
    client.send(b"PING", b"AUTH bad", b"AUTH bad", b"AUTH secret")
    client.replies()
    info = client.ask(b"INFO stats errorstats").decode()
    assert "\r\nacl_access_denied_auth:2\r\n" in info
    assert "errorstat_NOAUTH:count=1" in info
    assert rig.door.clients.stats.commands[b"PING"].rejected == 1


def test_who_came_before_there_was_a_password_stays_in(rig: Rig) -> None:
    rig.door.clients.password = Password()
    before = rig.client()
    assert before.ask(b"CONFIG SET requirepass new") == b"OK"
    after = rig.client()
    assert before.ask(b"PING") == b"PONG"
    assert after.ask(b"PING") == NO_AUTH
    assert before.ask(b"CONFIG GET requirepass") == [b"requirepass", b"new"]
    assert before.ask([b"CONFIG", b"SET", b"requirepass", b""]) == b"OK"
    assert after.ask(b"PING") == b"PONG"
    assert after.ask(b"HELLO 2") == HELLO_FIRST  # So it is in Redis.
    assert after.ask(b"AUTH x") == NONE_SET
    assert after.ask(b"AUTH default x") == b"OK"
    assert after.ask(b"HELLO 2")[:2] == [b"server", b"redis"]


def test_acl_tells_of_the_password_by_its_digest(client: Client) -> None:
    client.ask(b"AUTH secret")
    digest = hashlib.sha256(b"secret").hexdigest().encode()
    assert client.ask(b"ACL LIST") == [b"user default on #" + digest + b" ~* &* +@all"]
    assert client.ask(b"ACL GETUSER default")[:4] == [b"flags", [b"on"], b"passwords", [digest]]


# --- ACL LOG.


def failures(client: Client, *count: bytes) -> list[dict[bytes, Any]]:
    told = client.ask([b"ACL", b"LOG", *count])
    return [dict(zip(one[::2], one[1::2], strict=True)) for one in told]


def test_failed_log_ins_are_kept_the_same_ones_as_one(rig: Rig) -> None:
    stranger, admin = rig.client(), rig.client()
    admin.ask(b"AUTH secret")
    stranger.send(b"AUTH bad", b"auth root bad", b"HELLO 3 AUTH default bad", b"AUTH default worse")
    stranger.replies()
    newest, *others = failures(admin)
    assert (newest[b"object"], newest[b"username"], newest[b"count"]) == (b"AUTH", b"default", 2)
    assert (newest[b"reason"], newest[b"context"]) == (b"auth", b"toplevel")
    assert newest[b"client-info"].startswith(b"id=%d addr=" % stranger.connection.id)
    assert [(one[b"object"], one[b"username"]) for one in others] == [
        (b"HELLO", b"default"),
        (b"auth", b"root"),
    ]
    assert [one[b"entry-id"] for one in (newest, *others)] == [0, 2, 1]
    assert failures(admin, b"1") == [newest]
    assert failures(admin, b"-1") == []
    assert admin.ask(b"ACL LOG RESET") == b"OK"
    assert failures(admin) == []
    assert admin.ask(b"ACL LOG x") == "ERR value is not an integer or out of range"


def test_the_log_of_failures_is_bounded(rig: Rig) -> None:
    stranger, admin = rig.client(), rig.client()
    admin.ask(b"AUTH secret")
    for number in range(200):
        stranger.ask([b"AUTH", b"%d" % number + b"x" * 5_000, b"y"])
    assert len(failures(admin, b"1000")) == 128
    assert len(failures(admin)) == 10
    assert len(failures(admin)[0][b"username"]) == 256
    admin.ask(b"CONFIG SET acllog-max-len 5")
    assert [one[b"username"][:3] for one in failures(admin)][::4] == [b"199", b"195"]
    admin.ask(b"CONFIG SET acllog-max-len 0")
    stranger.ask(b"AUTH z")
    assert failures(admin) == []


# --- What a client may send before.


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        (b"*11\r\n", [TOO_MANY]),
        (b"*2\r\n$16385\r\n", [TOO_LONG]),
        (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", [TOO_LONG]),
        (encode(b"AUTH", b"bad") + encode(b"EXISTS", *[b"k"] * 20), [WRONG, TOO_MANY]),
        (encode(b"AUTH", b"bad") + encode(b"ECHO", b"x" * 20_000), [WRONG, TOO_LONG]),
    ],
)
def test_commands_that_a_login_does_not_take_end_the_connection(
    client: Client, data: bytes, answers: list[str]
) -> None:
    client.send_raw(data)
    assert client.replies() == answers
    assert client.transport.is_closed


def test_at_the_limits_nothing_ends(client: Client) -> None:
    assert client.ask([b"AUTH", b"x" * 16_384]) == WRONG
    assert client.ask([b"EXISTS", *[b"k"] * 9]) == NO_AUTH
    client.send_raw(b"EXISTS a b c d e f g h i j k l m n\r\n")  # A line has its own limit.
    assert client.replies() == [NO_AUTH]
    assert not client.transport.is_closed


@pytest.mark.parametrize("login", [b"AUTH secret", b"HELLO 2 AUTH default secret"])
def test_behind_the_login_everything_is_allowed_in_the_same_chunk(
    client: Client, login: bytes
) -> None:
    large = encode(b"ECHO", b"x" * 20_000) + encode(b"EXISTS", *[b"k"] * 20) + encode(b"PING")
    client.send_raw(encode(*login.split()) + large)
    assert client.replies()[1:] == [b"x" * 20_000, 0, b"PONG"]


def test_a_large_command_behind_the_login_may_come_in_pieces(client: Client) -> None:
    data = encode(b"AUTH", b"secret") + encode(b"ECHO", b"y", *[]) + encode(b"ECHO", b"x" * 40_000)
    for start in range(0, len(data), 7_001):
        client.send_raw(data[start : start + 7_001])
    assert client.replies() == [b"OK", b"y", b"x" * 40_000]


def test_a_pause_holds_the_login_and_what_is_behind_it(rig: Rig) -> None:
    other = rig.client()
    other.ask(b"AUTH secret")
    client = rig.client()
    other.ask(b"CLIENT PAUSE 60000")
    client.send_raw(encode(b"AUTH", b"secret") + encode(b"ECHO", b"x" * 20_000))
    assert client.replies() == []
    rig.pass_time(61)
    assert client.replies() == [b"OK", b"x" * 20_000]
