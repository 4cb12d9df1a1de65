"""SUBSCRIBE, PUBLISH and their kin, and PUBSUB: channels at the doors.

At the any-key door a client listens and publishes in the whole cluster; at the cluster door shard
channels are served by the node that leads their slot, as in Redis Cluster, and PUBSUB speaks of
this node alone, since cluster clients add up what the nodes say. Read `../pubsub.py` next.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from ...cluster.slots import shard_of_slot, slot_of
from ...proto.reply import Pushes, Reply
from ...proto.resp import encode_push
from ..data.glob import PATTERN_BYTES_MAX, Search
from ..errors import CommandError
from ..subscriptions import CHANNEL, PATTERN, SHARD, Kind
from .subcommands import Later, Subcommands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..pubsub import PubSub
    from ..request import Args
    from ..subscriptions import Subscriber
    from .backend import Router
    from .client import Client
    from .connection import Connection

_ON = {CHANNEL: b"subscribe", PATTERN: b"psubscribe", SHARD: b"ssubscribe"}
_OFF = {CHANNEL: b"unsubscribe", PATTERN: b"punsubscribe", SHARD: b"sunsubscribe"}


def _pubsub(client: Client) -> PubSub:
    return client.door.clients.pubsub


# --- Listening.


def subscribe(client: Client, args: Args) -> Reply | Later:
    return _listen(client, CHANNEL, args[1:])


def psubscribe(client: Client, args: Args) -> Reply | Later:
    return _listen(client, PATTERN, args[1:])


def ssubscribe(client: Client, args: Args) -> Reply | Later:
    client.door.routing.check_channels(args[1:])
    return _listen(client, SHARD, args[1:])


def _listen(client: Client, kind: Kind, names: Sequence[bytes]) -> Reply | Later:
    if kind is PATTERN and max(map(len, names)) > PATTERN_BYTES_MAX:  # Before anything is begun.
        raise CommandError(f"a pattern is longer than {PATTERN_BYTES_MAX} bytes")
    subscriber, pubsub = client.as_subscriber(), _pubsub(client)
    own = pubsub.subscriptions_of(subscriber)
    known = own.names[kind] if own is not None else {}
    total = 0 if own is None else own.total
    if total + len(names) > pubsub.limits.subscriptions_max:
        raise CommandError(
            f"too many subscriptions: {total} and {len(names)} more, one client may have"
            f" {pubsub.limits.subscriptions_max} (client_subscriptions_max)"
        )
    # As if they came one by one.
    count = _counted(pubsub, subscriber, kind)
    frames: list[list[Reply]] = []
    added: dict[bytes, None] = {}
    for name in names:
        if name not in known:
            added[name] = None
        frames.append([_ON[kind], name, count + len(added)])

    def start(done: Callable[[Reply], None]) -> None:
        pubsub.subscribe(subscriber, kind, names, partial(done, Pushes(tuple(frames))))

    return Later(start)


def unsubscribe(client: Client, args: Args) -> Reply:
    return _stop_listening(client, CHANNEL, args[1:])


def punsubscribe(client: Client, args: Args) -> Reply:
    return _stop_listening(client, PATTERN, args[1:])


def sunsubscribe(client: Client, args: Args) -> Reply:
    return _stop_listening(client, SHARD, args[1:])


def _stop_listening(client: Client, kind: Kind, names: Sequence[bytes]) -> Reply:
    subscriber, pubsub = client.as_subscriber(), _pubsub(client)
    own = pubsub.subscriptions_of(subscriber)
    if not names:
        names = list(own.names[kind]) if own is not None else []
    frames: list[list[Reply]] = []
    for name in names:
        pubsub.unsubscribe(subscriber, kind, name)
        frames.append([_OFF[kind], name, _counted(pubsub, subscriber, kind)])
    if not frames:
        frames.append([_OFF[kind], None, _counted(pubsub, subscriber, kind)])
    return Pushes(tuple(frames))


def _counted(pubsub: PubSub, subscriber: Subscriber, kind: Kind) -> int:
    """What replies tell: channels and patterns together, shard channels by themselves."""
    own = pubsub.subscriptions_of(subscriber)
    if own is None:
        return 0
    return len(own.names[SHARD]) if kind is SHARD else own.count


def end_moved(pubsub: PubSub, router: Router) -> None:
    """Who leads may have changed: end the subscriptions of cluster clients to shard channels that
    are served elsewhere now, and tell them."""
    moved: dict[Connection, list[bytes]] = {}
    for name, subscribers in pubsub.listening(SHARD):
        leader = router.leader_of(shard_of_slot(slot_of(name), router.shards))
        if leader is not None and leader.name != router.name:
            for one in subscribers:
                connection = cast("Connection", one)  # Only these become subscribers.
                if connection.door.is_cluster:
                    moved.setdefault(connection, []).append(name)
    for connection, names in moved.items():
        for name in names:
            pubsub.unsubscribe(connection, SHARD, name)
            frame = [_OFF[SHARD], name, _counted(pubsub, connection, SHARD)]
            connection.push(encode_push(frame, connection.protocol))


# --- Publishing.


def publish(client: Client, args: Args) -> Reply | Later:
    return _publish(client, CHANNEL, args[1], args[2])


def spublish(client: Client, args: Args) -> Reply | Later:
    client.door.routing.check_channels(args[1:2])
    return _publish(client, SHARD, args[1], args[2])


def _publish(client: Client, kind: Kind, channel: bytes, payload: bytes) -> Reply | Later:
    pubsub = _pubsub(client)
    if not pubsub.must_wait:
        return pubsub.publish(kind, channel, payload)

    # Too much is on its way: this client waits, and is not read meanwhile (correctness D4).
    def start(done: Callable[[Reply], None]) -> None:
        pubsub.when_room(lambda: done(pubsub.publish(kind, channel, payload)))

    return Later(start)


# --- PUBSUB.


def _channels_of(kind: Kind, client: Client, args: Args) -> Reply:
    if len(args) > 3:
        word = args[1].decode("utf-8", "surrogateescape")
        raise CommandError(
            f"unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP."
        )
    found = _pubsub(client).channels(kind, is_everywhere=not client.door.is_cluster)
    if len(args) == 2:
        return list(found)
    return list(filter(Search(args[2]).matches, found))


def _numbers_of(kind: Kind, client: Client, args: Args) -> Reply:
    pubsub, is_everywhere = _pubsub(client), not client.door.is_cluster
    reply: list[Reply] = []
    for name in args[2:]:
        reply += [name, pubsub.count(kind, name, is_everywhere=is_everywhere)]
    return reply


def _numpat(client: Client, args: Args) -> Reply:
    return len(_pubsub(client).channels(PATTERN, is_everywhere=not client.door.is_cluster))


PUBSUB = Subcommands(
    b"PUBSUB",
    {
        b"CHANNELS": partial(_channels_of, CHANNEL),
        b"NUMPAT": _numpat,
        b"NUMSUB": partial(_numbers_of, CHANNEL),
        b"SHARDCHANNELS": partial(_channels_of, SHARD),
        b"SHARDNUMSUB": partial(_numbers_of, SHARD),
    },
    (
        "CHANNELS [<pattern>]",
        "    Return the channels that somebody listens to, and that match the pattern.",
        "NUMPAT",
        "    Return the number of patterns that somebody listens to.",
        "NUMSUB [<channel> ...]",
        "    Return how many listen to each channel, patterns not counted.",
        "SHARDCHANNELS [<pattern>]",
        "    Return the shard channels that somebody listens to, and that match the pattern.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return how many listen to each shard channel.",
    ),
)
