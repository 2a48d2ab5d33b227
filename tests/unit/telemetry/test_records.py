"""The contract's logger in ``logging``: what programs write to it and hear from it (contract section 4.3)."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from outlast import App
from outlast.context import Invocation, current_invocation
from outlast.core.task import TraceContext
from outlast.telemetry import lines, log, records
from outlast.telemetry.json_handler import JSONFormatter

Written = Callable[[], list[dict[str, Any]]]
NAME = "bedrock_agentcore.app"
TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


class Heard(logging.Handler):
    """A handler of the program's own."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.request_ids: list[str | None] = []
        self.threads: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is of interest."""
        invocation = current_invocation.get()
        self.messages.append(record.getMessage())
        self.request_ids.append(invocation.request_id if invocation else None)
        self.threads.append(threading.current_thread().name)
        self.records.append(record)


class Failing(logging.Handler):
    """A handler that raises."""

    def emit(self, record: logging.LogRecord) -> None:
        """Raise."""
        raise OSError("the disk is full")


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The logger as a new process has it, but that pytest listens at the root."""
    logger = logging.getLogger(NAME)
    before = logger.handlers[:], logger.filters[:], logger.level
    logger.handlers, logger.filters = [], []
    logger.setLevel(logging.NOTSET)
    monkeypatch.setattr(records, "_contract", records._Contract())
    monkeypatch.setattr(log, "_configuration", log._Configuration())
    yield logger
    logger.handlers, logger.filters, level = before
    logger.setLevel(level)
    logger.propagate = True


def messages(written: Written) -> list[str]:
    """Return the messages of the JSON lines."""
    return [line["message"] for line in written()]


@pytest.mark.parametrize(("debug", "level"), [(False, logging.INFO), (True, logging.DEBUG)])
def test_an_app_has_the_originals_logger(logger: logging.Logger, debug: bool, level: int) -> None:
    """One stream handler, and a level that ``debug`` decides; the second App adds nothing."""
    app = App(debug=debug)
    App(debug=not debug)

    assert app.logger is logger
    assert logger.level == level
    assert [isinstance(handler, logging.StreamHandler) for handler in logger.handlers] == [True]


def test_what_a_program_writes_is_a_line_of_ours(logger: logging.Logger, written: Written) -> None:
    """A record gets the ids of the invocation, in the documents' order, and no others of its own."""
    app = App()
    token = current_invocation.set(Invocation("r-1", "s-1", TRACE))
    try:
        app.logger.info("Hello %s", "there", extra={"ignored": 1})
        app.logger.debug("not heard")
    finally:
        current_invocation.reset(token)

    [line] = written()
    assert list(line) == ["timestamp", "level", "message", "logger", "requestId", "sessionId", "traceId", "spanId"]
    assert (line["level"], line["message"], line["logger"]) == ("INFO", "Hello there", NAME)


def test_an_exception_that_a_program_logs_is_told(logger: logging.Logger, written: Written) -> None:
    """The four error fields follow; the location is where the program wrote the record."""
    app = App()
    try:
        raise KeyError("topic")
    except KeyError:
        app.logger.exception("Oh")

    [line] = written()
    assert list(line)[4:] == ["errorType", "errorMessage", "stackTrace", "location"]
    assert (line["errorType"], line["errorMessage"]) == ("KeyError", "'topic'")
    assert "test_records.py:test_an_exception_that_a_program_logs_is_told:" in line["location"]


def test_a_renamed_logger_is_renamed_in_the_json_only(logger: logging.Logger, written: Written) -> None:
    """OUTLAST_LOGGER_NAME is what the key says; the logger of ``logging`` keeps its name."""
    app = App()
    log.configure(logger_name="my.agent")
    app.logger.info("one")
    logging.getLogger(f"{NAME}.child").info("two")

    assert [line["logger"] for line in written()] == ["my.agent", f"{NAME}.child"]


def test_the_contracts_lines_obey_the_logger(logger: logging.Logger, written: Written) -> None:
    """Its level counts for the runtime's own lines, and so does ``debug``."""
    App(debug=True)
    lines.debug("Invoking handler: %s", "f")
    logger.setLevel(logging.ERROR)
    lines.write("WARNING", "quiet")
    lines.write("ERROR", "loud")

    assert messages(written) == ["Invoking handler: f", "loud"]


def test_a_level_that_was_asked_for_wins(
    logger: logging.Logger, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With OUTLAST_LOG_LEVEL the App leaves the level as it is."""
    monkeypatch.setenv("OUTLAST_LOG_LEVEL", "warning")
    monkeypatch.setattr(log, "_configuration", log._Configuration())
    app = App(debug=True)

    lines.write("INFO", "one")
    app.logger.info("two")
    app.logger.warning("three")

    assert messages(written) == ["three"]


def test_a_handler_of_the_programs_hears_every_line(logger: logging.Logger, written: Written) -> None:
    """It gets a proper record, in the context of the line, and the JSON is written once."""
    App()
    heard = Heard()
    logger.addHandler(heard)
    error = ValueError("no")

    lines.write("ERROR", "Invocation failed (100%)", invocation=Invocation("r-1"), error=error)

    [record] = heard.records
    assert (record.name, record.levelname, record.getMessage()) == (NAME, "ERROR", "Invocation failed (100%)")
    assert record.exc_info == (ValueError, error, None)
    assert heard.request_ids == ["r-1"]
    assert [line["errorMessage"] for line in written()] == ["no"]


def test_a_handler_above_hears_every_line(logger: logging.Logger) -> None:
    """Records go up to the root, where ``logging.basicConfig`` and pytest put their handlers."""
    App()
    heard = Heard()
    logging.getLogger().addHandler(heard)
    try:
        lines.write("INFO", "one")
        logger.propagate = False
        lines.write("INFO", "two")
    finally:
        logging.getLogger().removeHandler(heard)

    assert heard.messages == ["one"]


def test_who_has_a_handler_before_the_app_gets_no_json(logger: logging.Logger, written: Written) -> None:
    """As in the original the App then adds none, and the level is not touched."""
    heard = Heard()
    logger.addHandler(heard)
    logger.setLevel(logging.INFO)
    App(debug=True)

    lines.debug("not heard")
    lines.write("INFO", "heard")

    assert (heard.messages, written()) == (["heard"], [])


def test_a_filter_of_the_programs_counts(logger: logging.Logger, written: Written) -> None:
    """A filter on the logger or on our handler keeps lines out."""
    App()
    logger.addFilter(lambda record: "secret" not in record.getMessage())
    logger.handlers[0].addFilter(lambda record: "quiet" not in record.getMessage())

    for message in ("secret", "quiet", "plain"):
        lines.write("INFO", message)

    assert messages(written) == ["plain"]


def test_our_handler_can_be_given_another_form(logger: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    """A formatter of the program's decides how every line looks."""
    App()
    logger.handlers[0].setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.handlers[0].setStream(sys.stderr)  # type: ignore[attr-defined]

    lines.write("INFO", "one")

    assert capfd.readouterr().err == "INFO one\n"


def test_our_formatter_can_be_given_to_another_handler(logger: logging.Logger) -> None:
    """It makes the same JSON of a record, the line's own fields among it."""
    App()
    heard = Heard()
    logger.addHandler(heard)
    lines.write("INFO", "one", invocation=Invocation("r-1", "s-1"), detail=1)

    line = json.loads(JSONFormatter().format(heard.records[0]))

    assert list(line) == ["timestamp", "level", "message", "logger", "requestId", "sessionId", "detail"]


def test_a_handler_that_fails_is_no_harm(logger: logging.Logger, written: Written) -> None:
    """What it raises is told in a line, and nothing else comes of it."""
    App()
    logger.addHandler(Failing())

    lines.write("INFO", "one")

    told = written()
    assert [line["message"] for line in told] == ["one", "a log handler of the program's has failed"]
    assert told[1]["errorMessage"] == "the disk is full"


async def test_on_the_services_loop_handlers_run_elsewhere(logger: logging.Logger, written: Written) -> None:
    """A handler that blocks does not hold up who writes, nor our own lines; the order is kept."""
    App()
    heard, release = Heard(), threading.Event()
    logger.addHandler(heard)
    heard.addFilter(lambda record: release.wait(30))
    undo = records.hand_over_from_here()
    try:
        for message in ("one", "two"):
            lines.write("INFO", message, invocation=Invocation("r-1"))
        await records.heard(0.01)
        assert (messages(written), heard.messages) == (["one", "two"], [])

        release.set()
        await records.heard(30)
    finally:
        await asyncio.to_thread(undo, 5.0)

    assert (heard.messages, heard.request_ids, set(heard.threads)) == (["one", "two"], ["r-1"] * 2, {"outlast-log"})


def test_without_an_app_every_line_is_written(logger: logging.Logger, written: Written) -> None:
    """A task manager alone writes its JSON, whatever the logger says."""
    logger.setLevel(logging.ERROR)

    lines.write("INFO", "one")

    assert messages(written) == ["one"]


@pytest.mark.parametrize("set_up", ["", "logging.basicConfig(level=logging.INFO, format='%(message)s')\n"])
def test_no_line_comes_twice_unless_the_program_wants_it(set_up: str) -> None:
    """In a plain process each line is one line of JSON; ``basicConfig`` adds its own of each, as in the original."""
    program = (
        f"import logging\n{set_up}from outlast import App\nfrom outlast.telemetry import lines\n"
        "app = App()\napp.logger.info('one')\nlines.write('INFO', 'two')"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    told = ran.stderr.splitlines()
    assert [json.loads(line)["message"] for line in told if line.startswith("{")] == ["one", "two"]
    assert [line for line in told if not line.startswith("{")] == (["one", "two"] if set_up else [])
