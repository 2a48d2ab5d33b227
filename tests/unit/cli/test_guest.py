"""The command that a session host starts its guests with."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from .command import Done, ended, environment, outlast


async def guest(file: str, cwd: Path) -> Done:
    """Run ``file`` as a session host does until it ends."""
    return await ended(
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "outlast.cli.guest", file),
            cwd=cwd,
            env=environment() | {"OUTLAST_LOG_CAPTURE": "0"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )


@pytest.mark.parametrize(
    "source",
    [
        "import beside, sys; print(__name__, __file__, sys.argv, [path for path in sys.path if path])",
        "import bedrock_agentcore.runtime as runtime; print(runtime.__file__)",
        "def f():\n    1 / 0\nf()",
        "import sys; sys.exit(7)",
        "raise KeyboardInterrupt",
        "from outlast.core.errors import StartRefused\nraise StartRefused('no\\nway')",
        "from outlast import App\na, b = App(), App()",
    ],
)
async def test_a_guest_is_run_as_outlast_run_runs_it(tmp_path: Path, source: str) -> None:
    """Name, arguments and path, what goes wrong, and the exit code are the same."""
    (tmp_path / "program.py").write_text(source)
    (tmp_path / "beside.py").touch()
    file = str(tmp_path / "program.py")

    run = await outlast("run", file, cwd=tmp_path, OUTLAST_LOG_CAPTURE="0", PYTHONSAFEPATH="1")
    assert await guest(file, tmp_path) == run


async def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """As with ``outlast run``."""
    done = await guest("nope.py", tmp_path)

    assert (done.code, done.err) == (1, "outlast: cannot read nope.py: No such file or directory\n")


async def test_a_guest_loads_no_command_line(tmp_path: Path) -> None:
    """Every session pays for what its process loads."""
    (tmp_path / "program.py").write_text(
        "import sys; print(*{'typer', 'click', 'outlast.cli.commands'} & {*sys.modules})"
    )

    assert (await guest("program.py", tmp_path)).out == "\n"
