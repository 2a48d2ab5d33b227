"""A line is one line of valid JSON, whatever is in it and whoever writes beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from outlast.telemetry import lines, log, output

Written = Callable[[], list[dict[str, Any]]]


class Unspeakable(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("研究 🚀", "研究 🚀"),
        ("\ud800", "\\ud800"),
        ("\x00\x1b[2J\r\n", "\x00\x1b[2J\r\n"),
        ("\x7f\x9b\u2028", "\x7f\x9b\u2028"),
        (1 << 80, str(1 << 80)),
        (float("nan"), None),
        ({1: "\udfff", "k": [1 << 63]}, {"1": "\\udfff", "k": [str(1 << 63)]}),
        (b"bytes", "b'bytes'"),
        (Unspeakable(), "<Unspeakable>"),
    ],
)
def test_poison_becomes_valid_json(capfd: pytest.CaptureFixture[str], value: object, read: object) -> None:
    """Every value is written, as UTF-8, on one line that any JSON parser reads."""
    log.get_logger().info("poison", value=value)

    text = capfd.readouterr().err
    assert len(text.splitlines()) == 1
    assert read == json.loads(text)["value"]


def test_text_stays_readable(capfd: pytest.CaptureFixture[str]) -> None:
    """What is not ASCII is not escaped."""
    lines.write("INFO", "Async task started: 研究 (ID: 1)")

    assert '"message":"Async task started: 研究 (ID: 1)"' in capfd.readouterr().err


def test_a_terminal_obeys_nothing_in_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Control characters of both sets leave escaped."""
    lines.write("INFO", "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029])))

    assert capfd.readouterr().err[:-1].isprintable()


def test_a_value_nested_without_end_is_written_all_the_same(written: Written) -> None:
    """A structure that contains itself does not stop a line."""
    endless: list[object] = []
    endless.append(endless)
    log.get_logger().info("endless", value=endless)

    assert [line["message"] for line in written()] == ["endless"]


def test_an_error_without_a_text_is_described(written: Written) -> None:
    """An exception that cannot say its message still has its type in the line."""
    log.get_logger().error("failed", error=Unspeakable())

    [line] = written()
    assert line["errorType"] == "Unspeakable"


@pytest.mark.parametrize("name", ["event", "level", "line", "method_name"])
def test_a_field_may_have_any_name(written: Written, name: str) -> None:
    """No field's name stops a line, that of a parameter inside neither."""
    log.get_logger().info("hello", **{name: "x"})  # type: ignore[arg-type]

    assert [line["message"] for line in written()] == ["hello"]


@pytest.mark.parametrize(
    ("names", "fields", "read"),
    [
        ({"level": "severity", "detail": "d"}, {"detail": 1}, {"severity": "INFO", "message": "hello", "d": 1}),
        ({"level": "message"}, {}, {"message": "INFO", "message_": "hello"}),
        ({"level": "message", "message": "level"}, {}, {"message": "INFO", "level": "hello"}),
        (
            {"level": "severity"},
            {"severity": 1, "severity_": 2, "inner": {"level": 3}},
            {"severity": "INFO", "message": "hello", "severity_": 1, "severity__": 2, "inner": {"level": 3}},
        ),
        ({"nowhere": "x"}, {"x": 1}, {"level": "INFO", "message": "hello", "x": 1}),
    ],
)
def test_keys_can_be_renamed_and_no_value_is_lost(
    written: Written, names: dict[str, str], fields: dict[str, Any], read: dict[str, Any]
) -> None:
    """A key keeps its place under its new name, which another key of the line gives up for one with an underscore."""
    output.rename_keys(names)
    try:
        output.write("INFO", "hello", fields)
        text = json.loads(output.text("INFO", "hello", fields))
    finally:
        output.rename_keys({})

    [line] = written()
    assert list(line.items())[1:] == list(read.items())
    assert list(text) == list(line)


def test_lines_of_threads_do_not_mix() -> None:
    """Eight threads that write long lines into a pipe leave whole lines only."""
    program = """
import threading
from outlast.telemetry import lines
def write(who):
    for number in range(50):
        lines.write("INFO", f"{who} {number} " + "x" * 9000)
threads = [threading.Thread(target=write, args=(who,)) for who in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, check=True, timeout=60)

    assert len({json.loads(line)["message"] for line in done.stderr.splitlines()}) == 400


@pytest.mark.parametrize(
    "break_it",
    ["import os; os.close(2)", "import sys; sys.stderr.close()", "import sys; sys.stderr = None", "pass"],
)
def test_a_standard_error_that_is_gone_harms_nobody(break_it: str) -> None:
    """A line that cannot be written is lost, and the program goes on and ends as if it had been."""
    program = f"{break_it}\nfrom outlast.telemetry import lines\nlines.write('INFO', 'x')\nprint('went on')"
    reader, writer = os.pipe()
    os.close(reader)  # a broken pipe, for the program that breaks nothing itself
    try:
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writer, timeout=60)
    finally:
        os.close(writer)

    assert (done.returncode, done.stdout) == (0, b"went on\n")


def test_a_replaced_standard_error_is_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    """A program's own stream in place of standard error gets the lines."""
    lines.write("INFO", "hello 研究")

    assert json.loads(capsys.readouterr().err)["message"] == "hello 研究"


def test_a_line_may_be_written_while_one_is_written(written: Written) -> None:
    """A value whose text writes a line itself, on the same thread, stops nothing."""

    class Chatty:
        def __str__(self) -> str:
            log.get_logger().info("inner")
            return "outer value"

    thread = threading.Thread(target=lambda: log.get_logger().info("outer", value=Chatty()))
    thread.start()
    thread.join(10)

    assert [line["message"] for line in written()] == ["inner", "outer"]


def test_structlog_of_the_program_is_left_alone() -> None:
    """A program that uses structlog itself keeps its own configuration."""
    program = """
import structlog
from outlast.telemetry import lines
lines.write("INFO", "x")
assert not structlog.is_configured()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, stderr=subprocess.DEVNULL)


def test_the_modules_that_write_lines_load_without_structlog() -> None:
    """Importing the modules that everybody imports loads neither structlog nor OpenTelemetry."""
    program = """
import sys
from outlast.telemetry import invocation_span, libraries, lines, log, propagation, task_span, task_trace, tracing
loaded = {"structlog", "orjson", "opentelemetry", "grpc", "aiohttp", "cattrs"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_lines_written_together_come_out_whole_and_in_order(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """They go out at the end of the scope, several with one call, no call longer than a pipe takes in one piece."""
    calls: list[int] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", counted)
    with log.together():
        for number in range(100):
            log.get_logger().info("line", number=number)
        assert not calls

    lines_out = capfd.readouterr().err.splitlines()
    assert [json.loads(line)["number"] for line in lines_out] == list(range(100))
    assert 1 < len(calls) < 50
    assert max(calls) <= 4_096


def test_lines_written_together_are_not_lost_by_an_error(written: Written) -> None:
    """What was written before an error is written, and the thread writes at once again behind the scope."""
    with suppress(KeyError), log.together(), log.together():
        log.get_logger().info("before")
        raise KeyError
    log.get_logger().info("behind")

    assert [line["message"] for line in written()] == ["before", "behind"]


def test_another_thread_is_not_held_up_by_lines_that_gather(written: Written) -> None:
    """Only the thread that gathers waits for the end of its scope."""
    with log.together():
        log.get_logger().info("gathered")
        other = threading.Thread(target=log.get_logger().info, args=("at once",))
        other.start()
        other.join()

    assert [line["message"] for line in written()] == ["at once", "gathered"]
