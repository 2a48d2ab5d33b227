"""What must never be: pure functions over the history and what the store says in the end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from outlast.core.event import EventKind, TaskEvent
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task

from .history import Record


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    rule: str
    task_id: int
    why: str

    def __str__(self) -> str:
        return f"{self.rule}: task {self.task_id}: {self.why}"


@dataclass(frozen=True)
class Evidence:
    """Everything that is known once all has settled."""

    history: Sequence[Record]
    #: Every task on record, and all its events.
    tasks: Mapping[int, Task]
    events: Mapping[int, Sequence[TaskEvent]]
    #: The records of the history that name a task, by the task.
    about: Mapping[int, list[Record]] = field(init=False)

    def __post_init__(self) -> None:
        about: dict[int, list[Record]] = defaultdict(list)
        for record in self.history:
            for task_id in record.get("tasks", ()) or ([record["task"]] if "task" in record else ()):
                about[task_id].append(record)
        object.__setattr__(self, "about", about)

    def records(self, what: str, task_id: int | None = None) -> list[Record]:
        """Return the records of one kind, of one task or of all."""
        source = self.history if task_id is None else self.about.get(task_id, [])
        return [record for record in source if record["what"] == what]


def check(evidence: Evidence) -> list[Violation]:
    """Return everything that is wrong."""
    return [violation for rule in RULES for violation in rule(evidence)]


def acknowledged_and_missing(evidence: Evidence) -> Iterator[Violation]:
    """Promise 1: what an answer spoke of is on record."""
    for record in evidence.records("answered"):
        for task_id in record["tasks"]:
            if task_id not in evidence.tasks:
                yield Violation("acknowledged task missing", task_id, f"answered by {record['call']}")


def one_key_two_tasks(evidence: Evidence) -> Iterator[Violation]:
    """A repeated create is one task, whoever was told so and whatever is on record."""
    made: dict[str, set[int]] = defaultdict(set)
    for record in evidence.records("answered"):
        if record.get("key"):
            made[record["key"]].update(record["tasks"])
    for task in evidence.tasks.values():
        if task.idempotency_key:
            made[task.idempotency_key].add(task.task_id)
    for key, task_ids in made.items():
        if len(task_ids) > 1:
            yield Violation("one idempotency key, two tasks", min(task_ids), f"{key}: {sorted(task_ids)}")


def never_ended(evidence: Evidence) -> Iterator[Violation]:
    """Once all is well again every task comes to its end."""
    for task in evidence.tasks.values():
        if not task.state.terminal:
            yield Violation(
                "never ended", task.task_id, f"{task.state.name} {task.state_reason}, attempt {task.attempt}"
            )


def two_winners(evidence: Evidence) -> Iterator[Violation]:
    """Promise 2: one terminal event, the last one, and the task stands where it says."""
    for task_id, events in evidence.events.items():
        terminal = [event for event in events if event.state.terminal]
        if len(terminal) > 1:
            yield Violation("two winners", task_id, f"generations {[event.generation for event in terminal]}")
        task = evidence.tasks[task_id]
        if terminal and (
            terminal[-1] is not events[-1]
            or (task.state, task.state_reason, task.result)
            != (terminal[-1].state, terminal[-1].state_reason, terminal[-1].result)
        ):
            yield Violation("terminal state changed", task_id, f"{terminal[-1]} and then {events[-1]}; is {task}")


def terminal_state_changed(evidence: Evidence) -> Iterator[Violation]:
    """Promise 2: a terminal state that anybody was told is the one that it has in the end."""
    for what in ("saw", "told"):
        for record in evidence.records(what):
            task = evidence.tasks.get(record["task"])
            if task is None or not TaskState(record["state"]).terminal:
                continue
            now = [task.state, task.state_reason, task.generation]
            if now != [record["state"], record["reason"], record["generation"]]:
                yield Violation("terminal state changed", task.task_id, f"is {now}; was {record}")


def generations_stored(evidence: Evidence) -> Iterator[Violation]:
    """Promise 3: the events on record are 1..N, N being the task's generation."""
    for task_id, task in evidence.tasks.items():
        stored = [event.generation for event in evidence.events[task_id]]
        if stored != list(range(1, task.generation + 1)):
            yield Violation("generation missing or repeated", task_id, f"stored {stored} of {task.generation}")


def generations_seen(evidence: Evidence) -> Iterator[Violation]:
    """Promise 3: a watcher sees each generation once and in order, as it is on record; to the last, if it says so."""
    seen: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in evidence.records("saw"):
        seen[record["watcher"], record["task"]].append(record)
    for (watcher, task_id), records in seen.items():
        generations = [record["generation"] for record in records]
        if generations != list(range(1, len(generations) + 1)):
            yield Violation("generation missing or repeated", task_id, f"{watcher} saw {generations}")
            continue
        # A task that was never acknowledged, in whole, may be looked at too; then there is nothing to compare with.
        for record, event in zip(records, evidence.events.get(task_id, ()), strict=False):
            stored = [int(event.kind), int(event.state), event.state_reason, event.attempt]
            if stored != [record["kind"], record["state"], record["reason"], record["attempt"]]:
                yield Violation("generation seen otherwise", task_id, f"{watcher} saw {record}; stored {stored}")
    for record in evidence.records("watched"):
        task = evidence.tasks.get(record["task"])
        count = len(seen[record["watcher"], record["task"]])
        if task is not None and count != task.generation:
            why = f"{record['watcher']} was told the end after {count} of {task.generation}"
            yield Violation("generation missing or repeated", task.task_id, why)


def sessions_seen(evidence: Evidence) -> Iterator[Violation]:
    """Promise 3: who watches a session to the end sees every task of it, to the end."""
    last: dict[tuple[str, int], int] = {}
    for record in evidence.records("saw"):
        last[record["watcher"], record["task"]] = record["generation"]
    for record in evidence.records("watched session"):
        for task in evidence.tasks.values():
            seen = last.get((record["watcher"], task.task_id), 0)
            if task.session_id == record["session"] and seen != task.generation:
                why = f"{record['watcher']} saw {seen} of {task.generation}"
                yield Violation("generation missing or repeated", task.task_id, why)


def attempt_ran_twice(evidence: Evidence) -> Iterator[Violation]:
    """No attempt begins twice, under whatever epoch; so a task of one attempt runs once at the most."""
    for task_id in evidence.about:
        began: dict[int, list[int]] = defaultdict(list)
        for record in evidence.records("began", task_id):
            began[record["attempt"]].append(record["pid"])
        for attempt, pids in began.items():
            if len(pids) > 1:
                yield Violation("attempt ran twice", task_id, f"attempt {attempt} in the processes {pids}")
            task = evidence.tasks.get(task_id)
            if task is not None and not 1 <= attempt <= min(task.attempt, task.max_attempts):
                why = f"attempt {attempt} began, {task.attempt} of {task.max_attempts} on record"
                yield Violation("attempt not on record", task_id, why)


def attempts_stored(evidence: Evidence) -> Iterator[Violation]:
    """Attempts are counted 1, 2, 3 …, each begins once, and none does after a request to cancel."""
    for task_id, events in evidence.events.items():
        begins = [
            event.attempt
            for event in events
            if (event.kind, event.state) == (EventKind.STATE_CHANGED, TaskState.WORKING)
        ]
        if begins != list(range(1, evidence.tasks[task_id].attempt + 1)):
            yield Violation("attempt ran twice", task_id, f"the events begin the attempts {begins}")
        asked = False
        for before, after in pairwise(events):
            asked = asked or before.kind is EventKind.CANCEL_REQUESTED
            if asked and after.attempt > before.attempt:
                yield Violation("ran again after a request to cancel", task_id, f"generation {after.generation}")


def zombie_wrote(evidence: Evidence) -> Iterator[Violation]:
    """Promise 5: a result, and every piece of output, is of the attempt under which it is on record."""
    for task_id, events in evidence.events.items():
        ran = {record["attempt"]: record["pid"] for record in evidence.records("began", task_id)}
        for event in events:
            for attempt, pid in _signatures(event):
                if attempt != event.attempt or ran.get(attempt, pid) != pid:
                    why = f"generation {event.generation} of attempt {event.attempt} comes from {attempt} in {pid}"
                    yield Violation("a zombie wrote", task_id, why)


def output_lost(evidence: Evidence) -> Iterator[Violation]:
    """Output is joined, never dropped or repeated: of the attempt that completed the task all of it is on record."""
    for task_id, task in evidence.tasks.items():
        given: dict[int, list[int]] = defaultdict(list)
        for event in evidence.events[task_id]:
            for attempt, _, chunk in json.loads(event.output or b"[]"):
                given[attempt].append(chunk)
        for attempt, chunks in given.items():
            if chunks != list(range(len(chunks))):
                yield Violation("output missing or repeated", task_id, f"attempt {attempt} gave {chunks}")
        planned = _plan(evidence, task_id).get("chunks", 0)
        if task.state is TaskState.COMPLETED and len(given[task.attempt]) != planned:
            yield Violation("output missing or repeated", task_id, f"{given[task.attempt]}, planned were {planned}")


#: Why a task of the matrix may end as it does.
_REASONS: Mapping[TaskState, frozenset[str]] = {
    TaskState.COMPLETED: frozenset({""}),
    TaskState.FAILED: frozenset({"", StateReason.WORKER_LOST, StateReason.WORKER_SHUTDOWN}),
    TaskState.CANCELED: frozenset({StateReason.CANCEL_REQUESTED, StateReason.CANCEL_FORCED}),
}


def wrong_end(evidence: Evidence) -> Iterator[Violation]:
    """A task ends as its plan, a fault or a request to cancel has it, and in no other way."""
    for task_id, task in evidence.tasks.items():
        if not task.state.terminal:
            continue
        fails = _plan(evidence, task_id).get("failures", 0) >= task.attempt
        how = f"{task.state.name} {task.state_reason} after attempt {task.attempt} of {task.max_attempts}: {task.error}"
        if task.state_reason not in _REASONS.get(task.state, frozenset()):
            yield Violation("wrong end", task_id, how)
        elif task.state is TaskState.COMPLETED and fails:
            yield Violation("wrong end", task_id, f"{how}, though that attempt fails")
        elif (task.state, task.state_reason) == (TaskState.FAILED, "") and not fails:
            yield Violation("wrong end", task_id, f"{how}, though that attempt succeeds")
        elif task.state is TaskState.FAILED and task.attempt < task.max_attempts and not _asked(evidence, task_id):
            yield Violation("wrong end", task_id, f"{how}, though it has attempts left")
        elif task.state is TaskState.CANCELED and not _asked(evidence, task_id):
            yield Violation("wrong end", task_id, f"{how}, though nobody asked")


def _asked(evidence: Evidence, task_id: int) -> bool:
    return bool(evidence.records("cancels", task_id))


def _plan(evidence: Evidence, task_id: int) -> Record:
    """Return what a task was to do, as its arguments or its first record has it."""
    for record in evidence.records("began", task_id):
        plan: Record = record["plan"]
        return plan
    return {}


def _signatures(event: TaskEvent) -> Iterator[tuple[int, int]]:
    """Give the attempts and processes that an event's result, output or progress says that it comes from."""
    if event.result is not None:
        value = json.loads(event.result)
        yield value["attempt"], value["pid"]
    for attempt, pid, _ in json.loads(event.output or b"[]"):
        yield attempt, pid


RULES: Sequence[Callable[[Evidence], Iterator[Violation]]] = (
    acknowledged_and_missing,
    one_key_two_tasks,
    never_ended,
    two_winners,
    terminal_state_changed,
    generations_stored,
    generations_seen,
    sessions_seen,
    attempt_ran_twice,
    attempts_stored,
    zombie_wrote,
    output_lost,
    wrong_end,
)
