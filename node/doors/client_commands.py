"""CLIENT: who is connected, and what a connection says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proto.reply import OK, Reply, VerbatimReply
from ..errors import CommandError
from .subcommands import Subcommands, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..request import Args
    from .connection import Connection

_KINDS = (b"NORMAL", b"MASTER", b"REPLICA", b"SLAVE", b"PUBSUB")


def set_name(client: Connection, name: bytes) -> None:
    """An empty name takes it away."""
    if not _is_plain(name):
        raise CommandError("Client names cannot contain spaces, newlines or special characters.")
    client.name = name


def _is_plain(word: bytes) -> bool:
    return all(0x21 <= byte <= 0x7E for byte in word)


def _id(client: Connection, args: Args) -> Reply:
    return client.id


def _getname(client: Connection, args: Args) -> Reply:
    return client.name or None


def _setname(client: Connection, args: Args) -> Reply:
    set_name(client, args[2])
    return OK


def _setinfo(client: Connection, args: Args) -> Reply:
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


def _no_evict(client: Connection, args: Args) -> Reply:
    client.is_no_evict = _switch(args[2])
    return OK


def _no_touch(client: Connection, args: Args) -> Reply:
    client.is_no_touch = _switch(args[2])
    return OK


def _info(client: Connection, args: Args) -> Reply:
    return VerbatimReply("txt", _describe(client, client.now_ns) + b"\n")


def _list(client: Connection, args: Args) -> Reply:
    clients: Iterable[Connection] = client.door.clients.by_id.values()
    option = args[2].upper() if len(args) > 2 else b""
    if option == b"TYPE" and len(args) == 4:
        kind = args[3].upper()
        if kind not in _KINDS:
            raise CommandError(f"Unknown client type '{shown(args[3])}'")
        clients = clients if kind == b"NORMAL" else ()
    elif option == b"ID" and len(args) > 3:
        clients = [
            found for word in args[3:] if (found := client.door.clients.by_id.get(_number(word)))
        ]
    elif option:
        raise CommandError("syntax error")
    lines = [_describe(one, client.now_ns) + b"\n" for one in clients]
    return VerbatimReply("txt", b"".join(lines))


def _number(word: bytes) -> int:
    if not word.isdigit() or len(word) > 18 or int(word) < 1:
        raise CommandError("Invalid client ID")
    return int(word)


def _describe(client: Connection, now_ns: int) -> bytes:
    """One line of CLIENT LIST: Redis's fields, with what there is no such thing of here at zero."""
    flags = "".join(("e" * client.is_no_evict, "T" * client.is_no_touch)) or "N"
    route = client.route
    fields: tuple[tuple[str, object], ...] = (
        ("id", client.id),
        ("addr", client.address),
        ("laddr", client.local_address),
        ("fd", client.descriptor),
        ("name", shown(client.name)),
        ("age", (now_ns - client.created_ns) // 1_000_000_000),
        ("idle", (now_ns - client.now_ns) // 1_000_000_000),
        ("flags", flags),
        ("db", client.db),
        ("sub", 0),
        ("psub", 0),
        ("ssub", 0),
        ("multi", -1),
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
        ("lib-name", shown(client.lib_name)),
        ("lib-ver", shown(client.lib_version)),
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
        b"NO-EVICT": _no_evict,
        b"NO-TOUCH": _no_touch,
    },
    (
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)|ID <id> [<id> ...]]",
        "    Return information about client connections.",
        "NO-EVICT (ON|OFF)",
        "    Accepted; no client is ever evicted here.",
        "NO-TOUCH (ON|OFF)",
        "    Accepted; reads change no key here.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Set the name or the version of the client library.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
    ),
)
