"""The configuration of one node: a frozen value, from defaults, file, environment and flags.

Each source overrides the one before it. A field is written once, in `Config`: its flag
(`--command-timeout-ms`), its variable (`TRIMARAN_COMMAND_TIMEOUT_MS`) and its key in the TOML file
(`command_timeout_ms`) follow from its name. All faults of all sources are reported together. This
is the only file that reads the environment; everyone else is given plain values.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any  # Raw values: what a TOML file holds.

from ..cluster.slots import SHARDS_DEFAULT, SHARDS_MAX
from ..cluster.topology import ListenerInfo
from .errors import ConfigError
from .raft.lease import LEASE_MAX_NS

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PORTS_PER_NODE = 4  # +0 RESP, +1 RESP cluster, +2 gRPC, +3 HTTP.
PORTS_PER_LISTENER = 3  # All but HTTP.
LEASE_MAX_MS = LEASE_MAX_NS // 1_000_000
LOG_LEVELS = ("debug", "info", "warning", "error")
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104, RUF100  # Bound, but nobody can be told to call them.

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_PREFIX = "TRIMARAN_"
# Set by `trimaran up`'s and `status`'s own options, and by Kubernetes for a Service of that name.
_NOT_OURS = re.compile(r"TRIMARAN_(NODES|URL|CONFIG|(\w+_)?SERVICE_\w+|(\w+_)?PORT_\d+_\w+)")


@dataclass(frozen=True, slots=True)
class Founder:
    """A node and where its gRPC port is; `n1=10.0.0.1:7381` on the command line."""

    name: str
    host: str
    grpc_port: int

    def __str__(self) -> str:
        return f"{self.name}={join_address(self.host, self.grpc_port)}"


@dataclass(frozen=True, slots=True)
class Listener:
    """One more place where clients come in, as Kafka has them: bound here, called there.

    `outside=0.0.0.0:17379,announce=127.0.0.1:17379` on the command line; ports are base ports.
    """

    name: str
    host: str
    port: int
    announce_host: str = ""  # The bound one if empty.
    announce_port: int = 0  # The bound one if 0.

    @property
    def info(self) -> ListenerInfo:
        """What other nodes and clients are told of it."""
        return ListenerInfo(
            self.name, self.announce_host or self.host, self.announce_port or self.port
        )

    def __str__(self) -> str:
        announced = ""
        if self.announce_host:
            announced = f",announce={join_address(self.info.host, self.info.port)}"
        return f"{self.name}={join_address(self.host, self.port)}{announced}"


def _value(
    default: Any,
    text: str,
    *,
    at_least: int = 1,
    flag: str = "",
    separator: str = ",",
    is_secret: bool = False,
) -> Any:
    """A dataclass field with what the loader and the help need to know of it."""
    about = {
        "help": text,
        "at_least": at_least,
        "flag": flag,
        "separator": separator,
        "is_secret": is_secret,
    }
    return field(default=default, metadata=about, repr=not is_secret)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a node is told. Units stand at the end of the names."""

    name: str = _value("", "The node's name, unique in the cluster: lower-case letters, digits, -.")
    data_dir: str = _value("", "The folder that belongs to this node alone.", flag="data")
    host: str = _value("127.0.0.1", "The address the four ports are bound on.")
    port: int = _value(0, "Base port: +0 RESP, +1 RESP cluster, +2 gRPC, +3 HTTP.")
    announce_host: str = _value("", "The host others reach this node at; --host if empty.")
    announce_port: int = _value(
        0, "The base port others reach this node at; --port if 0.", at_least=0
    )
    listen: tuple[Listener, ...] = _value(
        (),
        "outside=host:port[,announce=host[:port]]: a further listener for clients, who are told its"
        " addresses; +0, +1, +2 of that base port. The flag may be repeated; or ; between several.",
        separator=";",
    )
    founders: tuple[Founder, ...] = _value(
        (), "n1=host:port,... by gRPC port: who forms the cluster; read with an empty folder only."
    )
    peers: tuple[Founder, ...] = _value(
        (), "n1=host:port,... by gRPC port: hints, read at every start, where nodes are now."
    )
    shards: int = _value(
        0,
        f"How many shards the cluster is founded with, {SHARDS_DEFAULT} if 0; fixed from then on,"
        " and only compared with the data's when given again.",
        at_least=0,
    )
    zone: str = _value("", "Replicas of a shard are kept apart by zone.")
    fsync: str = _value("always", "always | never. With never, a power cut loses writes.")

    election_timeout_ms: int = _value(
        2_000, "How long a leader may be silent; each wait is up to twice this."
    )
    heartbeat_interval_ms: int = _value(100, "How often a leader says that it is there.")
    lease_ms: int = _value(
        250,
        "For how long after a heartbeat nobody votes against its leader, which meanwhile reads"
        f" without asking; at most {LEASE_MAX_MS}; 0: each read asks a majority.",
        at_least=0,
    )
    tick_interval_ms: int = _value(20, "How often the engine looks at its timers.")
    clock_skew_max_ms: int = _value(
        5_000, "A node whose clock is further from the majority's leads nothing."
    )

    append_bytes_max: int = _value(1 * MIB, "Entries in one message to a follower.")
    inflight_appends_max: int = _value(64, "Messages on their way to one follower of a shard.")
    uncommitted_bytes_max: int = _value(
        96 * MIB, "Proposed and not yet committed, per shard; as much may wait to be proposed."
    )
    batch_bytes: int = _value(1 * MIB, "A batch leaves at this size without waiting for a commit.")
    batch_gate_max_ms: int = _value(20, "The longest a batch waits for the one before it.")

    segment_bytes: int = _value(32 * MIB, "One file of the write-ahead log.")
    log_disk_bytes: int = _value(
        512 * MIB, "Log on disk; over it the shard that holds the oldest part takes a snapshot."
    )
    log_keep_bytes: int = _value(
        16 * MIB, "Log kept behind a snapshot for followers that are a little late.", at_least=0
    )
    snapshot_log_bytes: int = _value(32 * MIB, "Log of a shard after which it takes a snapshot.")
    log_memory_bytes: int = _value(1 * GIB, "Log kept in memory by all shards of the node.")
    snapshot_chunk_bytes: int = _value(256 * KIB, "Piece of a snapshot, in the file and sent.")
    snapshot_slice_ms: int = _value(2, "The longest a snapshot holds up the loop at a time.")

    requirepass: str = _value(
        "",
        "The password that clients must give; none if empty. Better in the file or a variable than"
        " as a flag, which others on the machine can see.",
        is_secret=True,
    )
    command_timeout_ms: int = _value(
        5_000, "After it a write is answered CLUSTERDOWN or, once proposed, UNCERTAIN."
    )
    command_bytes_max: int = _value(72 * MIB, "One command with all its arguments.")
    bulk_bytes_max: int = _value(64 * MIB, "One argument, and one string value.")
    elements_max: int = _value(1_048_576, "Arguments of one command.")
    inline_bytes_max: int = _value(64 * KIB, "One command typed as a line.")
    message_commands_max: int = _value(10_000, "Commands in one gRPC message.")
    transaction_commands_max: int = _value(
        100_000, "Commands between MULTI and EXEC: they are carried out in one go."
    )
    clients_max: int = _value(10_000, "Client connections.")
    waiters_max: int = _value(
        10_000, "Commands that wait for data: of this node's clients, and at each shard it leads."
    )
    output_buffer_bytes_max: int = _value(
        256 * MIB, "Unread replies of one client, after which it is disconnected."
    )
    client_waiting_bytes_max: int = _value(
        4 * MIB, "Commands of one client without an answer; then nothing more is read from it."
    )
    client_subscriptions_max: int = _value(10_000, "Channels and patterns of one client.")
    pubsub_buffer_bytes_max: int = _value(
        32 * MIB, "Unread messages of one subscriber, after which it is disconnected."
    )
    pubsub_buffer_messages_max: int = _value(200_000, "How many of them there may be.")
    pubsub_waiting_bytes_max: int = _value(
        64 * MIB, "Messages for one peer, or for subscribers here; then who publishes waits."
    )
    client_idle_timeout_s: int = _value(
        0, "A client silent for so long is disconnected; 0 is never.", at_least=0
    )

    forward_pending_max: int = _value(100_000, "Commands passed on to other nodes, unanswered.")
    forward_pending_bytes_max: int = _value(
        256 * MIB, "What the commands passed on and unanswered take."
    )
    session_timeout_ms: int = _value(3_600_000, "A session unused for so long is forgotten.")
    peer_queue_bytes_max: int = _value(256 * MIB, "Messages waiting for one peer.")
    log_level: str = _value("info", " | ".join(LOG_LEVELS))

    @property
    def reached_at(self) -> tuple[str, int]:
        """The host and base port other nodes and clients are told."""
        return self.announce_host or self.host, self.announce_port or self.port

    @property
    def doors(self) -> tuple[Listener, ...]:
        """Every place where clients come in; the node's own comes first and has no name."""
        own = Listener("", self.host, self.port, self.announce_host, self.announce_port)
        return (own, *self.listen)

    @property
    def listeners(self) -> tuple[ListenerInfo, ...]:
        """The addresses that others are told beside the node's own, by the listeners' names."""
        return tuple(sorted((one.info for one in self.listen), key=lambda info: info.name))

    def lines(self) -> Iterator[str]:
        """`name = value`, one line per field, for the start of the log."""
        for one in fields(self):
            value = getattr(self, one.name)
            shown = value
            if isinstance(value, tuple):
                shown = one.metadata["separator"].join(map(str, value))
            if one.metadata["is_secret"] and value:
                shown = "(set)"
            yield f"{one.name} = {shown}"


def usage() -> str:
    """What `trimaran node --help` prints."""
    lines = [
        "Usage: trimaran node --name NAME --data DIR --port PORT [--host HOST]",
        "           [--announce HOST[:PORT]] --founders n1=host:port,n2=host:port,... [options]",
        "",
        "Runs one node. Every option is also a variable, TRIMARAN_COMMAND_TIMEOUT_MS for",
        "--command-timeout-ms, and a key of the TOML file that --config names, command_timeout_ms;",
        "a flag goes before a variable, a variable before the file.",
        "",
        "  --config FILE",
        "      A TOML file with any of the options below.",
    ]
    for one in fields(Config):
        if one.name == "announce_host":
            lines += ["  --announce HOST[:PORT]", "      Where others reach this node; --host."]
        elif one.name != "announce_port":
            is_set = one.default not in ("", (), 0)
            lines.append(f"  --{_key(one).replace('_', '-')}")
            lines.append(f"      {one.metadata['help']}" + f" [{one.default}]" * is_set)
    return "\n".join(lines)


def load(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> Config:
    """The configuration these arguments mean; raises ConfigError with every fault found."""
    environ = os.environ if environ is None else environ
    faults: list[str] = []
    flags = _read_flags(arguments, faults)
    variables = _read_environ(environ, faults)
    path = flags.pop("config", None) or environ.get(f"{_PREFIX}CONFIG")
    values: dict[str, Any] = {}
    for source in (_read_file(path, faults) if path else {}, variables, flags):
        for key, (raw, place) in source.items():
            _store(key, raw, place, values, faults)
    config = Config(**values)
    faults.extend(check(config))
    if faults:
        raise ConfigError("\n".join(["the configuration has faults:", *(f"  {f}" for f in faults)]))
    return config


def check(config: Config) -> list[str]:
    """What is wrong with the values, each alone and together; empty when nothing is."""
    faults = list(_check_numbers(config))
    faults.extend(_check_place(config))
    faults.extend(_check_members(config))
    faults.extend(_check_listeners(config))
    if config.fsync not in ("always", "never"):
        faults.append(f"fsync: {config.fsync!r} is neither always nor never")
    if config.log_level not in LOG_LEVELS:
        faults.append(f"log_level: {config.log_level!r} is none of {', '.join(LOG_LEVELS)}")
    if config.shards > SHARDS_MAX:
        faults.append(f"shards: {config.shards} is more than {SHARDS_MAX}")
    # (the lesser, the greater, why)
    for less, more, why in (
        ("tick_interval_ms", "heartbeat_interval_ms", "heartbeats are sent on ticks"),
        ("append_bytes_max", "uncommitted_bytes_max", "one append must fit"),
        ("bulk_bytes_max", "command_bytes_max", "a command holds its arguments"),
        ("command_bytes_max", "uncommitted_bytes_max", "one command must fit"),
        ("command_bytes_max", "peer_queue_bytes_max", "one command must fit"),
        ("command_bytes_max", "forward_pending_bytes_max", "one command must fit"),
        ("batch_bytes", "segment_bytes", "one batch must fit"),
        ("inline_bytes_max", "command_bytes_max", "a line is a command"),
        ("lease_ms", "election_timeout_ms", "a voter that is free of it may not campaign yet"),
    ):
        if getattr(config, less) > getattr(config, more):
            faults.append(
                f"{less}: {getattr(config, less)} is more than {more} = "
                f"{getattr(config, more)}, but {why}"
            )
    if config.lease_ms > LEASE_MAX_MS:
        faults.append(
            f"lease_ms: {config.lease_ms} is more than {LEASE_MAX_MS}: a node that starts keeps "
            "still for so long, since it may have promised it"
        )
    if config.election_timeout_ms < 3 * config.heartbeat_interval_ms:
        faults.append(
            f"election_timeout_ms: {config.election_timeout_ms} is less than three times "
            f"heartbeat_interval_ms = {config.heartbeat_interval_ms}: one late heartbeat would "
            "depose a leader"
        )
    return faults


def split_address(text: str, *, default_port: int | None = None) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as a pair; raises ValueError with the reason."""
    if text.startswith("["):
        host, found, rest = text[1:].partition("]")
        port = rest[1:] if found and rest.startswith(":") else ""
        if not found or (rest and not port):
            raise ValueError(f"{text!r} is not [host]:port")
    elif text.count(":") > 1:
        raise ValueError(f"{text!r}: an IPv6 address is written [address]:port")
    else:
        host, _, port = text.partition(":")
    if not host:
        raise ValueError(f"{text!r} has no host")
    if not port:
        if default_port is None:
            raise ValueError(f"{text!r} has no port")
        return host, default_port
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{port!r} is not a port number")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_REPEATABLE = frozenset({"listen"})


# --- Sources. Each answers {key: (raw value, where it stands)}; keys are those of the TOML file.

_Source = dict[str, tuple[Any, str]]


def _key(one: Any) -> str:
    """The name of a field outside: `data`, not `data_dir`."""
    return str(one.metadata["flag"] or one.name)


def _keys() -> set[str]:
    names = {_key(one) for one in fields(Config)}
    return names - {"announce_host", "announce_port"} | {"announce"}


def _read_flags(arguments: Sequence[str], faults: list[str]) -> dict[str, Any]:
    flags: dict[str, Any] = {}
    known = _keys() | {"config"}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        flag, has_value, value = word.partition("=")
        key = flag[2:].replace("-", "_")
        if not flag.startswith("--") or key not in known:
            faults.append(f"{flag}: there is no such option")
            continue
        if not has_value:
            if not rest or rest[0].startswith("--"):
                faults.append(f"{flag}: the value is missing")
                continue
            value = rest.pop(0)
        if key in flags and key in _REPEATABLE:
            value = f"{flags[key][0]};{value}"
        elif key in flags:
            faults.append(f"{flag}: given twice")
        flags[key] = value if key == "config" else (value, flag)
    return flags


def _read_environ(environ: Mapping[str, str], faults: list[str]) -> _Source:
    source: _Source = {}
    known = _keys()
    for variable, value in sorted(environ.items()):
        if not variable.startswith(_PREFIX):
            continue
        key = variable.removeprefix(_PREFIX).lower()
        if key in known:
            source[key] = (value, variable)
        elif not _NOT_OURS.fullmatch(variable):
            faults.append(f"{variable}: there is no such option")
    return source


def _read_file(path: str, faults: list[str]) -> _Source:
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        faults.append(f"--config {path}: {error}")
        return {}
    known = _keys()
    faults.extend(f"{path}: {key}: there is no such option" for key in table if key not in known)
    return {key: (raw, f"{path}: {key}") for key, raw in table.items() if key in known}


def _store(key: str, raw: Any, place: str, values: dict[str, Any], faults: list[str]) -> None:
    """Puts the parsed value of `key` where `Config` wants it, or adds a fault."""
    try:
        if key == "announce":
            values["announce_host"], values["announce_port"] = split_address(
                str(raw), default_port=0
            )
            return
        one = next(one for one in fields(Config) if _key(one) == key)
        if one.metadata["is_secret"] and not isinstance(raw, str):
            raise ValueError("is not a text")  # noqa: TRY301  # Without showing it.
        values[one.name] = _PARSERS[str(one.type)](raw)
    except ValueError as error:
        faults.append(f"{place}: {error}")


def _parse_text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r} is not a text")  # noqa: TRY004  # A fault like the others.
    return raw


def _parse_number(raw: Any) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and re.fullmatch(r"-?[0-9](_?[0-9])*", raw):
        return int(raw)
    raise ValueError(f"{raw!r} is not a whole number")


def _parse_members(raw: Any) -> tuple[Founder, ...]:
    """`n1=host:port,n2=...`, or the same as a list in a TOML file."""
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{raw!r} is not name=host:port,...")
    members = []
    for part in filter(None, map(str.strip, parts)):
        name, found, address = part.partition("=")
        if not found:
            raise ValueError(f"{part!r} is not name=host:port")
        members.append(Founder(name, *split_address(address)))
    return tuple(members)


def _parse_listeners(raw: Any) -> tuple[Listener, ...]:
    """`outside=host:port,announce=host:port;...`, or the same as a list in a TOML file."""
    parts = raw.split(";") if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{raw!r} is not name=host:port,announce=host:port;...")
    return tuple([_parse_listener(part) for part in filter(None, map(str.strip, parts))])


def _parse_listener(text: str) -> Listener:
    bound, *options = map(str.strip, text.split(","))
    name, found, address = bound.partition("=")
    if not found:
        raise ValueError(f"{bound!r} is not name=host:port")
    listener = Listener(name, *split_address(address))
    if not options:
        return listener
    word, _, announced = options[0].partition("=")
    if word != "announce" or len(options) > 1:
        raise ValueError(
            f"{','.join(options)!r} of listener {name}: only announce=host[:port] may follow"
        )
    host, port = split_address(announced, default_port=0)
    return replace(listener, announce_host=host, announce_port=port)


_PARSERS: dict[str, Callable[[Any], object]] = {
    "str": _parse_text,
    "int": _parse_number,
    "tuple[Founder, ...]": _parse_members,
    "tuple[Listener, ...]": _parse_listeners,
}


# --- What values must be.


def _check_numbers(config: Config) -> Iterator[str]:
    for one in fields(config):
        value = getattr(config, one.name)
        if one.type == "int" and one.name != "port" and value < one.metadata["at_least"]:
            yield f"{one.name}: {value} is less than {one.metadata['at_least']}"


def _check_place(config: Config) -> Iterator[str]:
    last = 65536 - PORTS_PER_NODE
    if not config.name:
        yield "name: missing (--name n1)"
    elif not _NAME.fullmatch(config.name):
        yield f"name: {config.name!r} is not 1 to 32 of a-z, 0-9 and -"
    if not config.data_dir:
        yield "data: missing (--data DIR)"
    if not config.port:
        yield "port: missing (--port 7379)"
    elif not 0 < config.port <= last:
        yield f"port: {config.port} is not between 1 and {last} (four ports are used)"
    if config.announce_port > last:
        yield f"announce: port {config.announce_port} is more than {last}"
    if not config.host:
        yield "host: empty"
    elif config.host in WILDCARDS and not config.announce_host:
        yield f"announce: missing, and {config.host} is no address others could call"
    if config.announce_host in WILDCARDS:
        yield f"announce: {config.announce_host} is no address others could call"


def _check_members(config: Config) -> Iterator[str]:
    for what, members in (("founders", config.founders), ("peers", config.peers)):
        names = [member.name for member in members]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{what}: {name} is named twice"
        places = [join_address(member.host, member.grpc_port) for member in members]
        for place in sorted({place for place in places if places.count(place) > 1}):
            yield f"{what}: {place} is named twice"
        for name in names:
            if not _NAME.fullmatch(name):
                yield f"{what}: name {name!r} is not 1 to 32 of a-z, 0-9 and -"
    founders = [founder.name for founder in config.founders]
    if config.name and founders and config.name not in founders:
        yield f"founders: {config.name} itself is not among them"


def _check_listeners(config: Config) -> Iterator[str]:
    last = 65536 - PORTS_PER_LISTENER
    names = [one.name for one in config.listen]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"listen: {name} is named twice"
    # Where this node is already: its own four ports, and the listeners looked at so far.
    taken = [("the node's own ports", config.host, config.port, PORTS_PER_NODE)]
    for one in config.listen:
        if not _NAME.fullmatch(one.name):
            yield f"listen: name {one.name!r} is not 1 to 32 of a-z, 0-9 and -"
        for what, port in (("port", one.port), ("announce: port", one.announce_port)):
            if port > last:
                yield f"listen: {one.name}: {what} {port} is more than {last}"
        if one.host in WILDCARDS and not one.announce_host:
            yield f"listen: {one.name}: {one.host} is no address others could call: announce=..."
        if one.announce_host in WILDCARDS:
            yield f"listen: {one.name}: {one.announce_host} is no address others could call"
        for whose, host, port, count in taken:
            is_same_host = one.host == host or {one.host, host} & set(WILDCARDS)
            if is_same_host and port - PORTS_PER_LISTENER < one.port < port + count:
                yield (
                    f"listen: {one.name}: ports {one.port} to {one.port + PORTS_PER_LISTENER - 1} "
                    f"overlap {whose}, {port} to {port + count - 1}"
                )
        taken.append((f"listener {one.name}", one.host, one.port, PORTS_PER_LISTENER))
