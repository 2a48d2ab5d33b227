"""``outlast host`` as a process, and what real clients ask of it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import boto3
import botocore.config

from ..agent_process import PATIENCE, OutlastProcess

GUESTS = Path(__file__).parent / "guests"
#: Keys that stand for nobody: what boto3 signs with where nothing is checked.
DUMMY_KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}


def session_id() -> str:
    """Return a session id as boto3 makes them."""
    return str(uuid.uuid4())


def arn(agent: str) -> str:
    """Return what AWS would call an agent."""
    return f"arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/{agent}-AbCdEf1234"


class Host(OutlastProcess):
    """A session host."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._clients: list[Any] = []
        self._usual: Any = None

    def kill(self) -> None:
        """End it at once, and what was asking it."""
        super().kill()
        for client in self._clients:
            client.close()

    @property
    def address(self) -> str:
        """``http://HOST:PORT``, once it is ready."""
        return str(self.ready()["address"])

    def client(self, *, keys: dict[str, str] = DUMMY_KEYS, region: str = "us-west-2", **config: Any) -> Any:
        """Return boto3's client, unmodified but for where it sends requests; ``config`` is botocore's."""
        settings = {
            "retries": {"total_max_attempts": 1},
            "max_pool_connections": 50,
            "read_timeout": PATIENCE,
            **config,
        }
        made = boto3.session.Session().client(
            "bedrock-agentcore",
            region_name=region,
            endpoint_url=self.address,
            config=botocore.config.Config(**settings),
            **keys,
        )
        self._clients.append(made)
        return made

    @property
    def usual_client(self) -> Any:
        """A client as ``client`` makes it: the same one for all who need none of their own."""
        self._usual = self._usual or self.client()
        return self._usual

    def invoke(self, agent: str, payload: object, session: str | None = None, client: Any = None) -> Any:
        """Invoke an agent through boto3 and return what it answers, from JSON."""
        named = {} if session is None else {"runtimeSessionId": session}
        answer = (client or self.usual_client).invoke_agent_runtime(
            agentRuntimeArn=arn(agent), payload=json.dumps(payload).encode(), **named
        )
        return json.loads(answer["response"].read())

    def stop_session(self, agent: str, session: str, client: Any = None) -> None:
        """Stop a session through boto3."""
        (client or self.usual_client).stop_runtime_session(agentRuntimeArn=arn(agent), runtimeSessionId=session)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Any:
        """Return what a GET answers, from JSON; raise urllib's HTTPError for another status than 200."""
        try:
            with urlopen(Request(self.address + path, headers=headers or {}), timeout=PATIENCE) as response:
                return json.load(response)
        except HTTPError as error:
            error.close()
            raise

    def sessions(self, **query: str) -> list[Any]:
        """Return the sessions on the first page of their list."""
        return list(
            self.get("/sessions?" + "&".join(f"{name}={quote(value)}" for name, value in query.items()))["sessions"]
        )

    def session(self, agent: str, session: str) -> Any:
        """Return one session."""
        return self.get(f"/sessions/{agent}/{quote(session, safe='')}")

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port = urlsplit(self.address).port
        assert port is not None
        return port
