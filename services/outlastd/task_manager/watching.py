"""The use cases of those who wait: for one task's end, its events, or the events of a session.

Each waits by a bell (notifier.py) and reads the store when it rings; events are told apart by their generation, or by
the store's cursor, so that nothing depends on a bell. Where a bell has the events of a task itself, and none is missing
between them and what the watcher has seen, nobody reads: a thousand watchers of one task would read a thousand times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from outlast.core.event import TaskEvent
from outlast.core.task import Task
from outlastd.stores.port import SessionEvent, TaskStore
from outlastd.task_manager.notifier import POLL_SECONDS, Notifier
from outlastd.task_manager.watch_metrics import WatchMetrics

#: Events that are read at a time for a watcher.
EVENTS_STEP = 100
#: Seconds before a session is read again after its bell has rung: a commit under way may hold events back.
HELD_BACK_SECONDS = 0.05


class Watching:
    """What can be waited for."""

    def __init__(self, store: TaskStore, notifier: Notifier, metrics: WatchMetrics | None = None) -> None:
        self._store = store
        self._notifier = notifier
        self._metrics = metrics or WatchMetrics(None)

    async def wait(self, task_id: int, seconds: float) -> Task:
        """Return a task once it is terminal, or as it stands after ``seconds``. Raises TaskNotFound."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        with self._notifier.listen(task_id) as bell:
            while True:
                bell.clear()
                task = await self._store.get(task_id)
                left = deadline - clock.time()
                if task.state.terminal or left <= 0:
                    return task
                await bell.wait(left)

    async def watch(self, task_id: int, after_generation: int) -> AsyncGenerator[TaskEvent, None]:
        """Give every event after a generation, each once and in order; end after the terminal one.

        Raises:
            TaskNotFound: also when the task is deleted meanwhile.
        """
        #: Whether the generation is one of the task's: then its terminal event is still to come.
        reached = False
        rung = False
        with self._metrics.watch("task") as watch, self._notifier.listen(task_id) as bell:
            while True:
                known = None
                if rung:
                    known = bell.take(after_generation)
                else:
                    bell.clear()
                if known is not None:
                    events = known
                else:
                    events = await self._store.events(task_id, after_generation, EVENTS_STEP)
                    watch.read(len(events), all_of_it=len(events) < EVENTS_STEP)
                for event in events:
                    after_generation = event.generation
                    yield event
                    if event.state.terminal:
                        return
                reached = reached or bool(events)
                if known is None and len(events) == EVENTS_STEP:
                    rung = False
                    continue
                if not reached:
                    task = await self._store.get(task_id)
                    if task.generation > after_generation:
                        rung = False
                        continue  # it has changed between the two reads
                    if task.state.terminal:
                        return
                    reached = task.generation == after_generation
                rung = await bell.wait()

    async def watch_session(self, session_id: str, cursor: str, agent: str) -> AsyncGenerator[SessionEvent, None]:
        """Give every event of a session's tasks after a cursor, each once, in commit order; never ends by itself.

        Raises:
            InvalidField: the cursor is none of this store's.
        """
        # After a ring the session is read a few times more, less and less often.
        again = HELD_BACK_SECONDS
        with self._metrics.watch("session") as watch, self._notifier.listen(session_id) as bell:
            while True:
                bell.clear()
                events = await self._store.session_events(session_id, cursor, EVENTS_STEP, agent=agent)
                watch.read(len(events), all_of_it=len(events) < EVENTS_STEP)
                for event in events:
                    cursor = event.cursor
                    yield event
                if len(events) == EVENTS_STEP:
                    continue
                rung = await bell.wait(again)
                again = HELD_BACK_SECONDS if events or rung else min(again * 2, POLL_SECONDS)
