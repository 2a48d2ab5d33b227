"""``outlast health`` of a task manager, asked over gRPC."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trustme

from outlastd.task_manager.auth import Access
from tests.unit.cli.command import Done, outlast

from .conftest import Serve


@pytest.fixture
def port() -> str:
    """Return a port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


async def health(port: str, listen: str, **variables: str) -> Done:
    """Ask a process with these addresses."""
    return await outlast("health", OUTLAST_PORT=port, OUTLAST_TASK_MANAGER_LISTEN=listen, **variables)


async def test_one_that_serves_is_well(serve: Serve, port: str) -> None:
    """No token is needed to ask, and an address that stands for all is asked on this machine."""
    bound = await serve(listen="0.0.0.0:0", access=Access(token="t", worker_token="w"))
    local = bound.public.replace("0.0.0.0", "127.0.0.1")

    done = await health(port, bound.public, http_proxy="http://127.0.0.1:1")

    assert (done.code, done.out, done.err) == (0, f"{local} is serving\n", "")


async def test_an_embedded_one_is_no_agent_yet(serve: Serve, port: str, socket_path: Path) -> None:
    """While it is there and the front door is not, the agent is not well."""
    bound = await serve(socket_path=socket_path)

    done = await health(port, bound.public)

    why = f"nothing listens on 127.0.0.1:{port} yet; the task manager does on {bound.public}"
    assert (done.code, done.out) == (1, f"unhealthy: {why}\n")


async def test_with_tls(serve: Serve, port: str, tmp_path: Path) -> None:
    """Whatever name its certificate is for; another certificate is not taken."""
    files = {}
    for name in ("manager.example.com", "other.example.com"):
        issued = trustme.CA().issue_cert(name)
        files[name] = (tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(files[name][0])
        issued.private_key_pem.write_to_path(files[name][1])
    (cert, key), (other, _) = files.values()
    bound = await serve(access=Access(tls_cert=str(cert), tls_key=str(key)))

    done = await health(port, bound.public, OUTLAST_TLS_CERT=str(cert))
    wrong = await health(port, bound.public, OUTLAST_TLS_CERT=str(other))
    plain = await health(port, bound.public)

    assert (done.code, done.out, done.err) == (0, f"{bound.public} is serving\n", "")
    assert (wrong.code, plain.code) == (1, 1)
    assert f"{bound.public} does not show the certificate in {other}" in wrong.out
    assert plain.out == f"unhealthy: the task manager on {bound.public} answers UNAVAILABLE\n"
