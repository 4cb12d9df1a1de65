"""How gRPC is set for traffic between nodes; one place, both ends."""

from __future__ import annotations

KEEPALIVE_INTERVAL_MS = 2_000
KEEPALIVE_TIMEOUT_MS = 4_000

_Options = tuple[tuple[str, int], ...]

_BOTH: _Options = (
    # What peers send is bounded where it begins (frames, pieces, chunks); a limit here could only
    # break a stream for ever over one message. What clients send is limited where they come in.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A machine that vanished without a word is noticed by its silence. These pings are answered
    # by gRPC's own threads, so a busy node is not taken for a dead one.
    ("grpc.keepalive_time_ms", KEEPALIVE_INTERVAL_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)

CHANNEL_OPTIONS: _Options = (
    *_BOTH,
    # Each stream has its own connection: on a shared one control would wait behind log bytes that
    # the kernel has already taken (correctness E2).
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
)

SERVER_OPTIONS: _Options = (
    *_BOTH,
    ("grpc.so_reuseport", 0),  # A port that is taken must fail, not be shared.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
)
