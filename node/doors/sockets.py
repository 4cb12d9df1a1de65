"""What doors do with the sockets of their clients."""

from __future__ import annotations

import socket


def keep_alive(sock: socket.socket, idle_s: int) -> None:
    """Have the system find out whether a silent client is still there, as Redis does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(idle_s > 0))
    if idle_s and hasattr(socket, "TCP_KEEPIDLE"):  # Elsewhere the system's own times count.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(idle_s // 3, 1))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def address_of(name: object) -> str:
    """`host:port`, as CLIENT LIST shows it."""
    if not isinstance(name, tuple):
        return ""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
