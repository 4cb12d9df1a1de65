"""Channels at the doors: replies and pushes, the state of a subscriber, what it may cost."""

from __future__ import annotations

import pytest

from trimaran.cluster.slots import slot_of
from trimaran.node.data.glob import PATTERN_BYTES_MAX
from trimaran.node.doors.backend import DoorLimits
from trimaran.node.errors import NoQuorum
from trimaran.node.request import NotApplied
from trimaran.proto.reply import OK

from .fakes import MemoryRouter, Rig, Router
from .test_order import key_on

ONLY = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"


def _rig(limits: DoorLimits | None = None) -> Rig:
    return Rig(MemoryRouter(), limits=limits)


def test_every_channel_is_confirmed_with_the_number_of_all() -> None:
    client = _rig().client()
    client.send(b"SUBSCRIBE a b a", b"PSUBSCRIBE p*", b"SSUBSCRIBE s", b"SUBSCRIBE c")
    assert client.replies() == [
        *([b"subscribe", b"a", 1], [b"subscribe", b"b", 2], [b"subscribe", b"a", 2]),
        [b"psubscribe", b"p*", 3],
        [b"ssubscribe", b"s", 1],
        [b"subscribe", b"c", 4],
    ]


def test_unsubscribing_from_all_names_each_or_none() -> None:
    client = _rig().client()
    client.send(
        b"SUBSCRIBE a b", b"PSUBSCRIBE p*", b"UNSUBSCRIBE", b"UNSUBSCRIBE", b"PUNSUBSCRIBE x"
    )
    assert client.replies()[3:] == [
        *([b"unsubscribe", b"a", 2], [b"unsubscribe", b"b", 1], [b"unsubscribe", None, 1]),
        [b"punsubscribe", b"x", 1],
    ]


def test_a_message_is_an_array_in_resp_2_and_a_push_in_resp_3() -> None:
    rig = _rig()
    old, new, publisher = rig.client(), rig.client(), rig.client()
    old.ask(b"SUBSCRIBE a")
    new.ask(b"HELLO 3", b"SUBSCRIBE a")
    old.transport.writes.clear()
    new.transport.writes.clear()
    assert publisher.ask(b"PUBLISH a hello") == 2
    old.turn()
    assert old.written == b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n"
    assert new.written == b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n"


def test_in_resp_2_a_subscriber_may_say_little_else() -> None:
    client = _rig().client()
    client.ask(b"SUBSCRIBE a")
    assert client.ask(b"GET a") == f"ERR Can't execute 'get': {ONLY}"
    assert client.ask(b"CLIENT ID") == f"ERR Can't execute 'client|id': {ONLY}"
    assert client.ask(b"PING") == [b"pong", b""]
    assert client.ask(b"PING x") == [b"pong", b"x"]
    client.ask(b"UNSUBSCRIBE")
    assert client.ask(b"PING") == b"PONG"
    assert client.ask(b"GET a") is None


SUBSCRIBED = b"3\r\n$9\r\nsubscribe\r\n$1\r\n"


@pytest.mark.parametrize(("hello", "mark"), [(b"HELLO 2", b"*"), (b"HELLO 3", b">")])
def test_in_a_transaction_subscriptions_are_confirmed_among_its_replies(
    hello: bytes, mark: bytes
) -> None:
    client = _rig().client()
    client.ask(hello)
    client.transport.writes.clear()
    client.send(b"MULTI", b"SUBSCRIBE a b", b"SET k v", b"UNSUBSCRIBE a", b"GET k", b"EXEC")
    queued = b"+QUEUED\r\n" * 4
    frames = b"".join(
        [
            b"*4\r\n",
            *(mark + SUBSCRIBED + b"a\r\n:1\r\n", mark + SUBSCRIBED + b"b\r\n:2\r\n"),
            b"+OK\r\n",
            mark + b"3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n",
            b"$1\r\nv\r\n",
        ]
    )
    assert client.written == b"+OK\r\n" + queued + frames


def test_a_transaction_of_subscriptions_alone_needs_no_shard() -> None:
    client = _rig().client()
    client.send(b"MULTI", b"PSUBSCRIBE a*", b"SSUBSCRIBE s", b"SUNSUBSCRIBE", b"EXEC")
    client.turn()
    denied = b"-ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client\r\n"
    assert client.written.endswith(
        b"*3\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:1\r\n"
        + denied
        + b"*3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n"
    )
    assert client.ask(b"GET a") == f"ERR Can't execute 'get': {ONLY}"


def test_a_transaction_that_is_not_carried_out_subscribes_to_nothing() -> None:
    rig = Rig(Router(1))
    client, publisher = rig.client(), rig.client()
    client.send(b"MULTI", b"SUBSCRIBE a", b"SET k v", b"EXEC", b"PING")
    assert publisher.ask(b"PUBLISH a x") == 0
    rig.router.finish(NotApplied(NoQuorum("none")))
    replies = client.replies()
    assert replies[-2].startswith("CLUSTERDOWN ")
    assert replies[-1] == b"PONG"
    client.send(b"MULTI", b"SUBSCRIBE a", b"SET k v", b"EXEC", b"PING")
    rig.router.answer([OK])
    assert publisher.ask(b"PUBLISH a x") == 1
    client.turn()
    assert client.written.endswith(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" + MESSAGE)


MESSAGE = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"


def test_in_resp_3_a_subscriber_goes_on_as_before() -> None:
    client = _rig().client()
    client.ask(b"HELLO 3", b"SUBSCRIBE a")
    assert client.ask(b"SET k 1", b"GET k") == b"1"
    assert client.ask(b"PING") == b"PONG"


def test_a_publish_comes_behind_what_its_client_wrote_before() -> None:
    rig = Rig(Router())
    listener, writer = rig.client(), rig.client()
    listener.ask(b"SUBSCRIBE a")
    writer.send(b"SET k 1", b"PUBLISH a x", b"SET k 2")
    writer.turn()
    assert listener.replies() == []
    rig.router.answer(OK)
    writer.turn()
    rig.router.answer(OK)
    assert writer.replies() == [b"OK", 1, b"OK"]
    assert listener.replies() == [[b"message", b"a", b"x"]]


@pytest.mark.parametrize(
    ("subscription", "reply"),
    [
        (b"SUBSCRIBE a", [b"subscribe", b"a", 1]),
        (b"PSUBSCRIBE a", [b"psubscribe", b"a", 1]),
        (b"MONITOR", b"OK"),
    ],
)
def test_nothing_is_pushed_before_what_was_asked_for_earlier_is_answered(
    subscription: bytes, reply: object
) -> None:
    rig = Rig(Router())
    listener, publisher = rig.client(), rig.client()
    listener.send(b"GET k", subscription)
    listener.turn()
    assert publisher.ask(b"PUBLISH a x") == 0
    assert listener.replies() == []
    rig.router.answer(b"v")
    assert listener.replies() == [b"v", reply]
    publisher.ask(b"PUBLISH a y")
    assert len(listener.replies()) == 1


def test_subscriptions_are_confirmed_also_to_clients_that_want_no_replies() -> None:
    rig = _rig()
    off, skipping, publisher = rig.client(), rig.client(), rig.client()
    off.send(b"CLIENT REPLY OFF", b"SUBSCRIBE a", b"PING", b"UNSUBSCRIBE a", b"SUBSCRIBE a")
    assert off.replies() == [
        *([b"subscribe", b"a", 1], [b"unsubscribe", b"a", 0], [b"subscribe", b"a", 1])
    ]
    skipping.send(b"CLIENT REPLY SKIP", b"SUBSCRIBE a", b"PING")
    assert skipping.replies() == [[b"subscribe", b"a", 1], [b"pong", b""]]
    assert publisher.ask(b"PUBLISH a x") == 2
    assert off.replies() == [[b"message", b"a", b"x"]]


def test_a_pattern_that_is_too_long_is_refused_and_leaves_nothing_behind() -> None:
    rig = _rig()
    client = rig.client()
    assert "longer than" in client.ask([b"PSUBSCRIBE", b"a*", b"?" * (PATTERN_BYTES_MAX + 1)])
    assert client.ask(b"PING") == b"PONG"
    assert rig.client().ask(b"PUBLISH ab x") == 0
    assert not rig.door.clients.pubsub.has_listeners


def test_publishing_waits_while_writes_are_paused() -> None:
    rig = _rig()
    listener, publisher, other = rig.client(), rig.client(), rig.client()
    listener.ask(b"SUBSCRIBE a")
    other.ask(b"CLIENT PAUSE 1000 WRITE")
    publisher.send(b"PUBLISH a x")
    assert publisher.replies() == listener.replies() == []
    other.ask(b"CLIENT UNPAUSE")
    assert publisher.replies() == [1]
    assert listener.replies() == [[b"message", b"a", b"x"]]


def test_reset_and_disconnection_end_all_subscriptions() -> None:
    rig = _rig()
    one, two, asker = rig.client(), rig.client(), rig.client()
    one.ask(b"SUBSCRIBE a")
    two.ask(b"SUBSCRIBE a")
    assert asker.ask(b"PUBSUB NUMSUB a b") == [b"a", 2, b"b", 0]
    assert one.ask(b"RESET") == b"RESET"
    assert asker.ask(b"PUBSUB NUMSUB a") == [b"a", 1]
    two.connection.connection_lost(None)
    assert asker.ask(b"PUBSUB NUMSUB a") == [b"a", 0]
    assert asker.ask(b"PUBLISH a x") == 0


def test_pubsub_answers_who_listens() -> None:
    rig = _rig()
    client, asker = rig.client(), rig.client()
    client.ask(b"SUBSCRIBE news sport", b"PSUBSCRIBE n* s*", b"SSUBSCRIBE shard")
    assert sorted(asker.ask(b"PUBSUB CHANNELS")) == [b"news", b"sport"]
    assert asker.ask(b"PUBSUB CHANNELS n*") == [b"news"]
    assert asker.ask(b"PUBSUB NUMPAT") == 2
    assert asker.ask(b"PUBSUB NUMSUB") == []
    assert asker.ask(b"PUBSUB SHARDCHANNELS") == [b"shard"]
    assert asker.ask(b"PUBSUB SHARDNUMSUB shard x") == [b"shard", 1, b"x", 0]
    text = "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP."
    assert asker.ask(b"PUBSUB CHANNELS a b") == text
    assert b"sub=2 psub=2 ssub=1" in asker.ask(b"CLIENT LIST")


def test_the_cluster_door_serves_shard_channels_of_its_slots_alone() -> None:
    router = MemoryRouter()
    router.leaders = {0: "n1", 1: "n1", 2: "n2", 3: "n3"}
    rig = Rig(router, is_cluster=True)
    client = rig.client()
    here, there = key_on(0), key_on(2)
    assert client.ask([b"SSUBSCRIBE", there]) == f"MOVED {slot_of(there)} 127.0.0.1:7390"
    assert client.ask([b"SPUBLISH", there, b"x"]).startswith("MOVED ")
    assert client.ask([b"SSUBSCRIBE", here, there]).startswith("CROSSSLOT ")
    assert client.ask([b"SSUBSCRIBE", here]) == [b"ssubscribe", here, 1]
    assert rig.client().ask([b"SPUBLISH", here, b"x"]) == 1
    assert rig.client().ask([b"PUBLISH", there, b"x"]) == 0  # Any node will do.


def test_a_subscriber_has_a_limited_number_of_subscriptions() -> None:
    rig = _rig()
    client = rig.client()
    limit = rig.door.clients.pubsub.limits.subscriptions_max
    names = [b"c%d" % number for number in range(limit + 1)]
    answer = client.ask([b"SUBSCRIBE", *names])
    assert "client_subscriptions_max" in answer
    assert client.ask(b"SUBSCRIBE a") == [b"subscribe", b"a", 1]


@pytest.mark.parametrize(
    "limits",
    [DoorLimits(pubsub_buffer_bytes_max=10_000), DoorLimits(pubsub_buffer_messages_max=10)],
)
def test_a_subscriber_that_reads_too_slowly_is_ended_alone(limits: DoorLimits) -> None:
    rig = _rig(limits)
    slow, fast, publisher = rig.client(), rig.client(), rig.client()
    slow.ask(b"SUBSCRIBE a")
    fast.ask(b"SUBSCRIBE a")
    slow.connection.pause_writing()
    for number in range(11):
        slow.transport.buffered += 1100
        assert publisher.ask([b"PUBLISH", b"a", b"%d" % number + bytes(1000)]) == 2
        assert len(fast.replies()) == 1
    assert slow.transport.is_aborted
    assert not fast.transport.is_aborted
    assert rig.door.clients.pubsub.counters.slow == 1


def test_a_subscriber_that_catches_up_is_kept() -> None:
    rig = _rig(DoorLimits(pubsub_buffer_messages_max=10))
    client, publisher = rig.client(), rig.client()
    client.ask(b"SUBSCRIBE a")
    for _ in range(5):
        client.connection.pause_writing()
        for _ in range(9):
            publisher.ask(b"PUBLISH a x")
        client.connection.resume_writing()
    assert not client.transport.is_aborted
    assert len(client.replies()) == 45


@pytest.mark.parametrize("kind", [b"CHANNELS", b"SHARDCHANNELS"])
def test_a_pattern_that_would_stop_the_node_is_refused_where_channels_are_listed(
    kind: bytes,
) -> None:
    rig = _rig()
    client, other = rig.client(), rig.client()
    name = b"a" * 60_000
    client.ask([b"SUBSCRIBE", name, name + b"b"], [b"SSUBSCRIBE", name, name + b"b"])
    costly = b"*" + b"?" * 1_000 + b"c*"
    refusal = "ERR the pattern takes too long on texts that long"
    assert other.ask([b"PUBSUB", kind, costly]) == refusal
    assert other.ask([b"PUBSUB", kind, b"*b"]) == [name + b"b"]


@pytest.mark.parametrize("ending", [b"UNSUBSCRIBE a", b"UNSUBSCRIBE", b"RESET"])
def test_who_publishes_to_itself_and_leaves_at_once_has_its_message(ending: bytes) -> None:
    client = _rig().client()
    client.ask(b"HELLO 3", b"SUBSCRIBE a")
    client.transport.writes.clear()
    client.send(b"PUBLISH a x", ending)
    client.turn()
    assert client.written.count(b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n") == 1
    assert b":1\r\n" in client.written


def test_an_idle_subscriber_is_not_ended() -> None:
    client = _rig().client()
    client.ask(b"SUBSCRIBE a")
    assert not client.connection.is_idle
