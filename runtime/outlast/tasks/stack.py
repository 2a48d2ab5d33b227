"""Where a thread is in the code that it runs, as seen from another thread."""

from __future__ import annotations

import itertools
import linecache
import sys
from operator import attrgetter
from traceback import FrameSummary, format_list

from outlast.core.value import value

#: Entries at the most of a stack that is shown, the innermost.
_MAX_ENTRIES = 100
#: What runs an event loop, and is nobody's work.
_LOOP_MODULES = frozenset({"selectors", "threading", "outlast.tasks.loops"})
_OURS = frozenset({"outlast", "outlastd"})
_INSTALLED = ("site-packages", "dist-packages")


@value(frozen=True, slots=True)
class Call:
    """One entry of a stack."""

    filename: str
    line: int
    function: str
    module: str

    @property
    def is_users(self) -> bool:
        """Whether the code is the program's: neither Python's, nor ours, nor an installed package's."""
        if self._package in _OURS or self._package in sys.stdlib_module_names:
            return False
        return not any(folder in self.filename for folder in _INSTALLED)

    @property
    def location(self) -> str:
        """``file:function:line``, as in the contract's lines (section 4.3)."""
        return f"{self.filename}:{self.function}:{self.line}"

    @property
    def source(self) -> str:
        """The text of the line, where it can be had. May read the file."""
        return linecache.getline(self.filename, self.line).strip()

    @property
    def is_loops(self) -> bool:
        """Whether the code is what runs an event loop."""
        return self.module in _LOOP_MODULES or self._package == "asyncio"

    @property
    def _package(self) -> str:
        return self.module.partition(".")[0]


class Stack:
    """The calls that the loop of a thread is inside of, the innermost last; none while it waits for events."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = list(itertools.dropwhile(attrgetter("is_loops"), calls))

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def culprit(self) -> Call:
        """The innermost call of the program's own code, or the innermost where there is none of it."""
        return next((call for call in reversed(self._calls) if call.is_users), self._calls[-1])

    def format(self) -> list[str]:
        """Return the entries as a traceback shows them. May read files."""
        return format_list([FrameSummary(call.filename, call.line, call.function) for call in self._calls])


def stack_of(thread_id: int) -> Stack | None:
    """Return where a thread is now. Reads no files; None where Python cannot tell, or the thread has ended."""
    current_frames = getattr(sys, "_current_frames", None)
    frame = current_frames().get(thread_id) if current_frames else None
    if frame is None:
        return None
    calls: list[Call] = []
    # The thread goes on meanwhile. What is kept are names: a frame would keep the user's objects alive.
    while frame is not None and len(calls) < _MAX_ENTRIES:
        code = frame.f_code
        module = str(frame.f_globals.get("__name__", ""))
        calls.append(Call(code.co_filename, frame.f_lineno or code.co_firstlineno, code.co_name, module))
        frame = frame.f_back
    return Stack(calls[::-1])
