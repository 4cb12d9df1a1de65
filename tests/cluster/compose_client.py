"""A cluster client of `make compose-test`, the same on the host and in a container.

    python compose_client.py HOST:PORT,... write|read PREFIX

Nothing but redis-py is imported: in a container there is no more. The addresses it is told, by
CLUSTER SLOTS and by MOVED, must be of the network of those that it was given.
"""

from __future__ import annotations

import sys

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import MovedError

KEYS = 200


def network(host: str) -> str:
    return host.rpartition(".")[0]


def key_of(prefix: str, number: int) -> str:
    return f"{prefix}:{number}"


def write(client: RedisCluster, prefix: str) -> None:
    for number in range(KEYS):
        assert client.set(key_of(prefix, number), f"{prefix} wrote {number}")


def read(client: RedisCluster, prefix: str) -> None:
    for number in range(KEYS):
        key = key_of(prefix, number)
        assert client.get(key) == f"{prefix} wrote {number}", key


def ask(host: str, port: int, key: str) -> tuple[str, int] | None:
    """Where to go on for `key`, as `redis-cli -c` would; None if it is answered there."""
    with redis.Redis(host, port, decode_responses=True) as one:
        try:
            assert one.get(key)
        except MovedError as moved:
            return moved.host, moved.port
    return None


def follow(places: list[tuple[str, int]], key: str) -> int:
    """Ask each of `places` for `key`; how many sent us on, to where it was answered."""
    sent_on = 0
    for host, port in places:
        place = ask(host, port, key)
        if place is not None:
            assert network(place[0]) == network(host), f"{host}:{port} sent us to {place}"
            assert ask(*place, key) is None
            sent_on += 1
    return sent_on


def main(addresses: str, what: str, prefix: str) -> None:
    given = [(host, int(port)) for host, port in (one.split(":") for one in addresses.split(","))]
    nodes = [ClusterNode(host, port) for host, port in given]  # type: ignore[no-untyped-call]  # redis-py.
    client = RedisCluster(startup_nodes=nodes, decode_responses=True)
    {"write": write, "read": read}[what](client, prefix)
    primaries = client.get_primaries()  # type: ignore[no-untyped-call]  # redis-py.
    told = sorted({(node.host, node.port) for node in primaries})
    assert {network(host) for host, _ in told} == {network(given[0][0])}, told
    assert len(told) > 1, told
    sent_on = sum(follow(told, key_of(prefix, number)) for number in range(10))
    assert sent_on == 10 * (len(told) - 1), "all but one were to send us on"
    names = " ".join(f"{host}:{port}" for host, port in told)
    sys.stdout.write(f"{what} {KEYS} keys of {prefix!r} through {names}, sent on {sent_on} times\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
