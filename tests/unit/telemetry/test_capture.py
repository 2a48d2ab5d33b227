"""With the capture on, all that a process logs is our JSON, once; what a program sets up itself stays its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

PREAMBLE = "import logging, sys\nfrom outlast.telemetry import capture\n"


def errors_of(program: str, *, code: int = 0, environment: Mapping[str, str] | None = None) -> list[str]:
    """Run a program and return what it wrote to standard error: ``logging`` belongs to a whole process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OUTLAST_")}
    command = [sys.executable, "-c", PREAMBLE + program]
    done = subprocess.run(
        command, stderr=subprocess.PIPE, env={**inherited, **(environment or {})}, timeout=60, text=True
    )
    assert done.returncode == code, done.stderr
    return done.stderr.splitlines()


def lines_of(program: str, *, code: int = 0, environment: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Run a program and return the lines that it wrote, of which each is JSON."""
    return [json.loads(line) for line in errors_of(program, code=code, environment=environment)]


def messages(lines: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return what is compared."""
    return [(line["level"], line["logger"], line["message"]) for line in lines]


def test_what_is_said_when_the_process_ends() -> None:
    """Finalisers that run last of all write lines too, and so do those that fail, be they the first of the process."""
    found = lines_of("""
capture.start()
class Last:
    def __del__(self):
        logging.warning("goodbye")
        raise ValueError("ended")
last = Last()
""")

    assert [line["message"] for line in found] == ["goodbye", "an exception was ignored"]


def test_every_record_is_a_line_once() -> None:
    """basicConfig() adds nothing, the contract's logger is not heard twice, and levels of single loggers count."""
    found = lines_of("""
capture.start(); capture.start()
logging.basicConfig(level=logging.DEBUG, format="TEXT %(message)s")
logging.getLogger("a.library").info("hello %s", "there")
logging.getLogger("a.library").debug("below the level")
logging.getLogger("loud").setLevel(1)
logging.getLogger("loud").log(5, "of no name")
logging.critical("worst")
from outlast import App
App().logger.info("the program's")
from outlast.telemetry import lines
lines.write("INFO", "the contract's")
""")

    assert messages(found) == [
        ("INFO", "a.library", "hello there"),
        ("DEBUG", "loud", "of no name"),
        ("CRITICAL", "root", "worst"),
        ("INFO", "bedrock_agentcore.app", "the program's"),
        ("INFO", "bedrock_agentcore.app", "the contract's"),
    ]


def test_what_nobody_caught_is_a_line() -> None:
    """Warnings, exceptions of threads, of finalisers and of the main thread; the exit code is that of Python."""
    found = lines_of(
        """
import threading, warnings
capture.start()
class Closes:
    def __del__(self): raise OSError("in a finaliser")
warnings.warn("careful")
thread = threading.Thread(target=lambda: {}["missing"], name="mine")
thread.start(); thread.join()
thread = threading.Thread(target=sys.exit)
thread.start(); thread.join()
Closes()
raise ValueError("at last")
""",
        code=1,
    )

    warned, threads, ignored, last = found
    assert (warned["level"], warned["logger"]) == ("WARNING", "py.warnings")
    assert "UserWarning: careful" in warned["message"]
    assert (threads["errorType"], threads["thread"]) == ("KeyError", "mine")
    assert ignored["errorMessage"] == "in a finaliser"
    assert "Closes.__del__" in ignored["where"]
    assert (last["level"], last["errorType"], last["errorMessage"]) == ("ERROR", "ValueError", "at last")
    assert last["stackTrace"][-1] == "ValueError: at last\n"


def test_a_record_whose_arguments_do_not_fit_is_a_line() -> None:
    """The message is there as its author wrote it, with what is wrong with it and where."""
    [line] = lines_of('capture.start(); logging.getLogger("a").warning("%d things", "no")')

    assert (line["message"], line["errorType"]) == ("%d things", "TypeError")
    assert line["location"].startswith("<string>:<module>:")


def test_known_noise_stays_quiet() -> None:
    """What is harmless is not said, and an exporter's complaint is said once, without its traceback."""
    [line] = lines_of("""
capture.start()
from outlast.telemetry.libraries import quiet_libraries
quiet_libraries()
logging.getLogger("asyncio").error("Exception in callback PollerCompletionQueue._handle_events(<...>)")
logging.getLogger("grpc._cython.cygrpc").debug("Loaded running loop")
for _ in range(2):
    try: raise ConnectionError("refused")
    except ConnectionError: logging.getLogger("opentelemetry.exporter").exception("not exported")
""")

    assert (line["message"], "stackTrace" in line) == ("not exported (ConnectionError)", False)


def test_a_handler_of_the_programs_that_shows_a_record_stands_for_it() -> None:
    """On a logger, on the root, or in place of ours: nothing is shown twice. One that writes elsewhere is beside it."""
    found = errors_of("""
import io
from outlast import App
capture.start()
app = App()
logging.getLogger("own").addHandler(logging.StreamHandler())
logging.getLogger("own.child").warning("by its own")
from rich.console import Console
from rich.logging import RichHandler
logging.getLogger("rich").addHandler(RichHandler(console=Console(stderr=True), show_time=False, show_path=False))
logging.getLogger("rich").warning("by rich")
logging.getLogger("file").addHandler(logging.StreamHandler(io.StringIO()))
logging.getLogger("file").warning("in both")
app.logger.handlers[0].setFormatter(logging.Formatter("MINE %(message)s"))
app.logger.warning("in another form")
logging.getLogger().addHandler(logging.StreamHandler())
logging.getLogger("other").warning("by the root's")
logging.basicConfig(force=True, format="FORCED %(message)s")
logging.getLogger("other").warning("by the new root's")
""")

    assert [json.loads(line)["message"] if line.startswith("{") else line.rstrip() for line in found] == [
        "by its own",
        "WARNING  by rich",
        "in both",
        "MINE in another form",
        "by the root's",
        "FORCED by the new root's",
    ]


def test_the_contracts_lines_live_through_a_dict_config() -> None:
    """Before the App is made, its disable_existing_loggers finds no logger of the contract's, as in the original."""
    found = lines_of(
        """
import logging.config
from outlast.telemetry import lines
capture.start()
logging.config.dictConfig({"version": 1})
from outlast import App
App().logger.info("the program's")
lines.write("INFO", "the contract's")
""",
        environment={"OUTLAST_LOG_LEVEL": "INFO"},
    )

    assert [line["message"] for line in found] == ["the program's", "the contract's"]


def test_what_is_there_when_it_begins_gives_way() -> None:
    """A program that was asked for JSON by its variable has it though basicConfig() came first; its level stays."""
    found = lines_of("""
logging.basicConfig(level=logging.DEBUG)
capture.start()
logging.getLogger("a").debug("hello")
""")

    assert messages(found) == [("DEBUG", "a", "hello")]


def test_the_level_that_was_asked_for_is_the_roots() -> None:
    """OUTLAST_LOG_LEVEL counts for every record, whatever level the root had before."""
    found = lines_of(
        """
logging.getLogger().setLevel(logging.DEBUG)
capture.start()
logging.getLogger("a").info("one")
logging.getLogger("a").error("two")
""",
        environment={"OUTLAST_LOG_LEVEL": "error"},
    )

    assert messages(found) == [("ERROR", "a", "two")]


def test_the_settings_decide() -> None:
    """What a command does holds where OUTLAST_LOG_CAPTURE does not say otherwise; keys are renamed in either case."""
    program = """
from outlast.settings.model import load_settings
capture.set_up_logs(load_settings(), capture={})
logging.getLogger("a").warning("hello")
from outlast.telemetry import log
log.get_logger().info("ours")
"""
    keys = {"OUTLAST_LOG_KEYS": "level=severity"}

    for asked in (
        lines_of(program.format(True), environment=keys),
        lines_of(program.format(False), environment={**keys, "OUTLAST_LOG_CAPTURE": "1"}),
    ):
        assert [line["severity"] for line in asked] == ["WARNING", "INFO"]
    for left_alone in (
        errors_of(program.format(False)),
        errors_of(program.format(True), environment={"OUTLAST_LOG_CAPTURE": "off"}),
    ):
        assert left_alone[0] == "hello"
