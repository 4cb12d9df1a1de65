"""CLIENT: who is connected, and what a connection says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proto.reply import NULL_ARRAY, OK, Reply, VerbatimReply
from ..commands.arguments import int_argument
from ..errors import CommandError
from .blocked import UNBLOCKED
from .subcommands import Subcommands, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..request import Args
    from .client import Client

_KINDS = (b"NORMAL", b"MASTER", b"REPLICA", b"SLAVE", b"PUBSUB")
_PLAIN = bytes(range(0x21, 0x7F))  # What a name may be made of.


def set_name(client: Client, name: bytes) -> None:
    """An empty name takes it away."""
    if not _is_plain(name):
        raise CommandError("Client names cannot contain spaces, newlines or special characters.")
    client.name = name


def _is_plain(word: bytes) -> bool:
    return not word.translate(None, _PLAIN)


def _id(client: Client, args: Args) -> Reply:
    return client.id


def _getname(client: Client, args: Args) -> Reply:
    return client.name or None


def _setname(client: Client, args: Args) -> Reply:
    set_name(client, args[2])
    return OK


def _setinfo(client: Client, args: Args) -> Reply:
    option, value = args[2].upper(), args[3]
    if option not in (b"LIB-NAME", b"LIB-VER"):
        raise CommandError(f"Unrecognized option '{shown(args[2])}'")
    if not _is_plain(value):
        raise CommandError(
            f"{option.decode().lower()} cannot contain spaces, newlines or special characters."
        )
    if option == b"LIB-NAME":
        client.lib_name = value
    else:
        client.lib_version = value
    return OK


def _switch(word: bytes) -> bool:
    switch = word.upper()
    if switch not in (b"ON", b"OFF"):
        raise CommandError("syntax error")
    return switch == b"ON"


def _no_evict(client: Client, args: Args) -> Reply:
    client.is_no_evict = _switch(args[2])
    return OK


def _no_touch(client: Client, args: Args) -> Reply:
    client.is_no_touch = _switch(args[2])
    return OK


def _info(client: Client, args: Args) -> Reply:
    return VerbatimReply("txt", describe(client, client.now_ns) + b"\n")


def _list(client: Client, args: Args) -> Reply:
    clients: Iterable[Client] = client.door.clients.by_id.values()
    option = args[2].upper() if len(args) > 2 else b""
    if option == b"TYPE" and len(args) == 4:
        clients = clients if _kind(args[3]) == b"NORMAL" else ()
    elif option == b"ID" and len(args) > 3:
        clients = [
            found
            for word in args[3:]
            if (found := client.door.clients.by_id.get(_client_id(word, "Invalid client ID")))
        ]
    elif option:
        raise CommandError("syntax error")
    lines = [describe(one, client.now_ns) + b"\n" for one in clients]
    return VerbatimReply("txt", b"".join(lines))


def _selected(client: Client, filters: Args) -> list[Client]:
    """The clients that all `filters` of CLIENT KILL (pairs of option and value) let through."""
    if len(filters) % 2:
        raise _syntax_error()
    chosen = list(client.door.clients.by_id.values())
    is_self_spared = True
    for place in range(0, len(filters), 2):
        option, value = filters[place].upper(), filters[place + 1]
        if option == b"ID":
            number = _client_id(value)
            chosen = [one for one in chosen if one.id == number]
        elif option == b"TYPE":
            kind = _kind(value)
            chosen = chosen if kind == b"NORMAL" else []
        elif option == b"USER":
            if value != b"default":
                raise CommandError(f"No such user '{shown(value)}'")
        elif option in (b"ADDR", b"LADDR"):
            text = shown(value)
            chosen = [one for one in chosen if _address(one, option) == text]
        elif option == b"MAXAGE":
            age_ns = _client_id(value, "maxage is not an integer or out of range") * 1_000_000_000
            chosen = [one for one in chosen if client.now_ns - one.created_ns >= age_ns]
        elif option == b"SKIPME" and value.lower() in (b"yes", b"no"):
            is_self_spared = value.lower() == b"yes"
        else:
            raise _syntax_error()
    return [one for one in chosen if one is not client or not is_self_spared]


def _address(client: Client, option: bytes) -> str:
    return client.address if option == b"ADDR" else client.local_address


def _kill(client: Client, args: Args) -> Reply:
    """KILL address: OK. KILL option value ...: how many."""
    if len(args) == 3:
        found = [one for one in client.door.clients.by_id.values() if one.address == shown(args[2])]
        if not found:
            raise CommandError("No such client")
    else:
        found = _selected(client, args[2:])
    for one in found:
        if one is client:
            one.close()  # It is told first.
        else:
            one.abort()
    return OK if len(args) == 3 else len(found)


def _pause(client: Client, args: Args) -> Reply:
    """PAUSE milliseconds [WRITE|ALL]: clients of this node wait so long."""
    if len(args) > 4:
        raise CommandError(
            f"unknown subcommand or wrong number of arguments for '{shown(args[1])}'."
            " Try CLIENT HELP."
        )
    mode = args[3].upper() if len(args) == 4 else b"ALL"
    if mode not in (b"WRITE", b"ALL"):
        raise CommandError("CLIENT PAUSE mode must be WRITE or ALL")
    bare = args[2].removeprefix(b"-")
    if not bare.isdigit() or len(bare) > 15:
        raise CommandError("timeout is not an integer or out of range")
    if int(args[2]) < 0:
        raise CommandError("timeout is negative")
    door = client.door
    until_ns = door.router.now_ns() + int(args[2]) * 1_000_000
    door.clients.pause.begin(door, until_ns, is_for_writes=mode == b"WRITE")
    return OK


def _unpause(client: Client, args: Args) -> Reply:
    client.door.clients.pause.end()
    return OK


def _unblock(client: Client, args: Args) -> Reply:
    """UNBLOCK id [TIMEOUT|ERROR]: 1 if that client waited for data, 0 otherwise."""
    if len(args) > 4:
        raise CommandError(
            f"unknown subcommand or wrong number of arguments for '{shown(args[1])}'."
            " Try CLIENT HELP."
        )
    mode = args[3].upper() if len(args) == 4 else b"TIMEOUT"
    if mode not in (b"TIMEOUT", b"ERROR"):
        raise CommandError("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    number = int_argument(args[2])
    reply: Reply = NULL_ARRAY if mode == b"TIMEOUT" else UNBLOCKED
    return int(client.door.clients.blockers.unblock(number, reply))


def _reply(client: Client, args: Args) -> Reply:
    """REPLY ON|OFF|SKIP: whether the client wants replies, from this one on."""
    mode = args[2].upper()
    if mode not in (b"ON", b"OFF", b"SKIP"):
        raise _syntax_error()
    client.set_reply_mode(mode.decode())
    return OK


def _getredir(client: Client, args: Args) -> Reply:
    """Nobody's invalidation messages are redirected: there is no tracking."""
    return -1


def _syntax_error() -> CommandError:
    return CommandError("syntax error")


def _client_id(word: bytes, text: str = "client-id should be greater than 0") -> int:
    if not word.isdigit() or len(word) > 18 or int(word) < 1:
        raise CommandError(text)
    return int(word)


def _kind(word: bytes) -> bytes:
    kind = word.upper()
    if kind not in _KINDS:
        raise CommandError(f"Unknown client type '{shown(word)}'")
    return kind


def _subscriptions(client: Client) -> tuple[int, ...]:
    if not client.is_subscriber:
        return 0, 0, 0
    own = client.door.clients.pubsub.subscriptions_of(client.as_subscriber())
    return (0, 0, 0) if own is None else tuple(map(len, own.names))


def describe(client: Client, now_ns: int) -> bytes:
    """One line of CLIENT LIST: Redis's fields, with what there is no such thing of here at zero."""
    route = client.route
    channels, patterns, shard_channels = _subscriptions(client)
    fields: tuple[tuple[str, object], ...] = (
        ("id", client.id),
        ("addr", client.address),
        ("laddr", client.local_address),
        ("fd", client.descriptor),
        ("name", client.name.decode()),
        ("age", (now_ns - client.created_ns) // 1_000_000_000),
        ("idle", (now_ns - client.now_ns) // 1_000_000_000),
        ("flags", client.flags),
        ("db", client.db),
        ("sub", channels),
        ("psub", patterns),
        ("ssub", shard_channels),
        ("multi", client.queued),
        ("qbuf", client.held_bytes),
        ("qbuf-free", 0),
        ("argv-mem", client.waiting_cost),
        ("multi-mem", 0),
        ("rbs", 0),
        ("rbp", 0),
        ("obl", 0),
        ("oll", 0),
        ("omem", client.output_bytes),
        ("tot-mem", client.held_bytes + client.waiting_cost + client.output_bytes),
        ("events", "r"),
        ("cmd", route.row.display_name if route is not None else "NULL"),
        ("user", "default"),
        ("redir", -1),
        ("resp", client.protocol),
        ("lib-name", client.lib_name.decode()),
        ("lib-ver", client.lib_version.decode()),
    )
    return " ".join(f"{name}={value}" for name, value in fields).encode()


CLIENT = Subcommands(
    b"CLIENT",
    {
        b"ID": _id,
        b"GETNAME": _getname,
        b"SETNAME": _setname,
        b"SETINFO": _setinfo,
        b"INFO": _info,
        b"LIST": _list,
        b"GETREDIR": _getredir,
        b"KILL": _kill,
        b"PAUSE": _pause,
        b"REPLY": _reply,
        b"UNBLOCK": _unblock,
        b"UNPAUSE": _unpause,
        b"NO-EVICT": _no_evict,
        b"NO-TOUCH": _no_touch,
    },
    (
        "GETNAME",
        "    Return the name of the current connection.",
        "GETREDIR",
        "    Return -1: no client's invalidation messages are redirected.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    End the connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    End the connections that all options fit: ADDR <ip:port>, LADDR <ip:port>, ID <id>,",
        "    TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER <name>, MAXAGE <seconds>, SKIPME (YES|NO).",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)|ID <id> [<id> ...]]",
        "    Return information about client connections.",
        "NO-EVICT (ON|OFF)",
        "    Accepted; no client is ever evicted here.",
        "NO-TOUCH (ON|OFF)",
        "    Accepted; reads change no key here.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Have the clients of this node wait for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Set the name or the version of the client library.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Have a client that waits for data wait no longer.",
        "UNPAUSE",
        "    End a pause before its time.",
    ),
)
