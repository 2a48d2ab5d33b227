"""Everything that a process logs, as our JSON lines: records of ``logging``, warnings, exceptions that nobody caught.

The handler stands on the root logger before the program's first line, so that ``logging.basicConfig()`` in it finds
logging set up. What a program sets up all the same stays its own: a record that one of its handlers shows on the
console is not written here once more. What is written past ``logging`` (print, tracebacks that somebody prints, the
C core of grpc) is not touched.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from outlast.core.validation import clean_text
from outlast.telemetry import correlation, log
from outlast.telemetry.json_handler import JSONHandler
from outlast.telemetry.libraries import LibraryHandler

if TYPE_CHECKING:
    from outlast.settings.model import Settings

#: Characters at the most that are shown of an object whose finaliser has failed.
_MAX_SHOWN = 200

_log = log.get_logger()
_capturing = False


def set_up_logs(settings: Settings, *, capture: bool = False) -> None:
    """Write lines as the settings say; ``capture`` is what the command does where they do not say."""
    log.configure(level=settings.log_level, logger_name=settings.logger_name, keys=settings.log_keys)
    correlation.work_for(settings.session)
    if settings.log_capture or (capture and settings.log_capture is None):
        start()


def start() -> None:
    """Have everything that is logged from now on written as our lines; calling it again does nothing.

    What writes to the console from the root logger now, as after ``logging.basicConfig()``, gives way; the root's level
    becomes ours where the program has set none.
    """
    global _capturing
    if _capturing:
        return
    _capturing = True
    log.load_output()
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if _is_console(handler):
            root.removeHandler(handler)
    root.addHandler(CaptureHandler())
    if log.level_given() or root.level == logging.WARNING:  # logging's own default
        root.setLevel(log.threshold())
    logging.captureWarnings(True)
    _watch_main_thread()
    threading.excepthook = _thread_failed
    sys.unraisablehook = _exception_ignored


class CaptureHandler(LibraryHandler):
    """Writes every record that reaches the root logger, unless a handler of the program's shows it on the console."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, once."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            for handler in logger.handlers:
                if handler is not self and _is_console(handler):
                    return
            logger = logger.parent if logger.propagate else None
        super().emit(record)


def _is_console(handler: logging.Handler) -> bool:
    """Tell whether a handler writes to standard error or standard output."""
    if isinstance(handler, JSONHandler):
        return True
    stream = getattr(handler, "stream", None) or getattr(getattr(handler, "console", None), "file", None)  # rich's
    return stream is not None and stream in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)


def _on_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (ValueError, AttributeError):  # it is closed; there is none
        return False


def _watch_main_thread() -> None:
    shown_before = sys.excepthook

    def failed(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if _on_terminal():  # somebody is writing a program: Python shows the place best
            shown_before(kind, error, traceback)
        else:
            _log.error("the program has failed", error=error.with_traceback(traceback))

    sys.excepthook = failed


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    thread = None if args.thread is None else args.thread.name
    _log.error("a thread of the program has failed", error=args.exc_value, thread=thread)


def _exception_ignored(args: sys.UnraisableHookArgs) -> None:
    """Say what a finaliser or a callback raised; Python goes on."""
    where = f"<{type(args.object).__name__}>"
    with suppress(Exception):  # a __repr__ of somebody else's
        where = clean_text(f"{args.err_msg or 'Exception ignored in'}: {args.object!r}", _MAX_SHOWN)
    try:
        _log.error("an exception was ignored", error=args.exc_value, where=where)
    except Exception:  # the interpreter is nearly gone
        sys.__unraisablehook__(args)
