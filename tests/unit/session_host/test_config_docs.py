"""What people read of the configuration is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attrs import AttrsInstance, fields_dict

from outlastd.session_host import strict
from outlastd.session_host.config import AgentConfig, AuthConfig, HostConfig, JwtConfig, KeyConfig
from outlastd.session_host.config_file import load_config

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "session-host.md").read_text("utf-8")


@pytest.mark.parametrize("table", [HostConfig, AgentConfig, AuthConfig, KeyConfig, JwtConfig])
def test_every_key_is_explained(table: type[AttrsInstance]) -> None:
    """A key that is added has to be added to the page."""
    named = set(re.findall(r"`([a-z0-9_]+)`", PAGE))

    assert set(fields_dict(table)) - named == set()


def test_the_page_names_no_key_that_is_not_there() -> None:
    """A key that is renamed or removed has to go from the tables."""
    tables = re.findall(r"^\| key \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    rows = "\n".join(line.split("|")[1] for table in tables for line in table.splitlines()[2:] if line)
    known = {name for table in (HostConfig, AgentConfig, KeyConfig, JwtConfig) for name in fields_dict(table)}

    assert len(tables) == 4
    assert set(re.findall(r"`([a-z0-9_]+)`", rows)) <= known


def test_the_limits_of_strict_are_those_of_the_page() -> None:
    """Numbers that are written twice are compared."""
    told = PAGE[PAGE.index("## Strict") : PAGE.index("## Limits")]

    for limit in (strict.MAX_PAYLOAD, strict.MAX_CHUNK, strict.MAX_FRAMES, strict.MAX_BEGUN):
        assert f"{limit:,}" in told
    assert (strict.MAX_FRAME, strict.MAX_ENVIRONMENT) == (64 * 1024, 4 * 1024)
    assert (strict.MAX_ANSWER, strict.MAX_STREAM, strict.MAX_IDLE, strict.MAX_AGE) == (900, 3_600, 900, 28_800)


def test_the_example_can_be_read() -> None:
    """It is what people begin with."""
    config = load_config(ROOT / "examples" / "host" / "outlast.toml")

    assert list(config.agents) == ["counter"]
    assert config.agents["counter"].idle_timeout == 300
