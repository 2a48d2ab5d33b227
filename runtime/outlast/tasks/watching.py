"""A watch that outlives the connection: opened again where it broke off, it gives every event once (promise 3)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio

from outlast.tasks.pauses import Pauses

#: What a task manager says for good. Whatever else ends a call may be over in a moment: a restart, a replica that
#: drains, a proxy's time limit.
FINAL = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)

Answer = TypeVar("Answer")
Position = TypeVar("Position")
Answer_co = TypeVar("Answer_co", covariant=True)


class Call(Protocol[Answer_co]):
    """A call that answers many times, as ``grpc.aio`` has it."""

    async def read(self) -> Answer_co | Any:
        """Return the next answer, or ``grpc.aio.EOF``; raise grpc.aio.AioRpcError when the call has failed."""
        ...

    def cancel(self) -> bool:
        """End the call."""
        ...


async def watch(
    open_at: Callable[[Position], Call[Answer]],
    position: Position,
    position_of: Callable[[Answer], Position],
    on_break: Callable[[grpc.aio.AioRpcError], None],
) -> AsyncGenerator[Answer, None]:
    """Give what a watch answers after ``position``, each once, until it ends, however often a call breaks off.

    ``on_break`` hears of every outage once. Whoever listens closes the generator when it has heard enough.

    Raises:
        grpc.aio.AioRpcError: the task manager says no, and would again.
    """
    pauses = Pauses()
    broken = False
    while True:
        call = open_at(position)
        try:
            while (answer := await call.read()) is not grpc.aio.EOF:
                position = position_of(answer)
                pauses.over()
                broken = False
                yield answer
            return
        except grpc.aio.AioRpcError as error:
            if error.code() in FINAL:
                raise
            if not broken:
                on_break(error)
            broken = True
        finally:
            call.cancel()
        await pauses.pause()
