"""A program that goes on after its agent has stopped."""

from typing import Any

from outlast import App

app = App()


@app.async_task
def double(number: int) -> int:
    """Return twice the number."""
    return number * 2


@app.entrypoint
def handler(payload: Any) -> int:
    """Call it in place."""
    return double(1)


if __name__ == "__main__":
    app.run()
    print(double(2), double.start(3).result(20), app.complete_async_task(app.add_async_task("by_hand")))
