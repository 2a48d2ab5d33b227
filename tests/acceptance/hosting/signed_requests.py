"""Plain HTTP requests, signed as boto3 signs its own: for what it has no operation for."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ..agent_process import PATIENCE
from .host_process import Host


def ask(
    host: Host,
    method: str,
    path: str,
    keys: tuple[str, str] | None = None,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> tuple[int, dict[str, str], Any]:
    """Return status, headers in lower case and body, from JSON where it is some; ``keys`` are an id and its secret."""
    shown = dict(headers or {})
    if keys is not None:
        request = AWSRequest(method, host.address + path, headers=shown, data=body)
        SigV4Auth(Credentials(*keys), "bedrock-agentcore", "us-west-2").add_auth(request)
        shown = dict(request.headers.items())
    connection = HTTPConnection("127.0.0.1", host.port, timeout=2 * PATIENCE)
    try:
        connection.request(method, path, body, shown)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    names = {name.lower(): value for name, value in answer.getheaders()}
    return (
        answer.status,
        names,
        json.loads(text) if names.get("content-type", "").startswith("application/json") else text,
    )
