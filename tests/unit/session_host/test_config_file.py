"""What a session host is told: read from a file, or made for one program."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from textwrap import dedent

import pytest
from attrs import fields_dict

from outlast.core.errors import StartRefused
from outlast.settings.kinds import read
from outlastd.session_host.config import AgentConfig, AuthConfig, HostConfig, JwtConfig, KeyConfig
from outlastd.session_host.config_file import config_for, load_config
from outlastd.session_host.config_machine import DEFAULT_USERS, parse_users
from outlastd.session_host.config_values import agent_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what configurations name: ``agent.py``, ``card.json``, ``ca.pem``, ``secret`` and ``empty``."""
    for name, content in {
        "agent.py": "",
        "card.json": "{}",
        "ca.pem": "",
        "secret": " s3cret\n",
        "empty": "\n",
    }.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    """Write a configuration."""
    path = folder / "outlast.toml"
    path.write_text(dedent(text), "utf-8")
    return path


def test_everything_can_be_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key is taken, durations and sizes with their units, paths relative to the file."""
    monkeypatch.setenv("KEY_OF_CI", "a secret")
    (folder / "bin").mkdir()
    (folder / "bin" / "serve").write_text("")
    (folder / "bin" / "serve").chmod(0o755)
    path = write(
        folder,
        """
        listen = "0.0.0.0:9000"
        name = "machine-1"
        folder = "state"
        store = "sqlite:///state/host.db"
        task_manager_listen = "127.0.0.1:50052"
        users = "off"
        strict = true
        public_url = "https://agents.example.com"
        max_body_bytes = "1.5 MiB"
        max_requests = 10
        max_starting = 2
        ping_interval = 0.5
        ping_timeout = "1s"
        invocation_timeout = "1h"
        repeat_seconds = 0
        repeat_bytes = "10kB"
        session_retention = "1d"

        [agents.research]
        file = "agent.py"
        runtime = "original"
        python = "bin/serve"
        directory = "."
        environment = { MODEL = "small" }
        pass_environment = ["HOME"]
        forward_headers = ["X-Tenant", "Authorization"]
        agent_card = "card.json"
        commands = true
        idle_timeout = "2m"
        max_lifetime = 3600
        start_timeout = "10s"
        stop_grace = 0
        unhealthy_after = "5s"
        max_sessions = 5
        max_memory = "512MB"
        max_open_files = 256
        max_processes = 64

        [agents.other]
        command = ["./bin/serve", "--port", "{port}", "${other}"]

        [auth]
        region = "eu-west-1"

        [[auth.keys]]
        name = "ci"
        access_key = "AKIDCI"
        secret_variable = "KEY_OF_CI"
        operator = true

        [[auth.keys]]
        name = "app"
        access_key = "AKIDAPP"
        secret_file = "secret"
        agents = ["research"]
        session_prefix = "app-"
        user = "ann"

        [auth.jwt]
        issuer = "https://id.example.com"
        audience = "agents"
        jwks_url = "https://id.example.com/keys"
        jwks_ca = "ca.pem"
        algorithms = ["EdDSA"]
        user_claim = "email"
        session_prefix_claim = "tenant"
        operator_claim = "role"
        operator_value = "admin"
        """,
    )

    config = load_config(path)

    research, other = config.agents["research"], config.agents["other"]
    assert (config.folder, config.store) == (folder / "state", f"sqlite:///{folder}/state/host.db")
    assert (config.max_body_bytes, config.repeat_bytes, config.session_retention) == (1_572_864, 10_000, 86_400)
    assert (research.file, research.python) == (folder / "agent.py", folder / "bin" / "serve")
    assert (research.directory, research.agent_card) == (folder, folder / "card.json")
    assert (research.idle_timeout, research.max_lifetime, research.max_memory) == (120, 3600, 512_000_000)
    assert other.command == (str(folder / "bin" / "serve"), "--port", "{port}", "${other}")
    assert [key.read_secret() for key in config.auth.keys] == ["a secret", "s3cret"]
    data = tomllib.loads(path.read_text("utf-8"))
    auth = data["auth"]
    tables = {HostConfig: [data], AgentConfig: data["agents"].values(), AuthConfig: [auth]}
    for kind, said in {**tables, KeyConfig: auth["keys"], JwtConfig: [auth["jwt"]]}.items():
        given = {name for table in said for name in table}
        assert set(fields_dict(kind)) <= given, "a key that this test does not give"


def test_little_has_to_be_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defaults are the contract's, and what the host keeps is beside the file wherever it is started from."""
    path = write(folder, "[agents.a]\nfile = 'agent.py'\n")
    monkeypatch.chdir("/")

    config = load_config(Path(os.path.relpath(path)))

    agent = config.agents["a"]
    assert (agent.file, agent.idle_timeout, agent.max_lifetime) == (folder / "agent.py", 900, 28_800)
    assert (agent.start_timeout, agent.stop_grace, agent.max_sessions) == (120, 8, 1_000)
    assert (config.listen, config.folder, config.store) == ("127.0.0.1:8080", folder / ".outlast", None)


def test_a_program_may_be_where_the_agent_finds_it(folder: Path) -> None:
    """Its PATH is the host's, or its own."""
    (folder / "serve").write_text("")
    (folder / "serve").chmod(0o755)
    text = f"[agents.a]\ncommand = ['serve']\nenvironment = {{ PATH = '{folder}' }}\n"

    assert load_config(write(folder, text)).agents["a"].command == ("serve",)


def test_a_short_life_is_idle_no_longer(folder: Path) -> None:
    """Where only the lifetime is given, and is shorter than the idle timeout, it is both (contract section 2.6)."""
    path = write(folder, "[agents.a]\nfile = 'agent.py'\nmax_lifetime = '1m'\n")

    assert load_config(path).agents["a"].idle_timeout == 60


def test_what_is_given_beside_the_file_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is not given; a part of the address leaves the other part; a store is relative to where one stands."""
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    path = write(folder, "listen = '127.0.0.2:81'\nstrict = false\n[agents.a]\nfile = 'agent.py'\n")

    assert load_config(path, port=0).listen == "127.0.0.2:0"
    assert load_config(path, host="::1", strict=None).listen == "[::1]:81"
    assert load_config(path, strict=True).strict
    assert load_config(path, store="sqlite:///x.db").store == f"sqlite:///{folder}/here/x.db"
    assert load_config(path, store="postgresql://a@b/c").store == "postgresql://a@b/c"
    with pytest.raises(StartRefused, match=r"^store: 'x' is no store"):
        load_config(path, store="x")


def test_a_program_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent is named after the program, which is found from where one stands."""
    monkeypatch.chdir(folder)

    config = config_for(Path("agent.py"), port=9000, idle_timeout="2m", max_lifetime="1h", strict=True)

    assert (config.listen, config.folder, config.strict) == ("127.0.0.1:9000", folder / ".outlast", True)
    assert list(config.agents) == ["agent"]
    agent = config.agents["agent"]
    assert (agent.file, agent.idle_timeout, agent.max_lifetime) == (folder / "agent.py", 120, 3600)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("agent", "agent"),
        ("trip planner", "trip-planner"),
        ("7up", "agent-7up"),
        ("é", "agent--"),
        ("a" * 200, "a" * 100),
    ],
)
def test_every_program_has_a_name_that_agents_may_have(stem: str, name: str) -> None:
    """What no agent may be called is replaced."""
    assert agent_name(stem) == name
    assert name in read(HostConfig, {"agents": {name: {"file": "x.py"}}}).agents


def test_a_program_is_refused_by_what_was_given() -> None:
    """There is no file to name a line of."""
    with pytest.raises(StartRefused, match=r"^agents.nothing.file: /.*/nothing.py cannot be read \(No such file"):
        config_for(Path("nothing.py"))


def test_others_are_served_only_with_credentials(folder: Path) -> None:
    """Beyond loopback there are keys, bearer tokens, or the operator's own token."""
    path = write(folder, "listen = '0.0.0.0:80'\n[agents.a]\nfile = 'agent.py'\n")

    with pytest.raises(StartRefused, match=r"outlast.toml:1: listen: nobody but this machine .* configure .*auth.keys"):
        load_config(path)
    with pytest.raises(StartRefused, match=r"^listen: nobody but this machine"):
        config_for(folder / "agent.py", host="::")
    assert load_config(path, token=True).listen == "0.0.0.0:80"
    assert load_config(path, host="localhost").listen == "localhost:80"


def test_in_a_container_others_are_served(folder: Path) -> None:
    """Where neither the file nor anybody else says where to listen; the port may be said, and a token is wanted."""
    silent = write(folder, "[agents.a]\nfile = 'agent.py'\n")

    assert load_config(silent, container=True, token=True).listen == "0.0.0.0:8080"
    assert load_config(silent, container=True, token=True, port=9).listen == "0.0.0.0:9"
    assert config_for(folder / "agent.py", container=True, token=True).listen == "0.0.0.0:8080"
    assert load_config(silent, container=True, host="127.0.0.1").listen == "127.0.0.1:8080"
    with pytest.raises(StartRefused, match=r"others can reach 0\.0\.0\.0:8080: set OUTLAST_TOKEN"):
        load_config(silent, container=True)
    named = write(folder, "listen = '127.0.0.1:80'\n[agents.a]\nfile = 'agent.py'\n")
    assert load_config(named, container=True).listen == "127.0.0.1:80"


def test_a_configuration_in_code_is_not_looked_up() -> None:
    """Only reading a file looks at this machine: parts of the host are tested with programs that are not there."""
    config = HostConfig(agents={"a": AgentConfig(file=Path("no.py"))})

    assert config.agents["a"].file == Path("no.py")


@pytest.mark.parametrize("text", ["61184-65519", "1000-1000"])
def test_users_are_numbers_from_to(text: str) -> None:
    """The last one is among them."""
    first, last = map(int, text.split("-"))

    assert parse_users(text) == range(first, last + 1)


def test_users_of_their_own_are_roots_to_give() -> None:
    """``auto`` is none for an ordinary user's host, and ``off`` for everybody's."""
    assert parse_users("off") is None
    assert parse_users("auto") == (DEFAULT_USERS if os.geteuid() == 0 else None)


def test_what_is_no_file_of_text_is_refused(folder: Path) -> None:
    """A missing file, a folder, one that is too large, and bytes that are no text, with their line."""
    with pytest.raises(StartRefused, match=r"^cannot read .*no.toml: No such file or directory$"):
        load_config(folder / "no.toml")
    with pytest.raises(StartRefused, match=r"^cannot read .*: Is a directory$"):
        load_config(folder)
    (folder / "large.toml").write_bytes(b"#" * 1_048_577)
    with pytest.raises(StartRefused, match=r"large.toml is over 1,048,576 bytes$"):
        load_config(folder / "large.toml")
    (folder / "latin.toml").write_bytes(b"# 1\n# \xe9\n")
    with pytest.raises(StartRefused, match=r"latin.toml:2: this is no UTF-8 text$"):
        load_config(folder / "latin.toml")
