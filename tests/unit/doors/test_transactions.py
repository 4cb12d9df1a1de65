from __future__ import annotations

import pytest

from trimaran.node.doors.backend import DoorLimits
from trimaran.node.errors import OutcomeUnknown
from trimaran.node.request import Done, Unknown

from .fakes import MemoryRouter, Rig, Router

QUEUED = b"QUEUED"
CROSS_SHARD = (
    "CROSSSLOT Keys in request don't hash to the same slot (database 0 is sharded here: use one"
    " {tag}, or SELECT 1..15)"
)
ABORTED = "EXECABORT Transaction discarded because of previous errors."


def _asked(rig: Rig, *commands: bytes) -> list[object]:
    client = rig.client()
    client.send(*commands)
    return client.replies()


def test_a_transaction_is_carried_out_in_order_and_answered_with_all_replies() -> None:
    replies = _asked(
        Rig(MemoryRouter()),
        *(b"SELECT 1", b"MULTI", b"SET a 1", b"INCR b", b"GET a", b"INCR a", b"EXEC", b"GET a"),
    )
    assert replies == [
        *(b"OK", b"OK", QUEUED, QUEUED, QUEUED, QUEUED),
        [b"OK", 1, b"1", 2],
        b"2",
    ]


def test_it_goes_to_the_shard_as_one_command() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"SELECT 3", b"MULTI", b"SET a 1", b"SET b 2", b"EXEC")
    (request,) = rig.router.requests
    assert len(request.commands) == 1
    assert request.has_write


def test_a_transaction_that_only_reads_is_not_logged() -> None:
    rig = Rig(Router())
    rig.client().send(b"SELECT 3", b"MULTI", b"GET a", b"GET b", b"EXEC")
    assert not rig.router.take().has_write


def test_an_error_of_one_command_does_not_stop_the_others() -> None:
    replies = _asked(
        Rig(MemoryRouter()),
        *(b"SET {t}a x", b"MULTI", b"INCR {t}a", b"SET {t}b 1", b"EXEC"),
    )
    assert replies[-1] == ["ERR value is not an integer or out of range", b"OK"]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (b"NOSUCH x", "ERR unknown command 'NOSUCH', with args beginning with: 'x' "),
        (b"GET", "ERR wrong number of arguments for 'get' command"),
        (b"CLIENT NOSUCH", "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."),
        (b"MSET a 1 b 2", CROSS_SHARD),
        (b"DBSIZE", CROSS_SHARD),
        (b"SCAN 0", CROSS_SHARD),
        (b"FLUSHALL", CROSS_SHARD),
    ],
)
def test_what_cannot_be_part_of_it_is_refused_at_once_and_exec_too(
    command: bytes, error: str
) -> None:
    rig = Rig(MemoryRouter())
    replies = _asked(rig, b"MULTI", b"SET a 1", command, b"EXEC", b"GET a")
    assert replies == [b"OK", QUEUED, error, ABORTED, None]


def test_keys_of_two_shards_are_refused_when_the_second_is_queued() -> None:
    replies = _asked(Rig(MemoryRouter()), b"MULTI", b"SET a 1", b"SET b 2", b"EXEC")
    assert replies == [b"OK", QUEUED, CROSS_SHARD, ABORTED]


def test_databases_on_two_shards_are_refused() -> None:
    replies = _asked(
        Rig(MemoryRouter()),
        *(b"SELECT 1", b"MULTI", b"SET a 1", b"SELECT 15", b"SET a 1", b"EXEC", b"GET a"),
    )
    assert replies[4] == (
        "CROSSSLOT Commands of a transaction must be on one shard: each database has one of its own"
    )
    assert replies[5:] == [ABORTED, None]


def test_a_select_inside_holds_for_the_commands_behind_it_and_after_exec() -> None:
    replies = _asked(
        Rig(MemoryRouter(1)),
        *(b"MULTI", b"SET a 0", b"SELECT 2", b"SET a 2", b"EXEC", b"GET a", b"SELECT 0", b"GET a"),
    )
    assert replies[4:] == [[b"OK", b"OK", b"OK"], b"2", b"OK", b"0"]


@pytest.mark.parametrize("word", [b"16", b"77", b"-1", b"x", b"01"])
def test_after_a_select_that_fails_inside_it_goes_on_in_its_database(word: bytes) -> None:
    replies = _asked(
        Rig(MemoryRouter()),
        *(b"SELECT 2", b"MULTI", b"SELECT " + word, b"SET a 1", b"EXEC", b"GET a"),
    )
    assert replies[-2][0].startswith("ERR ")  # type: ignore[index]  # A list of replies.
    assert replies[-2][1:] == [b"OK"]  # type: ignore[index]
    assert replies[-1] == b"1"


def test_at_the_cluster_door_a_select_inside_leads_nowhere_else() -> None:
    replies = _asked(
        Rig(MemoryRouter(), is_cluster=True),
        *(b"MULTI", b"SELECT 1", b"SET a 1", b"EXEC", b"GET a"),
    )
    assert replies[-2] == ["ERR SELECT is not allowed in cluster mode", b"OK"]
    assert replies[-1] == b"1"


def test_a_select_that_was_discarded_changes_nothing() -> None:
    replies = _asked(Rig(MemoryRouter()), b"SET a 0", b"MULTI", b"SELECT 2", b"DISCARD", b"GET a")
    assert replies[-1] == b"0"


def test_commands_without_data_are_answered_in_their_place() -> None:
    replies = _asked(
        Rig(MemoryRouter()), b"MULTI", b"PING", b"SET a 1", b"ECHO x", b"SELECT 99", b"EXEC"
    )
    assert replies[-1] == [b"PONG", b"OK", b"x", "ERR DB index is out of range"]


def test_without_data_no_shard_is_asked() -> None:
    rig = Rig(Router())
    assert _asked(rig, b"MULTI", b"EXEC", b"MULTI", b"PING", b"EXEC")[1::3] == [[], [b"PONG"]]
    assert not rig.router.requests


def test_refusals_of_the_verbs_are_those_of_redis() -> None:
    replies = _asked(
        Rig(MemoryRouter()), b"EXEC", b"DISCARD", b"MULTI", b"MULTI", b"SET a 1", b"EXEC"
    )
    assert replies == [
        "ERR EXEC without MULTI",
        "ERR DISCARD without MULTI",
        b"OK",
        "ERR MULTI calls can not be nested",
        QUEUED,
        [b"OK"],
    ]


def test_reset_ends_a_transaction() -> None:
    assert _asked(Rig(MemoryRouter()), b"MULTI", b"SET a 1", b"RESET", b"GET a")[-2:] == [
        b"RESET",
        None,
    ]


def test_a_transaction_is_bounded() -> None:
    rig = Rig(MemoryRouter(), limits=DoorLimits(transaction_commands_max=2))
    replies = _asked(rig, b"MULTI", b"GET a", b"GET a", b"GET a", b"EXEC")
    assert replies[3:] == [
        "ERR transaction has more commands than transaction_commands_max",
        ABORTED,
    ]


def test_a_transaction_of_unknown_fate_is_uncertain() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"MULTI", b"SET a 1", b"EXEC")
    rig.router.finish(Unknown(OutcomeUnknown("late")))
    assert client.replies()[-1].startswith("UNCERTAIN ")


def test_later_commands_see_what_a_transaction_wrote() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"MULTI", b"SET a 1", b"EXEC", b"GET a")
    request = rig.router.take()
    assert not rig.router.requests  # GET is behind it in the same request, so in the same entry.
    request.complete(Done([[b"OK"], b"1"]))
    assert client.replies()[-2:] == [[b"OK"], b"1"]


def test_the_cluster_door_answers_moved_when_a_command_is_queued() -> None:
    rig = Rig(Router(), is_cluster=True)
    rig.router.leaders[0] = "n2"
    client = rig.client()
    client.send(b"MULTI", b"SET b 1", b"EXEC")  # b is in slot 3300: shard 0 of 4.
    assert client.replies() == [b"OK", "MOVED 3300 127.0.0.1:7390", ABORTED]


def test_the_cluster_door_wants_one_slot() -> None:
    rig = Rig(MemoryRouter(1), is_cluster=True)
    refused = "CROSSSLOT Keys in request don't hash to the same slot"
    assert _asked(rig, b"MULTI", b"SET a 1", b"SET b 1", b"EXEC")[2:] == [refused, ABORTED]
    assert _asked(rig, b"MULTI", b"SET {x}a 1", b"SET {x}b 1", b"EXEC")[-1] == [b"OK", b"OK"]


def test_without_memory_nothing_is_queued_as_in_redis() -> None:
    rig = Rig(MemoryRouter())
    rig.router.is_full = True
    oom = "OOM command not allowed when used memory > 'maxmemory'."
    assert _asked(rig, b"MULTI", b"GET a", b"PING", b"EXEC") == [b"OK", oom, oom, ABORTED]
    assert _asked(rig, b"MULTI", b"GET a", b"DISCARD", b"PING") == [b"OK", oom, b"OK", b"PONG"]
