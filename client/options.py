"""How a client is set: addresses and options, from arguments or from a URL.

Bad ones are refused, with what to do.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import inf
from types import NoneType
from typing import Any  # Values of several types.
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.exceptions import DataError

DEFAULT_ADDRESS = "127.0.0.1:7381"
DEFAULT_PORT = 7381
DATABASES = 16
MAX_AGE_MS_END = 1 << 32  # As requests hold it.


@dataclass(frozen=True, slots=True)
class Options:
    """All of them but `addresses` may stand in a URL's query under their names."""

    addresses: tuple[str, ...] = (DEFAULT_ADDRESS,)
    db: int = 0
    password: str | None = None
    decode_responses: bool = False
    encoding: str = "utf-8"
    encoding_errors: str = "strict"
    protocol: int | None = None  # Whose shapes replies have, 2 or 3; None: redis-py's default.
    timeout: float = 10.0  # Seconds a command may take, its retries included.
    max_age_ms: int = 0  # Reads may be answered from state so old; 0: linearizable.
    zone: str = ""  # Where this client is: nodes of the same zone are preferred where any will do.
    session_timeout: float = 600.0  # Seconds; shards forget a session that is unused for so long.
    pending_max: int = 100_000  # Commands that wait for an answer, at most,
    pending_bytes_max: int = 256 << 20  # and their bytes.

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call of gRPC says of its caller."""
        return () if not self.password else (("authorization", f"Bearer {self.password}"),)


_HOST = re.compile(r"[^\s:,/@\[\]]+|\[[0-9A-Fa-f:.]+(%[^\s\]]+)?\]")  # A name, IPv4; [IPv6].

_NUMBER = re.compile("[0-9]{1,9}")

_REFUSED = {
    "ssl": "the server has no TLS yet: leave it out, and keep the ports inside a trusted network",
    "username": "the server has no users beside the default one yet: give the password alone",
    "tls": "the server has no TLS yet: leave it out, and keep the ports inside a trusted network",
    "token": "the server has no tokens yet: use password",
    "credential_provider": "the server has no tokens yet: use password",
    "unix_socket_path": "nodes listen on TCP alone: give host:port of their gRPC ports",
    "connection_pool": "there are no pools: a client has one connection to each node",
}


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {  # By how `Options` declares it.
    "bool": ((bool,), "True or False"),
    "int": ((int,), "a whole number"),
    "float": ((float, int), "a number"),
    "str": ((str,), "text"),
    "str | None": ((str, NoneType), "text"),
}


def options_of(addresses: Sequence[str], given: dict[str, Any]) -> Options:
    """Checked. Raises DataError for what is wrong, TypeError for what is unknown."""
    options = dict(given)
    host, port = options.pop("host", None), options.pop("port", None)
    if host is not None or port is not None:
        if addresses:
            raise DataError("give addresses or host and port, not both")
        host = "127.0.0.1" if host is None else str(host)
        host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
        addresses = [f"{host}:{DEFAULT_PORT if port is None else port}"]
    for name in list(options):
        text = _REFUSED.get("ssl" if name.startswith("ssl_") else name)
        if text is not None and options.pop(name):
            raise DataError(f"{name} cannot be used: {text}")
    if isinstance(options.get("password"), bytes):
        options["password"] = options["password"].decode("utf-8", "replace")
    known = {field.name for field in fields(Options)} - {"addresses"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return _checked(
        Options(addresses=tuple(map(_address, addresses)) or (DEFAULT_ADDRESS,), **options)
    )


def _checked(options: Options) -> Options:
    for field in fields(Options):
        types, kind = _KINDS.get(str(field.type), ((object,), ""))
        value = getattr(options, field.name)
        is_odd = isinstance(value, bool) and kind.endswith("number")  # True is one to Python.
        if is_odd or not isinstance(value, types):
            raise DataError(f"{field.name} is {value!r}: it must be {kind}")
    if not 0 <= options.db < DATABASES:
        raise DataError(f"db is {options.db}: databases are 0 to {DATABASES - 1}")
    if options.protocol not in (None, 2, 3):
        raise DataError(f"protocol is {options.protocol}: it is 2, 3 or None")
    password = options.password or ""
    if not (password.isascii() and password.isprintable()):
        raise DataError("the password has characters that gRPC cannot carry: use ASCII")
    for name in ("timeout", "session_timeout", "pending_max", "pending_bytes_max"):
        if not 0 < getattr(options, name) < inf:  # Nor is it `nan`.
            raise DataError(f"{name} is {getattr(options, name)}: it must be above 0, and finite")
    if not 0 <= options.max_age_ms < MAX_AGE_MS_END:
        raise DataError(
            f"max_age_ms is {options.max_age_ms}: it is 0 or above, and below {MAX_AGE_MS_END}"
        )
    for name, look_up in (("encoding", codecs.lookup), ("encoding_errors", codecs.lookup_error)):
        try:
            look_up(getattr(options, name))
        except (LookupError, ValueError):  # The latter for a name with a null in it.
            text = f"{name} is {getattr(options, name)!r}: Python has none of that name"
            raise DataError(text) from None
    if options.session_timeout < 4 * options.timeout:
        # A retry must find the session that the first try was made under.
        raise DataError("session_timeout must be at least four times timeout")
    return options


def _address(text: str) -> str:
    if not isinstance(text, str):
        raise DataError(f"{text!r} is no address: it must be text, host:port")
    if "://" in text:
        raise DataError(f"{text!r} is a URL: use from_url, or give host:port")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = text.strip("[]"), str(DEFAULT_PORT)
        host = f"[{host}]" if ":" in host else host
    if not _HOST.fullmatch(host) or not _NUMBER.fullmatch(port) or not 0 < int(port) < 65536:
        several = ": each of several is an argument of its own" if "," in text else ""
        raise DataError(f"{text!r} is no address{several}: host:port, port as 7381 (base port + 2)")
    return f"{host}:{port}"


def _truth(text: str) -> bool:
    try:
        return _TRUTHS[text.lower()]
    except KeyError:
        raise ValueError(text) from None


_TRUTHS = {"1": True, "true": True, "yes": True, "on": True}
_TRUTHS |= {"0": False, "false": False, "no": False, "off": False}
_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("db", "protocol", "max_age_ms", "pending_max", "pending_bytes_max"), int),
    **dict.fromkeys(("timeout", "session_timeout"), float),
    "decode_responses": _truth,
}


def options_of_url(url: str, given: dict[str, Any]) -> Options:
    """trimaran://[:password@]host:port[,host:port...][/db][?option=value&...]; `given` counts for
    what the URL does not say. Raises DataError."""
    if not isinstance(url, str):
        raise DataError(f"{url!r} is no URL: it must be text, trimaran://host:port")
    try:
        parts = urlsplit(url)
    except ValueError:  # Its text may hold a password.
        raise DataError("the URL is not understood: trimaran://[:password@]host:port") from None
    if parts.scheme != "trimaran":
        hint = " (the server has no TLS yet)" if parts.scheme in ("trimarans", "rediss") else ""
        raise DataError(f"the URL begins with {parts.scheme or url!r}, not trimaran://{hint}")
    place = parts.netloc
    options = dict(given)
    if "@" in place:
        user, place = place.rsplit("@", 1)
        name, _, password = user.partition(":")
        if name and name != "default":
            raise DataError(f"username cannot be used: {_REFUSED['username']}")
        options["password"] = unquote(password)
    if parts.path.strip("/"):
        number = parts.path.strip("/")
        if not _NUMBER.fullmatch(number):
            raise DataError(f"{number!r} in the URL is no database: a number from 0 to 15")
        options["db"] = int(number)
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        options[name] = _parsed(name, text)
    return options_of([one for one in place.split(",") if one], options)


def _parsed(name: str, text: str) -> Any:
    """The value of an option in a URL."""
    read = _READERS.get(name, str)
    try:
        return read(text)
    except ValueError:
        raise DataError(f"{name}={text} in the URL is not understood") from None


def with_reads(options: Options, max_age_ms: int) -> Options:
    """The same with another age of reads."""
    return _checked(replace(options, max_age_ms=max_age_ms))


def with_timeout(options: Options, timeout: float) -> Options:
    """The same with another time-out."""
    return _checked(replace(options, timeout=timeout))
