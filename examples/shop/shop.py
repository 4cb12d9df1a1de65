"""A shop: sessions, carts, stock and orders. Only `Shop`; what uses it is in load.py.

Everything lives in database 1, so whole on one shard: an order touches the cart, the stock and
the orders together, and a script is all of it or nothing. The client repeats what was cut off by
itself and it is applied once; what remains is the rare `OutcomeUnknown`, and an order's id, made
before it is first sent, answers that: an order that is there is not made again.
"""

import secrets
from enum import StrEnum

import trimaran

SESSION_S = 30 * 60

_BUY = """
local cart, order, orders, stock, sold = unpack(KEYS)
local id, user = unpack(ARGV)
if redis.call('EXISTS', order) == 1 then return 'bought' end

local items = redis.call('HGETALL', cart)
if #items == 0 then return 'empty' end
for place = 1, #items, 2 do
  local left = tonumber(redis.call('HGET', stock, items[place])) or 0
  if left < tonumber(items[place + 1]) then return 'sold out' end
end

for place = 1, #items, 2 do
  local product, count = items[place], items[place + 1]
  redis.call('HINCRBY', stock, product, -count)
  redis.call('HINCRBY', sold, product, count)
  redis.call('HSET', order, product, count)
end
redis.call('RPUSH', orders, id .. ' ' .. user)
redis.call('DEL', cart)
return 'bought'
"""


class Outcome(StrEnum):
    BOUGHT = "bought"
    SOLD_OUT = "sold out"
    EMPTY = "empty"


class Shop:
    """Every method may be called from any number of tasks."""

    def __init__(self, client: trimaran.Client) -> None:
        self.client = client
        self._buy = client.register_script(_BUY)

    # --- Stock.

    async def deliver(self, product: str, count: int) -> None:
        """More of a product. Once, however often the client has to send it."""
        async with self.client.pipeline() as pipe:
            pipe.hincrby("shop:delivered", product, count)
            pipe.hincrby("shop:stock", product, count)
            await pipe.execute()

    async def left(self, product: str) -> int:
        """How many there are to be sold."""
        return int(await self.client.hget("shop:stock", product) or 0)

    # --- Sessions.

    async def log_in(self, user: str) -> str:
        """A session, which ends when it is not used for half an hour."""
        token = secrets.token_urlsafe(16)
        await self.client.set(f"shop:session:{token}", user, ex=SESSION_S)
        return token

    async def user(self, token: str) -> str | None:
        """Whose session it is, if it is one; it goes on from here."""
        user = await self.client.getex(f"shop:session:{token}", ex=SESSION_S)
        return None if user is None else str(user)

    # --- Carts.

    async def put(self, token: str, product: str, count: int = 1) -> None:
        """Into the session's cart, which is kept for as long as the session."""
        async with self.client.pipeline() as pipe:
            pipe.hincrby(f"shop:cart:{token}", product, count)
            pipe.expire(f"shop:cart:{token}", SESSION_S)
            await pipe.execute()

    async def buy(self, token: str, order_id: str) -> Outcome:
        """All that is in the cart, or nothing. With the same `order_id` it is safe to repeat.

        Raises LookupError without a session, and what the client raises.
        """
        user = await self.user(token)
        if user is None:
            raise LookupError("log in first")
        keys = [f"shop:cart:{token}", f"shop:order:{order_id}"]
        keys += ["shop:orders", "shop:stock", "shop:sold"]
        return Outcome(await self._buy(keys, [order_id, user]))
