"""Work that has to be finished once it is begun: a change that is committed is also published."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uncut(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns; a cancel that comes meanwhile takes effect when it has ended.

    A caller that hangs up, or a task manager that stops, would otherwise leave a change in the store that nobody was
    told of: no line, no bell, no command.
    """
    task = asyncio.ensure_future(work)
    canceled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            canceled = error
    if canceled is not None:
        if not task.cancelled():
            task.exception()  # seen: nobody is left who could be told
        raise canceled
    return task.result()
