"""ACL: there is one user, `default`, who may do everything; `requirepass` is its password."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ...cluster.commands import COMMANDS, find_command
from ...proto.reply import OK, MapReply, Reply, SetReply
from ..errors import CommandError
from .monitoring_commands import read_integer
from .password import USER
from .subcommands import Subcommands, shown

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client

CATEGORIES = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap",
    "hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous",
    "connection", "transaction", "scripting",
)  # fmt: skip
SECRET_BITS_MAX = 4096
SHOWN_FAILURES = 10  # By ACL LOG, unless it is told otherwise.

_ONE_USER = "there is one user, default, who may do everything: users cannot be changed yet"
_NO_FILE = "there is no ACL file: users are not kept in one"


def _whoami(client: Client, args: Args) -> Reply:
    return USER


def _users(client: Client, args: Args) -> Reply:
    return [USER]


def _list(client: Client, args: Args) -> Reply:
    password = client.door.clients.password
    login = b"#" + password.shown if password.is_set else b"nopass"
    return [b"user default on " + login + b" ~* &* +@all"]


def _getuser(client: Client, args: Args) -> Reply:
    if args[2] != USER:
        return None
    password = client.door.clients.password
    return MapReply(
        (
            (b"flags", SetReply((b"on",) if password.is_set else (b"on", b"nopass"))),
            (b"passwords", [password.shown] if password.is_set else []),
            (b"commands", b"+@all"),
            (b"keys", b"~*"),
            (b"channels", b"&*"),
            (b"selectors", []),
        )
    )


def _cat(client: Client, args: Args) -> Reply:
    if len(args) == 2:
        return [name.encode() for name in CATEGORIES]
    wanted = shown(args[2]).lower()
    if wanted not in CATEGORIES or len(args) > 3:
        raise CommandError(f"Unknown category '{shown(args[2])}'")
    rows = [one for row in COMMANDS.values() for one in (row.subcommands or (row,))]
    return [row.display_name.encode() for row in rows if wanted in row.acl_categories]


def _genpass(client: Client, args: Args) -> Reply:
    bits = 256 if len(args) == 2 else read_integer(args[2])
    if not 0 < bits <= SECRET_BITS_MAX:
        raise CommandError(
            "ACL GENPASS argument must be the number of bits for the output password, a positive"
            f" number up to {SECRET_BITS_MAX}"
        )
    return secrets.token_hex((bits + 7) // 8)[: (bits + 3) // 4].encode()


def _log(client: Client, args: Args) -> Reply:
    """ACL LOG [count|RESET]"""
    if len(args) > 3:
        raise CommandError(
            f"unknown subcommand or wrong number of arguments for '{shown(args[1])}'. Try ACL HELP."
        )
    log = client.door.clients.access_log
    count = SHOWN_FAILURES
    if len(args) > 2:
        if args[2].upper() == b"RESET":
            log.clear()
            return OK
        count = read_integer(args[2])
    return [*log.newest(count, client.door.router.wall_us() // 1000)]


def _dryrun(client: Client, args: Args) -> Reply:
    if args[2] != USER:
        raise CommandError(f"User '{shown(args[2])}' not found")
    if find_command(args[3]) is None:
        raise CommandError(f"Command '{shown(args[3])}' not found")
    return OK


def _deluser(client: Client, args: Args) -> Reply:
    if USER in args[2:]:
        raise CommandError("The 'default' user cannot be removed")
    return 0  # Of the others there is none.


def _setuser(client: Client, args: Args) -> Reply:
    raise CommandError(_ONE_USER)


def _no_file(client: Client, args: Args) -> Reply:
    raise CommandError(_NO_FILE)


ACL = Subcommands(
    b"ACL",
    {
        b"CAT": _cat,
        b"DELUSER": _deluser,
        b"DRYRUN": _dryrun,
        b"GENPASS": _genpass,
        b"GETUSER": _getuser,
        b"LIST": _list,
        b"LOAD": _no_file,
        b"LOG": _log,
        b"SAVE": _no_file,
        b"SETUSER": _setuser,
        b"USERS": _users,
        b"WHOAMI": _whoami,
    },
    (
        "CAT [<category>]",
        "    Return the categories of commands, or the commands of one.",
        "DELUSER <username> [<username> ...]",
        "    Remove users; there is only `default`, which stays.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Return whether a user may run a command.",
        "GENPASS [<bits>]",
        "    Return a random password of 256 or <bits> bits.",
        "GETUSER <username>",
        "    Return what a user may do.",
        "LIST",
        "    Return the users and their rules.",
        "LOAD",
        "    Refused: there is no file of users.",
        "LOG [<count> | RESET]",
        "    Return the log-ins that failed lately, or forget them.",
        "SAVE",
        "    Refused: there is no file of users.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Refused: users cannot be changed yet.",
        "USERS",
        "    Return the names of the users.",
        "WHOAMI",
        "    Return the user of this connection.",
    ),
)
