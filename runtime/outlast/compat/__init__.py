"""For programs written for the original: what stands in for ``bedrock_agentcore`` when outlast runs them.

Nothing is installed under that name. The folder that ``compat_path`` returns, first on the module search path, provides
the package; ``outlast run`` puts it there.
"""

from __future__ import annotations

from pathlib import Path


def compat_path() -> Path:
    """Return the folder to put first on the module search path."""
    return Path(__file__).parent / "standin"
