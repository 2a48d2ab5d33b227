"""The constants and rules of ``runtime.models``, compared with the original's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.compat import compat_path

from .program import original


def load(package: Path) -> ModuleType:
    """Return the module of constants of a package, loaded without the package around it."""
    spec = importlib.util.spec_from_file_location("models", package / "runtime" / "models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ours, theirs = load(compat_path() / "bedrock_agentcore"), load(original())


@pytest.mark.parametrize("name", [name for name in vars(theirs) if name.isupper() and not name.startswith("__")])
def test_every_constant_is_the_originals(name: str) -> None:
    """Those with an underscore too: the real package's A2A and AG-UI apps import some."""
    assert getattr(ours, name) == getattr(theirs, name)


def test_the_restricted_headers_are_as_many() -> None:
    """The contract counts 108 names."""
    assert len(ours.RESTRICTED_HEADERS) == 108


def test_the_statuses_are_the_originals() -> None:
    """Both members, their values and what they are as text."""
    assert [(status.name, status.value, str(status)) for status in ours.PingStatus] == [
        (status.name, status.value, str(status)) for status in theirs.PingStatus
    ]


def any_case(name: str) -> st.SearchStrategy[str]:
    """Give a name with each of its letters in either case."""
    return st.tuples(*[st.sampled_from((letter.lower(), letter.upper())) for letter in name]).map("".join)


KNOWN = sorted(theirs.RESTRICTED_HEADERS) + [value for value in vars(theirs).values() if isinstance(value, str)]
PREFIXES = ["", "x-amz-", "x-amzn-", theirs.CUSTOM_HEADER_PREFIX, theirs.CUSTOM_HEADER_PREFIX[:-1], "x-amz", "x-"]
NAMES = (
    st.text()
    | st.sampled_from(KNOWN).flatmap(any_case)
    | st.builds("".join, st.tuples(st.sampled_from(PREFIXES).flatmap(any_case), st.text()))
)


@given(NAMES)
def test_the_header_rule_is_the_originals(name: str) -> None:
    """Any name, known and unknown, in any case, is forwarded exactly when the original forwards it."""
    assert ours.is_forwardable_header(name) == theirs.is_forwardable_header(name)
