"""How a setting that cannot be taken is told: in words that name the variable, and never with a secret."""

from __future__ import annotations

import os
from collections.abc import Iterator

from outlast.settings.kinds import Unfit, problems


def told(name: str, variables: tuple[str, ...], error: Exception, *, secret: bool) -> Iterator[str]:
    """Return what is told of each thing that is wrong with a setting, which one of ``variables`` or code has given.

    The value of one that is ``secret`` is not among it.
    """
    first, *others = variables
    sources = (first, f"{first}_FILE", *others)
    source = next((variable for variable in sources if os.environ.get(variable)), name)
    for _, problem in problems(error):
        if not isinstance(problem, ValueError):
            raise problem
        shown = f", not {problem.value!r}" if isinstance(problem, Unfit) and not secret else ""
        yield f"{source}: {problem}{shown}"
