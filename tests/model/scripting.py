"""Rules for scripts: commands that a script calls answer as they do in a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from .strategies import INTS, KEYS, LETTERS, VALUES, Rules

if TYPE_CHECKING:
    from .driver import Word

# ARGV is for each key: how many words, the command, its arguments behind the key.
BODY = """{head}local out, at = {{}}, 1
for number = 1, #KEYS do
  local count = tonumber(ARGV[at])
  local words = {{ARGV[at + 1], KEYS[number], unpack(ARGV, at + 2, at + count)}}
  at = at + count + 1
  out[number] = redis.{call}(unpack(words))
end
return {answer}"""
# The same with the calls written out, as programs write them.
PLAIN_ANSWERS = st.sampled_from(
    [
        "return {a, b}",
        "return b",
        "if a then return {1, b} elseif b then return {2, b} end return {3, type(a), type(b)}",
        "if b == a then return 'same' end return {tostring(tonumber(b) or 0.5), b}",
        "for n, k in ipairs(KEYS) do redis.call('SET', k, n) end return #KEYS",
        "return redis.call('DEL', unpack(KEYS)) + 0.25 .. 'x'",
    ]
)
NAMES_ALONE = [
    *("GET", "INCR", "DEL", "STRLEN", "TYPE", "LLEN", "HLEN", "SCARD", "ZCARD", "XLEN", "TTL"),
    *("LPOP", "RPOP", "PERSIST", "EXISTS", "GETDEL", "BOGUS", "MULTI", "BLPOP", "get"),
]
CALLS = st.one_of(
    st.tuples(st.sampled_from(NAMES_ALONE)),
    st.tuples(
        st.sampled_from(["SET", "APPEND", "SETNX", "LPUSH", "RPUSH", "SADD", "HGET"]), VALUES
    ),
    st.tuples(st.sampled_from(["INCRBY", "DECRBY", "INCRBYFLOAT", "LINDEX", "EXPIREAT"]), INTS),
    st.tuples(st.sampled_from(["HSET", "HSETNX"]), LETTERS, VALUES),
    st.tuples(st.just("ZADD"), INTS, LETTERS),
    st.tuples(st.just("ZSCORE"), LETTERS),
    st.tuples(st.just("LRANGE"), st.just("0"), st.just("-1")),
    st.tuples(st.just("ZRANGE"), st.just("0"), st.just("-1"), st.just("WITHSCORES")),
)
HEADS = st.sampled_from(["", "", "redis.setresp(3) ", "#!lua flags=no-writes\n", "#!lua\n"])
ANSWERS = st.sampled_from(
    ["out", "out", "out[1]", "out[#out]", "{#out, type(out[1])}", "cjson.encode(out)"]
)


class ScriptRules(Rules):
    @rule(
        steps=st.lists(st.tuples(KEYS, CALLS), min_size=1, max_size=3),
        name=st.sampled_from(["EVAL", "EVAL", "EVAL", "EVAL_RO"]),
        call=st.sampled_from(["call", "pcall", "pcall"]),
        head=HEADS,
        answer=ANSWERS,
    )
    def script(
        self,
        steps: list[tuple[bytes, tuple[Word, ...]]],
        name: str,
        call: str,
        head: str,
        answer: str,
    ) -> None:
        keys = [self.key(key) for key, _ in steps]
        args = [word for _, words in steps for word in (len(words), *words)]
        body = BODY.format(head=head, call=call, answer=answer)
        self.check(name, body, len(keys), *keys, *args)

    @rule(
        steps=st.tuples(st.tuples(KEYS, CALLS), st.tuples(KEYS, CALLS)),
        name=st.sampled_from(["EVAL", "EVAL", "EVAL", "EVAL_RO"]),
        call=st.sampled_from(["call", "call", "pcall"]),
        answer=PLAIN_ANSWERS,
    )
    def plain_script(
        self,
        steps: tuple[tuple[bytes, tuple[Word, ...]], tuple[bytes, tuple[Word, ...]]],
        name: str,
        call: str,
        answer: str,
    ) -> None:
        keys: list[bytes] = []
        args: list[Word] = []
        calls: list[str] = []
        for number, (key, words) in enumerate(steps, 1):
            at = len(args) + 1
            places = [f"ARGV[{at}]", f"KEYS[{number}]"]
            places += [f"ARGV[{at + one}]" for one in range(1, len(words))]
            calls.append(f"redis.{call}({', '.join(places)})")
            keys.append(self.key(key))
            args += words
        body = f"local a, b = {', '.join(calls)} {answer}"
        self.check(name, body, len(keys), *keys, *args)
