"""What a connection answers itself: greeting, login, database, ping. And the table of all such.

A handler takes the connection and the command, and returns a reply or raises CommandError. The
families: `client_commands.py`, `command_commands.py`, `cluster_commands.py`, `server_commands.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.commands import COMMANDS, wrong_arity
from ...proto.reply import OK, MapReply, Reply, Status
from ..commands.arguments import parse_int
from ..errors import CommandError
from .acl_commands import ACL
from .client_commands import CLIENT, describe, set_name
from .cluster_commands import CLUSTER, asking, readonly, readwrite
from .command_commands import COMMAND
from .config_commands import CONFIG
from .info import REDIS_VERSION, info
from .key_commands import migrate, pfselftest
from .lolwut import lolwut
from .memory_commands import DEBUG, MEMORY
from .monitor import monitor
from .monitoring_commands import LATENCY, SLOWLOG
from .object_commands import OBJECT
from .password import USER, wrong_password
from .persistence_commands import bgrewriteaof, bgsave, lastsave, save, shutdown
from .pubsub_commands import (
    PUBSUB,
    psubscribe,
    publish,
    punsubscribe,
    spublish,
    ssubscribe,
    subscribe,
    sunsubscribe,
    unsubscribe,
)
from .script_commands import FUNCTION, SCRIPT
from .server_commands import (
    MODULE,
    failover,
    psync,
    replconf,
    replicaof,
    role,
    slaveof,
    swapdb,
    sync,
    time_,
)
from .stream_commands import XGROUP, XINFO
from .subcommands import shown
from .transactions import discard, exec_, multi
from .wait import wait, waitaof
from .watch import unwatch, watch

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client
    from .subcommands import LocalHandler, Subcommands

NO_PASSWORD = (
    "AUTH <password> called without any password configured for the default user. Are you sure your"
    " configuration is correct?"
)
HELLO_FIRST = (
    "HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user>"
    " <pass> option can be used to authenticate the client and select the RESP protocol version at"
    " the same time"
)


def ping(client: Client, args: Args) -> Reply:
    if len(args) > 2:
        raise CommandError(wrong_arity(COMMANDS[b"PING"]))
    if client.protocol == 2 and client.is_subscriber:
        return [b"pong", args[1] if len(args) == 2 else b""]  # As a message: nothing else may come.
    return args[1] if len(args) == 2 else Status("PONG")


def echo(client: Client, args: Args) -> Reply:
    return args[1]


def auth(client: Client, args: Args) -> Reply:
    if len(args) > 3:
        raise CommandError("syntax error")
    if len(args) == 2 and not client.door.clients.password.is_set:
        raise CommandError(NO_PASSWORD)
    _log_in(client, args[0], args[1] if len(args) == 3 else USER, args[-1])
    return OK


def _log_in(client: Client, command: bytes, user: bytes, given: bytes) -> None:
    clients = client.door.clients
    if user != USER or not clients.password.is_right(given):
        now_ms = client.door.router.wall_us() // 1000
        clients.access_log.add(command, user, describe(client, client.now_ns), now_ms)
        raise wrong_password()
    client.is_authenticated = True


def hello(client: Client, args: Args) -> Reply:
    """HELLO [protocol [AUTH user password] [SETNAME name]]: nothing but the log-in counts
    unless all is right."""
    protocol = client.protocol
    name: bytes | None = None
    if len(args) > 1:
        number = parse_int(args[1])
        if number is None:
            raise CommandError("Protocol version is not an integer or out of range")
        if number not in (2, 3):
            raise CommandError("unsupported protocol version", "NOPROTO")
        protocol = number
    at = 2
    while at < len(args):
        option, left = args[at].upper(), len(args) - at - 1
        if option == b"AUTH" and left >= 2:
            _log_in(client, args[0], args[at + 1], args[at + 2])
            at += 3
        elif option == b"SETNAME" and left >= 1:
            name = args[at + 1]
            at += 2
        else:
            raise CommandError(f"Syntax error in HELLO option '{shown(args[at])}'")
    if not client.is_authenticated:
        raise CommandError(HELLO_FIRST, "NOAUTH")
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


def select(client: Client, args: Args) -> Reply:
    client.db = client.database(args[1])
    return OK


def quit_(client: Client, args: Args) -> Reply:
    client.close()
    return OK


def reset(client: Client, args: Args) -> Reply:
    client.reset()
    return Status("RESET")


LOCAL_HANDLERS: dict[bytes, LocalHandler | Subcommands] = {
    b"ACL": ACL,
    b"ASKING": asking,
    b"AUTH": auth,
    b"BGREWRITEAOF": bgrewriteaof,
    b"BGSAVE": bgsave,
    b"CLIENT": CLIENT,
    b"CLUSTER": CLUSTER,
    b"COMMAND": COMMAND,
    b"CONFIG": CONFIG,
    b"DEBUG": DEBUG,
    b"DISCARD": discard,
    b"ECHO": echo,
    b"EXEC": exec_,
    b"FAILOVER": failover,
    b"HELLO": hello,
    b"INFO": info,
    b"LASTSAVE": lastsave,
    b"LATENCY": LATENCY,
    b"LOLWUT": lolwut,
    b"MEMORY": MEMORY,
    b"MIGRATE": migrate,
    b"MODULE": MODULE,
    b"MONITOR": monitor,
    b"MULTI": multi,
    b"OBJECT": OBJECT,
    b"FUNCTION": FUNCTION,
    b"SCRIPT": SCRIPT,
    b"PFSELFTEST": pfselftest,
    b"PING": ping,
    b"PSUBSCRIBE": psubscribe,
    b"PSYNC": psync,
    b"PUBLISH": publish,
    b"PUBSUB": PUBSUB,
    b"PUNSUBSCRIBE": punsubscribe,
    b"QUIT": quit_,
    b"READONLY": readonly,
    b"READWRITE": readwrite,
    b"REPLCONF": replconf,
    b"REPLICAOF": replicaof,
    b"RESET": reset,
    b"ROLE": role,
    b"SAVE": save,
    b"SELECT": select,
    b"SPUBLISH": spublish,
    b"SSUBSCRIBE": ssubscribe,
    b"SUBSCRIBE": subscribe,
    b"SUNSUBSCRIBE": sunsubscribe,
    b"UNSUBSCRIBE": unsubscribe,
    b"UNWATCH": unwatch,
    b"SHUTDOWN": shutdown,
    b"SLAVEOF": slaveof,
    b"SLOWLOG": SLOWLOG,
    b"SWAPDB": swapdb,
    b"SYNC": sync,
    b"TIME": time_,
    b"WAIT": wait,
    b"WAITAOF": waitaof,
    b"WATCH": watch,
    b"XGROUP": XGROUP,
    b"XINFO": XINFO,
}
