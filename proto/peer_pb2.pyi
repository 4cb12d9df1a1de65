from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Whole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MORE: _ClassVar[Whole]
    FORWARDS: _ClassVar[Whole]
    ANSWERS: _ClassVar[Whole]
    ENTRY: _ClassVar[Whole]
    POSTS: _ClassVar[Whole]
MORE: Whole
FORWARDS: Whole
ANSWERS: Whole
ENTRY: Whole
POSTS: Whole

class Frame(_message.Message):
    __slots__ = ("hello", "batch", "snapshot_begin", "snapshot_chunk", "snapshot_end")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_BEGIN_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_CHUNK_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_END_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    batch: Batch
    snapshot_begin: SnapshotBegin
    snapshot_chunk: bytes
    snapshot_end: SnapshotEnd
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., snapshot_begin: _Optional[_Union[SnapshotBegin, _Mapping]] = ..., snapshot_chunk: _Optional[bytes] = ..., snapshot_end: _Optional[_Union[SnapshotEnd, _Mapping]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("welcome", "refusal", "snapshot_result")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_RESULT_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    refusal: Refusal
    snapshot_result: SnapshotResult
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., snapshot_result: _Optional[_Union[SnapshotResult, _Mapping]] = ...) -> None: ...

class Source(_message.Message):
    __slots__ = ("name", "incarnation", "nonce", "host", "port")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    name: str
    incarnation: int
    nonce: int
    host: str
    port: int
    def __init__(self, name: _Optional[str] = ..., incarnation: _Optional[int] = ..., nonce: _Optional[int] = ..., host: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version", "cluster_id", "source", "target_name", "target_incarnation", "epoch")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    version: int
    cluster_id: int
    source: Source
    target_name: str
    target_incarnation: int
    epoch: int
    def __init__(self, version: _Optional[int] = ..., cluster_id: _Optional[int] = ..., source: _Optional[_Union[Source, _Mapping]] = ..., target_name: _Optional[str] = ..., target_incarnation: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("version", "source", "epoch")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    version: int
    source: Source
    epoch: int
    def __init__(self, version: _Optional[int] = ..., source: _Optional[_Union[Source, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("text", "is_temporary")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IS_TEMPORARY_FIELD_NUMBER: _ClassVar[int]
    text: str
    is_temporary: bool
    def __init__(self, text: _Optional[str] = ..., is_temporary: bool = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("version", "cluster_id", "source_incarnation", "target_incarnation", "nonce", "wall_ms", "epoch", "messages", "forwards", "answers", "topology", "leaders", "piece", "whole", "posts")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    TARGET_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    FORWARDS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    LEADERS_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    POSTS_FIELD_NUMBER: _ClassVar[int]
    version: int
    cluster_id: int
    source_incarnation: int
    target_incarnation: int
    nonce: int
    wall_ms: int
    epoch: int
    messages: _containers.RepeatedCompositeFieldContainer[ShardMessage]
    forwards: bytes
    answers: bytes
    topology: bytes
    leaders: _containers.RepeatedCompositeFieldContainer[Led]
    piece: bytes
    whole: Whole
    posts: bytes
    def __init__(self, version: _Optional[int] = ..., cluster_id: _Optional[int] = ..., source_incarnation: _Optional[int] = ..., target_incarnation: _Optional[int] = ..., nonce: _Optional[int] = ..., wall_ms: _Optional[int] = ..., epoch: _Optional[int] = ..., messages: _Optional[_Iterable[_Union[ShardMessage, _Mapping]]] = ..., forwards: _Optional[bytes] = ..., answers: _Optional[bytes] = ..., topology: _Optional[bytes] = ..., leaders: _Optional[_Iterable[_Union[Led, _Mapping]]] = ..., piece: _Optional[bytes] = ..., whole: _Optional[_Union[Whole, str]] = ..., posts: _Optional[bytes] = ...) -> None: ...

class Led(_message.Message):
    __slots__ = ("shard", "term", "node")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    shard: int
    term: int
    node: str
    def __init__(self, shard: _Optional[int] = ..., term: _Optional[int] = ..., node: _Optional[str] = ...) -> None: ...

class ShardMessage(_message.Message):
    __slots__ = ("shard", "source", "target", "term", "request_pre_vote", "pre_vote", "request_vote", "vote", "append_entries", "append_reply", "heartbeat", "heartbeat_reply", "install_snapshot", "timeout_now")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    REQUEST_PRE_VOTE_FIELD_NUMBER: _ClassVar[int]
    PRE_VOTE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_VOTE_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    APPEND_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    APPEND_REPLY_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_REPLY_FIELD_NUMBER: _ClassVar[int]
    INSTALL_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NOW_FIELD_NUMBER: _ClassVar[int]
    shard: int
    source: int
    target: int
    term: int
    request_pre_vote: RequestPreVote
    pre_vote: PreVote
    request_vote: RequestVote
    vote: Vote
    append_entries: AppendEntries
    append_reply: AppendReply
    heartbeat: Heartbeat
    heartbeat_reply: HeartbeatReply
    install_snapshot: InstallSnapshot
    timeout_now: TimeoutNow
    def __init__(self, shard: _Optional[int] = ..., source: _Optional[int] = ..., target: _Optional[int] = ..., term: _Optional[int] = ..., request_pre_vote: _Optional[_Union[RequestPreVote, _Mapping]] = ..., pre_vote: _Optional[_Union[PreVote, _Mapping]] = ..., request_vote: _Optional[_Union[RequestVote, _Mapping]] = ..., vote: _Optional[_Union[Vote, _Mapping]] = ..., append_entries: _Optional[_Union[AppendEntries, _Mapping]] = ..., append_reply: _Optional[_Union[AppendReply, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., heartbeat_reply: _Optional[_Union[HeartbeatReply, _Mapping]] = ..., install_snapshot: _Optional[_Union[InstallSnapshot, _Mapping]] = ..., timeout_now: _Optional[_Union[TimeoutNow, _Mapping]] = ...) -> None: ...

class RequestPreVote(_message.Message):
    __slots__ = ("last_term", "last_index")
    LAST_TERM_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    last_term: int
    last_index: int
    def __init__(self, last_term: _Optional[int] = ..., last_index: _Optional[int] = ...) -> None: ...

class PreVote(_message.Message):
    __slots__ = ("granted",)
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    granted: bool
    def __init__(self, granted: bool = ...) -> None: ...

class RequestVote(_message.Message):
    __slots__ = ("last_term", "last_index", "is_transfer")
    LAST_TERM_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    IS_TRANSFER_FIELD_NUMBER: _ClassVar[int]
    last_term: int
    last_index: int
    is_transfer: bool
    def __init__(self, last_term: _Optional[int] = ..., last_index: _Optional[int] = ..., is_transfer: bool = ...) -> None: ...

class Vote(_message.Message):
    __slots__ = ("granted",)
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    granted: bool
    def __init__(self, granted: bool = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("term", "index", "kind", "data", "is_apart")
    TERM_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    IS_APART_FIELD_NUMBER: _ClassVar[int]
    term: int
    index: int
    kind: int
    data: bytes
    is_apart: bool
    def __init__(self, term: _Optional[int] = ..., index: _Optional[int] = ..., kind: _Optional[int] = ..., data: _Optional[bytes] = ..., is_apart: bool = ...) -> None: ...

class AppendEntries(_message.Message):
    __slots__ = ("previous_term", "previous_index", "commit_index", "entries", "is_patient")
    PREVIOUS_TERM_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_INDEX_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    IS_PATIENT_FIELD_NUMBER: _ClassVar[int]
    previous_term: int
    previous_index: int
    commit_index: int
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    is_patient: bool
    def __init__(self, previous_term: _Optional[int] = ..., previous_index: _Optional[int] = ..., commit_index: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., is_patient: bool = ...) -> None: ...

class AppendReply(_message.Message):
    __slots__ = ("is_success", "match_index", "rejected_index", "conflict_term", "conflict_index")
    IS_SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MATCH_INDEX_FIELD_NUMBER: _ClassVar[int]
    REJECTED_INDEX_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_TERM_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_INDEX_FIELD_NUMBER: _ClassVar[int]
    is_success: bool
    match_index: int
    rejected_index: int
    conflict_term: int
    conflict_index: int
    def __init__(self, is_success: bool = ..., match_index: _Optional[int] = ..., rejected_index: _Optional[int] = ..., conflict_term: _Optional[int] = ..., conflict_index: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("commit_index", "round", "is_urgent", "echo", "echo_index", "lease_ns")
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    IS_URGENT_FIELD_NUMBER: _ClassVar[int]
    ECHO_FIELD_NUMBER: _ClassVar[int]
    ECHO_INDEX_FIELD_NUMBER: _ClassVar[int]
    LEASE_NS_FIELD_NUMBER: _ClassVar[int]
    commit_index: int
    round: int
    is_urgent: bool
    echo: int
    echo_index: int
    lease_ns: int
    def __init__(self, commit_index: _Optional[int] = ..., round: _Optional[int] = ..., is_urgent: bool = ..., echo: _Optional[int] = ..., echo_index: _Optional[int] = ..., lease_ns: _Optional[int] = ...) -> None: ...

class HeartbeatReply(_message.Message):
    __slots__ = ("round", "is_urgent", "lease_ns")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    IS_URGENT_FIELD_NUMBER: _ClassVar[int]
    LEASE_NS_FIELD_NUMBER: _ClassVar[int]
    round: int
    is_urgent: bool
    lease_ns: int
    def __init__(self, round: _Optional[int] = ..., is_urgent: bool = ..., lease_ns: _Optional[int] = ...) -> None: ...

class Voter(_message.Message):
    __slots__ = ("replica", "node", "incarnation")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    replica: int
    node: str
    incarnation: int
    def __init__(self, replica: _Optional[int] = ..., node: _Optional[str] = ..., incarnation: _Optional[int] = ...) -> None: ...

class InstallSnapshot(_message.Message):
    __slots__ = ("snapshot_term", "snapshot_index", "voters")
    SNAPSHOT_TERM_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_INDEX_FIELD_NUMBER: _ClassVar[int]
    VOTERS_FIELD_NUMBER: _ClassVar[int]
    snapshot_term: int
    snapshot_index: int
    voters: _containers.RepeatedCompositeFieldContainer[Voter]
    def __init__(self, snapshot_term: _Optional[int] = ..., snapshot_index: _Optional[int] = ..., voters: _Optional[_Iterable[_Union[Voter, _Mapping]]] = ...) -> None: ...

class TimeoutNow(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SnapshotBegin(_message.Message):
    __slots__ = ("message", "size_bytes")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    message: ShardMessage
    size_bytes: int
    def __init__(self, message: _Optional[_Union[ShardMessage, _Mapping]] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class SnapshotEnd(_message.Message):
    __slots__ = ("size_bytes",)
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    def __init__(self, size_bytes: _Optional[int] = ...) -> None: ...

class SnapshotResult(_message.Message):
    __slots__ = ("is_ok", "text")
    IS_OK_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    is_ok: bool
    text: str
    def __init__(self, is_ok: bool = ..., text: _Optional[str] = ...) -> None: ...
