"""What libraries log becomes lines, and no noise."""

from __future__ import annotations

import json
import subprocess
import sys


def lines_of(program: str) -> list[dict[str, object]]:
    """Run a program after ``quiet_libraries()`` and return what it wrote: ``logging`` belongs to a whole process."""
    preamble = "import logging\nfrom outlast.telemetry.libraries import quiet_libraries\n"
    done = subprocess.run(
        [sys.executable, "-c", preamble + program], stderr=subprocess.PIPE, check=True, timeout=60, text=True
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_librarys_error_is_a_line_with_its_logger() -> None:
    """asyncio's complaint about a user's task reaches the log, with its stack trace."""
    [line] = lines_of("""
quiet_libraries()
try: 1 / 0
except ZeroDivisionError: logging.getLogger("asyncio").exception("Task exception was never retrieved")
""")

    assert (line["level"], line["logger"], line["errorType"]) == ("ERROR", "asyncio", "ZeroDivisionError")


def test_an_exporters_complaint_is_one_line_without_a_traceback() -> None:
    """A collector that is away is news once, not with every batch."""
    found = lines_of("""
quiet_libraries()
log = logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter")
for number in range(5):
    try: raise ConnectionError("refused")
    except ConnectionError: log.exception("Failed to export %s: batch %d", "traces", number)
""")

    assert [line["message"] for line in found] == ["Failed to export traces: batch 0 (ConnectionError)"]
    assert "stackTrace" not in found[0]


def test_what_is_harmless_is_not_said() -> None:
    """Progress of libraries, and grpc's known complaint about a poller, are no lines."""
    assert (
        lines_of("""
quiet_libraries()
logging.getLogger("aiohttp.access").info("GET /ping")
logging.getLogger("asyncio").error("Exception in callback PollerCompletionQueue._handle_events(<...>)")
""")
        == []
    )


def test_a_program_that_has_set_up_logging_keeps_it() -> None:
    """With a handler of the program's own, nothing is touched."""
    [line] = lines_of("""
logging.basicConfig(format='{"mine": "%(message)s"}')
quiet_libraries()
logging.getLogger("asyncio").warning("hello")
""")

    assert line == {"mine": "hello"}


def test_a_program_that_logs_at_debug_does_not_hear_grpcs_core() -> None:
    """Which loop grpc is on, several times a request, is nobody's debugging; a level that the program sets stays."""
    program = """
logging.basicConfig(format='{"mine": "%(message)s"}', level=logging.DEBUG)
quiet_libraries()
logging.getLogger("grpc._cython.cygrpc").debug("Loaded running loop")
logging.getLogger("grpc").debug("of the program's own")
"""

    assert lines_of(program) == [{"mine": "of the program's own"}]
    asked = 'logging.getLogger("grpc._cython.cygrpc").setLevel(logging.DEBUG)\n'
    assert len(lines_of(asked + program)) == 2
