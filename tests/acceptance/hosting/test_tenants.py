"""Several callers on one agent: none sees, reads, waits for, cancels or stops what is another's."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from outlast.headers import SESSION_ID

from .conftest import TASKS, Hosts
from .host_process import Host, session_id
from .signed_requests import ask

#: Bound to a user, to another user, and to what session ids begin with.
BOUND = {"ann": 'user = "ann"', "bob": 'user = "bob"', "carol": 'session_prefix = "carol-"'}
KEYS = "".join(
    f'[[auth.keys]]\nname = "{name}"\naccess_key = "AKID{name.upper()}"\nsecret_variable = "SECRET_{name}"\n{bound}\n'
    for name, bound in BOUND.items()
)
SECRETS = {f"SECRET_{name}": f"{name}'s" for name in BOUND} | {"OUTLAST_TOKEN": "the-operators"}
TASK_PATH = "/runtimes/tasks/tasks"


class Tenant(NamedTuple):
    """A caller with a session, and a task at work in it."""

    name: str
    host: Host
    session: str
    task: str
    pid: int

    def ask(self, method: str, path: str, session: str = "", **headers: str) -> tuple[int, Any]:
        """Return status and body of a request that the caller signs; ``session`` is what the header names."""
        named = {SESSION_ID: session} if session else {}
        keys = (f"AKID{self.name.upper()}", f"{self.name}'s")
        status, _, body = ask(self.host, method, path, keys, {**named, **headers})
        return status, body


@pytest.fixture
def tenants(hosts: Hosts) -> list[Tenant]:
    """Start a host, and a session with a task for each of three callers."""
    host = hosts.start(TASKS + KEYS, variables=SECRETS)
    made = []
    for name in BOUND:
        keys = {"aws_access_key_id": f"AKID{name.upper()}", "aws_secret_access_key": f"{name}'s"}
        session = ("carol-" if name == "carol" else "") + session_id()
        asked = {"do": "start", "word": f"of-{name}", "seconds": 600}
        answer = host.invoke("tasks", asked, session, host.client(keys=keys))
        made.append(Tenant(name, host, session, answer["task"]["taskId"], answer["pid"]))
    return made


def others(tenants: list[Tenant]) -> list[tuple[Tenant, Tenant]]:
    """Return everybody with everybody else; carol's key is bound to ids, so that what ann's user has is not hers."""
    return [(one, other) for one in tenants for other in tenants if one is not other]


def listed_to_the_operator(tenants: list[Tenant]) -> list[Any]:
    """Return what the operator's list of sessions holds."""
    return list(tenants[0].host.get("/sessions", {"Authorization": "Bearer the-operators"})["sessions"])


def test_what_is_ones_own(tenants: list[Tenant]) -> None:
    """Lists hold what is the caller's own; that it may wait for, cancel and stop, and what is another's goes on."""
    for tenant in tenants:
        status, body = tenant.ask("GET", "/sessions")
        assert (status, [one["sessionId"] for one in body["sessions"]]) == (200, [tenant.session])
        status, body = tenant.ask("GET", TASK_PATH, tenant.session)
        assert (status, [one["taskId"] for one in body["tasks"]]) == (200, [tenant.task])
        status, body = tenant.ask("GET", f"/sessions/tasks/{tenant.session}")
        assert (status, [one["taskId"] for one in body["tasks"]]) == (200, [tenant.task])
        assert "pid" not in body
        status, _ = tenant.ask("GET", TASK_PATH)
        assert status == 400  # a session is to be named
    listed = listed_to_the_operator(tenants)
    assert {one["sessionId"] for one in listed} == {tenant.session for tenant in tenants}
    assert {one["pid"] for one in listed} == {tenant.pid for tenant in tenants}

    ann, bob, carol = tenants
    for tenant in (ann, carol):
        status, _ = tenant.ask("POST", f"{TASK_PATH}/{tenant.task}/cancel", tenant.session)
        assert status == 200
        status, task = tenant.ask("GET", f"{TASK_PATH}/{tenant.task}/wait", tenant.session)
        assert (status, task["state"]) == (200, "CANCELED")
        status, shown = tenant.ask("POST", f"/sessions/tasks/{tenant.session}/stop")
        assert (status, shown["state"]) == (200, "STOPPED")
    status, shown = bob.ask("GET", f"/sessions/tasks/{bob.session}")
    assert (status, shown["tasks"][0]["state"]) == (200, "WORKING")
    # Another cannot take over the id of a session that has ended either.
    assert bob.ask("POST", "/runtimes/tasks/invocations", ann.session)[0] == 403
    assert bob.ask("GET", f"{TASK_PATH}/{ann.task}", ann.session)[0] == 404


def test_what_is_anothers(tenants: list[Tenant]) -> None:
    """Sessions and tasks of others are 404, also with the id of a task and the caller's own session; calls are 403."""
    for tenant, other in others(tenants):
        own, its = tenant.session, other.session
        attempts = [
            ("GET", f"/sessions/tasks/{its}", "", {404}),
            ("POST", f"/sessions/tasks/{its}/stop", "", {404}),
            ("POST", "/runtimes/tasks/stopruntimesession", its, {404}),
            ("POST", "/runtimes/tasks/invocations", its, {403}),
            *(("GET", path, its, {404}) for path in (TASK_PATH, f"{TASK_PATH}/events?session={its}")),
        ]
        for session in (own, its):
            task = f"{TASK_PATH}/{other.task}"
            attempts += [("GET", path, session, {404}) for path in (task, f"{task}/wait?timeout=1", f"{task}/events")]
            attempts += [("POST", path, session, {404}) for path in (f"{task}/cancel?force=true", f"{task}/retry")]
            attempts += [("DELETE", task, session, {404})]
        for method, path, session, wanted in attempts:
            status, body = tenant.ask(method, path, session)
            assert status in wanted, (tenant.name, other.name, method, path, status, body)
            assert f"of-{other.name}" not in str(body)
            assert str(other.pid) not in str(body).replace(other.task, "").replace(its, "")
    ann, bob, _ = tenants
    named = {"X-Amzn-Bedrock-AgentCore-Runtime-User-Id": "bob"}  # a key that is bound to a user names no other
    assert ann.ask("POST", "/runtimes/tasks/invocations", bob.session, **named)[0] == 403
    assert ann.ask("POST", "/runtimes/tasks/invocations", ann.session, **named)[0] == 403
    for tenant in tenants:  # and nothing has come of all that
        status, task = tenant.ask("GET", f"{TASK_PATH}/{tenant.task}", tenant.session)
        assert (status, task["state"]) == (200, "WORKING")
        assert tenant.pid in {one["pid"] for one in listed_to_the_operator(tenants)}
