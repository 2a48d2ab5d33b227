"""The warning about variables that are no settings."""

from __future__ import annotations

import json
import os

import pytest

from outlastd.launch.strange_variables import warn_of_strange_variables


def test_one_line_names_them_and_what_was_meant(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each with the nearest setting and without its value; where all are known there is no line."""
    for name in list(os.environ):
        if name.startswith("OUTLAST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OUTLAST_PORT", "8080")
    warn_of_strange_variables()
    assert capfd.readouterr().err == ""

    monkeypatch.setenv("OUTLAST_TOKN", "s3cret")
    monkeypatch.setenv("OUTLAST_XYZXYZXYZ", "1")
    warn_of_strange_variables()
    line = json.loads(capfd.readouterr().err)
    assert (line["level"], line["message"]) == ("WARNING", "variables of the environment are no settings")
    assert line["variables"] == ["OUTLAST_TOKN (did you mean OUTLAST_TOKEN?)", "OUTLAST_XYZXYZXYZ"]
