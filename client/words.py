"""Arguments of commands into bytes, as redis-py makes them."""

from __future__ import annotations

from typing import Any  # Whatever callers give.

from redis.exceptions import DataError

_HOW = "Convert to a bytes, string, int or float first."


class Encoder:
    """One client's encoding. The interface that redis-py's Lock and scripts ask for, too."""

    def __init__(self, encoding: str, encoding_errors: str, *, decode_responses: bool) -> None:
        self.encoding = encoding
        self.encoding_errors = encoding_errors
        self.decode_responses = decode_responses

    def encode(self, value: Any) -> bytes:
        """Raises DataError for what is no text, bytes or number."""
        kind = type(value)
        if kind is bytes:
            return value  # type: ignore[no-any-return]  # Just looked at.
        if kind is str:
            return value.encode(self.encoding, self.encoding_errors)  # type: ignore[no-any-return]
        if kind is int:
            return b"%d" % value
        if isinstance(value, bool):
            raise DataError(f"Invalid input of type: 'bool'. {_HOW}")
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        if isinstance(value, int | float):
            return repr(value).encode()
        if isinstance(value, str):
            return value.encode(self.encoding, self.encoding_errors)
        raise DataError(f"Invalid input of type: '{kind.__name__}'. {_HOW}")

    def decode(self, value: Any, force: bool = False) -> Any:  # noqa: FBT001, FBT002 - redis-py's.
        """Text of bytes, if this client's replies are text."""
        if self.decode_responses or force:
            if isinstance(value, memoryview):
                value = value.tobytes()
            if isinstance(value, bytes):
                value = value.decode(self.encoding, self.encoding_errors)
        return value

    def words(self, args: tuple[Any, ...]) -> list[bytes]:
        """All arguments of a command; a name such as CLIENT LIST is two."""
        encode = self.encode
        words = [encode(one) for one in args]
        if b" " in words[0]:
            words[:1] = words[0].split()
        return words
