"""What is refused at the start because users of their own could not reach it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from outlast.core.errors import StartRefused
from outlastd.session_host.config import AgentConfig
from outlastd.session_host.reach import check_reach


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder that everybody may enter, with one that only its owner may."""
    place = Path(tempfile.mkdtemp(prefix="outlast-reach-"))
    place.chmod(0o755)
    (place / "private").mkdir(mode=0o700)
    (place / "program").write_text("#!/bin/sh\n")
    (place / "program").chmod(0o755)
    yield place
    rmtree(place)


def agent(path: Path) -> dict[str, AgentConfig]:
    """Return the configuration of an agent that is a command."""
    return {"one": AgentConfig(command=(str(path),))}


def test_what_everybody_may_reach_is_fine(place: Path) -> None:
    """A program and a folder that are open to all."""
    check_reach(agent(place / "program"), place)


def test_a_folder_on_the_way_that_is_its_owners_only_is_named(place: Path) -> None:
    """The message says what is out of reach, at which folder, and what to do."""
    os.rename(place / "program", place / "private" / "program")

    with pytest.raises(
        StartRefused, match=r"'one' needs, .*/private/program, is .* below .*/private: .*users = \"off\""
    ):
        check_reach(agent(place / "private" / "program"), place)
    with pytest.raises(StartRefused, match=r"the folder of the host, .* name another with `folder`"):
        check_reach(agent(place / "private" / "program"), place / "private")


def test_a_program_that_others_may_not_run_is_named(place: Path) -> None:
    """Also where the path to it is a link that they may follow."""
    (place / "program").chmod(0o700)
    (place / "link").symlink_to(place / "program")

    with pytest.raises(StartRefused, match="out of their reach"):
        check_reach(agent(place / "link"), place)
