"""Addresses: what they mean, whether they can be had, and binding a gRPC server to them."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio

from outlast.core.errors import StartRefused
from outlast.core.value import value
from outlastd.task_manager.auth import Access

#: How many ports are tried after the first when the next free one will do.
SEARCH_PORTS = 100
MAX_PORT = 65_535


@value(frozen=True, slots=True)
class Endpoint:
    """A TCP address and what its host stands for."""

    host: str
    port: int
    #: Family and IP address, one for each that the host resolves to.
    ips: Sequence[tuple[int, str]]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return all(ipaddress.ip_address(ip.partition("%")[0]).is_loopback for _, ip in self.ips)


async def resolve(address: str) -> Endpoint:
    """Return what ``host:port`` stands for; raise StartRefused when it stands for nothing."""
    host, separator, digits = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not (digits.isascii() and digits.isdecimal()) or int(digits) > MAX_PORT:
        raise StartRefused(f"cannot listen on {address!r}: an address is HOST:PORT, such as 127.0.0.1:50051")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, int(digits), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise StartRefused(f"cannot listen on {address}: {error.strerror}; name a host of this machine") from None
    return Endpoint(host, int(digits), sorted({(int(family), str(name[0])) for family, _, _, _, name in found}))


async def bind(server: grpc.aio.Server, endpoint: Endpoint, access: Access, *, search: bool) -> Endpoint:
    """Bind a server to an endpoint, or with ``search`` to the next free port after it; return what was bound.

    Raises:
        StartRefused: it cannot be had; the message names address, cause and cure.
    """
    credentials = await _credentials(access)
    last = min(endpoint.port + SEARCH_PORTS, MAX_PORT) if search and endpoint.port else endpoint.port
    cause = os.strerror(errno.EADDRINUSE)
    for port in range(endpoint.port, last + 1):
        wanted = replace(endpoint, port=port)
        refusal = _refusal(wanted)
        if refusal is None:
            with suppress(RuntimeError):  # somebody was quicker
                return replace(endpoint, port=_bind(server, str(wanted), credentials))
        elif refusal.errno != errno.EADDRINUSE:
            cause = str(refusal.strerror)
            break
    raise StartRefused(
        f"the task manager cannot listen on {endpoint}: {cause}; "
        "stop what listens there, or choose another address with OUTLAST_TASK_MANAGER_LISTEN"
    )


async def bind_socket(server: grpc.aio.Server, path: Path, access: Access) -> None:
    """Bind a server to a Unix socket: one that any user may open where tokens are wanted, else only this one.

    Raises:
        StartRefused: a living server has it, or its path cannot be used.
    """
    await _refuse_living(path)
    try:
        server.add_insecure_port(f"unix:{path}")
        await asyncio.to_thread(path.chmod, 0o666 if access.token and access.worker_token else 0o600)
    except (RuntimeError, OSError) as error:
        cause = error.strerror if isinstance(error, OSError) else "its path is too long or its folder cannot be used"
        raise StartRefused(
            f"the task manager cannot listen on the Unix socket {path}: {cause}; choose another folder"
        ) from None


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    return server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)


def _refusal(endpoint: Endpoint) -> OSError | None:
    """Return why an endpoint cannot be had; None when it can.

    gRPC itself says neither which error it was, nor anything at all when only one of several addresses is taken.
    """
    problem: OSError | None = None
    usable = False
    for family, ip in endpoint.ips:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((ip, endpoint.port))
                probe.listen(1)
                usable = True
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return error
            problem = error
    return None if usable else problem


async def _refuse_living(path: Path) -> None:
    """gRPC takes a Unix socket's path away from whoever listens there; a dead server's may be taken."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return
    writer.close()
    raise StartRefused(
        f"the task manager cannot listen on the Unix socket {path}: another one does; stop it, or use another store"
    )


async def _credentials(access: Access) -> grpc.ServerCredentials | None:
    if not access.tls_cert and not access.tls_key:
        return None
    if not access.tls_cert or not access.tls_key:
        raise StartRefused("TLS needs both OUTLAST_TLS_CERT and OUTLAST_TLS_KEY")
    try:
        key = await asyncio.to_thread(Path(access.tls_key).read_bytes)
        chain = await asyncio.to_thread(Path(access.tls_cert).read_bytes)
        return grpc.ssl_server_credentials([(key, chain)])
    except OSError as error:
        raise StartRefused(
            f"cannot read {error.filename}: {error.strerror}; OUTLAST_TLS_CERT and OUTLAST_TLS_KEY name PEM files"
        ) from None
