"""``outlast host``: help that teaches, and what is refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from .command import outlast


async def test_the_help_teaches() -> None:
    """Every option, with its variable where it has one, and examples to copy."""
    done = await outlast("host", "--help")

    assert done.code == 0
    for option in ("--port", "--host", "--store", "--strict", "--idle-timeout", "--max-lifetime"):
        assert option in done.out
    for variable in ("OUTLAST_PORT, PORT", "OUTLAST_HOST", "OUTLAST_STORE"):
        assert f"[{variable}]" in " ".join(done.out.split())
    assert "outlast host agent.py --port 9000 --idle-timeout 2m" in done.out
    assert "curl" in done.out


async def test_without_a_file_there_has_to_be_a_configuration(tmp_path: Path) -> None:
    """An empty folder is a command that cannot be meant."""
    done = await outlast("host", cwd=tmp_path)

    assert done.code == 2
    assert "name one, as there is no outlast.toml in this folder" in " ".join(done.err.split())


@pytest.mark.parametrize("arguments", [(), ("outlast.toml",)])
async def test_a_configuration_is_refused_by_its_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """One line on standard error, also for the file that was not named."""
    (tmp_path / "outlast.toml").write_text("\nlistn = '127.0.0.1:80'\n[agents.a]\ncommand = ['sh']\n")

    done = await outlast("host", *arguments, cwd=tmp_path)

    assert (done.code, done.out) == (1, "")
    assert done.err == "outlast: outlast.toml:2: listn: there is no such key; did you mean listen?\n"


@pytest.mark.parametrize("option", ["--idle-timeout", "--max-lifetime"])
async def test_times_on_the_command_line_are_for_a_program(tmp_path: Path, option: str) -> None:
    """A configuration has several agents, and says for each how its sessions live."""
    (tmp_path / "outlast.toml").write_text("[agents.a]\ncommand = ['sh']\n")

    done = await outlast("host", "outlast.toml", option, "5m", cwd=tmp_path)

    key = option[2:].replace("-", "_")
    assert done.code == 2
    assert f"a configuration says for each agent what its {key} is" in " ".join(done.err.split())


async def test_a_program_is_refused_by_what_is_wrong(tmp_path: Path) -> None:
    """There is no line to name, so the option is."""
    (tmp_path / "agent.py").write_text("")

    missing = await outlast("host", "no.py", cwd=tmp_path)
    times = await outlast("host", "agent.py", "--idle-timeout", "2h", "--max-lifetime", "1h", cwd=tmp_path)
    store = await outlast("host", "agent.py", "--store", "x", cwd=tmp_path)
    open_to_all = await outlast("host", "agent.py", "--host", "0.0.0.0", cwd=tmp_path)

    assert (missing.code, times.code, store.code, open_to_all.code) == (1, 1, 1, 1)
    assert missing.err.endswith("/no.py cannot be read (No such file or directory)\n")
    assert times.err.endswith(": idle_timeout must be less than or equal to max_lifetime\n")
    assert store.err.startswith("outlast: OUTLAST_STORE: 'x' is no store")
    assert open_to_all.err.startswith("outlast: listen: nobody but this machine is served without credentials")
