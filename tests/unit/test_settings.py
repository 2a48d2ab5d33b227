"""The settings: precedence, defaults, and errors that name the variable."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from outlast.cli.options import set_variables
from outlast.core.errors import StartRefused
from outlast.settings.defaults import default_agent, default_host
from outlast.settings.model import load_settings
from outlast.settings.values import Address, parse_address, without_password


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OUTLAST_") or name in ("PORT", "DOCKER_CONTAINER"):
            monkeypatch.delenv(name)


def refusal() -> str:
    """Return why the environment is refused."""
    with pytest.raises(StartRefused) as refused:
        load_settings()
    assert "\n" not in refused.value.message
    return refused.value.message


@pytest.mark.parametrize(
    ("environment", "code", "port"),
    [
        ({}, None, None),
        ({}, 9000, 9000),
        ({"PORT": "81"}, 9000, 81),
        ({"PORT": "81", "OUTLAST_PORT": "82"}, 9000, 82),
        ({"OUTLAST_PORT": ""}, 9000, 9000),
        ({"OUTLAST_PORT": "0"}, None, 0),
    ],
)
def test_the_environment_wins_over_code(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], code: int | None, port: int | None
) -> None:
    """OUTLAST_PORT, then PORT, then the argument; None says that nobody asked."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert load_settings(port=code).port == port


def test_the_agent_and_its_store_are_the_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By default the agent is the program's stem, and its tasks are kept beside it."""
    main = ModuleType("__main__")
    main.__file__ = str(tmp_path / "trip planner.py")
    monkeypatch.setitem(sys.modules, "__main__", main)

    settings = load_settings()
    assert settings.agent == "trip planner"
    assert settings.store_path == tmp_path / ".outlast" / "trip planner.db"
    monkeypatch.setenv("OUTLAST_AGENT", "a/b:c")
    assert load_settings().store_path == tmp_path / ".outlast" / "a-b-c.db"


def test_a_package_is_named_after_its_folder() -> None:
    """``python -m package`` runs a file named __main__, which names nothing."""
    assert default_agent(Path("/srv/planner/__main__.py")) == "planner"
    assert default_agent(None) == "agent"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///tasks.db", Path.cwd() / "tasks.db"),
        ("sqlite:///data/tasks.db", Path.cwd() / "data" / "tasks.db"),
        ("sqlite:////srv/tasks.db", Path("/srv/tasks.db")),
        ("sqlite:///~/tasks.db", Path.home() / "tasks.db"),
    ],
)
def test_a_store_is_a_file(monkeypatch: pytest.MonkeyPatch, url: str, path: Path) -> None:
    """Three slashes are relative to the current folder, four are absolute."""
    monkeypatch.setenv("OUTLAST_STORE", url)

    assert load_settings().store_path == path


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("OUTLAST_PORT", "abc", "OUTLAST_PORT: write a whole number, not 'abc'"),
        ("PORT", "99999", "PORT: it should be less than 65536, not '99999'"),
        ("OUTLAST_STORE", "postgresql://db", "OUTLAST_STORE: it names no database; write postgresql://.*"),
        ("OUTLAST_STORE", "postgresql://me:a/b@db/x", "OUTLAST_STORE: what follows the host is no port; .* %2F"),
        ("OUTLAST_STORE", "tasks.db", "OUTLAST_STORE: 'tasks.db' is no store; write sqlite:///PATH.*"),
        ("OUTLAST_STORE", "sqlite:///", "OUTLAST_STORE: .*is no store.*"),
        ("OUTLAST_STORE", "sqlite:///:memory:", "OUTLAST_STORE: a store in memory would forget.*"),
        ("OUTLAST_TASK_MANAGER", "localhost", "OUTLAST_TASK_MANAGER: 'localhost' is no address.*"),
        ("OUTLAST_TASK_MANAGER_LISTEN", "::1:50", "OUTLAST_TASK_MANAGER_LISTEN: '::1:50' is no address.*"),
        ("OUTLAST_AGENT", "a\nb", "OUTLAST_AGENT: holds U\\+000A.*"),
        ("OUTLAST_ACK_TIMEOUT", "nan", "OUTLAST_ACK_TIMEOUT: 'nan' is no duration; write seconds.*"),
        ("OUTLAST_SHUTDOWN_GRACE", "-1", "OUTLAST_SHUTDOWN_GRACE: '-1' is no duration; write seconds.*"),
        ("OUTLAST_LEASE_TTL", "10ms", "OUTLAST_LEASE_TTL: '10ms' is no duration; .*"),
        ("OUTLAST_LEASE_TTL", "0.1", "OUTLAST_LEASE_TTL: it should be greater than or equal to 0.5, not 0.1"),
        ("OUTLAST_LEASE_TTL", "9000000d", "OUTLAST_LEASE_TTL: it should be less than or equal to 315360000, not .*"),
        ("OUTLAST_RETENTION", "9000000d", "OUTLAST_RETENTION: it should be less than or equal to 315360000, not .*"),
        ("OUTLAST_RETENTION", "1 week", "OUTLAST_RETENTION: '1 week' is no duration; .*"),
        ("OUTLAST_INSECURE", "maybe", "OUTLAST_INSECURE: write on or off, not 'maybe'"),
        ("OUTLAST_LOG_KEYS", "level", "OUTLAST_LOG_KEYS: 'level' renames no key; write level=severity.*"),
        ("OUTLAST_LOG_KEYS", "level=a,level=b", "OUTLAST_LOG_KEYS: 'level' is renamed twice"),
        ("OUTLAST_LOG_KEYS", "level=a,message=a", "OUTLAST_LOG_KEYS: two keys would have the same name"),
        ("OUTLAST_TRACE_URL", "jaeger:16686", "OUTLAST_TRACE_URL: 'jaeger:16686' is no URL; write http://.*"),
        ("OUTLAST_TRACE_URL", "http://j/\n", r"OUTLAST_TRACE_URL: 'http://j/\\n' is no URL; .*"),
        ("OUTLAST_TRACE_URL", "http://me:pw@j", "OUTLAST_TRACE_URL: every caller is shown it; .*"),
        ("OUTLAST_TRACE_URL", "http://j/{traceId}", "OUTLAST_TRACE_URL: {traceId} stands for nothing; .*"),
        ("OUTLAST_LOG_LEVEL", "loud", "OUTLAST_LOG_LEVEL: it should be 'DEBUG', .*"),
        ("OUTLAST_MAX_RESULT_BYTES", "1 mile", "OUTLAST_MAX_RESULT_BYTES: '1 mile' is no size; write bytes.*"),
        ("OUTLAST_PORT", "tcp://10.0.0.1:8080", "OUTLAST_PORT: Kubernetes has set it for a Service of that name; .*"),
        ("OUTLAST_MAX_BODY_BYTES", "0", "OUTLAST_MAX_BODY_BYTES: it should be greater than 0, not 0"),
        ("OUTLAST_ALLOWED_ORIGINS", "https://a, *", "OUTLAST_ALLOWED_ORIGINS: '\\*' is no origin; .*"),
        ("OUTLAST_TLS_CERT", "cert.pem", "OUTLAST_TLS_CERT and OUTLAST_TLS_KEY go together.*"),
        ("OUTLAST_TOKEN", "a b", "OUTLAST_TOKEN: a token is made of printable ASCII characters without spaces"),
        ("OUTLAST_FRONT_DOOR_SECRET", "a b", "OUTLAST_FRONT_DOOR_SECRET: a token is made of printable ASCII .*"),
        ("OUTLAST_TOKEN_FILE", "/no/such", "OUTLAST_TOKEN_FILE: /no/such cannot be read \\(No such file.*\\)"),
    ],
)
def test_what_cannot_be_taken_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    """Cause and cure in one line, whichever part of the validation it is that refuses."""
    monkeypatch.setenv(variable, value)

    told = refusal()
    assert re.fullmatch(message, told), told


def test_a_bad_argument_in_code_is_named_as_one() -> None:
    """The message does not blame a variable that is not set."""
    with pytest.raises(StartRefused, match=r"^port: write a whole number"):
        load_settings(port="http")


def test_a_token_can_be_in_a_file_and_is_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file's last line break is not part of the token, and no representation shows it."""
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    monkeypatch.setenv("OUTLAST_TOKEN_FILE", str(file))
    monkeypatch.setenv("OUTLAST_WORKER_TOKEN", "w0rker")
    monkeypatch.setenv("OUTLAST_FRONT_DOOR_SECRET", "d00r")

    settings = load_settings()
    assert (settings.token, settings.worker_token, settings.front_door_secret) == ("s3cret", "w0rker", "d00r")
    assert not {"s3cret", "w0rker", "d00r"} & set(re.split(r"\W", repr(settings)))
    monkeypatch.setenv("OUTLAST_TOKEN", "s3cret")
    assert refusal() == "OUTLAST_TOKEN and OUTLAST_TOKEN_FILE are both set: keep one"


def test_a_store_can_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file wins over a store that code names; what it holds is told without the value, and both are an error."""
    file = tmp_path / "store"
    file.write_text("postgresql://me:s3cret@db/tasks\n")
    monkeypatch.setenv("OUTLAST_STORE_FILE", str(file))

    assert load_settings(store="sqlite:///tasks.db").store == "postgresql://me:s3cret@db/tasks"
    file.write_text("postgres:me:s3cret@db/tasks")
    assert refusal().startswith("OUTLAST_STORE_FILE: it is no store; write sqlite:///PATH")
    monkeypatch.setenv("outlast_store", "sqlite:///tasks.db")
    assert refusal() == "OUTLAST_STORE and OUTLAST_STORE_FILE are both set: keep one"


def test_an_option_wins_over_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who names a store on the command line need not know where the deployment has put another one."""
    monkeypatch.setenv("OUTLAST_STORE_FILE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("OUTLAST_STORE", "")  # has monkeypatch undo what the option does

    set_variables({"OUTLAST_STORE": "sqlite:////srv/tasks.db", "OUTLAST_PORT": None})
    assert load_settings().store == "sqlite:////srv/tasks.db"


def test_origins_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas separate them; case and a slash at the end do not matter."""
    monkeypatch.setenv("OUTLAST_ALLOWED_ORIGINS", "https://Example.com/, http://localhost:3000")

    assert load_settings().allowed_origins == ("https://example.com", "http://localhost:3000")


def test_a_container_listens_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_CONTAINER is what images for the original set (contract 4.1)."""
    monkeypatch.setenv("DOCKER_CONTAINER", "1")

    assert default_host() == load_settings().host == "0.0.0.0"


def test_the_image_listens_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """OUTLAST_CONTAINER is what the image sets; an address that somebody names is the one."""
    monkeypatch.setenv("OUTLAST_CONTAINER", "1")

    assert load_settings().host == "0.0.0.0"
    assert load_settings(host="127.0.0.1").host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:50051", Address("127.0.0.1", 50051)),
        ("[::1]:1", Address("::1", 1)),
        ("localhost:0", Address("localhost", 0)),
        ("0.0.0.0:50051", Address("0.0.0.0", 50051)),
        ("127.evil.example:1", Address("127.evil.example", 1)),
        ("manager:50051", Address("manager", 50051)),
    ],
)
def test_an_address_has_two_parts(text: str, address: Address) -> None:
    """Host and port, and an IPv6 host stands in brackets."""
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15", 15), ("0.5", 0.5), ("15s", 15), ("10m", 600), ("1.5h", 5400), ("7 D", 604_800), ("0", 0)],
)
def test_durations_may_have_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    """A number alone is seconds; s, m, h and d stand for their units."""
    monkeypatch.setenv("OUTLAST_RETENTION", text)

    assert load_settings().retention == seconds


@pytest.mark.parametrize(("text", "size"), [("1000", 1000), ("100MB", 100_000_000), ("1.5 KiB", 1536)])
def test_sizes_may_have_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    """A number alone is bytes."""
    monkeypatch.setenv("OUTLAST_MAX_RESULT_BYTES", text)

    assert load_settings().max_result_bytes == size


def test_a_task_manager_may_have_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses with commas between are kept as such, without spaces and schemes."""
    monkeypatch.setenv("OUTLAST_TASK_MANAGER", "a:1, http://b:2/,unix:/run/x.sock")

    assert load_settings().task_manager == "a:1,b:2,unix:/run/x.sock"


def test_a_store_with_a_password_is_shown_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings' text nor what the log shows has the password; the store itself does."""
    monkeypatch.setenv("OUTLAST_STORE", "postgresql://me:secret@db:5432/tasks")
    settings = load_settings()

    assert settings.store == "postgresql://me:secret@db:5432/tasks"
    assert settings.store_path is None
    assert settings.shown_store == "postgresql://me:***@db:5432/tasks"
    assert without_password("postgresql://db/x?password=secret&user=me") == "postgresql://db/x?password=***&user=me"
    assert without_password("postgresql://me:sec/ret@db/x") == "postgresql://me:***@db/x"
    assert "secret" not in repr(settings)


def test_what_a_program_says_is_not_told_where_it_is_secret() -> None:
    """By the mark of the setting, which is one for all that people are shown: a store's URL may hold a password."""
    with pytest.raises(StartRefused) as refused:
        load_settings(store=b"postgresql://me:s3cret@db/tasks", token=b"s3cret", front_door_secret=5318008, port="http")

    assert str(refused.value) == (
        "port: write a whole number, not 'http'; front_door_secret: it should be a valid string; "
        "store: it should be a valid string; token: it should be a valid string"
    )
