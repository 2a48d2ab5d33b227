"""What functions are recognised by."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from outlast.tasks.arguments import check_fit, to_record
from outlast.tasks.handler import takes_context


def for_type_checkers_only() -> Callable[..., Any]:
    """Return a function whose annotations name what does not exist; before 3.14 they have to be strings for that."""
    name = "Missing" if sys.version_info >= (3, 14) else "'Missing'"
    scope: dict[str, Any] = {}
    exec(compile(f"def work(topic: {name}, context: {name}): ...", "agent.py", "exec", dont_inherit=True), scope)
    function: Callable[..., Any] = scope["work"]
    return function


def test_annotations_may_name_what_only_type_checkers_know() -> None:
    """A handler takes its context, and arguments are checked and recorded, though nobody can say what they are."""
    function = for_type_checkers_only()

    assert takes_context(function)
    assert to_record(function, ["x"], {"context": 1}) == b'{"args": ["x"], "kwargs": {"context": 1}}'
    check_fit(function, ["x", 1], {})
    with pytest.raises(TypeError, match="context"):
        check_fit(function, ["x"], {})
