"""Asks the process of a session, which may end at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import ClientConnectorError, ClientError

from outlastd.session_host.api_error import ApiError, agent_failed
from outlastd.session_host.use import Use

T = TypeVar("T")

#: Seconds that what a process said before its end may take to arrive here; and the news of its end, after a connection.
LAST_WORDS = 1.0
_BROKEN = "The agent broke the connection off before it had answered"


async def ask(use: Use, steps: Coroutine[Any, Any, T], timeout: float) -> T:
    """Return what ``steps``, which ask the process of a session, come to.

    Raises:
        ApiError: 424 when the process ends or breaks off, 504 when it takes more than ``timeout`` seconds.
    """
    asking, ended = asyncio.ensure_future(steps), asyncio.ensure_future(use.until_ended())
    try:
        done, _ = await asyncio.wait([asking, ended], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            # Clients repeat it, and get this again: the agent has seen the request.
            raise ApiError(504, "InternalServerException", f"The agent has not answered within {timeout:g} s", ran=True)
        if asking not in done:
            await asyncio.wait([asking], timeout=LAST_WORDS)
        if not asking.done():
            raise agent_failed(ended.result())
        return asking.result()
    except (ClientError, OSError) as error:
        ran = not isinstance(error, ClientConnectorError)
        raise agent_failed(await why_broken(ended, _BROKEN), ran=ran) from error
    finally:
        asking.cancel()
        ended.cancel()
        await asyncio.wait([asking, ended])


async def why_broken(ended: asyncio.Future[str], otherwise: str) -> str:
    """Return why a session's process has ended, once that is known; ``otherwise`` when it seems to be still there."""
    await asyncio.wait([ended], timeout=LAST_WORDS)
    return ended.result() if ended.done() and not ended.cancelled() else otherwise
