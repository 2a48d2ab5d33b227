"""Tasks that raise: started, awaited, called and tracked by hand; `{"how": NAME}`."""

import asyncio
from typing import Any

from outlast import App

app = App()
kept: set[object] = set()


class OutOfPaper(Exception):
    """What goes wrong here."""


@app.async_task
async def prints() -> None:
    """Fail after a turn of the loop."""
    await asyncio.sleep(0)
    raise OutOfPaper("the printer has no paper: 紙切れ")


@app.async_task
def prints_in_place() -> None:
    """Fail at once."""
    raise OutOfPaper("the printer has no paper: 紙切れ")


@app.async_task
def too_much() -> str:
    """Return more than is kept."""
    return "x" * (2 << 20)


@app.entrypoint
async def handler(payload: dict[str, Any]) -> str:
    """Fail in the way that the payload asks for, and answer all the same."""
    match payload["how"]:
        case "started":
            prints.start()
        case "created":
            task = asyncio.create_task(prints())
            kept.add(task)  # a reference, as asyncio asks for
            task.add_done_callback(kept.discard)
        case "awaited":
            try:
                await prints()
            except OutOfPaper as error:
                return f"caught {error}"
        case "called":
            try:
                prints_in_place()
            except OutOfPaper as error:
                return f"caught {error}"
        case "thread":
            prints_in_place.start()
        case "by_hand":
            app.complete_async_task(app.add_async_task("by_hand"), error=OutOfPaper("the printer has no paper: 紙切れ"))
        case "too_much":
            too_much.start()
    return "answered"


if __name__ == "__main__":
    app.run()
