"""The original's dictionary of running tasks, ``app._active_tasks``, on top of the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from outlast.tasks import manual
from outlast.tasks.runtime import TaskRuntime


class ActiveTasks(MutableMapping[int, dict[str, Any]]):
    """The live tasks of this process, at the moment of asking: id → name, start_time (Unix seconds), metadata.

    Some programs write into it, to be busy or to be rid of a task that nobody completes. What is put in is a task
    tracked by hand, known here by the key that it was put in under; what is taken out is completed.
    """

    def __init__(self, runtime: TaskRuntime) -> None:
        self._runtime = runtime
        #: The ids of tasks that were put in, by the program's own keys.
        self._put_in: dict[int, int] = {}

    def __getitem__(self, key: int) -> dict[str, Any]:
        task = self._runtime.ledger.get(self._put_in.get(key, key))
        if task is None:
            raise KeyError(key)
        shown: dict[str, Any] = {"name": task.task_type, "start_time": task.started_at.timestamp()}
        if task.start.metadata is not None:
            shown["metadata"] = json.loads(task.start.metadata)
        return shown

    def __setitem__(self, key: int, task: Mapping[str, Any]) -> None:
        """Track a task; a key that is there already keeps the task that it has."""
        if key not in self:
            self._put_in[key] = manual.add(self._runtime, str(task.get("name", "unknown")), task.get("metadata"))

    def __delitem__(self, key: int) -> None:
        if not manual.complete(self._runtime, self._put_in.pop(key, key)):
            raise KeyError(key)

    def __iter__(self) -> Iterator[int]:
        keys = {task_id: key for key, task_id in self._put_in.items()}
        return iter([keys.get(task.task_id, task.task_id) for task in self._runtime.ledger.live()])

    def __len__(self) -> int:
        return len(self._runtime.ledger.live())

    def __repr__(self) -> str:
        return repr(dict(self))
