"""Which code a run measures."""

from __future__ import annotations

import subprocess

from benchmarks.harness.environments import ROOT

UNKNOWN = "unknown"
#: Behind the commit of a checkout that differs from it: two of these may be two different things.
CHANGED = "-changed"
#: Runs are recorded in the checkout too, which changes nothing of what is measured.
_MEASURED = ("--", ".", ":!benchmarks/results")


def commit() -> str:
    """Return the short commit of the checkout, with ``CHANGED`` where files differ from it; ``UNKNOWN`` without git."""
    try:
        return _git("rev-parse", "--short", "HEAD") + (CHANGED if _git("status", "--porcelain", *_MEASURED) else "")
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN


def since(first: str) -> str:
    """Return the commit of a run that began at ``first``: it counts as changed where the checkout is another by now."""
    return first if commit() == first else first.removesuffix(CHANGED) + CHANGED


def _git(*what: str) -> str:
    return subprocess.run(["git", *what], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
