"""What a connection answers itself: greeting, login, database, ping. And the table of all such.

A handler takes the connection and the command, and returns a reply or raises CommandError. The
families: `client_commands.py`, `command_commands.py`, `cluster_commands.py`, `server_commands.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.commands import COMMANDS, wrong_arity
from ...cluster.slots import DATABASES, ShardId
from ...proto.reply import OK, MapReply, Reply, Status
from ..errors import CommandError
from .client_commands import CLIENT, set_name
from .cluster_commands import CLUSTER, asking, readonly, readwrite
from .command_commands import command
from .server_commands import CONFIG, REDIS_VERSION, info, time_
from .subcommands import shown

if TYPE_CHECKING:
    from ..request import Args
    from .connection import Connection
    from .subcommands import LocalHandler

NO_PASSWORD = (
    "AUTH <password> called without any password configured for the default user. Are you sure your"
    " configuration is correct?"
)
WRONG_PASSWORD = CommandError("invalid username-password pair or user is disabled.", "WRONGPASS")


def ping(client: Connection, args: Args) -> Reply:
    if len(args) > 2:
        raise CommandError(wrong_arity(COMMANDS[b"PING"]))
    return args[1] if len(args) == 2 else Status("PONG")


def echo(client: Connection, args: Args) -> Reply:
    return args[1]


def auth(client: Connection, args: Args) -> Reply:
    if len(args) > 3:
        raise CommandError("syntax error")
    if len(args) == 2:
        raise CommandError(NO_PASSWORD)
    _log_in(args[1])
    return OK


def _log_in(user: bytes) -> None:
    """There is one user yet, `default`, and any password is right for it, as in Redis."""
    if user != b"default":
        raise WRONG_PASSWORD


def hello(client: Connection, args: Args) -> Reply:
    """HELLO [protocol [AUTH user password] [SETNAME name]]: nothing changes unless all is right."""
    protocol = client.protocol
    name: bytes | None = None
    if len(args) > 1:
        if not args[1].isdigit():
            raise CommandError("Protocol version is not an integer or out of range")
        protocol = int(args[1][:9])
        if protocol not in (2, 3):
            raise CommandError("unsupported protocol version", "NOPROTO")
    at = 2
    while at < len(args):
        option, left = args[at].upper(), len(args) - at - 1
        if option == b"AUTH" and left >= 2:
            _log_in(args[at + 1])
            at += 3
        elif option == b"SETNAME" and left >= 1:
            name = args[at + 1]
            at += 2
        else:
            raise CommandError(f"Syntax error in HELLO option '{shown(args[at])}'")
    if name is not None:
        set_name(client, name)
    client.protocol = protocol
    return MapReply(
        (
            (b"server", b"redis"),
            (b"version", REDIS_VERSION.encode()),
            (b"proto", protocol),
            (b"id", client.id),
            (b"mode", b"cluster" if client.door.is_cluster else b"standalone"),
            (b"role", b"master"),
            (b"modules", []),
        )
    )


def wait(client: Connection, args: Args) -> Reply:
    """How many followers have this connection's writes on disk, at least.

    All of its earlier commands are answered by now (the connection sees to that), and an answered
    write is on disk on a majority: the leader and half of the others.
    """
    for word, name in ((args[1], "value"), (args[2], "timeout")):
        if not word.removeprefix(b"-").isdigit() or len(word) > 18:
            raise CommandError(f"{name} is not an integer or out of range")
    if args[2].startswith(b"-"):
        raise CommandError("timeout is negative")
    return len(client.door.router.topology().replicas_of(ShardId(0))) // 2


def select(client: Connection, args: Args) -> Reply:
    digits = args[1]
    bare = digits.removeprefix(b"-")
    if not bare.isdigit() or len(bare) > 9:
        raise CommandError("value is not an integer or out of range")
    number = int(digits)
    if client.door.is_cluster and number != 0:
        raise CommandError("SELECT is not allowed in cluster mode")
    if not 0 <= number < DATABASES:
        raise CommandError("DB index is out of range")
    client.db = number
    return OK


def quit_(client: Connection, args: Args) -> Reply:
    client.close()
    return OK


def reset(client: Connection, args: Args) -> Reply:
    client.db = 0
    client.name = b""
    client.protocol = 2
    client.is_no_evict = client.is_no_touch = False
    return Status("RESET")


LOCAL_HANDLERS: dict[bytes, LocalHandler] = {
    b"ASKING": asking,
    b"AUTH": auth,
    b"CLIENT": CLIENT,
    b"CLUSTER": CLUSTER,
    b"COMMAND": command,
    b"CONFIG": CONFIG,
    b"ECHO": echo,
    b"HELLO": hello,
    b"INFO": info,
    b"PING": ping,
    b"QUIT": quit_,
    b"READONLY": readonly,
    b"READWRITE": readwrite,
    b"RESET": reset,
    b"SELECT": select,
    b"TIME": time_,
    b"WAIT": wait,
}
