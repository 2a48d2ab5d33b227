"""What a guest gets of other sessions: nothing. With users of their own, not on the machine either."""

from __future__ import annotations

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import PLAIN, TASKS, Hosts
from .host_process import session_id
from .processes import user

OWN_USERS = pytest.param(
    "auto", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give sessions users of their own")
)

#: What a guest runs to ask over HTTP: the status of a request to the host.
ASK = """
import json, urllib.error, urllib.request
request = urllib.request.Request({url!r}, data={data!r}, headers={headers!r}, method={method!r})
try:
    with urllib.request.urlopen(request, timeout=20) as response:
        answer = [response.status, response.read().decode()]
except urllib.error.HTTPError as error:
    answer = [error.code, error.read().decode()]
"""

#: What a guest runs to go to another's socket: the statuses of the requests that the contract has.
AT_SOCKET = """
answer = []
for line in ("GET /ping", "POST /invocations", "GET /ws"):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect({path!r})
        secret = "X-Outlast-Secret: {secret}\\r\\n" if {secret!r} else ""
        peer.sendall((line + " HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n" + secret + "\\r\\n{{}}").encode())
        answer.append(int(peer.makefile("rb").readline().split()[1]))
"""

#: A guest that asks the task manager.
PRYING = TASKS.replace("[agents.tasks]", "[agents.prying]").replace("tasks.py", "prying.py")

SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@pytest.mark.parametrize("users", ["off", OWN_USERS])
def test_a_guest_that_asks_the_host(hosts: Hosts, users: str) -> None:
    """A guest that lists, reads, invokes or stops another session over HTTP is refused, and learns nothing of it."""
    host = hosts.start(PLAIN + TASKS, users=users)
    mine, other = session_id(), session_id()
    pid = host.invoke("plain", {}, other)["pid"]
    task = host.invoke("tasks", {"do": "start", "word": "secret"}, other)["task"]["taskId"]

    def ask(method: str, path: str, data: bytes | None = None, **headers: str) -> Any:
        code = ASK.format(url=host.address + path, data=data, headers=headers, method=method)
        return host.invoke("plain", {"python": code}, mine)["python"]

    attempts = [
        ("GET", "/sessions", None, {}),
        ("GET", f"/sessions/plain/{other}", None, {}),
        ("POST", f"/sessions/plain/{other}/stop", b"", {}),
        ("POST", "/runtimes/plain/invocations", b"{}", {SESSION: other}),
        ("POST", "/runtimes/plain/stopruntimesession", b"{}", {SESSION: other}),
        ("GET", f"/runtimes/tasks/tasks/{task}", None, {SESSION: other}),
        ("GET", "/runtimes/tasks/tasks", None, {SESSION: other}),
    ]
    for method, path, data, headers in attempts:
        status, text = ask(method, path, data, **headers)
        assert status == 403, (method, path, status, text)
        assert "secret" not in text
        assert other not in text
    assert host.invoke("plain", {}, other)["pid"] == pid


@pytest.mark.parametrize("users", ["off", OWN_USERS])
def test_what_a_guest_is_told(hosts: Hosts, users: str) -> None:
    """A guest's environment has nothing of the host's own but what was allowed, and a folder of its own."""
    host = hosts.start(
        PLAIN.replace("environment =", 'pass_environment = ["ALLOWED"]\nenvironment ='),
        users=users,
        variables={
            "ALLOWED": "passed on",
            "OPENAI_API_KEY": "the-hosts-own",
            "AWS_SECRET_ACCESS_KEY": "the-hosts-own",
            "OUTLAST_TOKEN": "the-hosts-own",
            "OUTLAST_WORKER_TOKEN": "the-hosts-own",
        },
    )
    answer = host.invoke("plain", {"env": True, "fds": True, "python": "import os; answer = os.getcwd()"}, session_id())
    environment = answer["env"]
    assert environment["ALLOWED"] == "passed on"
    assert "the-hosts-own" not in environment.values()
    assert "sqlite" not in str(environment)
    assert environment["HOME"] == answer["python"]
    assert not [target for target in answer["fds"].values() if target.startswith(str(hosts.folder))]
    other = host.invoke("plain", {"python": "import os; answer = os.getcwd()"}, session_id())
    assert other["python"] != answer["python"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give sessions users of their own")
def test_users_of_their_own(hosts: Hosts) -> None:
    """Each session runs as a user of its own, who can neither read another's folder and memory nor end its process."""
    host = hosts.start(PLAIN, users="auto")
    first, second = session_id(), session_id()
    pid = host.invoke("plain", {}, first)["pid"]
    folder = host.invoke("plain", {"python": "import os; answer = os.getcwd()"}, first)["python"]
    assert user(pid) != user(host.invoke("plain", {}, second)["pid"])
    assert user(pid) != 0
    for code in (
        f"import os; answer = os.listdir({folder!r})",
        f"answer = open('/proc/{pid}/environ').read()",
        f"import os; answer = os.kill({pid}, 9)",
        f"answer = open({str(hosts.folder / '.outlast' / 'store' / 'host.db')!r}, 'rb').read()",
        f"answer = open({str(hosts.folder / '.outlast' / 'token')!r}).read()",
        "import os; answer = os.setuid(0)",
    ):
        with pytest.raises(ClientError) as refused:
            host.invoke("plain", {"python": code}, second)
        assert "PermissionError" in str(refused.value), code
    assert host.invoke("plain", {}, first)["pid"] == pid


@pytest.mark.parametrize("users", ["off", OWN_USERS])
def test_a_guest_at_the_socket_of_another(hosts: Hosts, users: str) -> None:
    """A guest that goes to another's socket is refused without its secret; with a user of its own it cannot connect."""
    host = hosts.start(PLAIN.replace('plain.py"]', 'plain.py", "{socket}"]'), users=users)
    mine, other = session_id(), session_id()
    victim = host.invoke("plain", {"env": True, "python": "answer = sys.argv[1]"}, other)
    own = host.invoke("plain", {"env": True}, mine)["env"]["OUTLAST_FRONT_DOOR_SECRET"]
    assert own != victim["env"]["OUTLAST_FRONT_DOOR_SECRET"]
    for secret in ("", own):
        code = AT_SOCKET.format(path=victim["python"], secret=secret)
        if users == "off":
            assert host.invoke("plain", {"python": code}, mine)["python"] == [403, 403, 403]
        else:
            with pytest.raises(ClientError) as refused:
                host.invoke("plain", {"python": code}, mine)
            assert "PermissionError" in str(refused.value)
    answer = host.invoke("plain", {}, other)
    assert (answer["pid"], answer["count"]) == (victim["pid"], 2)


def test_a_guest_that_asks_the_task_manager(hosts: Hosts) -> None:
    """A guest's tokens open its own tasks, at the socket and at the port, and nothing of other sessions and agents."""
    host = hosts.start(TASKS + PRYING, users="auto")
    mine, other = session_id(), session_id()
    own = host.invoke("prying", {"seconds": 600}, mine)["task"]["taskId"]
    theirs = [host.invoke("prying", {"seconds": 600}, other)["task"]["taskId"]]
    theirs += [host.invoke("tasks", {"do": "start", "word": "x", "seconds": 600}, mine)["task"]["taskId"]]

    def ask(address: str, token: str, *requests: tuple[str, dict[str, str]]) -> list[Any]:
        return list(host.invoke("prying", {"address": address, "token": token, "requests": requests}, mine))

    port = str(host.ready()["taskManager"])
    for way in (("", "OUTLAST_TOKEN"), ("", "OUTLAST_WORKER_TOKEN"), (port, "OUTLAST_TOKEN")):
        methods = ("GetTask", "WaitTask", "CancelTask", "RetryTask", "DeleteTask")
        answers = ask(*way, *((method, {"name": f"tasks/{task}"}) for method in methods for task in theirs))
        assert [code for code, _ in answers] == ["NOT_FOUND"] * len(answers), way
        filters: list[dict[str, str]] = [{"session_id": other}, {"agent": "tasks"}, {}]
        *empty, (_, page), (_, task) = ask(
            *way, *(("ListTasks", which) for which in filters), ("GetTask", {"name": f"tasks/{own}"})
        )
        assert empty == [["OK", {}]] * 2, way
        assert [listed["taskId"] for listed in page["tasks"]] == [own], way
        assert task["sessionId"] == mine
        new = {"agent": "prying", "task_type": "wait", "session_id": other}
        ((code, text),) = ask(*way, ("CreateTask", new))
        assert (code, "is not the session that the token is for" in text) == ("INVALID_ARGUMENT", True)
    for address in ("", port):
        assert ask(address, "", ("ListTasks", {}))[0][0] == "UNAUTHENTICATED"
    for agent, session, task_id in (("prying", other, theirs[0]), ("tasks", mine, theirs[1])):
        (shown,) = host.session(agent, session)["tasks"]
        assert (shown["taskId"], shown["state"]) == (task_id, "WORKING")
