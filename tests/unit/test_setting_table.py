"""What is told of the settings: the page, and names that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attrs import fields_dict

from outlast.settings.kinds import read
from outlast.settings.model import FIELDS
from outlast.settings.table import misspelled, rows, shown
from outlastd.session_host.config import AgentConfig, AuthConfig, HostConfig, JwtConfig, KeyConfig
from tests.settings_page import OPENTELEMETRY, PAGE

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_the_page_has_every_setting() -> None:
    """Each field of the model is a row with its variable, its default, who reads it and what it means."""
    told = dict(re.findall(r"^\| `(OUTLAST_[A-Z_]+)`(?:, `PORT`)? \|(.*)\|$", PAGE, re.MULTILINE))
    for name in FIELDS:
        _, default, readers, meaning = told.pop(f"OUTLAST_{name.upper()}").split(" | ")
        assert all((default, readers, meaning.strip()))
    assert set(told) == {"OUTLAST_SESSION_HOST"}
    assert "| `OUTLAST_MAX_BODY_BYTES` | | `100MB` | agent |" in PAGE
    assert "| `OUTLAST_QUEUE_TIMEOUT` | | `1d` | task manager |" in PAGE
    assert "| `OUTLAST_TASK_MANAGER_LISTEN` | `--task-manager-listen`, `--listen` |" in PAGE


def test_a_default_is_shown_as_it_could_be_written() -> None:
    """What the page says of a time or a size means the same to the settings."""
    for row in rows():
        field = FIELDS[row.name]
        if re.fullmatch("`[0-9]+[a-zA-Z]+`", row.default):
            assert read(field.type, row.default.strip("`")) == field.default


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("retention", 7 * 86_400.0, "7d"),
        ("retention", 90.0, "90s"),
        ("retention", 0.25, "0.25s"),
        ("retention", 0.0, "0s"),
        ("max_result_bytes", 1024 * 1024, "1MiB"),
        ("max_result_bytes", 1_500_000, "1500KB"),
        ("max_result_bytes", 1234, "1234"),
        ("max_tasks", 1_000, "1000"),
        ("insecure", True, "on"),
        ("token", None, ""),
        ("allowed_hosts", ("a", "b"), "a,b"),
        ("log_keys", {"level": "severity"}, "level=severity"),
    ],
)
def test_a_value_is_shown_as_it_could_be_written(name: str, value: object, text: str) -> None:
    """Times and sizes in their largest unit, switches and lists as a variable has them."""
    assert shown(name, value) == text


def test_a_name_that_is_none_is_told_with_the_nearest() -> None:
    """A misspelled variable is found, and ours, other programs' and those of Kubernetes' Services are not."""
    ours = [variable for row in rows() for variable in row.variables]
    services = ["OUTLAST_SERVICE_HOST", "OUTLAST_PORT_8080_TCP_ADDR", "OUTLAST_TM_SERVICE_HOST", "OUTLAST_TM_PORT"]
    assert misspelled([*ours, "OUTLAST_SESSION_HOST", *services, "HOME", "outlast_store"]) == {}
    assert misspelled(["OUTLAST_TASKMANAGER", "OUTLAST_RETENTON", "OUTLAST_XYZXYZXYZ", "OUTLAST_TM_PORT"]) == {
        "OUTLAST_RETENTON": "OUTLAST_RETENTION",
        "OUTLAST_TASKMANAGER": "OUTLAST_TASK_MANAGER",
        "OUTLAST_TM_PORT": "OUTLAST_PORT",
        "OUTLAST_XYZXYZXYZ": "",
    }


def test_the_page_has_every_variable_of_opentelemetry_that_is_read() -> None:
    """Whatever the code names stands there."""
    sources = [path for root in ("runtime", "services") for path in (ROOT / root).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r'"(OTEL_[A-Z_]+[A-Z])"', path.read_text("utf-8"))}
    # Passed on to the processes of a session, which may read more than we do.
    passed_on = {"OTEL_PROPAGATORS", "OTEL_TRACES_SAMPLER_ARG"}
    assert named - OPENTELEMETRY <= passed_on


def test_the_session_hosts_page_has_every_key() -> None:
    """Each key of outlast.toml is in a table there."""
    page = (DOCS / "session-host.md").read_text("utf-8")
    told = {
        name for row in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE) for name in re.findall(r"`([a-z_]+)`", row)
    }
    keys = {name for model in (HostConfig, AgentConfig, KeyConfig, JwtConfig) for name in fields_dict(model)}
    assert keys <= told
    assert all(f"`{name}`" in page for name in fields_dict(AuthConfig))


def test_every_variable_in_the_docs_is_a_setting() -> None:
    """No page names a variable that nobody reads."""
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    named = {name for page in pages for name in re.findall(r"OUTLAST_[A-Z_]*[A-Z]", page.read_text("utf-8"))}
    assert misspelled(named) == {}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in DOCS.glob("*.md"))])
def test_a_link_leads_somewhere(page: str) -> None:
    """Every relative link of a page names a file that is there, and a heading of it."""
    text = (ROOT / page).read_text("utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, heading = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles], link
