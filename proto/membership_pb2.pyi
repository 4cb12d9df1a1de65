from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Member(_message.Message):
    __slots__ = ("name", "incarnation", "address", "zone")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    name: str
    incarnation: int
    address: str
    zone: str
    def __init__(self, name: _Optional[str] = ..., incarnation: _Optional[int] = ..., address: _Optional[str] = ..., zone: _Optional[str] = ...) -> None: ...

class FoundingRecord(_message.Message):
    __slots__ = ("cluster_id", "shards", "founders", "options_hash")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    FOUNDERS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_HASH_FIELD_NUMBER: _ClassVar[int]
    cluster_id: int
    shards: int
    founders: _containers.RepeatedCompositeFieldContainer[Member]
    options_hash: str
    def __init__(self, cluster_id: _Optional[int] = ..., shards: _Optional[int] = ..., founders: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., options_hash: _Optional[str] = ...) -> None: ...

class Options(_message.Message):
    __slots__ = ("name", "founders", "shards")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOUNDERS_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    founders: str
    shards: int
    def __init__(self, name: _Optional[str] = ..., founders: _Optional[str] = ..., shards: _Optional[int] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("options",)
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    options: Options
    def __init__(self, options: _Optional[_Union[Options, _Mapping]] = ...) -> None: ...

class Description(_message.Message):
    __slots__ = ("version", "member", "record", "is_formed", "options")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    IS_FORMED_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    version: int
    member: Member
    record: FoundingRecord
    is_formed: bool
    options: Options
    def __init__(self, version: _Optional[int] = ..., member: _Optional[_Union[Member, _Mapping]] = ..., record: _Optional[_Union[FoundingRecord, _Mapping]] = ..., is_formed: bool = ..., options: _Optional[_Union[Options, _Mapping]] = ...) -> None: ...

class FormRequest(_message.Message):
    __slots__ = ("version", "record", "is_final")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    version: int
    record: FoundingRecord
    is_final: bool
    def __init__(self, version: _Optional[int] = ..., record: _Optional[_Union[FoundingRecord, _Mapping]] = ..., is_final: bool = ...) -> None: ...

class FormReply(_message.Message):
    __slots__ = ("is_saved", "refusal")
    IS_SAVED_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    is_saved: bool
    refusal: str
    def __init__(self, is_saved: bool = ..., refusal: _Optional[str] = ...) -> None: ...
