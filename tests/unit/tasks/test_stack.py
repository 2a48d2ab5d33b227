"""Which line of a stack is named."""

from __future__ import annotations

import linecache
import sys
import threading
from pathlib import Path

import pytest

from outlast.tasks.stack import Call, Stack, stack_of

from .conftest import PATIENCE

HANDLER = Call("/srv/agent.py", 7, "handler", "__main__")
PACKAGE = Call("/srv/.venv/lib/python3.13/site-packages/requests/api.py", 59, "request", "requests.api")
STANDARD = Call("/usr/lib/python3.13/socket.py", 850, "create_connection", "socket")
OURS = Call("/opt/outlast/runtime/outlast/tasks/entrypoints.py", 150, "_invoke", "outlast.tasks.entrypoints")
LOOP = [
    Call("/usr/lib/python3.13/threading.py", 1012, "run", "threading"),
    Call("/opt/outlast/runtime/outlast/tasks/loops.py", 110, "_run", "outlast.tasks.loops"),
    Call("/usr/lib/python3.13/asyncio/base_events.py", 1999, "_run_once", "asyncio.base_events"),
]
WAITING = Call("/usr/lib/python3.13/selectors.py", 468, "select", "selectors")


@pytest.mark.parametrize("inner", [[], [PACKAGE], [STANDARD], [PACKAGE, STANDARD], [OURS, STANDARD]])
def test_the_program_s_own_line_is_named(inner: list[Call]) -> None:
    """Of what blocks, the innermost line of the program is named: not where a library waits for it."""
    assert Stack([*LOOP, OURS, HANDLER, *inner]).culprit is HANDLER


def test_without_a_line_of_the_program_the_innermost_is_named() -> None:
    """A program that is an installed package, or a callback of a library's: then it is the line that runs."""
    assert Stack([*LOOP, OURS, PACKAGE, STANDARD]).culprit is STANDARD


def test_a_loop_that_waits_for_events_is_inside_of_nothing() -> None:
    """The loop's own frames are nobody's work; a handler that waits in the same function is inside of it."""
    assert not Stack([*LOOP, WAITING])
    assert Stack([*LOOP, OURS, HANDLER, WAITING]).culprit is HANDLER


def test_a_thread_is_seen_where_it_is(tmp_path: Path) -> None:
    """File, function and line of a thread that waits are those that it waits in; its source is shown."""
    program = tmp_path / "program.py"
    program.write_text("def wait(entered, gate):\n    entered.set()\n    gate.wait()  # here\n")
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(program.read_text(), str(program), "exec"), names)
    entered, gate = threading.Event(), threading.Event()
    thread = threading.Thread(target=names["wait"], args=(entered, gate))  # type: ignore[arg-type]
    thread.start()
    assert entered.wait(PATIENCE)
    try:
        assert thread.ident is not None
        stack = stack_of(thread.ident)
        while stack is not None and stack.culprit.line != 3:  # it leaves the line before
            stack = stack_of(thread.ident)
        assert stack is not None
        assert stack.culprit.location == f"{program}:wait:3"
        assert stack.culprit.source == "gate.wait()  # here"
        assert f'  File "{program}", line 3, in wait\n    gate.wait()  # here\n' in stack.format()
    finally:
        gate.set()
        thread.join(PATIENCE)
        linecache.clearcache()


def test_a_python_that_cannot_tell_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of other threads are CPython's to show, and those of a thread that has ended are gone."""
    assert stack_of(-1) is None
    monkeypatch.delattr(sys, "_current_frames")
    assert stack_of(threading.get_ident()) is None
