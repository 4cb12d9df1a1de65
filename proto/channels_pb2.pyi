from trimaran.proto import commands_pb2 as _commands_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubscribeRequest(_message.Message):
    __slots__ = ("id", "subscribe", "unsubscribe")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    id: int
    subscribe: Names
    unsubscribe: Names
    def __init__(self, id: _Optional[int] = ..., subscribe: _Optional[_Union[Names, _Mapping]] = ..., unsubscribe: _Optional[_Union[Names, _Mapping]] = ...) -> None: ...

class Names(_message.Message):
    __slots__ = ("channels", "patterns", "shard_channels")
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    SHARD_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedScalarFieldContainer[bytes]
    patterns: _containers.RepeatedScalarFieldContainer[bytes]
    shard_channels: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, channels: _Optional[_Iterable[bytes]] = ..., patterns: _Optional[_Iterable[bytes]] = ..., shard_channels: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ChannelMessages(_message.Message):
    __slots__ = ("messages", "fragment")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ChannelMessage]
    fragment: _commands_pb2.Fragment
    def __init__(self, messages: _Optional[_Iterable[_Union[ChannelMessage, _Mapping]]] = ..., fragment: _Optional[_Union[_commands_pb2.Fragment, _Mapping]] = ...) -> None: ...

class ChannelMessage(_message.Message):
    __slots__ = ("channel", "data", "pattern", "is_shard", "done", "gap")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    IS_SHARD_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    channel: bytes
    data: bytes
    pattern: bytes
    is_shard: bool
    done: Done
    gap: Gap
    def __init__(self, channel: _Optional[bytes] = ..., data: _Optional[bytes] = ..., pattern: _Optional[bytes] = ..., is_shard: bool = ..., done: _Optional[_Union[Done, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("id", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    error: str
    def __init__(self, id: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...
