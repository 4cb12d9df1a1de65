"""One keyspace, driven as a shard drives it: every write an entry with a stamp, reads between."""

from __future__ import annotations

from trimaran.cluster.command import READ
from trimaran.cluster.commands import find_command, unknown_subcommand, wrong_arity
from trimaran.cluster.settings import DEFAULTS
from trimaran.node.commands import HANDLERS
from trimaran.node.commands.context import Context
from trimaran.node.commands.internal import EXPIRE
from trimaran.node.commands.transactions import Mark, pack_marks, pack_transaction
from trimaran.node.data.keyspace import ExpiryPending, Keyspace
from trimaran.node.errors import CommandError
from trimaran.node.running import ALL_HANDLERS
from trimaran.proto.reply import ErrorReply, Reply

Word = bytes | str | int


def words(*args: Word) -> list[bytes]:
    """Arguments as a door gives them."""
    return [one if isinstance(one, bytes) else str(one).encode() for one in args]


class Driver:
    """`run` answers as a door would; `now_ms` is the clock, moved by the test."""

    def __init__(self, now_ms: int = 1_000_000, keys: Keyspace | None = None) -> None:
        self.keys = Keyspace() if keys is None else keys
        self.now_ms = now_ms
        self.index = 0
        self.expiries = 0  # Entries that reads had to wait for.
        self.settings = DEFAULTS
        self.events: list[tuple[int, str, bytes]] = []  # Told of by writes, as the settings want.

    def run(self, *args: Word, db: int = 0) -> Reply:
        command = words(*args)
        row = find_command(command[0])
        if row is None:
            return self.apply(command, db=db)
        if row.subcommands and len(command) > 1:
            found = row.by_word.get(command[1].upper())
            if found is None:
                return ErrorReply("ERR", unknown_subcommand(command))
            row = found
        command[0] = row.name
        if not row.accepts(len(command)):
            return ErrorReply("ERR", wrong_arity(row))
        return self.read(command, db=db) if row.flags & READ else self.apply(command, db=db)

    def apply(self, command: list[bytes], *, db: int = 0) -> Reply:
        """One entry with this one command."""
        self.index += 1
        now_ms = self.keys.begin_entry(self.index, self.now_ms)
        self.keys.enter(db, now_ms, is_read=False)
        handler = ALL_HANDLERS[command[0]]
        context = Context(db, now_ms, self.index, self.settings)
        self.keys.on_expired = context.expired
        self.keys.on_miss = context.on_miss(command[0])
        try:
            return handler(self.keys, command, context)
        except CommandError as error:
            return ErrorReply(error.code, error.text)
        finally:
            self.events += context.events or ()

    @staticmethod
    def packed(*commands: list[bytes]) -> bytes:
        """A transaction in database 0, as a door packs it."""
        return pack_transaction([(0, command) for command in commands])

    @staticmethod
    def marks(marks: list[Mark]) -> bytes:
        return pack_marks(marks)

    def read(self, command: list[bytes], *, db: int = 0) -> Reply:
        """Not logged, unless it meets a key whose expiry is not in the log yet."""
        while True:
            self.keys.enter(db, self.now_ms, is_read=True)
            context = Context(db, self.now_ms, self.index, self.settings)
            self.keys.on_miss = context.on_miss(command[0])
            reply: Reply
            try:
                reply = HANDLERS[command[0]](self.keys, command, context)
            except CommandError as error:
                reply = ErrorReply(error.code, error.text)
            except ExpiryPending as pending:
                self.expiries += 1
                self.apply([EXPIRE, pending.key], db=pending.db)
                continue
            self.events += context.events or ()
            return reply


def copy_of(keys: Keyspace, *, items_max: int = 7) -> Keyspace:
    """What a replica has that was given a snapshot of `keys`."""
    cut = keys.begin_snapshot()
    copy = Keyspace()
    while (chunk := cut.slice(items_max, 1 << 20)) is not None:
        copy.load(chunk)
    copy.finish_load()
    assert copy.digest() == cut.digest()
    return copy
