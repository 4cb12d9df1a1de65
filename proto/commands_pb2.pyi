from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExecuteRequest(_message.Message):
    __slots__ = ("batches", "fragment", "cancel")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[Batch]
    fragment: Fragment
    cancel: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, batches: _Optional[_Iterable[_Union[Batch, _Mapping]]] = ..., fragment: _Optional[_Union[Fragment, _Mapping]] = ..., cancel: _Optional[_Iterable[int]] = ...) -> None: ...

class Fragment(_message.Message):
    __slots__ = ("data", "is_last")
    DATA_FIELD_NUMBER: _ClassVar[int]
    IS_LAST_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    is_last: bool
    def __init__(self, data: _Optional[bytes] = ..., is_last: bool = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("id", "database", "timeout_ms", "is_leader_only", "is_atomic", "commands", "sessions", "stale_ms", "watched", "asks_for_turn", "turn", "is_behind_others")
    ID_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    IS_LEADER_ONLY_FIELD_NUMBER: _ClassVar[int]
    IS_ATOMIC_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    STALE_MS_FIELD_NUMBER: _ClassVar[int]
    WATCHED_FIELD_NUMBER: _ClassVar[int]
    ASKS_FOR_TURN_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    IS_BEHIND_OTHERS_FIELD_NUMBER: _ClassVar[int]
    id: int
    database: int
    timeout_ms: int
    is_leader_only: bool
    is_atomic: bool
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    stale_ms: int
    watched: _containers.RepeatedCompositeFieldContainer[Watched]
    asks_for_turn: bool
    turn: int
    is_behind_others: bool
    def __init__(self, id: _Optional[int] = ..., database: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., is_leader_only: bool = ..., is_atomic: bool = ..., commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ..., sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., stale_ms: _Optional[int] = ..., watched: _Optional[_Iterable[_Union[Watched, _Mapping]]] = ..., asks_for_turn: bool = ..., turn: _Optional[int] = ..., is_behind_others: bool = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("args",)
    ARGS_FIELD_NUMBER: _ClassVar[int]
    args: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, args: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("shard", "id", "sequence", "floor", "timeout_ms", "client", "age_ms")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    shard: int
    id: int
    sequence: int
    floor: int
    timeout_ms: int
    client: int
    age_ms: int
    def __init__(self, shard: _Optional[int] = ..., id: _Optional[int] = ..., sequence: _Optional[int] = ..., floor: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., client: _Optional[int] = ..., age_ms: _Optional[int] = ...) -> None: ...

class Watched(_message.Message):
    __slots__ = ("key", "index")
    KEY_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    index: int
    def __init__(self, key: _Optional[bytes] = ..., index: _Optional[int] = ...) -> None: ...

class ExecuteReply(_message.Message):
    __slots__ = ("replies", "fragment")
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    replies: _containers.RepeatedCompositeFieldContainer[BatchReply]
    fragment: Fragment
    def __init__(self, replies: _Optional[_Iterable[_Union[BatchReply, _Mapping]]] = ..., fragment: _Optional[_Union[Fragment, _Mapping]] = ...) -> None: ...

class BatchReply(_message.Message):
    __slots__ = ("id", "results", "opened")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    id: int
    results: _containers.RepeatedCompositeFieldContainer[Result]
    opened: _containers.RepeatedCompositeFieldContainer[OpenedSession]
    def __init__(self, id: _Optional[int] = ..., results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., opened: _Optional[_Iterable[_Union[OpenedSession, _Mapping]]] = ...) -> None: ...

class OpenedSession(_message.Message):
    __slots__ = ("shard", "id")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    shard: int
    id: int
    def __init__(self, shard: _Optional[int] = ..., id: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("reply", "not_applied", "unknown")
    REPLY_FIELD_NUMBER: _ClassVar[int]
    NOT_APPLIED_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    reply: Value
    not_applied: NotApplied
    unknown: OutcomeUnknown
    def __init__(self, reply: _Optional[_Union[Value, _Mapping]] = ..., not_applied: _Optional[_Union[NotApplied, _Mapping]] = ..., unknown: _Optional[_Union[OutcomeUnknown, _Mapping]] = ...) -> None: ...

class NotApplied(_message.Message):
    __slots__ = ("reason", "text", "leader", "leader_address", "limit")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNSPECIFIED: _ClassVar[NotApplied.Reason]
        NOT_LEADER: _ClassVar[NotApplied.Reason]
        NO_QUORUM: _ClassVar[NotApplied.Reason]
        OVERLOADED: _ClassVar[NotApplied.Reason]
        SESSION_UNKNOWN: _ClassVar[NotApplied.Reason]
        WATCHED: _ClassVar[NotApplied.Reason]
        PREDECESSOR: _ClassVar[NotApplied.Reason]
    UNSPECIFIED: NotApplied.Reason
    NOT_LEADER: NotApplied.Reason
    NO_QUORUM: NotApplied.Reason
    OVERLOADED: NotApplied.Reason
    SESSION_UNKNOWN: NotApplied.Reason
    WATCHED: NotApplied.Reason
    PREDECESSOR: NotApplied.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    LEADER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    reason: NotApplied.Reason
    text: str
    leader: str
    leader_address: str
    limit: str
    def __init__(self, reason: _Optional[_Union[NotApplied.Reason, str]] = ..., text: _Optional[str] = ..., leader: _Optional[str] = ..., leader_address: _Optional[str] = ..., limit: _Optional[str] = ...) -> None: ...

class OutcomeUnknown(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("integer", "bulk", "status", "error", "null", "array", "map", "set", "double", "boolean", "verbatim", "null_array", "pairs", "pairs_map", "decimal")
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    BULK_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NULL_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    VERBATIM_FIELD_NUMBER: _ClassVar[int]
    NULL_ARRAY_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_MAP_FIELD_NUMBER: _ClassVar[int]
    DECIMAL_FIELD_NUMBER: _ClassVar[int]
    integer: int
    bulk: bytes
    status: str
    error: Error
    null: Null
    array: Array
    map: Map
    set: Array
    double: float
    boolean: bool
    verbatim: Verbatim
    null_array: Null
    pairs: Array
    pairs_map: Array
    decimal: float
    def __init__(self, integer: _Optional[int] = ..., bulk: _Optional[bytes] = ..., status: _Optional[str] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., null: _Optional[_Union[Null, _Mapping]] = ..., array: _Optional[_Union[Array, _Mapping]] = ..., map: _Optional[_Union[Map, _Mapping]] = ..., set: _Optional[_Union[Array, _Mapping]] = ..., double: _Optional[float] = ..., boolean: bool = ..., verbatim: _Optional[_Union[Verbatim, _Mapping]] = ..., null_array: _Optional[_Union[Null, _Mapping]] = ..., pairs: _Optional[_Union[Array, _Mapping]] = ..., pairs_map: _Optional[_Union[Array, _Mapping]] = ..., decimal: _Optional[float] = ...) -> None: ...

class Null(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "text")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Array(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Value]
    def __init__(self, items: _Optional[_Iterable[_Union[Value, _Mapping]]] = ...) -> None: ...

class Map(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Value]
    def __init__(self, items: _Optional[_Iterable[_Union[Value, _Mapping]]] = ...) -> None: ...

class Verbatim(_message.Message):
    __slots__ = ("format", "text")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    format: str
    text: bytes
    def __init__(self, format: _Optional[str] = ..., text: _Optional[bytes] = ...) -> None: ...
