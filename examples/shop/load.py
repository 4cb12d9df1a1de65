"""Customers who buy all the time, and a check that not one piece or order is lost or there twice.

Kill a node while it runs. How stands in README.md.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from shop import Outcome, Shop

import trimaran

PRODUCTS = ("apple", "bread", "cheese", "dates", "eggs")
T = TypeVar("T")
DELIVERED = 1_000_000  # Of each product, so that there is something to sell all the time.


class Load:
    """What the customers have seen."""

    def __init__(self) -> None:
        self.bought: set[str] = set()  # Ids of orders that were answered.
        self.repeated = 0  # Answers that were unknown, so that the order was sent once more.
        self.failed = 0  # Surely not done: no node could be reached for too long.
        self.slowest_s = 0.0  # Since it was last printed.

    async def customer(self, shop: Shop, name: str, until: float) -> None:
        choose = Random(name)
        token = await self.patiently(shop.log_in, name)
        while time.monotonic() < until:
            begun = time.monotonic()
            for product in choose.sample(PRODUCTS, choose.randint(1, 3)):
                await self.patiently(shop.put, token, product)
            order_id = secrets.token_hex(8)
            if await self.patiently(shop.buy, token, order_id) is Outcome.BOUGHT:
                self.bought.add(order_id)
            self.slowest_s = max(self.slowest_s, time.monotonic() - begun)

    async def patiently(self, step: Callable[..., Awaitable[T]], *args: str) -> T:
        """Until it is done. Every step of a customer may be repeated: at worst there is more in
        the cart than was wanted, and an order has its id."""
        while True:
            try:
                return await step(*args)
            except trimaran.OutcomeUnknown:
                self.repeated += 1
            except trimaran.NotApplied:
                self.failed += 1

    async def report(self, seconds: int) -> None:
        for second in range(1, seconds + 1):
            await asyncio.sleep(1)
            print(
                f"{second:3} s  {len(self.bought):7,} orders  slowest {self.slowest_s:6.3f} s"
                f"  sent once more {self.repeated}  failed {self.failed}",
                flush=True,
            )
            self.slowest_s = 0.0


async def counts(client: trimaran.Client, key: str) -> Counter[str]:
    found = await client.hgetall(key)
    return Counter({product: int(count) for product, count in found.items()})


async def check(shop: Shop, bought: set[str]) -> bool:
    """Whether the books agree: of each product, and with what the customers were told."""
    client = shop.client
    delivered = await counts(client, "shop:delivered")
    left = await counts(client, "shop:stock")
    sold = await counts(client, "shop:sold")
    orders = [line.split()[0] for line in await client.lrange("shop:orders", 0, -1)]
    ordered: Counter[str] = Counter()
    for first in range(0, len(orders), 1_000):
        async with client.pipeline(transaction=False) as pipe:
            for order_id in orders[first : first + 1_000]:
                pipe.hgetall(f"shop:order:{order_id}")
            for items in await pipe.execute():
                ordered.update({product: int(count) for product, count in items.items()})

    is_right = True
    for product in PRODUCTS:
        agrees = sold[product] + left[product] == delivered[product]
        agrees = agrees and sold[product] == ordered[product]
        is_right = is_right and agrees
        print(
            f"{product:8} delivered {delivered[product]:10,}  sold {sold[product]:8,}"
            f"  left {left[product]:10,}  {'right' if agrees else 'WRONG'}"
        )
    twice = len(orders) - len(set(orders))
    missing = len(bought - set(orders))
    print(f"{len(orders):,} orders: {twice} there twice, {missing} answered and missing")
    return is_right and not twice and not missing


async def main(nodes: list[str], customers: int, seconds: int) -> bool:
    async with trimaran.Client(*nodes, db=1, decode_responses=True) as client:
        shop, load = Shop(client), Load()
        for product in PRODUCTS:
            await shop.deliver(product, DELIVERED)
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(customers):
                group.create_task(load.customer(shop, f"customer-{number}", until))
            group.create_task(load.report(seconds))
        return await check(shop, load.bought)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Buys, and checks the books.")
    parser.add_argument("--nodes", nargs="+", default=["127.0.0.1:7381", "127.0.0.1:7391"])
    parser.add_argument("--customers", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    sys.exit(not asyncio.run(main(options.nodes, options.customers, options.seconds)))
