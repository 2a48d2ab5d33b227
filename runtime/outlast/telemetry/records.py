"""The contract's logger in ``logging``, which programs write to and listen to (contract section 4.3).

The contract's lines obey its level and reach every handler that a record of it would reach. While nobody but our own
handler listens, no record is made of them: that is the fast way. Handlers of the program's own may block, so on the
services' loop a record is handed over to the thread ``outlast-log``; on any other thread they run in place.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from outlast.context import Invocation, current_invocation
from outlast.telemetry import log
from outlast.telemetry.correlation import Origin
from outlast.telemetry.handover import Handover
from outlast.telemetry.json_handler import FIELDS, WRITTEN, JSONHandler
from outlast.telemetry.log import CONTRACT_LOGGER_NAME, Level

_log = log.get_logger()


class _Contract:
    """The logger, our handler of it, and the thread for the handlers of others."""

    def __init__(self) -> None:
        self.logger = logging.getLogger(CONTRACT_LOGGER_NAME)
        self.handler = JSONHandler()
        #: Whether there is an App: without one the logger says nothing, and every line is written.
        self.attached = False
        #: The threads of services' loops, on which user code never runs.
        self.services_threads: set[int] = set()
        self.handover: Handover | None = None

    def ours_listens(self) -> bool:
        """Whether our handler gets every record of the logger, and is as we have made it."""
        return not self.logger.filters and self.handler in self.logger.handlers and self.handler.untouched

    def others_listen(self) -> bool:
        """Whether a record would reach a handler that is not ours."""
        logger: logging.Logger | None = self.logger
        while logger is not None:
            for handler in logger.handlers:
                if not isinstance(handler, JSONHandler):
                    return True
            logger = logger.parent if logger.propagate else None
        return False

    def hand_over(self, call: Callable[[], None]) -> None:
        """Have ``call`` made on the thread for handlers of others."""
        if self.handover is None:
            self.handover = Handover(
                "outlast-log",
                dropped="lines are not handed on: a log handler of the program's is too slow",
                failed="a line could not be handed on",
            )
        self.handover.put(call)


_contract = _Contract()


def attach(debug: bool) -> logging.Logger:
    """Return the logger of an App, with our handler where it has none yet, as the original does it.

    The level is then DEBUG or INFO, unless OUTLAST_LOG_LEVEL says otherwise.
    """
    contract = _contract
    contract.attached = True
    contract.logger.disabled = False  # by a dictConfig() of the program's, which found it here already
    if not contract.logger.handlers:
        contract.logger.addHandler(contract.handler)
        if not log.level_given():
            contract.logger.setLevel(logging.DEBUG if debug else logging.INFO)
    return contract.logger


def enabled(level: Level) -> bool:
    """Return whether a line of the contract of this level is written."""
    return _contract.logger.isEnabledFor(log.NUMBERS[level]) if _contract.attached else log.enabled(level)


def write(
    level: Level, message: str, fields: dict[str, Any], origin: Origin | None, error: BaseException | None = None
) -> None:
    """Write a line that is enabled, and have everybody hear it who listens. ``fields`` go out in their order.

    From any thread; never raises.
    """
    contract = _contract
    try:
        direct = not contract.attached or contract.ours_listens()
        if direct:
            log.write(level, message, fields)
            if not contract.attached or not contract.others_listen():
                return
        tell = partial(_tell, level, message, {FIELDS: fields, WRITTEN: direct}, origin, error, time.time())
        if threading.get_ident() in contract.services_threads:
            contract.hand_over(tell)
        else:
            tell()
    except (MemoryError, RecursionError):  # the caller has other worries than its line
        return


def listened() -> bool:
    """Return whether a handler that is not ours would hear of a line."""
    return _contract.attached and _contract.others_listen()


def hand_over_from_here() -> Callable[[float], None]:
    """Never run handlers of the program's own on the calling thread from now on: it is a services' loop's.

    What is returned undoes it, once they have heard what waits or a deadline, in seconds, is over; it blocks.
    """
    contract, thread = _contract, threading.get_ident()
    contract.services_threads.add(thread)

    def undo(deadline_seconds: float) -> None:
        contract.services_threads.discard(thread)
        if not contract.services_threads and contract.handover is not None:
            handover, contract.handover = contract.handover, None
            handover.close(deadline_seconds)

    return undo


def unheard() -> bool:
    """Return whether some handler of the program's own has not heard every line yet."""
    handover = _contract.handover
    return handover is not None and not handover.idle


async def heard(timeout_seconds: float) -> None:
    """Return once the program's own handlers have heard every line so far, or the time is over.

    So that whoever got an answer finds in his log what was written before it.
    """
    handover = _contract.handover
    if handover is None or not unheard():
        return
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done.set)

    handover.put(tell)
    try:
        async with asyncio.timeout(timeout_seconds):
            await done.wait()
    except TimeoutError:
        return


def _tell(
    level: Level,
    message: str,
    extra: dict[str, object],
    origin: Origin | None,
    error: BaseException | None,
    created: float,
) -> None:
    """Make a record and let it go the way of every record, in the context of what the line is about.

    Factories, filters and formatters are the program's own, and may ask for the request id.
    """
    if origin is not None and not isinstance(origin, Invocation):
        origin = Invocation(origin.request_id, origin.session_id, origin.trace_context)
    raised = (type(error), error, error.__traceback__) if error is not None else None
    token = current_invocation.set(origin)
    try:
        logger = _contract.logger
        record = logger.makeRecord(
            logger.name, log.NUMBERS[level], __file__, 0, message, (), raised, func="write", extra=extra
        )
        record.created = created
        record.msecs = created % 1 * 1000 // 1
        logger.handle(record)
    except Exception as failure:
        if logging.raiseExceptions:
            _log.warning("a log handler of the program's has failed", error=failure)
    finally:
        current_invocation.reset(token)
