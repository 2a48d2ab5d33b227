"""The variables of the manifests are settings, and each role starts with them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from outlast.settings.model import Settings, load_settings
from outlast.settings.table import rows
from outlastd.session_host.config import HostConfig
from outlastd.session_host.config_file import load_config
from tests.settings_page import OPENTELEMETRY

from .manifests import BASE, FOLDER, KUSTOMIZATION, OVERLAY, ROLES, container, environment, read, shared

CONFIG = BASE / "session-host" / "outlast.toml"
#: Variables of the system's, and of the downward API's.
NO_SETTINGS = {"HOME", "TMPDIR", "POD_NAME", "POD_NAMESPACE"}


def test_every_variable_is_a_setting() -> None:
    """A misspelled one would be a warning in a log at best."""
    ours = {variable for row in rows() for variable in row.variables}
    literals = {
        literal.split("=")[0]
        for folder in (OVERLAY, FOLDER / "components" / "traces")
        for made in read(folder / KUSTOMIZATION)["configMapGenerator"]
        for literal in made["literals"]
    }
    named = {variable["name"] for role in ROLES for variable in container(role)["env"]}

    assert (named | literals | set(shared())) - NO_SETTINGS <= ours | OPENTELEMETRY


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_what_it_is_told(role: str) -> None:
    """A setting that it takes no notice of would only mislead."""
    readers = {variable: row.readers for row in rows() for variable in row.variables}

    for variable in environment(role):
        if variable.startswith("OUTLAST_"):
            assert role.replace("-", " ") in readers[variable], variable


def test_an_agent_takes_its_settings(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds its tokens, listens for the whole cluster, and keeps nothing on its own disk."""
    settings = _settings("agent", pod, monkeypatch)

    assert (settings.token, settings.worker_token) == ("a-token", "a-worker-token")
    assert (settings.agent, settings.host) == ("agent", "0.0.0.0")
    assert settings.task_manager == "outlast-task-manager:50051"
    assert settings.lease_ttl == 30


def test_a_task_manager_takes_its_settings(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file with the store's URL wins over the default that the command has."""
    settings = _settings("task-manager", pod, monkeypatch, store="sqlite:///.outlast/task-manager.db")

    assert settings.store == "postgresql://outlast:word@db:5432/outlast"
    assert (settings.token, settings.worker_token) == ("a-token", "a-worker-token")
    assert settings.task_manager_listen == "0.0.0.0:50051"


def test_a_session_host_takes_its_settings(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the operator's token, the store, and one token less than others: workers get theirs from it."""
    settings = _settings("session-host", pod, monkeypatch)

    assert settings.store == "postgresql://outlast:word@db:5432/outlast"
    assert (settings.token, settings.worker_token) == ("a-token", None)


def test_the_configuration_of_the_session_host_is_valid(tmp_path: Path) -> None:
    """It is served beyond the pod, whose operator has a token; its name is that of the pod."""
    config = _config(tmp_path)

    assert config.listen == "0.0.0.0:8080"
    assert config.name is None
    assert container("session-host")["args"] == ["host", "/etc/outlast/outlast.toml"]


def test_sessions_end_before_their_host(tmp_path: Path, pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one session may take for its end is no more than all get together."""
    graces = [agent.stop_grace for agent in _config(tmp_path).agents.values()]

    assert graces == [_settings("session-host", pod, monkeypatch).shutdown_grace]


def test_the_session_host_keeps_its_folder_in_its_volume(tmp_path: Path) -> None:
    """Below the volume's own folder: that one belongs to root, and the host sets the rights of what it keeps."""
    folder = _config(tmp_path).folder
    (volume,) = (each["mountPath"] for each in container("session-host")["volumeMounts"] if each["name"] == "sessions")

    assert folder is not None
    assert folder.parent == Path(volume)


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """Return a folder that stands for where secrets are mounted."""
    for name, secret in {
        "token": "a-token\n",
        "worker-token": "a-worker-token",
        "store": "postgresql://outlast:word@db:5432/outlast\n",
    }.items():
        (tmp_path / name).write_text(secret)
    return tmp_path


def _settings(role: str, pod: Path, monkeypatch: pytest.MonkeyPatch, store: str | None = None) -> Settings:
    """Return the settings of a role's container; ``store`` is what its command has for a default."""
    for name in [name for name in os.environ if name.startswith(("OUTLAST_", "OTEL_")) or name == "PORT"]:
        monkeypatch.delenv(name)
    for name, value in (shared() | environment(role)).items():
        monkeypatch.setenv(name, value.replace("/run/secrets/outlast", str(pod)))
    return load_settings(store=store)


def _config(folder: Path) -> HostConfig:
    """Return the configuration as the session host reads it, with a program where the image has one."""
    program = folder / "agent.py"
    program.touch()
    text, replaced = re.subn(r'"/app/agent\.py"', f'"{program}"', CONFIG.read_text("utf-8"))
    assert replaced == 1
    (folder / "outlast.toml").write_text(text)
    return load_config(folder / "outlast.toml", token=True)
