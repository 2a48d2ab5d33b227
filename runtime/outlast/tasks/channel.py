"""Channels to a task manager. Every grpc.aio object of a process lives on one loop: the services'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc.aio

#: A result may be 1 MiB by default and more by a setting; a message has room for the largest.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


def open_channel(address: str, *, tls_root: Path | None = None) -> grpc.aio.Channel:
    """Return a channel to ``host:port`` or ``unix:PATH``; with ``tls_root`` (PEM) over TLS trusting it."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.enable_http_proxy", 0),
    ]
    if address.startswith("unix:"):
        # Without this the socket's path would be the authority, which is no valid HTTP/2 authority.
        options.append(("grpc.default_authority", "localhost"))
    if tls_root is not None:
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(tls_root.read_bytes()), options)
    return grpc.aio.insecure_channel(address, options)


class Replicas:
    """Channels to the replicas of a task manager: whoever asks one goes by the same as everybody else.

    The worker stream decides which, and moves on when it is out of reach.
    """

    def __init__(self, addresses: Sequence[str], *, tls_root: Path | None = None) -> None:
        """``addresses`` are tried in their order; see ``open_channel``."""
        self._channels = [(address, open_channel(address, tls_root=tls_root)) for address in addresses]
        self._index = 0

    @property
    def current(self) -> grpc.aio.Channel:
        """The channel to the replica that answers now, as far as is known."""
        return self._channels[self._index][1]

    @property
    def address(self) -> str:
        """The address of that replica."""
        return self._channels[self._index][0]

    def move_on(self) -> None:
        """Go to the next replica."""
        self._index = (self._index + 1) % len(self._channels)

    async def close(self) -> None:
        """Close the channels."""
        for _, channel in self._channels:
            await channel.close()


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the call metadata that carries a token; none for an empty one."""
    return (("authorization", f"Bearer {token}"),) if token else ()
