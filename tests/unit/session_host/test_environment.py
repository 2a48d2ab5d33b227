"""What a session's process finds in its environment, and what it must never find there."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.core.session import SessionKey
from outlastd.session_host.config import AgentConfig
from outlastd.session_host.environment import make_environment, passed_on
from outlastd.session_host.guest_client import Endpoint

SECRETS = {
    "OUTLAST_STORE": "postgresql://owner:password@database/tasks",
    "OUTLAST_TOKEN": "the operator's",
    "OUTLAST_TOKEN_FILE": "/token",
    "OUTLAST_WORKER_TOKEN": "all sessions'",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "secret",
    "OPENAI_API_KEY": "secret",
    "DATABASE_URL": "secret",
    "PGPASSWORD": "secret",
    "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "api-key=secret",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/key.pem",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://name:password@collector",
    "PYTHONPATH": "/host",
    "LD_PRELOAD": "/host.so",
    "SSH_AUTH_SOCK": "/agent",
}
HARMLESS = {
    "PATH": "/bin",
    "LANG": "ja_JP.UTF-8",
    "LC_TIME": "C",
    "TZ": "Asia/Tokyo",
    "SSL_CERT_FILE": "/ca.pem",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    "OTEL_TRACES_SAMPLER": "always_on",
    "OTEL_METRIC_EXPORT_INTERVAL": "5000",
    "OUTLAST_LOG_LEVEL": "DEBUG",
    "OUTLAST_LOG_CAPTURE": "1",
    "OUTLAST_LOG_KEYS": "level=severity",
    "OUTLAST_TRACE_URL": "http://jaeger/trace/{trace_id}",
}
KEY = SessionKey("agent", "a-session")
FOLDER = Path("/sessions/digest")
AT_SOCKET = Endpoint(Path("/s"), secret="door")


def environment(agent: AgentConfig, endpoint: Endpoint = AT_SOCKET, nameless: bool = False) -> dict[str, str]:
    """Return what an agent's process gets from a host that has all these variables."""
    return make_environment(
        KEY,
        agent,
        SECRETS | HARMLESS,
        folder=FOLDER,
        endpoint=endpoint,
        task_manager="unix:/tasks.sock",
        token="the session's",
        max_body_bytes=5,
        nameless=nameless,
    )


def test_nothing_of_the_hosts_is_there_that_was_not_asked_for() -> None:
    """The environment is exactly this; what the host holds beside it is not."""
    assert environment(AgentConfig(file=Path("agent.py"))) == HARMLESS | {
        "HOME": "/sessions/digest",
        "TMPDIR": "/sessions/digest",
        "PYTHONUNBUFFERED": "1",
        "OUTLAST_MAX_BODY_BYTES": "5",
        "OUTLAST_AGENT": "agent",
        "OUTLAST_SESSION": "a-session",
        "OUTLAST_TASK_MANAGER": "unix:/tasks.sock",
        "OUTLAST_TOKEN": "the session's",
        "OUTLAST_WORKER_TOKEN": "the session's",
        "OUTLAST_FRONT_DOOR_SECRET": "door",
        "OUTLAST_FRONT_DOOR_SOCKET": "/s",
        "PORT": "8080",
        "OUTLAST_SHUTDOWN_GRACE": "6",
    }


def test_the_configuration_adds_and_passes_on() -> None:
    """What it names of the host's comes, what it says itself wins, and a name that the host lacks is left out."""
    agent = AgentConfig(
        command=("agent",),
        environment={"TZ": "UTC", "HOME": "/elsewhere"},
        pass_environment=("OPENAI_API_KEY", "NOT_SET"),
    )
    found = environment(agent, Endpoint(port=4711, secret="door"), nameless=True)

    assert found["OPENAI_API_KEY"] == "secret"
    assert (found["TZ"], found["HOME"], found["TMPDIR"]) == ("UTC", "/elsewhere", "/sessions/digest")
    assert (found["PORT"], found["OUTLAST_HOST"]) == ("4711", "127.0.0.1")
    assert (found["USER"], found["LOGNAME"]) == ("outlast", "outlast")
    assert {"NOT_SET", "OUTLAST_FRONT_DOOR_SOCKET", "DATABASE_URL"} & found.keys() == set()


@pytest.mark.parametrize(("grace", "own"), [(8, "6"), (3, "1.5"), (0, "0")])
def test_an_agent_ends_before_its_grace_does(grace: float, own: str) -> None:
    """It keeps two seconds for its last steps, or half of a short grace."""
    assert environment(AgentConfig(command=("agent",), stop_grace=grace))["OUTLAST_SHUTDOWN_GRACE"] == own


@pytest.mark.parametrize(
    ("of_the_host", "of_the_session"),
    [("prometheus", "none"), ("otlp, Prometheus", "otlp"), ("otlp,console", "otlp,console"), ("none", "none")],
)
def test_the_page_for_prometheus_is_the_hosts(of_the_host: str, of_the_session: str) -> None:
    """Sessions have no listener of their own for it; the other ways of metrics are theirs too."""
    assert passed_on({"OTEL_METRICS_EXPORTER": of_the_host}) == {"OTEL_METRICS_EXPORTER": of_the_session}
