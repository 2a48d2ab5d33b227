"""Runs a program as ``python FILE`` does, with the stand-in for ``bedrock_agentcore`` first on the path."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING

from outlast.compat import compat_path
from outlast.core.errors import OutlastError, StartRefused
from outlast.loading import loading

if TYPE_CHECKING:
    from outlast.app import App


def run_program(file: Path, arguments: list[str]) -> None:
    """Run ``file`` as the main program; if it ends with one App that nobody has run, run that.

    What the program raises ends the process as it would under python: with its own traceback and exit code 1.

    Raises:
        StartRefused: the file cannot be read, or leaves open which of its apps to run.
        OutlastError: the program could not be started, or raised one.
    """
    source = _read(file)
    _prepare_path(file)
    sys.argv[:] = [str(file), *arguments]
    main = ModuleType("__main__")
    main.__file__ = str(file.absolute())
    main.__loader__ = SourceFileLoader("__main__", main.__file__)
    sys.modules["__main__"] = main
    _set_up_logs()
    try:
        _execute(compile(source, main.__file__, "exec", dont_inherit=True), main)
        if app := _app_to_run(main, file):
            app.run()
    except (SystemExit, OutlastError):
        raise
    except BaseException as error:
        sys.excepthook(type(error), error, _without_our_frames(error))
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)


def _read(file: Path) -> bytes:
    try:
        with io.open_code(str(file.absolute())) as source:
            return source.read()
    except OSError as error:
        raise StartRefused(f"cannot read {file}: {error.strerror}") from None


def _prepare_path(file: Path) -> None:
    """Put the stand-in first and the program's folder next, where python has it; children get the stand-in too."""
    standin = str(compat_path())
    if not sys.flags.safe_path:
        sys.path.pop(0)  # the folder of the outlast command, which means nothing to the program
    sys.path[:0] = [standin, str(file.resolve().parent)]
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [standin, inherited]))


def _set_up_logs() -> None:
    """Have what the program logs written as our lines, from its first one on."""
    with loading():
        from outlast.settings.model import load_settings
        from outlast.telemetry.capture import set_up_logs

    with suppress(StartRefused):  # told to whoever runs an app, which this program may never do
        set_up_logs(load_settings(), capture=True)


def _execute(code: CodeType, main: ModuleType) -> None:
    exec(code, main.__dict__)


def _app_to_run(main: ModuleType, file: Path) -> App | None:
    """Return the one App that the program defines and has not run; None when there is nothing left to run."""
    # App.run() loads the launch module, and nothing else does.
    if "outlast.app" not in sys.modules or "outlastd.launch" in sys.modules:
        return None
    from outlast.app import App

    apps = {name: value for name, value in vars(main).items() if isinstance(value, App)}
    distinct = list({id(app): app for app in apps.values()}.values())
    if len(distinct) > 1:
        raise StartRefused(f"{file} defines {len(distinct)} apps ({', '.join(apps)}): call run() on one of them")
    return distinct[0] if distinct else None


def _without_our_frames(error: BaseException) -> TracebackType | None:
    """Return the traceback as the program would have it under python."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    error.__traceback__ = traceback
    return traceback
