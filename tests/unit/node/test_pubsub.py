"""Messages reach who listens, once per node, in order; and who subscribed misses nothing."""

from __future__ import annotations

from itertools import count
from random import Random
from time import thread_time_ns

import pytest

from trimaran.node.patterns import SLICE_NS
from trimaran.node.pubsub import MARK_WAIT_NS, TELL_AGAIN_NS
from trimaran.node.subscriptions import CHANNEL, PATTERN, SHARD

from .pubsub_net import N1, N2, N3, NAMES, Net, Reader


def test_a_message_reaches_subscribers_of_every_node_and_is_counted() -> None:
    net = Net()
    readers = [net.listen(name, CHANNEL, b"news") for name in (N1, N1, N2, N3)]
    assert net.nodes[N2].publish(CHANNEL, b"news", b"hello") == 4
    net.settle()
    assert [reader.got() for reader in readers] == [[[b"message", b"news", b"hello"]]] * 4


def test_patterns_get_a_message_once_per_pattern_behind_the_channel() -> None:
    net = Net()
    reader = Reader()
    for kind, name in ((PATTERN, b"n*"), (CHANNEL, b"news"), (PATTERN, b"*s")):
        net.subscribe(N1, kind, name, reader=reader)
        net.settle()
    assert net.nodes[N3].publish(CHANNEL, b"news", b"x") == 3
    net.settle()
    assert reader.got() == [
        [b"message", b"news", b"x"],
        [b"pmessage", b"n*", b"news", b"x"],
        [b"pmessage", b"*s", b"news", b"x"],
    ]


def test_shard_channels_are_a_name_space_of_their_own() -> None:
    net = Net()
    plain, sharded = net.listen(N1, CHANNEL, b"a"), net.listen(N2, SHARD, b"a")
    assert net.nodes[N3].publish(SHARD, b"a", b"1") == 1
    assert net.nodes[N3].publish(CHANNEL, b"a", b"2") == 1
    net.settle()
    assert plain.got() == [[b"message", b"a", b"2"]]
    assert sharded.got() == [[b"smessage", b"a", b"1"]]


def test_a_subscription_is_confirmed_when_every_node_that_is_up_knows_of_it() -> None:
    net = Net()
    reader, confirmed = net.subscribe(N1, CHANNEL, b"a")
    assert not confirmed
    net.step(N1, N2)
    net.step(N2, N1)
    assert not confirmed  # n3 would not send us what is published there.
    net.step(N1, N3)
    net.step(N3, N1)
    assert confirmed
    assert net.nodes[N3].publish(CHANNEL, b"a", b"x") == 1
    net.settle()
    assert reader.payloads() == [b"x"]


def test_nothing_is_delivered_before_the_confirmation() -> None:
    net = Net()
    reader, confirmed = net.subscribe(N1, CHANNEL, b"a")
    net.step(N1, N2)
    net.nodes[N2].publish(CHANNEL, b"a", b"early")
    net.way[N2, N1].rotate(1)  # Even if the message overtook the word that we were seen.
    net.step(N2, N1)
    assert not confirmed
    assert reader.got() == []


def test_a_second_subscriber_of_a_channel_waits_for_nobody() -> None:
    net = Net()
    net.listen(N1, CHANNEL, b"a")
    _, confirmed = net.subscribe(N1, CHANNEL, b"a")
    assert confirmed


def test_a_silent_peer_delays_a_subscription_only_for_a_while() -> None:
    net = Net()
    _, confirmed = net.subscribe(N1, CHANNEL, b"a")
    net.pass_time(MARK_WAIT_NS - 1)
    assert not confirmed
    net.pass_time(1)
    assert confirmed


def test_a_peer_that_goes_down_is_not_waited_for() -> None:
    net = Net()
    _, confirmed = net.subscribe(N1, CHANNEL, b"a")
    net.step(N1, N2)
    net.step(N2, N1)
    net.part(N1, N3)
    assert confirmed


def test_a_client_that_is_gone_before_its_confirmation_leaves_nothing_behind() -> None:
    net = Net()
    reader, _ = net.subscribe(N1, CHANNEL, b"a")
    reader.is_lost = True
    net.settle()
    assert net.nodes[N1].clients == 0
    assert net.nodes[N2].publish(CHANNEL, b"a", b"x") == 0


def test_what_nobody_follows_costs_other_nodes_nothing() -> None:
    net = Net()
    net.listen(N2, CHANNEL, b"a")
    net.listen(N2, PATTERN, b"b*")
    before = net.posts
    for _ in range(1000):
        net.nodes[N1].publish(CHANNEL, b"flood", b"x")
    assert net.posts == before


def test_a_message_goes_once_to_a_node_however_many_listen_there() -> None:
    net = Net()
    for _ in range(50):
        net.listen(N2, CHANNEL, b"a")
    net.listen(N2, PATTERN, b"*")
    before = net.posts
    assert net.nodes[N1].publish(CHANNEL, b"a", b"x") == 51
    assert net.posts == before + 1


def test_after_the_last_unsubscribe_nothing_is_sent_any_more() -> None:
    net = Net()
    reader = net.listen(N2, CHANNEL, b"a", b"b")
    assert net.nodes[N2].unsubscribe(reader, CHANNEL, b"a")
    assert not net.nodes[N2].unsubscribe(reader, CHANNEL, b"a")
    net.settle()
    assert net.nodes[N1].publish(CHANNEL, b"a", b"x") == 0
    net.nodes[N2].leave(reader)
    net.settle()
    assert net.nodes[N1].publish(CHANNEL, b"b", b"x") == 0
    assert not net.nodes[N1].has_listeners
    assert not net.nodes[N2].has_listeners


def test_a_name_given_twice_counts_once() -> None:
    net = Net()
    reader = net.listen(N1, CHANNEL, b"a", b"a")
    assert net.nodes[N2].publish(CHANNEL, b"a", b"x") == 1
    net.settle()
    assert len(reader.got()) == 1
    net.nodes[N1].unsubscribe(reader, CHANNEL, b"a")
    net.settle()
    assert net.nodes[N2].publish(CHANNEL, b"a", b"x") == 0


def test_subscriptions_are_told_again_after_a_cut() -> None:
    net = Net()
    kept = net.listen(N2, CHANNEL, b"kept")
    gone = net.listen(N2, CHANNEL, b"gone")
    net.part(N1, N2)
    assert net.nodes[N1].publish(CHANNEL, b"kept", b"lost") == 0
    net.nodes[N2].leave(gone)
    late = net.listen(N2, PATTERN, b"late*")
    net.join(N1, N2)
    net.settle()
    assert net.nodes[N1].publish(CHANNEL, b"kept", b"1") == 1
    assert net.nodes[N1].publish(CHANNEL, b"gone", b"2") == 0
    assert net.nodes[N1].publish(CHANNEL, b"late!", b"3") == 1
    net.settle()
    assert (kept.payloads(), late.payloads()) == ([b"1"], [b"3"])


def test_pubsub_tells_of_the_whole_cluster_or_of_one_node() -> None:
    net = Net()
    net.listen(N1, CHANNEL, b"a")
    net.listen(N2, CHANNEL, b"a", b"b")
    net.listen(N2, PATTERN, b"*")
    one = net.nodes[N1]
    assert set(one.channels(CHANNEL, is_everywhere=True)) == {b"a", b"b"}
    assert set(one.channels(CHANNEL, is_everywhere=False)) == {b"a"}
    assert len(one.channels(PATTERN, is_everywhere=True)) == 1
    assert one.count(CHANNEL, b"a", is_everywhere=True) == 2
    assert one.count(CHANNEL, b"a", is_everywhere=False) == 1


def test_a_subscriber_speaks_its_own_protocol() -> None:
    net = Net()
    readers = [Reader(protocol) for protocol in (2, 3)]
    for reader in readers:
        net.subscribe(N1, CHANNEL, b"a", reader=reader)
    net.settle()
    net.nodes[N1].publish(CHANNEL, b"a", b"x")
    net.settle()
    assert [data for reader in readers for data in reader.pieces] == [
        b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
        b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
    ]


# --- Many patterns.


def test_ten_thousand_patterns_stop_the_loop_for_moments_only() -> None:
    """Compiled in one go they take most of a second."""
    pattern_ns = 10_000
    looks = count(step=pattern_ns)  # At each look at the clock one more is compiled.
    net = Net(clock=lambda: next(looks))
    names = [b"user:%d:[a-c]?*" % number for number in range(10_000)]
    reader, confirmed = net.subscribe(N1, PATTERN, *names)
    net.step(N1, N2)
    net.step(N1, N3)
    turns = 0
    while net.soon:
        net.soon.popleft()()
        turns += 1
    net.settle()
    assert confirmed
    assert turns >= len(names) * pattern_ns // SLICE_NS
    assert net.nodes[N3].publish(CHANNEL, b"user:77:bx", b"hello") == 1
    net.settle()
    assert reader.got() == [[b"pmessage", b"user:77:[a-c]?*", b"user:77:bx", b"hello"]]


def test_a_pattern_is_confirmed_when_it_can_match_everywhere() -> None:
    net = Net()
    reader, confirmed = net.subscribe(N1, PATTERN, b"a[bc]")
    for way in ((N1, N2), (N1, N3), (N2, N1), (N3, N1)):
        net.step(*way)
    assert not confirmed
    net.settle()
    assert confirmed
    assert net.nodes[N2].publish(CHANNEL, b"ab", b"x") == 1
    net.settle()
    assert reader.payloads() == [b"x"]


def test_a_client_that_goes_is_told_in_few_posts_however_much_it_listened_to() -> None:
    net = Net()
    reader = net.listen(N1, PATTERN, *(b"%d*" % number for number in range(1000)))
    net.listen(N2, PATTERN, b"1*")
    before = net.posts
    net.nodes[N1].leave(reader)
    assert net.posts <= before + 2
    net.settle()
    assert net.nodes[N3].publish(CHANNEL, b"12", b"x") == 1
    assert net.nodes[N3].publish(CHANNEL, b"22", b"x") == 0
    assert list(net.nodes[N3].channels(PATTERN, is_everywhere=True)) == [b"1*"]


def test_patterns_of_this_node_are_looked_up_anew_when_they_change() -> None:
    net = Net([N1])
    node = net.nodes[N1]
    assert node.publish(CHANNEL, b"ab", b"x") == 0
    first = net.listen(N1, PATTERN, b"a*")
    assert node.publish(CHANNEL, b"ab", b"x") == 1
    net.listen(N1, PATTERN, b"*b")
    assert node.publish(CHANNEL, b"ab", b"x") == 2
    node.leave(first)
    assert node.publish(CHANNEL, b"ab", b"x") == 1
    net.listen(N1, PATTERN, b"a*")
    assert node.publish(CHANNEL, b"ab", b"x") == 2


def test_no_pattern_makes_others_wait_for_a_long_channel_name() -> None:
    net = Net([N1])
    net.listen(N1, PATTERN, b"a*" + b"?" * 16_000 + b"b*")
    began = thread_time_ns()
    assert net.nodes[N1].publish(CHANNEL, b"a" * 64_000, b"x") == 0
    assert thread_time_ns() - began < 1_000_000_000
    net.listen(N1, PATTERN, b"a*")
    assert net.nodes[N1].publish(CHANNEL, b"a" * 64_000, b"x") == 1


def test_a_peer_that_there_was_no_room_to_tell_is_told_later() -> None:
    net = Net()
    net.listen(N1, CHANNEL, b"gone")
    net.full.add((N1, N2))
    reader, confirmed = net.subscribe(N1, CHANNEL, b"a")
    net.settle()
    assert not confirmed
    net.pass_time(TELL_AGAIN_NS)
    net.settle()
    assert not confirmed
    net.full.clear()
    net.pass_time(TELL_AGAIN_NS)
    net.settle()
    assert confirmed
    assert net.nodes[N2].publish(CHANNEL, b"a", b"x") == 1
    net.settle()
    assert reader.payloads() == [b"x"]


# --- A random run against what must hold.


@pytest.mark.parametrize("seed", range(20))
def test_every_subscriber_gets_each_publishers_messages_in_order(seed: int) -> None:
    """Posts arrive late and in turns; what is published while a subscription is confirmed arrives,
    in the order of each publisher (repeat: pytest -k "order and {seed}")."""
    rng = Random(seed)
    net = Net()
    channels = [b"a", b"b"]
    readers: list[tuple[Reader, bytes, list[int], int]] = []
    got: dict[int, list[bytes]] = {}
    published: list[tuple[bytes, bytes, int]] = []  # channel, payload, when
    numbers = {(name, channel): 0 for name in NAMES for channel in channels}
    for _ in range(400):
        net.now += 1
        dice = rng.random()
        name = NAMES[int(rng.random() * 3)]
        channel = channels[int(rng.random() * 2)]
        if dice < 0.05:
            reader, confirmed = net.subscribe(name, CHANNEL, channel)
            readers.append((reader, channel, confirmed, len(readers)))
        elif dice < 0.4:
            numbers[name, channel] += 1
            payload = b"%s:%d" % (name.encode(), numbers[name, channel])
            net.nodes[name].publish(CHANNEL, channel, payload)
            published.append((channel, payload, net.now))
        else:
            ways = list(net.way)
            net.step(*ways[int(rng.random() * len(ways))])
        while net.soon and rng.random() < 0.8:
            net.soon.popleft()()
    net.settle()
    assert readers
    for reader, channel, confirmed, number in readers:
        got[number] = reader.payloads()
        assert len(set(got[number])) == len(got[number])
        for name in NAMES:
            own = [int(one.split(b":")[1]) for one in got[number] if one.startswith(name.encode())]
            assert own == sorted(own)
        expected = {
            one for where, one, when in published if where == channel and when > confirmed[0]
        }
        assert expected <= set(got[number])
