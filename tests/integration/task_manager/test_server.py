"""The servers: addresses, tokens, TLS, health, reflection."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import sys
from pathlib import Path

import grpc
import grpc.aio
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]

from outlast.core.errors import StartRefused
from outlast.core.event import Change
from outlast.v1.task_service_pb2 import ListTasksRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.port import TaskStore
from outlastd.task_manager.auth import Access
from outlastd.task_manager.server import ServerSettings, TaskManagerServer

from .conftest import Serve
from .speaking import connected

BUF = Path(sys.executable).with_name("buf")


def taken_port() -> socket.socket:
    """Return a socket that listens on a port of loopback."""
    taken = socket.create_server(("127.0.0.1", 0))
    return taken


async def reflect(address: str, token: str = "") -> list[str]:
    """Return the services that reflection lists."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with grpc.aio.insecure_channel(address) as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(metadata=metadata)
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        response = await call.read()
        await call.done_writing()
        return sorted(service.name for service in response.list_services_response.service)


async def test_workers_are_served_on_the_socket_only(serve: Serve, socket_path: Path) -> None:
    """With a Unix socket, WorkerService is there and not on TCP, TaskService is on both; its file is private."""
    bound = await serve(socket_path=socket_path)
    assert bound.private == f"unix:{socket_path}"
    assert stat.S_IMODE((await asyncio.to_thread(socket_path.stat)).st_mode) == 0o600
    assert "outlast.v1.WorkerService" in await reflect(bound.private)
    assert "outlast.v1.WorkerService" not in await reflect(bound.public)
    async with grpc.aio.insecure_channel(bound.public) as channel, connected(channel) as worker:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await worker.hello()
        assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
    async with grpc.aio.insecure_channel(bound.private) as channel, connected(channel) as worker:
        assert (await worker.hello()).epoch == 1
        assert not (await TaskServiceStub(channel).ListTasks(ListTasksRequest())).tasks


async def test_a_socket_of_a_living_server_is_not_taken_over(serve: Serve, socket_path: Path) -> None:
    """A second server on the path is refused, and the first one goes on; a dead server's file does not matter."""
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(socket_path))
    stale.close()
    bound = await serve(socket_path=socket_path)
    with pytest.raises(StartRefused, match="another one does"):
        await serve(socket_path=socket_path)
    assert await reflect(bound.private)


async def test_a_taken_port_is_refused_in_one_line(serve: Serve) -> None:
    """The line names address, cause and cure; without an order to search no other port is used."""
    with taken_port() as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartRefused) as raised:
            await serve(listen=address)
    assert address in str(raised.value)
    assert "Address already in use" in str(raised.value)
    assert "OUTLAST_TASK_MANAGER_LISTEN" in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_the_next_free_port_is_found(serve: Serve) -> None:
    """With search, the first free port after the taken one is bound and said; two servers never share one."""
    first = await serve()
    second = await serve(listen=first.public, search=True)
    port = int(first.public.rpartition(":")[2])
    assert port < int(second.public.rpartition(":")[2]) <= port + 100
    assert await reflect(second.public)


@pytest.mark.parametrize("address", ["50051", "127.0.0.1:", "127.0.0.1:99999", "no-such-host.invalid:1", ":1"])
async def test_an_address_that_is_none_is_refused(serve: Serve, address: str) -> None:
    """One line names it."""
    with pytest.raises(StartRefused, match="cannot listen on"):
        await serve(listen=address)


@pytest.mark.parametrize(
    "access", [Access(), Access(worker_token="w"), Access(token="t")], ids=["nothing", "worker token", "token"]
)
async def test_beyond_loopback_tokens_are_wanted(serve: Serve, access: Access) -> None:
    """One sentence names the cures; WorkerService wants a token of its own."""
    with pytest.raises(StartRefused) as raised:
        await serve(listen="0.0.0.0:0", access=access)
    for cure in ("OUTLAST_TOKEN", "OUTLAST_WORKER_TOKEN", "OUTLAST_TLS_CERT", "OUTLAST_INSECURE=1"):
        assert cure in str(raised.value)
    assert str(raised.value).count(". ") == 0


async def test_beyond_loopback_with_tokens_or_insecure(serve: Serve, socket_path: Path) -> None:
    """Both tokens, or the word for none, or one token where workers are on a socket: served."""
    await serve(listen="0.0.0.0:0", access=Access(token="t", worker_token="w"))
    await serve(listen="0.0.0.0:0", access=Access(insecure=True))
    await serve(listen="0.0.0.0:0", access=Access(token="t"), socket_path=socket_path)


async def test_each_service_wants_its_own_token(serve: Serve) -> None:
    """TaskService and reflection take the token, WorkerService takes the worker token, health is free."""
    bound = await serve(access=Access(token="people", worker_token="workers"))
    async with grpc.aio.insecure_channel(bound.public) as channel:
        tasks = TaskServiceStub(channel)
        for token in ("", "Bearer workers", "people", "Bearer ", "Bearer people2", "Basic people"):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await tasks.ListTasks(ListTasksRequest(), metadata=(("authorization", token),))
            assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
        for token in ("Bearer people", "bearer people"):
            await tasks.ListTasks(ListTasksRequest(), metadata=(("authorization", token),))
        async with connected(channel) as worker:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await worker.hello()
            assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
        health = health_pb2_grpc.HealthStub(channel)
        await health.Check(health_pb2.HealthCheckRequest())
    with pytest.raises(grpc.aio.AioRpcError):
        await reflect(bound.public)
    assert "outlast.v1.TaskService" in await reflect(bound.public, "people")


async def test_the_unix_socket_needs_no_token(serve: Serve, socket_path: Path) -> None:
    """Its file's mode is its protection."""
    bound = await serve(access=Access(token="people"), socket_path=socket_path)
    assert await reflect(bound.private)


async def test_tls_is_served(serve: Serve, tmp_path: Path) -> None:
    """With a certificate and its key the port speaks TLS and nothing else; one without the other is refused."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    access = Access(tls_cert=str(cert), tls_key=str(key))
    bound = await serve(access=access)
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    address = bound.public.replace("127.0.0.1", "localhost")
    async with grpc.aio.secure_channel(address, credentials) as channel:
        await TaskServiceStub(channel).ListTasks(ListTasksRequest())
    with pytest.raises(StartRefused, match="both"):
        await serve(access=Access(tls_cert=str(cert)))
    with pytest.raises(StartRefused, match="No such file"):
        await serve(access=Access(tls_cert=str(cert), tls_key=str(tmp_path / "none.pem")))


async def test_health_speaks_for_each_service(serve: Serve, socket_path: Path) -> None:
    """SERVING for the whole and each service that is served; NOT_FOUND for one that is not."""
    bound = await serve(socket_path=socket_path)
    async with grpc.aio.insecure_channel(bound.public) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "outlast.v1.TaskService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await health.Check(health_pb2.HealthCheckRequest(service="outlast.v1.WorkerService"))
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_client_without_protos_can_ask(serve: Serve) -> None:
    """``buf curl`` creates and lists tasks by reflection alone, and prints what the errors carry."""
    bound = await serve(agent="agent")

    async def curl(method: str, data: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            str(BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", data,
            f"http://{bound.public}/outlast.v1.{method}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    code, created = await curl("TaskService/CreateTask", '{"taskType": "research"}')
    assert code == 0, created
    assert json.loads(created)["state"] == "SUBMITTED"
    code, listed = await curl("TaskService/ListTasks", "{}")
    assert [task["name"] for task in json.loads(listed)["tasks"]] == [json.loads(created)["name"]]
    code, missing = await curl("TaskService/GetTask", '{"name": "tasks/7"}')
    assert code != 0
    assert "tasks/7 does not exist" in missing
    assert "google.rpc.ResourceInfo" in missing


async def test_a_stop_does_not_wait_for_a_store_that_does_not_answer(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that is in the middle of a question to the store is left behind after a while."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def end_overdue(limit: int) -> list[Change]:
        asked.set()
        await answer.wait()
        return []

    monkeypatch.setattr(store, "end_overdue", end_overdue)
    monkeypatch.setattr("outlastd.task_manager.server.COMMIT_GRACE", 0.1)
    server = TaskManagerServer(store, ServerSettings(listen="127.0.0.1:0"))
    await server.start()
    await asked.wait()

    async with asyncio.timeout(20):
        await server.stop(0)
    answer.set()
