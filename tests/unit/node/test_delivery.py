"""Messages for many: delivered in turns with everything else, in order, and never without bound."""

from __future__ import annotations

from trimaran.node.delivery import PIECE_BYTES, PUSHES_MAX, SLICE_NS, WRITTEN_BYTES_MAX
from trimaran.node.pubsub import PubSubLimits
from trimaran.node.subscriptions import CHANNEL

from .pubsub_net import N1, N2, N3, Net, Reader


def _turns(net: Net) -> int:
    """How many callbacks the loop ran until all was done."""
    turns = 0
    while net.soon:
        net.soon.popleft()()
        turns += 1
    return turns


def test_delivery_to_many_is_cut_into_slices_and_keeps_its_order() -> None:
    net = Net([N1])
    readers = [net.listen(N1, CHANNEL, b"a", b"b") for _ in range(100)]
    for reader in readers:
        reader.work = lambda: setattr(net, "now", net.now + SLICE_NS // 50)
    for number in range(5):
        name = b"ab"[number % 2 :][:1]
        assert net.nodes[N1].publish(CHANNEL, name, b"%d" % number) == 100
    assert _turns(net) >= 5
    assert all(one.payloads() == [b"%d" % number for number in range(5)] for one in readers)


def test_a_slice_writes_to_few_sockets_however_fast_that_seems() -> None:
    net = Net([N1])
    for _ in range(4 * PUSHES_MAX):
        net.listen(N1, CHANNEL, b"a")
    net.nodes[N1].publish(CHANNEL, b"a", b"x")
    assert _turns(net) >= 4


def test_messages_of_one_turn_for_the_same_subscribers_are_one_piece() -> None:
    net = Net()
    readers = [net.listen(name, CHANNEL, b"a", b"b") for name in (N1, N2, N2)]
    for number in range(100):
        net.nodes[N1].publish(CHANNEL, b"a" if number < 60 else b"b", b"%d" % number)
    net.settle()
    for reader in readers:
        assert len(reader.pieces) == 2
        assert reader.payloads() == [b"%d" % number for number in range(100)]


def test_a_piece_is_bounded() -> None:
    net = Net([N1])
    reader = net.listen(N1, CHANNEL, b"a")
    for _ in range(10):
        net.nodes[N1].publish(CHANNEL, b"a", bytes(PIECE_BYTES // 4))
    net.nodes[N1].publish(CHANNEL, b"a", bytes(PIECE_BYTES * 4))
    net.settle()
    assert max(map(len, reader.pieces[:-1])) < 1.1 * PIECE_BYTES
    assert len(reader.got()) == 11


def _half_delivered() -> tuple[Net, list[Reader]]:
    """To the first of many only; a second message waits, for the same and one more."""
    net = Net([N1])
    readers = [net.listen(N1, CHANNEL, b"a") for _ in range(200)]
    readers[0].work = lambda: setattr(net, "now", net.now + SLICE_NS)
    net.nodes[N1].publish(CHANNEL, b"a", b"1")
    net.soon.popleft()()
    assert net.soon
    readers.append(net.subscribe(N1, CHANNEL, b"a")[0])
    assert net.nodes[N1].publish(CHANNEL, b"a", b"2") == len(readers)
    return net, readers


def test_who_unsubscribes_meanwhile_gets_what_was_published_before_and_once() -> None:
    net, readers = _half_delivered()
    for at in (0, -2, -1):
        net.nodes[N1].unsubscribe(readers[at], CHANNEL, b"a")
    net.nodes[N1].publish(CHANNEL, b"a", b"3")
    for at, expected in ((0, [b"1", b"2"]), (-2, [b"1", b"2"]), (-1, [b"2"])):
        assert readers[at].payloads() == expected
    net.settle()
    for at in (0, -2, -1):
        assert readers[at].got() == []
    assert readers[1].payloads() == readers[-3].payloads() == [b"1", b"2", b"3"]


def test_who_unsubscribes_and_comes_again_gets_nothing_twice() -> None:
    net, readers = _half_delivered()
    for at in (0, -2):
        net.nodes[N1].unsubscribe(readers[at], CHANNEL, b"a")
        net.nodes[N1].subscribe(readers[at], CHANNEL, [b"a"], lambda: None)
    net.nodes[N1].publish(CHANNEL, b"a", b"3")
    net.settle()
    for at in (0, 1, -2):
        assert readers[at].payloads() == [b"1", b"2", b"3"]


def test_who_subscribes_twice_keeps_its_turn() -> None:
    net, readers = _half_delivered()
    net.nodes[N1].subscribe(readers[-2], CHANNEL, [b"a"], lambda: None)
    net.settle()
    assert readers[-2].payloads() == [b"1", b"2"]


def test_who_is_lost_meanwhile_gets_nothing_more() -> None:
    net, readers = _half_delivered()
    readers[-2].is_lost = True
    net.nodes[N1].leave(readers[-2])
    net.settle()
    assert readers[-2].got() == []
    assert readers[-3].payloads() == [b"1", b"2"]


def test_who_comes_later_gets_nothing_of_what_was_published_before() -> None:
    net = Net([N1])
    first = net.listen(N1, CHANNEL, b"a")
    net.nodes[N1].publish(CHANNEL, b"a", b"1")
    late, confirmed = net.subscribe(N1, CHANNEL, b"a")
    assert confirmed
    net.nodes[N1].publish(CHANNEL, b"a", b"2")
    net.settle()
    assert (first.payloads(), late.payloads()) == ([b"1", b"2"], [b"2"])


def test_publishers_everywhere_wait_for_a_node_that_has_much_to_deliver() -> None:
    net = Net()
    reader = net.listen(N2, CHANNEL, b"a")
    payload = bytes(WRITTEN_BYTES_MAX // 100)
    sent = 0
    while not net.nodes[N1].is_full:
        net.nodes[N1].publish(CHANNEL, b"a", payload)
        net.step(N1, N2)
        net.step(N2, N1)
        net.step(N2, N3)
        sent += 1
        assert sent < 200
    assert net.nodes[N3].is_full
    done: list[int] = []
    net.nodes[N3].when_room(lambda: done.append(1))
    while net.soon:
        net.soon.popleft()()
    assert not done
    net.settle()
    assert done
    assert len(reader.got()) == sent
    assert not net.nodes[N1].is_full


def test_a_busy_node_that_goes_keeps_nobody_waiting() -> None:
    net = Net()
    net.listen(N2, CHANNEL, b"a")
    while not net.nodes[N1].is_full:
        net.nodes[N2].publish(CHANNEL, b"a", bytes(WRITTEN_BYTES_MAX // 10))
        net.step(N2, N1)
    done: list[int] = []
    net.nodes[N1].when_room(lambda: done.append(1))
    net.part(N1, N2)
    net.settle()
    assert done
    net.join(N1, N2)
    net.settle()
    assert not net.nodes[N1].is_full


def test_publishers_wait_while_too_much_is_on_its_way() -> None:
    net = Net(limits=PubSubLimits(waiting_bytes_max=10_000))
    reader = net.listen(N2, CHANNEL, b"a")
    publisher = net.nodes[N1]
    sent = 0
    while not publisher.is_full:
        publisher.publish(CHANNEL, b"a", b"%d" % sent + bytes(500))
        sent += 1
    assert 10 < sent < 30
    done: list[int] = []
    for number in range(3):
        publisher.when_room(lambda number=number: done.append(number))  # type: ignore[misc]
    assert not done
    net.settle()
    assert done == [0, 1, 2]
    assert len(reader.got()) == sent


def test_what_is_not_delivered_yet_is_bounded_whoever_publishes() -> None:
    net = Net(limits=PubSubLimits(waiting_bytes_max=10_000))
    reader = net.listen(N2, CHANNEL, b"a")
    reader.work = lambda: setattr(net, "now", net.now + SLICE_NS)
    for _ in range(20):
        net.listen(N2, CHANNEL, b"a")
    for _ in range(10):
        for number in range(10):
            net.nodes[N1].publish(CHANNEL, b"a", b"%d" % number + bytes(500))
        net.step(N1, N2)
    lost = net.nodes[N2].counters.lost
    assert 70 <= lost < 90
    net.settle()
    assert len(reader.got()) == 100 - lost


def test_messages_for_a_slow_peer_are_bounded_also_when_nobody_can_wait() -> None:
    net = Net(limits=PubSubLimits(waiting_bytes_max=10_000))
    net.listen(N2, CHANNEL, b"a")
    for _ in range(100):
        net.nodes[N1].publish(CHANNEL, b"a", bytes(1000))
    assert 70 <= net.nodes[N1].counters.lost < 90
