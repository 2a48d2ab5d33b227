"""WebSockets: signed as the original SDK's client signs them, and with bearer tokens."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from .gate import ACCESS_KEY, ARN, SECRET, SESSION, Serve, Served

PROGRAM = Path(__file__).parent / "programs" / "original_client.py"
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@dataclass
class Made:
    """What the original's client made, for a gate."""

    served: Served
    url: str
    headers: dict[str, str]
    presigned: str


Sign = Callable[..., Awaitable[Made]]


@pytest.fixture
async def sign(serve: Serve, keys: dict[str, Any]) -> Sign:
    """Serve a gate with a key, and sign for it."""
    served = await serve(keys)

    async def sign(host: str = f"127.0.0.1:{served.port}", token: str = "") -> Made:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", PROGRAM, host, ARN, SESSION, ACCESS_KEY, SECRET, token),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        made = json.loads(output)
        url, headers = made["connection"]
        del headers["Host"]  # this client sends it already, and twice is once too often
        return Made(served, _here(url), headers, _here(made["presigned"]))

    return sign


def _here(url: str) -> str:
    return url.replace("wss://", "ws://")


async def told(url: str, headers: Any = None, **options: Any) -> Any:
    """Connect as people do, and return what the gate says."""
    async with connect(url, additional_headers=headers, proxy=None, **options) as socket:
        return json.loads(await socket.recv())["name"]


async def is_denied(url: str, headers: Any = None, **options: Any) -> bool:
    """Tell whether the gate refuses with 403."""
    with pytest.raises(InvalidStatus) as refusal:
        await told(url, headers, **options)
    return refusal.value.response.status_code == 403


@pytest.mark.parametrize("token", ["", "an-sts-token"])
async def test_signed_headers_open_a_websocket(sign: Sign, token: str) -> None:
    """Though the session's id is not among them; for anything else they open nothing."""
    made = await sign(token=token)
    assert SESSION_HEADER in made.headers

    assert await told(made.url, made.headers) == "key:alice"
    assert await is_denied(made.url.replace("DEFAULT", "OTHER"), made.headers)
    assert await is_denied(made.url.replace("my_agent", "my_other"), made.headers)
    assert await is_denied(made.url, {**made.headers, "X-Amzn-Bedrock-AgentCore-Runtime-User-Id": "eve"})
    assert await is_denied(made.url, {**made.headers, "X-Amz-Date": "20260101T000000Z"})
    target = made.url.removeprefix(f"ws://127.0.0.1:{made.served.port}")
    for name in ("Upgrade", "Connection"):
        del made.headers[name]
    assert (await made.served.ask("GET", target, made.headers)).status == 403


@pytest.mark.parametrize("token", ["", "an-sts-token"])
async def test_a_presigned_url_opens_a_websocket(sign: Sign, token: str) -> None:
    """For five minutes, and nothing but a WebSocket; whatever it says is signed."""
    made = await sign(token=token)
    clock = made.served.clock

    assert await told(made.presigned) == "key:alice"
    assert await is_denied(made.presigned.replace(SESSION, SESSION[:-1] + "2"))
    assert await is_denied(made.presigned.replace("DEFAULT", "OTHER"))
    assert await is_denied(made.presigned.replace("X-Amz-Expires=300", "X-Amz-Expires=900"))
    assert await is_denied(f"{made.presigned}&X-Amz-Expires=300")
    assert await is_denied(f"{made.presigned}&a=b")
    assert await is_denied(made.presigned.replace("/ws?", "/ws/shells?"))
    assert await is_denied(made.presigned, {SESSION_HEADER: SESSION})
    target = made.presigned.removeprefix(f"ws://127.0.0.1:{made.served.port}")
    assert (await made.served.ask("GET", target)).status == 403
    assert (await made.served.ask("POST", target.replace("/ws?", "/invocations?"))).status == 403
    clock.by = timedelta(seconds=290)
    assert await told(made.presigned) == "key:alice"
    clock.by = timedelta(seconds=310)
    assert await is_denied(made.presigned)


async def test_a_presigned_url_for_another_host_opens_nothing(sign: Sign) -> None:
    """The name is signed; the port is not, since the original's client leaves it out."""
    made = await sign("localhost:1")
    port = made.served.port

    assert await told(made.presigned.replace("localhost:1", f"localhost:{port}")) == "key:alice"
    assert await is_denied(made.presigned.replace("localhost:1", f"127.0.0.1:{port}"))
    assert await is_denied(made.url.replace("localhost:1", f"localhost:{port}"), made.headers)


async def test_a_browser_shows_its_bearer_token_among_the_subprotocols(serve: Serve) -> None:
    """As base64url behind a name of its own, once; no other subprotocol is a token."""
    served = await serve()
    url = f"ws://127.0.0.1:{served.port}/runtimes/a/ws"

    def shown(*tokens: str) -> list[Subprotocol]:
        encoded = [base64.urlsafe_b64encode(token.encode()).decode().rstrip("=") for token in tokens]
        return [*(Subprotocol(f"base64UrlBearerAuthorization.{token}") for token in encoded), Subprotocol("chat")]

    assert await told(url, subprotocols=shown("operators")) == "operator"
    assert await told(url, {"Authorization": "Bearer operators"}) == "operator"
    assert await is_denied(url, subprotocols=shown("operator"))
    assert await is_denied(url, subprotocols=shown("operators", "operators"))
    assert await is_denied(url, subprotocols=[Subprotocol("base64UrlBearerAuthorization.A")])
    assert await told(url, subprotocols=[Subprotocol("chat")]) == "local"
