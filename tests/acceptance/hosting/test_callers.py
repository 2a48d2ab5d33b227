"""Who may call: keys and tokens as people configure them, and what the wrong ones get."""

from __future__ import annotations

import json
from http.client import HTTPConnection

import pytest
from botocore.exceptions import ClientError

from .conftest import PLAIN, Hosts
from .host_process import DUMMY_KEYS, Host, session_id

KEYS = """
[[auth.keys]]
name = "ann"
access_key = "AKIDANN"
secret_variable = "ANN_SECRET"
session_prefix = "ann-"

[[auth.keys]]
name = "bob"
access_key = "AKIDBOB"
secret_variable = "BOB_SECRET"
user = "bob"

[[auth.keys]]
name = "carol"
access_key = "AKIDCAROL"
secret_variable = "CAROL_SECRET"
operator = true
"""
SECRETS = {"ANN_SECRET": "ann's", "BOB_SECRET": "bob's", "CAROL_SECRET": "carol's", "OUTLAST_TOKEN": "the-operators"}


def keys(name: str, secret: str | None = None) -> dict[str, str]:
    """Return the keys of somebody, for boto3."""
    return {"aws_access_key_id": f"AKID{name.upper()}", "aws_secret_access_key": secret or f"{name}'s"}


def refused(host: Host, session: str, **client: object) -> tuple[int, str]:
    """Return status and code of an invocation that is refused."""
    with pytest.raises(ClientError) as error:
        host.invoke("plain", {}, session, host.client(**client))  # type: ignore[arg-type]
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_keys(hosts: Hosts) -> None:
    """Whoever signs with a configured key is let in, to sessions of its own; everybody else gets 403 and no hint."""
    host = hosts.start(PLAIN + KEYS, variables=SECRETS)
    ann, bob, carol = (host.client(keys=keys(name)) for name in ("ann", "bob", "carol"))
    of_ann, of_bob = "ann-" + session_id(), session_id()
    host.invoke("plain", {}, of_ann, ann)
    host.invoke("plain", {}, of_bob, bob)
    host.invoke("plain", {}, of_bob, carol)
    denied = (403, "AccessDeniedException")
    assert refused(host, session_id(), keys=keys("ann")) == denied
    assert refused(host, of_ann, keys=keys("bob")) == denied
    assert refused(host, of_ann, keys=keys("ann", "not ann's")) == denied
    assert refused(host, of_ann, keys=DUMMY_KEYS) == denied
    with pytest.raises(ClientError) as error:
        host.stop_session("plain", of_ann, bob)
    assert error.value.response["Error"]["Code"] in ("ResourceNotFoundException", "AccessDeniedException")

    listed = host.get("/sessions", {"Authorization": "Bearer the-operators"})["sessions"]
    assert {one["sessionId"]: one.get("user") for one in listed} == {of_ann: None, of_bob: "bob"}


def test_unsigned(hosts: Hosts) -> None:
    """Where keys are configured, an unsigned request from this machine is 403 and starts nothing."""
    host = hosts.start(PLAIN + KEYS, variables=SECRETS)
    connection = HTTPConnection("127.0.0.1", host.port, timeout=30)
    connection.request("POST", "/runtimes/plain/invocations", b"{}")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (403, "AccessDeniedException")
    assert json.loads(answer.read()) == {"message": "Access denied"}
    connection.close()
    assert not hosts.guests()


def test_not_beyond_this_machine(hosts: Hosts) -> None:
    """A host that anybody could reach does not start without credentials, and says what to do."""
    file = hosts.folder / "open.toml"
    file.write_text('listen = "0.0.0.0:0"\n' + PLAIN.replace("{mark}", "none"))
    host = Host(["-m", "outlast.cli", "host", str(file)], {}, hosts.folder)
    assert host.wait() == 1
    assert "auth" in "\n".join(host.errors)
