"""Scripts of the clients: what EVAL, FCALL and their kin carry out, also those that fail half-way.

A script that fails leaves what it wrote before, as in Redis: half of it is a change like any other,
and must be the same half on every replica. So must the place be where its budget ends.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from .linearizability import Command

# Little: a script that never ends takes five milliseconds on each replica.
SETTINGS = ("lua-budget", "100000")

# --- Of the model: one command, and perhaps an end that is none.

ONE = b"return redis.call(ARGV[1], KEYS[1], ARGV[2])"
FAILING = b"redis.call(ARGV[1], KEYS[1], ARGV[2]) error('half')"
ENDLESS = b"redis.call(ARGV[1], KEYS[1], ARGV[2]) while true do end"
# Beginnings of errors, and the answer of the model that they are.
ANSWERS = {
    "user_script:1: half": b"half",
    "the script has used up its budget": b"spent",
}


def in_script(body: bytes, name: bytes, key: bytes, word: bytes) -> list[bytes]:
    return [b"EVAL", body, b"1", key, name, word]


# --- For the digests alone.

_CHANCE = b"""local n = redis.call('INCR', KEYS[1])
redis.call('SADD', KEYS[2], n, math.random(1000), redis.call('TIME')[1])
return redis.call('SPOP', KEYS[2])"""
_ORDER = b"""local found = {}
for _, member in ipairs(redis.call('SMEMBERS', KEYS[2])) do found[member] = #member end
local text = cjson.encode(found)
for member in pairs(found) do text = text .. member end
return redis.call('SET', KEYS[1] .. '3', text)"""
_WRONG = b"""redis.call('HSET', KEYS[1] .. '4', ARGV[1], ARGV[1])
redis.call('DEL', KEYS[2])
redis.call('LPUSH', KEYS[1] .. '4', 'x')
redis.call('SET', KEYS[1], 'never')"""
_SPENDING = b"""redis.call('SET', KEYS[2] .. '5', '')
while true do redis.pcall('APPEND', KEYS[2] .. '5', ARGV[1]) end"""
_LIBRARY = b"""#!lua name=sim
redis.register_function('change', function(keys, args)
  redis.call('APPEND', keys[1] .. '6', args[1])
  if #args[1] % 3 == 0 then error('half') end
  return redis.call('GETRANGE', keys[1] .. '6', -20, -1)
end)"""
_NAME = sha1(_CHANCE, usedforsecurity=False).hexdigest().encode()
EXPECTED_ERRORS = (
    "NOSCRIPT", "WRONGTYPE", "ERR Function not found", "ERR the script has used up its budget",
    "ERR user_function:4: half",
)  # fmt: skip


def _made(body: bytes) -> Callable[[Random, bytes, bytes], Command]:
    return lambda _, key, value: (b"EVAL", body, b"2", key, key + b"2", value)


def _flush(rng: Random, key: bytes, value: bytes) -> Command:
    """Seldom, or there would be none to find."""
    if rng.random() < 0.2:
        return (b"SCRIPT|FLUSH", b"FLUSH")
    return (b"EVALSHA", _NAME, b"2", key, key + b"2", value)


MAKERS: tuple[Callable[[Random, bytes, bytes], Command], ...] = (
    *[_made(body) for body in (_CHANCE, _CHANCE, _CHANCE, _ORDER, _WRONG, _WRONG, _SPENDING)],
    lambda _, key, value: (b"EVALSHA", _NAME, b"2", key, key + b"2", value),
    lambda _, __, ___: (b"SCRIPT|LOAD", b"LOAD", _CHANCE),
    lambda _, __, ___: (b"FUNCTION|LOAD", b"LOAD", b"REPLACE", _LIBRARY),
    lambda rng, key, _: (b"FCALL", b"change", b"1", key, b"x" * rng.randrange(1, 5)),
    lambda _, key, value: (b"FCALL", b"change", b"1", key, value),
    _flush,
)
