"""CONFIG GET, SET, RESETSTAT and REWRITE over two tables: the cluster's settings, the node's own.

What changes a reply or a keyspace is the same in the whole cluster (`cluster/settings.py`): SET is
agreed on in the meta group and answered when every node that is up knows it. All else is this
node's alone (`config_table.py`). One SET with both is all or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: values of any kind of parameter.

from ...cluster.settings import PARAMETERS, TABLE, Parameter, settings_of
from ...proto.reply import OK, ErrorReply, MapReply, Reply
from ..data.glob import Glob
from ..errors import CommandError
from .config_table import CHANGEABLE, NODE_PARAMETERS, NODE_TABLE, NodeParameter
from .subcommands import Later, Subcommands, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...cluster.settings import Pairs
    from ..request import Args
    from .client import Client
    from .door import Door

HELP_WIDTH = 90
REWRITE = (
    "Rewriting config file: the options a node is started with are not rewritten. Changed until"
    " this node restarts: "
)


# --- GET


def _get(client: Client, args: Args) -> Reply:
    values = _values(client.door)
    found: dict[str, tuple[bytes, bytes]] = {}
    for word in args[2:]:
        for name in _matching(word.lower(), values):
            # A name that was asked for as it stands is answered in the letters it was asked in.
            asked = word if len(word) == len(name) and word.lower() == name.encode() else None
            value = values[name].encode("utf-8", "surrogateescape")
            found.setdefault(name, (asked or name.encode(), value))
    return MapReply(tuple(found.values()))


def _matching(pattern: bytes, values: Mapping[str, str]) -> Iterable[str]:
    if not any(letter in pattern for letter in b"[*?"):
        name = shown(pattern)
        return [name] if name in values else []
    glob = Glob(pattern)
    return [name for name in sorted(values) if glob.matches(name.encode())]


def _values(door: Door) -> dict[str, str]:
    """Every parameter there is, as CONFIG GET shows it."""
    values = dict(settings_of(door.router.topology().settings).show())
    for one in NODE_TABLE:
        value = one.kind.show(one.get(door))
        for name in (one.name, *one.aliases):
            values[name] = value
    return values


# --- SET


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one CONFIG SET asks for, checked."""

    shared: Pairs
    own: Sequence[tuple[NodeParameter, Any]]


def _set(client: Client, args: Args) -> Reply | Later:
    door = client.door
    wanted = _checked(door, _found(args[2:]))
    if not wanted.shared:
        return _set_own(door, wanted.own)

    def start(done: Callable[[Reply], None]) -> None:
        def answered(reply: Reply) -> None:
            # With the one code the cluster's part is set, though not everybody knows it yet.
            if reply == OK or (isinstance(reply, ErrorReply) and reply.code == "ERR"):
                _set_own(door, wanted.own)
            done(reply)

        door.control.change_settings(wanted.shared, answered)

    return Later(start)


def _found(words: Sequence[bytes]) -> list[tuple[str, Parameter | NodeParameter, str]]:
    """(name as asked, parameter, value) each; refuses what there is not, or is not to be set."""
    if len(words) % 2:
        raise CommandError("syntax error")
    found: list[tuple[str, Parameter | NodeParameter, str]] = []
    seen = set()
    for word, value in zip(words[::2], words[1::2], strict=True):
        name = shown(word)
        key = name.lower()
        parameter = PARAMETERS.get(key) or NODE_PARAMETERS.get(key)
        if parameter is None:
            raise CommandError(f"Unknown option or number of arguments for CONFIG SET - '{name}'")
        if isinstance(parameter, NodeParameter) and parameter.is_immutable:
            raise _failed(name, "can't set immutable config")
        if key in seen:
            raise _failed(name, "duplicate parameter")
        seen.add(key)
        found.append((name, parameter, value.decode("utf-8", "surrogateescape")))
    return found


def _checked(door: Door, found: Iterable[tuple[str, Parameter | NodeParameter, str]]) -> _Wanted:
    shared: list[tuple[str, str]] = []
    own: list[tuple[NodeParameter, Any]] = []
    for name, parameter, text in found:
        try:
            value = parameter.kind.parse(text)
            if isinstance(parameter, Parameter):
                shared.append((parameter.name, parameter.kind.text(value)))
                continue
            if parameter.check is not None:
                parameter.check(door, value)
        except ValueError as error:
            raise _failed(name, str(error)) from None
        if parameter.set is not None:
            own.append((parameter, value))
        elif value != parameter.get(door):
            raise _failed(name, parameter.why)
    return _Wanted(tuple(shared), own)


def _failed(name: str, why: str) -> CommandError:
    return CommandError(f"CONFIG SET failed (possibly related to argument '{name}') - {why}")


def _set_own(door: Door, own: Iterable[tuple[NodeParameter, Any]]) -> Reply:
    at_start = door.clients.parameters_at_start
    for parameter, value in own:
        assert parameter.set is not None, "checked"
        at_start.setdefault(parameter.name, parameter.get(door))
        parameter.set(door, value)
    return OK


# --- RESETSTAT, REWRITE


def _resetstat(client: Client, args: Args) -> Reply:
    client.door.clients.reset_counts()
    return OK


def _rewrite(client: Client, args: Args) -> Reply:
    """OK if a restart would change nothing: the cluster keeps its settings itself."""
    door = client.door
    lost = [
        name
        for name, value in sorted(door.clients.parameters_at_start.items())
        if NODE_PARAMETERS[name].get(door) != value
    ]
    if lost:
        raise CommandError(REWRITE + ", ".join(lost))
    return OK


# --- HELP


def _listed(names: Iterable[str]) -> list[str]:
    """Lines of names, indented."""
    lines = ["   "]
    for name in names:
        if len(lines[-1]) + 1 + len(name) > HELP_WIDTH:
            lines.append("   ")
        lines[-1] += f" {name}"
    return lines


CONFIG = Subcommands(
    b"CONFIG",
    {b"GET": _get, b"RESETSTAT": _resetstat, b"REWRITE": _rewrite, b"SET": _set},
    (
        "GET <pattern> [<pattern> ...]",
        "    Names and values of the parameters that match one of the glob-like <pattern>s.",
        "RESETSTAT",
        "    Set this node's statistics in INFO to zero.",
        "REWRITE",
        "    OK if a restart would change nothing; else an error that names what it would.",
        "SET <parameter> <value> [<parameter> <value> ...]",
        "    Set parameters, all or none. These are the same in the whole cluster, and kept by it:",
        *_listed(one.name for one in TABLE),
        "    These are this node's own, until it restarts:",
        *_listed(one.name for one in CHANGEABLE),
    ),
)
