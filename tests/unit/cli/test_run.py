"""``outlast run``: a program as python would run it, with the stand-in first on its path."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from outlast.compat import compat_path

from .command import environment, outlast

#: Puts a recorder in the place of App.run, so that nothing listens.
RECORDER = """
import os
from outlast import app as module
def run(self, port=None, host=None, **options):
    import outlastd.launch
    print("ran", self.name, os.environ.get("OUTLAST_PORT"), os.environ.get("OUTLAST_STORE"))
module.App.run = run
"""


async def test_a_program_finds_what_it_finds_under_python(tmp_path: Path) -> None:
    """Name, file, arguments, folder on the path, and its modules are as ``python FILE`` has them."""
    (tmp_path / "beside.py").write_text("VALUE = 7")
    program = tmp_path / "program.py"
    program.write_text("""
import inspect, json, os, sys
import beside
def function(): pass
print(json.dumps({
    "name": __name__, "file": __file__, "argv": sys.argv, "path": sys.path[:2], "beside": beside.VALUE,
    "main": sys.modules["__main__"].function is function, "source": inspect.getsource(function),
    "children": os.environ["PYTHONPATH"],
}))
""")
    done = await outlast(
        "run", "program.py", "--port", "9000", "--", "--own", "x", cwd=tmp_path, PYTHONPATH="/elsewhere"
    )

    found = json.loads(done.out)
    assert found["name"] == "__main__"
    assert found["file"] == str(program)
    assert found["argv"] == ["program.py", "--own", "x"]
    assert found["path"] == [str(compat_path()), str(tmp_path)]
    assert found["beside"] == 7
    assert found["main"] is True
    assert found["source"] == "def function(): pass\n"
    assert found["children"] == f"{compat_path()}:/elsewhere"


async def test_options_are_variables_to_the_program(tmp_path: Path) -> None:
    """The command line wins over the environment, by setting it."""
    (tmp_path / "program.py").write_text(
        "import os; print(*[os.environ.get('OUTLAST_' + name) for name in ('PORT', 'AGENT', 'HOST', 'STORE')])"
    )
    done = await outlast(
        "run", "program.py", "--port", "9000", "--agent", "a", cwd=tmp_path, OUTLAST_PORT="1", OUTLAST_HOST="h"
    )

    assert done.out == "9000 a h None\n"


async def test_an_error_of_the_program_is_a_line(tmp_path: Path) -> None:
    """What the program raises is JSON as all that it logs, its stack begins in the program, and the exit code is 1."""
    (tmp_path / "program.py").write_text("import logging\nlogging.warning('soon')\ndef f():\n    1 / 0\nf()\n")
    done = await outlast("run", "program.py", cwd=tmp_path)

    soon, error = map(json.loads, done.err.splitlines())
    assert (done.code, soon["message"]) == (1, "soon")
    assert (error["level"], error["errorType"]) == ("ERROR", "ZeroDivisionError")
    assert f'  File "{tmp_path}/program.py", line 5, in <module>' in error["stackTrace"][1]


async def test_without_the_capture_an_error_keeps_its_traceback(tmp_path: Path) -> None:
    """With OUTLAST_LOG_CAPTURE=0 the traceback begins in the program, as under python, and the exit code is 1."""
    (tmp_path / "program.py").write_text("def f():\n    1 / 0\nf()\n")
    done = await outlast("run", "program.py", cwd=tmp_path, OUTLAST_LOG_CAPTURE="0")

    lines = done.err.splitlines()
    assert done.code == 1
    assert lines[:2] == ["Traceback (most recent call last):", f'  File "{tmp_path}/program.py", line 3, in <module>']
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "outlast/cli" not in done.err


async def test_on_a_terminal_a_syntax_error_is_shown_as_python_shows_it(tmp_path: Path) -> None:
    """Somebody who writes a program sees the line that cannot be read, and no frame of ours before it."""
    (tmp_path / "program.py").write_text("def f(:\n")
    plain = environment() | {"NO_COLOR": "1"}
    ours, terminal = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "outlast.cli", "run", "program.py", cwd=tmp_path, env=plain, stderr=terminal
        )
        code = await asyncio.wait_for(process.wait(), 60)
        shown = os.read(ours, 65_536).decode().replace("\r\n", "\n")
    finally:
        os.close(terminal)
        os.close(ours)

    assert shown.startswith(f'  File "{tmp_path}/program.py", line 1\n')
    assert code == 1


@pytest.mark.parametrize(
    ("source", "code"), [("import sys; sys.exit(7)", 7), ("raise KeyboardInterrupt", 130), ("", 0)]
)
async def test_the_exit_code_is_the_programs(tmp_path: Path, source: str, code: int) -> None:
    """sys.exit, Ctrl-C and the end of the file end the process as they would under python."""
    (tmp_path / "program.py").write_text(source)

    assert (await outlast("run", "program.py", cwd=tmp_path)).code == code


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("nope.py", "No such file or directory"),
        ("no/such.py", "No such file or directory"),
        (".", "Is a directory"),
    ],
)
async def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, file: str, why: str) -> None:
    """A typing error is told as what it is."""
    done = await outlast("run", file, cwd=tmp_path)

    assert (done.code, done.out, done.err) == (1, "", f"outlast: cannot read {file}: {why}\n")


async def test_one_app_that_nobody_runs_is_run(tmp_path: Path) -> None:
    """A program may leave out the call of run()."""
    (tmp_path / "program.py").write_text(
        RECORDER + "from outlast.app import App\nalias = app = App(); app.name = 'mine'"
    )
    done = await outlast("run", "program.py", "--port", "9000", "--store", "sqlite:///x.db", cwd=tmp_path)

    assert (done.out, done.code) == ("ran mine 9000 sqlite:///x.db\n", 0), done.err


async def test_an_app_that_the_program_runs_is_not_run_twice(tmp_path: Path) -> None:
    """What has been run by the program is left at that."""
    (tmp_path / "program.py").write_text(
        RECORDER + "from outlast.app import App\napp = App(); app.name = 'mine'; app.run()"
    )
    done = await outlast("run", "program.py", cwd=tmp_path)

    assert done.out == "ran mine None None\n", done.err


async def test_two_apps_are_a_question(tmp_path: Path) -> None:
    """Which of two apps to run is for the program to say."""
    (tmp_path / "program.py").write_text("from outlast.app import App\na, b = App(), App()")
    done = await outlast("run", "program.py", cwd=tmp_path)

    assert (done.code, done.err) == (1, "outlast: program.py defines 2 apps (a, b): call run() on one of them\n")


async def test_what_outlast_refuses_is_one_line(tmp_path: Path) -> None:
    """StartRefused from wherever it comes has no traceback; a message cannot add lines or terminal escapes."""
    (tmp_path / "program.py").write_text(
        "from outlast.core.errors import StartRefused\nraise StartRefused('no\\nway \\x1b[31mred')"
    )
    done = await outlast("run", "program.py", cwd=tmp_path)

    assert (done.code, done.err) == (1, "outlast: no way [31mred\n")


async def test_a_program_for_the_original_finds_the_stand_in(tmp_path: Path) -> None:
    """``import bedrock_agentcore`` is ours in the program, and in the processes that it starts."""
    program = "import bedrock_agentcore.runtime as runtime; print(runtime.__file__)"
    (tmp_path / "program.py").write_text(
        f"import subprocess, sys\n{program}\nsubprocess.run([sys.executable, '-c', {program!r}])"
    )
    done = await outlast("run", "program.py", cwd=tmp_path, PYTHONUNBUFFERED="1")

    assert done.out == f"{compat_path()}/bedrock_agentcore/runtime/__init__.py\n" * 2, done.err


async def test_compat_path_is_the_folder_to_put_first() -> None:
    """The printed folder provides the package."""
    done = await outlast("compat-path")

    assert done.out == f"{compat_path()}\n"
    assert (Path(done.out.strip()) / "bedrock_agentcore" / "runtime" / "__init__.py").is_file()
