"""Kinds of commands, as redis-benchmark is to send them, and what must be there for them to do.

Each works on what redis-benchmark's own test of that name works on. What takes away is given before
each round exactly as many elements as the round will take, so that it never asks an empty key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from . import redis
from .generators import VALUE_BYTES

AT_A_TIME = 500  # Elements put there with one command.
VALUE = b"x" * VALUE_BYTES
TRANSACTION = 5  # Writes of a MULTI.


@dataclass(frozen=True, slots=True)
class Stock:
    """The elements of `key` that a load needs: `count` of them, or one for each command."""

    key: bytes
    push: bytes
    elements: Callable[[range], list[bytes]]
    length: bytes  # The command that tells how many there are.
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of command. Without `words` it is redis-benchmark's own test of that name."""

    name: str
    words: tuple[str, ...] = ()
    writes: int = 1  # What each command writes; 0 for reads.
    grows: bytes = b""  # The key that grows: it begins empty in each round.
    stock: Stock | None = None

    @property
    def is_transaction(self) -> bool:
        """A MULTI, which redis-benchmark cannot send; `transactions.py` does."""
        return self.name.startswith("MULTI")

    def prepare(self, client: redis.Connection, requests: int) -> None:
        """Before a round of so many commands."""
        if self.grows:
            client.ask(b"DEL", self.grows)
        stock = self.stock
        if stock is not None:
            client.ask(b"DEL", stock.key)
            for some in _commands(stock, stock.count or requests):
                client.send(redis.sent_at_once(some), len(some))

    def verify(self, client: redis.Connection) -> None:
        """After it: nothing is left of what was to be taken, and nothing else had to be."""
        stock = self.stock
        if stock is not None:
            left = client.ask(stock.length, stock.key)
            if left != (stock.count or 0):
                raise RuntimeError(f"{self.name}: {left} elements are left of {stock.key!r}")


def _commands(stock: Stock, count: int) -> Iterator[list[Sequence[bytes]]]:
    for start in range(0, count, AT_A_TIME):
        numbers = range(start, min(start + AT_A_TIME, count))
        yield [[stock.push, stock.key, *stock.elements(numbers)]]


def _values(numbers: range) -> list[bytes]:
    return [VALUE] * len(numbers)


def _members(numbers: range) -> list[bytes]:
    return [b"element:%012d" % number for number in numbers]


def _scored(numbers: range) -> list[bytes]:
    return [word for n in numbers for word in (b"%d" % (n * 7919 % 10_007), b"element:%012d" % n)]


_LIST = Stock(b"mylist", b"RPUSH", _values, b"LLEN")
_RANGED = Stock(b"mylist", b"RPUSH", _values, b"LLEN", 600)
_SCRIPT = "return redis.call('SET',KEYS[1],ARGV[1])"

SET = Kind("SET")
KINDS = (
    Kind("INCR"),
    Kind("LPUSH", grows=b"mylist"),
    Kind("LPOP", stock=_LIST),
    Kind("SADD", grows=b"myset"),
    Kind("HSET", grows=b"myhash"),
    Kind("ZADD", grows=b"myzset"),
    Kind("SPOP", stock=Stock(b"myset", b"SADD", _members, b"SCARD")),
    Kind("ZPOPMIN", stock=Stock(b"myzset", b"ZADD", _scored, b"ZCARD")),
    Kind("MSET", writes=10),
    *(
        Kind(f"LRANGE_{count}", ("LRANGE", "mylist", "0", str(count - 1)), 0, stock=_RANGED)
        for count in (100, 300, 500, 600)
    ),
    Kind("XADD", ("XADD", "mystream", "*", "field", VALUE.decode()), grows=b"mystream"),
    Kind("EVAL", ("EVAL", _SCRIPT, "1", "key:__rand_int__", VALUE.decode())),
    Kind(f"MULTI of {TRANSACTION}", writes=TRANSACTION),
)
BY_NAME = {kind.name: kind for kind in (SET, Kind("GET", writes=0), *KINDS)}
