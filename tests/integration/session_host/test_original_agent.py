"""Programs for the original SDK, run with that SDK in a process of a session."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from outlastd.session_host.guest_client import Endpoint, GuestClient, PingFailed
from outlastd.session_host.guests import original_agent

PATIENCE = 60.0
_AGENT = """
import os, sys
from bedrock_agentcore import BedrockAgentCoreApp

app = BedrockAgentCoreApp()

@app.entrypoint
def handler(payload, context):
    return {
        "session": context.session_id, "headers": dict(context.request.headers), "argv": sys.argv, "name": __name__,
        "path": sys.path[0], "door": [name for name in os.environ if "FRONT_DOOR" in name],
    }

@app.websocket
async def echo(websocket, context):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()
"""
_STARTS = {
    "run": "if __name__ == '__main__':\n    app.run()",
    "run, with a port and a host": "app.run(port=1, host='192.0.2.1', log_level='error')",
    "uvicorn.run": "import uvicorn\nuvicorn.run(app, host='0.0.0.0', port=8080)",
    "by name, with workers": "import uvicorn\nif __name__ == '__main__': uvicorn.run('agent:app', workers=4)",
    "a server": "import asyncio, uvicorn\nasyncio.run(uvicorn.Server(uvicorn.Config(app, port=8080)).serve())",
    "nothing": "",
}


@asynccontextmanager
async def serving(folder: Path, program: str) -> AsyncIterator[tuple[GuestClient, GuestClient]]:
    """Run a program as a session host does; give who has the secret, and who has not."""
    file = folder / "agent.py"
    file.write_text(program)
    endpoint = Endpoint(folder / "s", secret="the secret")
    environment = {
        "PATH": os.environ["PATH"],
        "OUTLAST_FRONT_DOOR_SOCKET": str(endpoint.socket),
        "OUTLAST_FRONT_DOOR_SECRET": endpoint.secret,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, original_agent.__file__, str(file)), env=environment, cwd=folder
    )
    client, stranger = GuestClient(endpoint), GuestClient(Endpoint(endpoint.socket, secret="guess"))
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await client.ping(PATIENCE)
                    break
                except PingFailed:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
        yield client, stranger
    finally:
        await client.close()
        await stranger.close()
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def ask(client: GuestClient, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Invoke the agent."""
    async with client.request("POST", "/invocations", data=b"{}", headers=headers, timeout=PATIENCE) as response:
        return response.status, json.loads(await response.read())


@pytest.mark.parametrize("start", _STARTS)
async def test_a_program_serves_the_socket_however_it_starts(tmp_path: Path, start: str) -> None:
    """Whatever port and host it asks for; whoever does not show the secret learns nothing."""
    async with serving(tmp_path, _AGENT + _STARTS[start]) as (client, stranger):
        status, said = await ask(client, {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "a-session"})

        assert (status, said["session"]) == (200, "a-session")
        assert await ask(stranger) == (403, {"error": "Forbidden"})
        with pytest.raises(PingFailed, match="403"):
            await stranger.ping(PATIENCE)


async def test_the_program_is_the_main_one_and_sees_nothing_of_the_host(tmp_path: Path) -> None:
    """Its name, its arguments and its path are as under python; the secret is in no header and no variable."""
    async with serving(tmp_path, _AGENT + _STARTS["run"]) as (client, _):
        _, said = await ask(client)

    # The module that the handler was defined in is the one that was run.
    assert said["argv"] == [str(tmp_path / "agent.py")]
    assert said["name"] == "__main__"
    assert said["path"] == str(tmp_path)
    assert said["door"] == []
    assert "x-outlast-secret" not in said["headers"]


async def test_a_websocket_needs_the_secret_too(tmp_path: Path) -> None:
    """Without it there is no connection."""
    async with serving(tmp_path, _AGENT + _STARTS["run"]) as (client, stranger):
        async with client.websocket("/ws", timeout=PATIENCE) as socket:
            await socket.send_str("hello")
            assert (await socket.receive()).data == "hello"
        with pytest.raises(WSServerHandshakeError, match="403"):
            async with stranger.websocket("/ws", timeout=PATIENCE):
                pass


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """A Python without the SDK is named, with what to install."""
    (tmp_path / "uvicorn.py").write_text("raise ImportError('none here')")
    (tmp_path / "agent.py").write_text("")
    done = subprocess.run(
        [sys.executable, original_agent.__file__, str(tmp_path / "agent.py")],
        env={"OUTLAST_FRONT_DOOR_SOCKET": "s", "OUTLAST_FRONT_DOOR_SECRET": "s"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == (
        f"outlast: {sys.executable} cannot run {tmp_path / 'agent.py'} (none here): install bedrock-agentcore for it\n"
    )
