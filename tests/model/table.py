"""Every command of the table, with arguments made from what the table says of them.

The rules of the families know which values are likely to matter; this knows every option, and plays
some commands after each of their steps. How replies are compared is in `comparing.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from trimaran.cluster.command import (
    BITMAP,
    BLOCKING,
    GEO,
    HASH,
    HYPERLOGLOG,
    LIST,
    NOSCRIPT,
    SET,
    SORTED_SET,
    STREAM,
    STRING,
    Command,
    Spread,
)
from trimaran.cluster.commands import COMMANDS
from trimaran.proto.reply import ErrorReply, Reply

from .arguments import Coverage, Maker
from .comparing import SPECIAL, ComparingRules, is_lexical
from .driver import words
from .pools import LIBRARY, SCRIPTS
from .strategies import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

# What TYPE does not know, and what needs a history, have names of their own.
FAVOURITES: Final = {GEO: b"{tag}geo", HYPERLOGLOG: b"{tag}hll", STREAM: b"{tag}stream"}
TABLE_NAMES: Final = [*NAMES, *FAVOURITES.values()]
TYPES: Final = {
    STRING: "string",
    BITMAP: "string",
    HASH: "hash",
    LIST: "list",
    SET: "set",
    SORTED_SET: "zset",
}

# --- What is not played, and why.

_HASH_EXPIRY = "later than Redis 7.0; as documented in tests/unit/commands/test_hash_expiry.py"
_ANSWERED_BY_THE_DOOR = "not of the keyspace: tests/model/test_server.py and tests/unit/doors"
# Answered by the door, too, but in a way that can be compared: played where there is one.
_AT_THE_DOOR: Final = {
    *(b"ACL|WHOAMI", b"CLIENT|GETNAME", b"CLIENT|SETNAME", b"ECHO"),
    *(b"PING", b"PUBLISH", b"PUBSUB|CHANNELS", b"PUBSUB|NUMPAT", b"PUBSUB|NUMSUB"),
    *(b"PUBSUB|SHARDCHANNELS", b"PUBSUB|SHARDNUMSUB", b"SPUBLISH", b"UNWATCH"),
}
NOT_PLAYED: Final[dict[bytes, str]] = {
    **dict.fromkeys(
        (
            *(b"HEXPIRE", b"HEXPIREAT", b"HEXPIRETIME", b"HGETDEL", b"HGETEX", b"HPERSIST"),
            *(b"HPEXPIRE", b"HPEXPIREAT", b"HPEXPIRETIME", b"HPTTL", b"HSETEX", b"HTTL"),
        ),
        _HASH_EXPIRY,
    ),
    **{
        row.name: _ANSWERED_BY_THE_DOOR
        for top in COMMANDS.values()
        for row in (top.subcommands or (top,))
        if row.spread is Spread.LOCAL and row.name not in _AT_THE_DOOR
    },
}
# Options that Redis 7.0 does not know, and where what is documented of them is tested.
NOT_REACHED: Final = {
    "HSCAN novalues given": "tests/unit/commands/test_hashes.py",
    "ZRANK withscore given": "tests/unit/commands/test_sorted_sets.py",
    "ZREVRANK withscore given": "tests/unit/commands/test_sorted_sets.py",
}
ROWS: Final = [
    row
    for top in COMMANDS.values()
    for row in (top.subcommands or (top,))
    if row.name not in NOT_PLAYED and row.name not in _AT_THE_DOOR
]
DOOR_ROWS: Final = [
    row
    for top in COMMANDS.values()
    for row in (top.subcommands or (top,))
    if row.name in _AT_THE_DOOR
]
# What goes to all shards is refused to scripts, and to transactions where there are several.
EXACT: Final = [
    row
    for row in ROWS
    if row.name not in SPECIAL
    and not row.flags & (NOSCRIPT | BLOCKING)
    and row.spread in (Spread.ONE_SHARD, Spread.SPLIT_KEYS, Spread.NAMES_DB)
]
CALL = "return redis.pcall(unpack(ARGV))"
COMMANDS_AT_ONCE = 5


class TableRules(ComparingRules):
    """`random` is drawn once an example, so that a seed of Hypothesis says what is played."""

    coverage: ClassVar[Coverage | None] = None
    random: Random

    def db(self, number: int) -> int:
        """The database that plays the part of this one."""
        raise NotImplementedError

    def some_of_the_table(self) -> None:
        """What comes after a step of the families' rules."""
        dice = self.random.random()
        if dice < 0.1:
            self.prepare(is_new=dice < 0.03, start=self.random.choice(["0", "12-3", "$"]))
        if dice < 0.7:
            rows = [*ROWS, *DOOR_ROWS] if self.ours.has_door else ROWS
            self.play_any(self.random.choices(rows, k=COMMANDS_AT_ONCE))
        elif dice < 0.85 or not self.ours.has_door:
            self.play_in_scripts(self.random.choices(EXACT, k=COMMANDS_AT_ONCE))
        else:
            self.play_in_a_transaction(self.random.choices(EXACT, k=COMMANDS_AT_ONCE))

    def prepare(self, *, is_new: bool, start: str) -> None:
        """Streams with groups, functions and places, which chance alone seldom brings about."""
        geo, _, stream = map(self.key, FAVOURITES.values())
        if is_new:
            self.check("DEL", geo, stream)
        for number in range(6):
            place = (str(2.5 * number - 7), str(1.25 * number - 3))
            self.check("GEOADD", geo, *place, f"p{number}")
            self.check("XADD", stream, "12-*", "a", number)
        self.check("XGROUP", "CREATE", stream, "g", start, "MKSTREAM")
        self.check("XREADGROUP", "GROUP", "g", "c", "COUNT", 3, "STREAMS", stream, ">")
        for name in "lm":
            self.check("FUNCTION", "LOAD", "REPLACE", LIBRARY.format(name=name))
        for script in SCRIPTS:
            self.check("SCRIPT", "LOAD", script)

    def play_any(self, rows: Sequence[Command]) -> None:
        maker = self._maker()
        for row in rows:
            args = maker.command(row)
            theirs = self.compared(row, args)
            if self.coverage is not None:
                self.coverage.note(row, maker.reached, is_error=isinstance(theirs, ErrorReply))

    def play_in_scripts(self, rows: Sequence[Command]) -> None:
        maker = self._maker()
        for row in rows:
            args = maker.command(row)
            if self.is_for_both(row, args) and not is_lexical(row.name, args):
                keys = [*row.keys_of(args)] if row.accepts(len(args)) else []
                self.exactly([*words("EVAL", CALL, len(keys)), *keys, *args])

    def play_in_a_transaction(self, rows: Sequence[Command]) -> None:
        maker = self._maker()
        self.check("MULTI")
        for row in rows:
            args = maker.command(row)
            if self.is_for_both(row, args) and not is_lexical(row.name, args):
                self.exactly(args)
        self.check("EXEC")

    def _maker(self) -> Maker:
        random = self.random
        keys = [self.ours.prefix + name for name in TABLE_NAMES]
        told = self.redis.run_at_once([[b"TYPE", key] for key in keys])
        types = {name: _text(one) for name, one in zip(TABLE_NAMES, told, strict=True)}
        dbs = words(*map(self.db, (0, 1, 3)), "16", "-1", "x")

        def key(row: Command) -> bytes:
            if random.random() < 0.3:
                return self.key(random.choice(TABLE_NAMES))
            favourite = FAVOURITES.get(row.category)
            if favourite is not None:
                return self.key(favourite)
            wanted = TYPES.get(row.category)
            fit = [name for name, type_ in types.items() if wanted in (type_, None)]
            free = [name for name, type_ in types.items() if type_ == "none"]
            return self.key(random.choice(fit or free or TABLE_NAMES))

        return Maker(random, key, {"db": dbs, "destination-db": dbs})


def _text(reply: Reply) -> str:
    return getattr(reply, "text", "none")
