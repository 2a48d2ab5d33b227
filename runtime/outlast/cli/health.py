"""``outlast health``: what a container's health check runs every few seconds. It loads as little as it can."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from outlast.settings.defaults import DEFAULT_PORT, DEFAULT_TASK_MANAGER_LISTEN

if TYPE_CHECKING:
    import grpc

#: Seconds that an answer may take: a ping handler of the program's own has 3 before another status answers.
TIMEOUT = 4.0
#: Served on an address by a task manager apart only. An embedded one, which may be up before the agent or the session
#: host around it, does not know it there.
_WORKER_SERVICE = "outlast.v1.WorkerService"
#: Addresses that stand for all, and where to ask then.
_ALL = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class _Unwell(Exception):
    """What was asked is not well, or does not answer; says why."""


def health() -> None:
    """Ask the agent, the session host or the task manager of this machine whether it is well.

    Where OUTLAST_HOST and OUTLAST_PORT (or PORT) say, `/ping` is asked; where nothing listens there, the task manager
    at OUTLAST_TASK_MANAGER_LISTEN. Options on another command line, such as `outlast run --port`, are not seen. The
    exit code is 0 when the answer is good, else 1, and one line says why.

    Examples:

    \b
      outlast health
      docker exec agent outlast health
    """
    try:
        typer.echo(_ask())
    except _Unwell as why:
        typer.echo(f"unhealthy: {' '.join(str(why).split())}")  # what a peer has sent may be in it
        raise typer.Exit(1) from None


def _ask() -> str:
    """Return what is well. Raises _Unwell."""
    port = _variable("OUTLAST_PORT") or _variable("PORT") or str(DEFAULT_PORT)
    front_door = _reachable(_variable("OUTLAST_HOST"), port)
    listen = _variable("OUTLAST_TASK_MANAGER_LISTEN") or DEFAULT_TASK_MANAGER_LISTEN
    host, _, port = listen.rpartition(":")
    manager = _reachable(host.strip("[]"), port)
    if _listens(*front_door):
        return f"{_shown(*front_door)} is {_ping(*front_door)}"
    if not _listens(*manager):
        raise _Unwell(f"nothing listens on {_shown(*front_door)} or {_shown(*manager)}")
    if not _serves_workers(*manager):
        raise _Unwell(f"nothing listens on {_shown(*front_door)} yet; the task manager does on {_shown(*manager)}")
    return f"{_shown(*manager)} is serving"


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()


def _reachable(host: str, port: str) -> tuple[str, int]:
    try:
        return _ALL.get(host, host), int(port)
    except ValueError:
        raise _Unwell(f"{port!r} is no port") from None


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), TIMEOUT).close()
    except ConnectionRefusedError:
        return False
    except OSError as error:
        raise _Unwell(f"{_shown(host, port)} cannot be asked: {error}") from None
    return True


# -- an agent or a session host ----------------------------------------------------------------------------------------


def _ping(host: str, port: int) -> str:
    """Return the status that ``/ping`` tells. Raises _Unwell."""
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/ping")
        response = connection.getresponse()
        body = response.read(65_536)
    except (OSError, HTTPException) as error:
        raise _Unwell(f"{_shown(host, port)} does not answer /ping: {str(error) or type(error).__name__}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise _Unwell(f"{_shown(host, port)} answers {response.status} to /ping")
    try:
        status = json.loads(body)["status"]
    except (ValueError, LookupError, TypeError):
        raise _Unwell(f"what answers /ping on {_shown(host, port)} is no agent") from None
    return str(status)


# -- a task manager ----------------------------------------------------------------------------------------------------


def _serves_workers(host: str, port: int) -> bool:
    """Tell whether a task manager serves workers there, false where it knows of none. Raises _Unwell."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

    with _channel(host, port) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=_WORKER_SERVICE)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT)
        except grpc.RpcError as error:
            code = error.code()
            if code is grpc.StatusCode.NOT_FOUND:
                return False
            raise _Unwell(f"the task manager on {_shown(host, port)} answers {code.name}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        raise _Unwell(f"the task manager on {_shown(host, port)} says {name}")
    return True


@contextmanager
def _channel(host: str, port: int) -> Iterator[grpc.Channel]:
    import grpc

    options: list[tuple[str, Any]] = [("grpc.enable_http_proxy", 0)]
    certificate = _variable("OUTLAST_TLS_CERT")
    if not certificate:
        with grpc.insecure_channel(_shown(host, port), options) as channel:
            yield channel
        return
    options.append(("grpc.ssl_target_name_override", _name_in_certificate(host, port, certificate)))
    with open(certificate, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel(_shown(host, port), credentials, options) as channel:
        yield channel


def _name_in_certificate(host: str, port: int, certificate: str) -> str:
    """Return a name that the server's certificate is for: seldom that of this machine's own address. Raises _Unwell."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is what is trusted
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(certificate)
        with socket.create_connection((host, port), TIMEOUT) as plain, context.wrap_socket(plain) as connection:
            names = (connection.getpeercert() or {}).get("subjectAltName", ())
    except OSError as error:  # ssl.SSLError is one
        raise _Unwell(f"{_shown(host, port)} does not show the certificate in {certificate}: {error}") from None
    return next((str(name[1]) for name in names), "localhost")
