"""The real package's identity helpers, with our runtime underneath."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from .conftest import Launcher


class Identity(ThreadingHTTPServer):
    """What answers in the place of AgentCore Identity, and keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Identity

    def do_POST(self) -> None:
        """Give a token that tells whose workload token has asked for it."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        answer = json.dumps({"accessToken": f"token for {body['workloadIdentityToken']}"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def identity() -> Iterator[Identity]:
    """Serve on a free port."""
    with Identity() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_requires_access_token_gets_the_requests_token(launch: Launcher, identity: Identity) -> None:
    """``requires_access_token`` asks with the request's own workload token and callback address, wherever it runs."""
    agent = launch.ready(
        "access_token.py",
        AWS_ENDPOINT_URL_BEDROCK_AGENTCORE=identity.address,
        AWS_REGION="us-west-2",
        AWS_ACCESS_KEY_ID="no-key",
        AWS_SECRET_ACCESS_KEY="no-secret",
        AWS_CONFIG_FILE="/dev/null",
    )

    for caller in ("one", "two"):
        identity.asked.clear()
        headers = {"WorkloadAccessToken": f"wat-{caller}", "OAuth2CallbackUrl": f"http://127.0.0.1/{caller}"}
        answer = agent.invoke({}, headers)

        token = f"token for wat-{caller}"
        assert answer.json["read"] == [f"handler: {token}", f"async handler: {token}"]
        assert [agent.finished(task["taskId"])["result"] for task in answer.json["tasks"]] == [
            f"task on a thread: {token}",
            f"task on the loop: {token}",
        ]
        assert [path for path, _ in identity.asked] == ["/identities/oauth2/token"] * 4
        for _, body in identity.asked:
            assert body["workloadIdentityToken"] == f"wat-{caller}"
            assert body["resourceOauth2ReturnUrl"] == f"http://127.0.0.1/{caller}"
