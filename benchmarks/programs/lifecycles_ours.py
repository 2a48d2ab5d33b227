"""Tasks that report progress three times, for outlast: an invocation starts some, and answers when all have ended.

Of progress only the newest counts until it is sent: the pause after each report lets it go out, so that each is an
event. It is outlast alone that pauses.
"""

import asyncio

from outlast import App, current_task

PAUSE = 0.1

app = App()


@app.async_task
async def research(number):
    for step in range(3):
        current_task().progress((step + 1) / 4, f"step {step + 1}")
        await asyncio.sleep(PAUSE)
    return {"answer": number}


@app.entrypoint
async def handler(payload):
    tasks = [research.start(number) for number in range(payload["tasks"])]
    return {"answers": [(await task)["answer"] for task in tasks]}


if __name__ == "__main__":
    app.run()
