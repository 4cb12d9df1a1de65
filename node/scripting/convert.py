"""Replies as tables of Lua, as redis.call gives them to scripts (RESP 2, or 3 after setresp)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any  # Any: objects of Lua.

from ...proto.reply import (
    DecimalReply,
    ErrorReply,
    MapReply,
    NullArray,
    PairsMapReply,
    PairsReply,
    SetReply,
    Status,
    VerbatimReply,
)
from ...proto.resp import format_decimal, format_double

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lupa.lua51 import LuaRuntime


def object_of(lua: LuaRuntime, reply: Any, protocol: int) -> Any:
    """What stands inside of a table: strings, numbers, booleans, tables."""

    def several(items: Iterable[Any]) -> Any:
        return lua.table(*[convert(one) for one in items])

    def convert(one: Any) -> Any:
        kind = type(one)
        if kind is bytes or kind is int:
            return one
        if kind is list or kind is tuple:
            return several(one)
        if one is None or kind is NullArray:
            return False if protocol == 2 else None
        if kind is bool:
            return int(one) if protocol == 2 else one
        return _special(one)

    def _special(one: Any) -> Any:
        match one:
            case Status(text):
                return lua.table_from({b"ok": text.encode("utf-8", "surrogateescape")})
            case ErrorReply(code, text):
                packed = f"{code} {text}".encode("utf-8", "surrogateescape")
                return lua.table_from({b"err": packed})
            case float():
                if protocol == 2:
                    return format_double(one).encode()
                return lua.table_from({b"double": one})
            case DecimalReply(number):
                if protocol == 2:
                    return format_decimal(number).encode()
                return lua.table_from({b"double": number})
            case VerbatimReply(form, text):
                if protocol == 2:
                    return text
                fields = lua.table_from({b"format": form.encode(), b"string": text})
                return lua.table_from({b"verbatim_string": fields})
            case MapReply(pairs):
                return mapped(pairs) if protocol == 3 else flat(pairs)
            case PairsMapReply(pairs):
                return mapped(pairs) if protocol == 3 else several(pairs)
            case PairsReply(pairs):
                return several(pairs) if protocol == 3 else flat(pairs)
            case SetReply(members):
                if protocol == 2:
                    return several(members)
                fields = lua.table()
                for member in members:
                    fields[convert(member)] = True
                return lua.table_from({b"set": fields})
            case _:
                raise TypeError(f"{type(one).__name__} is not a reply for a script")

    def flat(pairs: Iterable[tuple[Any, Any]]) -> Any:
        return several(word for pair in pairs for word in pair)

    def mapped(pairs: Iterable[tuple[Any, Any]]) -> Any:
        fields = lua.table()
        for key, value in pairs:
            fields[convert(key)] = convert(value)
        return lua.table_from({b"map": fields})

    return convert(reply)
