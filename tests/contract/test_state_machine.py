"""Stores do what the pure domain says, whatever happens in whatever order: two stores on one database, and a model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from outlast.core.errors import OutlastError
from outlast.core.event import Change, TaskEvent
from outlast.core.operation import Action, Finish, Operation, Start, Submit
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.state import TaskState
from outlast.core.task import Task, TaskError, TraceContext
from outlast.core.worker import Registration, Renewal
from outlastd.stores.port import TaskFilter, TaskStore

from ..postgres_server import PostgresServer
from .clock import FakeClock
from .conftest import Backend, postgres_backend, sqlite_backend
from .databases import Databases
from .making import AT, CANCELED, CHUNK, DONE, FAILED, HALF, submission
from .model import UNKNOWN, Model

T = TypeVar("T")

POLICY = replace(DEFAULT_POLICY, spans=True, max_backlog=3)
SAMPLED = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
DAY = 24 * 3600.0
SESSION = "s"

task_ids = st.integers(1, 8)
worker_ids = st.sampled_from(["w-1", "w-2", "w-3"])
sessions = st.sampled_from(["", SESSION])
graces = st.sampled_from([None, timedelta(), timedelta(seconds=3)])
#: What is added to the newest epoch that is known of a worker: mostly nothing.
ahead = st.sampled_from([0] * 9 + [-1])
task_types = st.sampled_from(["research", "cook"])
starts = st.builds(
    Start,
    task_types,
    session_id=sessions,
    input=st.sampled_from([None, b"{}"]),
    trace_context=st.sampled_from([SAMPLED, TraceContext()]),
    max_attempts=st.integers(1, 3),
    manual=st.booleans(),
)
beginnings: st.SearchStrategy[Action] = st.one_of(starts, starts, st.builds(Submit, starts, st.just("WORKER_BUSY")))
reasons = st.sampled_from(["WORKER_SHUTDOWN", "STORE_REFUSED"])
failures = reasons.map(lambda reason: Finish(TaskState.FAILED, reason, error=TaskError(10, "no", reason)))
moves = st.sampled_from([HALF, CHUNK, DONE, FAILED, FAILED, CANCELED])
goings_on: st.SearchStrategy[Action] = st.one_of(moves, failures)
submissions = st.builds(
    submission,
    task_ids,
    task_types,
    session_id=sessions,
    idempotency_key=st.sampled_from(["", "", "once"]),
    max_attempts=st.integers(1, 3),
    queue_timeout=st.sampled_from([None, timedelta(seconds=20)]),
    trace_context=st.just(SAMPLED),
)


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to the model, and compares what they say and what they hold."""

    def __init__(self, databases: Databases) -> None:
        super().__init__()
        self.databases = databases
        self.run = databases.run
        self.clock, self.stores = databases.take(POLICY)
        self.model = Model(POLICY)
        self.turn = 0
        self.sent: dict[str, list[list[Operation]]] = {}
        self.ended: dict[int, Task] = {}
        self.changed: set[int] = set()

    @property
    def store(self) -> TaskStore:
        """Return the one store and the other by turns."""
        self.turn += 1
        return self.stores[self.turn % 2]

    def same(self, expected: Callable[[], T], work: Coroutine[Any, Any, T]) -> T | None:
        """Do what the model says; None when both have refused, alike."""
        try:
            said = self.run(work)
        except OutlastError as refusal:
            with pytest.raises(type(refusal), match=f"^{re.escape(str(refusal))}$"):
                expected()
            return None
        assert said == expected()
        return said

    def same_changes(self, expected: Callable[[], Sequence[Change]], said: Sequence[Change]) -> None:
        """Compare changes of which no two concern one task, in any order."""
        wanted = {change.task.task_id: change for change in expected()}
        assert {change.task.task_id: change for change in said} == wanted
        assert len(said) == len(wanted)
        self.changed |= set(wanted)

    # -- workers ---------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """There is a worker that runs anything."""
        self.register("w-1", ("research", "cook"), "", False)

    @rule(
        worker_id=worker_ids,
        types=st.sampled_from([("research", "cook"), ("research", "cook"), ("research",), ()]),
        session_id=st.sampled_from(["", "", SESSION]),
        draining=st.sampled_from([False] * 5 + [True]),
    )
    def register(self, worker_id: str, types: tuple[str, ...], session_id: str, draining: bool) -> None:
        """A worker connects, for the first time or again."""
        said = Registration(worker_id, "agent", frozenset(types), session_id, f"/run/{worker_id}", draining)
        worker = self.run(self.store.register_worker(said))
        assert worker == self.model.register_worker(said, worker.epoch, self.clock.time)

    @rule(worker_id=worker_ids, ahead=ahead, happens=st.sampled_from(["heard", "drains", "lost", "lost"]))
    def renew_or_lose(self, worker_id: str, ahead: int, happens: str) -> None:
        """A worker is heard, or somebody has found it to be gone, under its epoch or another one."""
        epoch = self.epoch_of(worker_id) + ahead
        if happens == "lost":
            said = self.run(self.store.lose_worker(worker_id, epoch, "gone"))
            self.same_changes(lambda: self.model.lose_worker(worker_id, epoch, "gone", self.clock.time), said)
        else:
            renewal = Renewal(worker_id, epoch, draining=happens == "drains")
            self.same(lambda: self.model.renew([renewal], self.clock.time), self.store.renew([renewal]))

    @rule(worker_id=worker_ids, data=st.data(), size=st.integers(1, 6))
    def operate_more(self, worker_id: str, data: st.DataObject, size: int) -> None:
        """The same as ``operate``, which is to happen as often as all the rest."""
        self.operate(worker_id, data, size)

    @rule(worker_id=worker_ids, data=st.data(), size=st.integers(1, 6))
    def operate(self, worker_id: str, data: st.DataObject, size: int) -> None:
        """A worker sends new operations: mostly, but not only, on what it may start and on what it holds."""
        history = self.sent.setdefault(worker_id, [])
        first = max((operation.sequence for old in history for operation in old), default=0) + 1
        holds = [task.task_id for task in self.model.held(worker_id)]
        operations: list[Operation] = []
        for sequence in range(first, first + size):
            kind = data.draw(st.sampled_from(["begin", "begin", "go on", "go on", "go on", "anything"]))
            action = data.draw(beginnings if kind == "begin" else goings_on)
            free = [task_id for task_id in range(1, 9) if task_id not in self.model.tasks]
            fitting = {"begin": free, "go on": holds}.get(kind)
            task_id = data.draw(st.sampled_from(fitting) if fitting else task_ids)
            attempt = data.draw(st.integers(0, 3)) if kind == "anything" else 0
            operations.append(Operation(sequence, task_id, AT, action, attempt))
            holds.append(task_id)
        history.append(operations)
        self.send(worker_id, operations)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """A worker sends again what it has sent before, with what came after it."""
        worker_id = data.draw(st.sampled_from(sorted(self.sent)))
        history = self.sent[worker_id]
        since = data.draw(st.integers(0, len(history) - 1))
        self.send(worker_id, [operation for batch in history[since:] for operation in batch])

    def send(self, worker_id: str, operations: list[Operation]) -> None:
        """Have operations applied, and compare every change and refusal."""
        now = self.clock.time
        try:
            said = self.run(self.store.apply(worker_id, operations))
        except OutlastError as refusal:
            with pytest.raises(type(refusal)):
                self.model.apply(worker_id, operations, UNKNOWN, now)
            return
        living = {worker.worker_id: worker.epoch for worker in self.run(self.store.living_workers())}
        expected = self.model.apply(worker_id, operations, living[worker_id], now)
        assert list(said.changes) == list(expected.changes)
        assert {number: (type(error), str(error)) for number, error in said.refusals.items()} == {
            number: (type(error), str(error)) for number, error in expected.refusals.items()
        }
        self.changed |= {change.task.task_id for change in said.changes}

    @rule(worker_id=worker_ids, ahead=ahead, limit=st.integers(1, 3))
    def claim(self, worker_id: str, ahead: int, limit: int) -> None:
        """A worker is given what waits."""
        epoch = self.epoch_of(worker_id) + ahead
        said = self.run(self.store.claim(worker_id, epoch, limit))
        self.same_changes(lambda: self.model.claim(worker_id, epoch, limit, self.clock.time), said)

    # -- tasks -----------------------------------------------------------------------------------------

    @rule(task=submissions, caller=st.sampled_from(["", "anna"]))
    def create(self, task: Task, caller: str) -> None:
        """Somebody creates a task, or repeats it."""
        self.same(lambda: self.model.create(task, caller, self.clock.time), self.store.create(task, caller))
        self.changed.add(task.task_id)

    @rule(task_id=task_ids, force=st.booleans(), grace=graces)
    def cancel(self, task_id: int, force: bool, grace: timedelta | None) -> None:
        """Somebody asks to cancel."""
        self.same(
            lambda: self.model.request_cancel(task_id, force, grace, self.clock.time),
            self.store.request_cancel(task_id, force=force, grace=grace),
        )
        self.changed.add(task_id)

    @rule(
        what=st.sampled_from(["expire", "expire", "end_overdue", "delete_expired", "delete", "export", "drop"]),
        task_id=task_ids,
        spare=st.frozensets(worker_ids, max_size=1),
    )
    def clean_up(self, what: str, task_id: int, spare: frozenset[str]) -> None:
        """The reaper, the sweeper, the exporter or somebody who tidies up comes by."""
        match what:
            case "expire":
                self.expire(spare)
            case "end_overdue":
                self.end_overdue()
            case "delete_expired":
                self.delete_expired()
            case "delete":
                ended = [task.task_id for task in self.model.tasks.values() if task.state.terminal]
                gone = task_id if task_id not in self.model.tasks or not ended else ended[task_id % len(ended)]
                self.same(lambda: self.model.delete(gone), self.store.delete(gone))
            case _:
                self.export_spans(drop=what == "drop")

    @rule(seconds=st.sampled_from([0.000001, 1.0, 1.0, 3.0, 15.0, 15.0, 15.0, 60.0, DAY, 7 * DAY]))
    def time_passes(self, seconds: float) -> None:
        """The store's clock goes on."""
        self.clock.move(seconds)

    def expire(self, spare: frozenset[str]) -> None:
        """Have leases that have run out taken."""
        said = self.run(self.store.expire_workers(spare))
        self.same_changes(lambda: self.model.expire_workers(spare, self.clock.time), said)

    def end_overdue(self) -> None:
        """Have what has waited too long ended."""
        self.same_changes(lambda: self.model.end_overdue(self.clock.time), self.run(self.store.end_overdue(100)))

    def delete_expired(self) -> None:
        """Have what is kept no longer deleted."""
        self.same(lambda: self.model.delete_expired(self.clock.time), self.store.delete_expired(100))

    def export_spans(self, drop: bool) -> None:
        """Take what waits for export, and say that it is exported or not."""
        said = sorted(self.run(self.store.claim_spans(100, 10.0)), key=lambda ended: ended.task.task_id)
        expected = sorted(self.model.claim_spans(10.0, self.clock.time), key=lambda ended: ended.task.task_id)
        assert said == expected
        if drop:
            exported = [ended.task.task_id for ended in said]
            self.run(self.store.drop_spans(exported))
            self.model.drop_spans(exported)

    # -- what is always true ---------------------------------------------------------------------------

    @invariant()
    def tasks_are_those_of_the_model(self) -> None:
        """The store holds the model's tasks, newest first; a task that has ended stays as it was."""
        held = list(self.run(self.store.list(TaskFilter(), 100, full=True)))
        expected = sorted(self.model.tasks.values(), key=lambda task: (task.created_at, task.task_id), reverse=True)
        assert held == expected
        for task in held:
            assert self.ended.get(task.task_id, task) == task or task.task_id not in self.model.tasks
        self.ended = {task.task_id: task for task in held if task.state.terminal}

    @invariant()
    def events_are_those_of_the_model(self) -> None:
        """Every task's events are the model's, and count without a gap."""
        for task_id in self.changed & self.model.tasks.keys():
            events = list(self.run(self.store.events(task_id, 0, 1000)))
            assert events == self.model.events[task_id]
            assert [event.generation for event in events] == list(range(1, len(events) + 1))
        self.changed.clear()

    @invariant()
    def workers_are_those_of_the_model(self) -> None:
        """The living workers are the model's, each with an epoch that no other lease has had, and hold its tasks."""
        living = self.run(self.store.living_workers())
        epochs = [worker.epoch for worker in living]
        assert epochs == sorted(set(epochs))
        for worker in living:
            assert worker == self.model.workers[worker.worker_id]
            assert list(self.run(self.store.held(worker.worker_id, full=True))) == self.model.held(worker.worker_id)
        assert {worker.worker_id for worker in living} == {worker.worker_id for worker in self.model.living_workers()}

    @invariant()
    def cancel_requests_are_those_of_the_model(self) -> None:
        """Whoever polls for cancels finds the model's."""
        found = self.run(self.store.cancel_requests(["w-1", "w-2", "w-3"]))
        assert {task.task_id: task for task in found} == {task.task_id: task for task in self.model.cancel_requests()}

    def teardown(self) -> None:
        """Compare all events and the session's; then everything ends and expires, and nothing is left."""
        for task_id, events in self.model.events.items():
            assert list(self.run(self.store.events(task_id, 0, 1000))) == events
        self.run(self.read_session())
        self.clock.move(2 * DAY)
        self.expire(frozenset())
        self.clock.move(2 * DAY)
        self.end_overdue()
        self.tasks_are_those_of_the_model()
        self.clock.move(8 * DAY)
        self.delete_expired()
        self.tasks_are_those_of_the_model()
        assert not self.model.tasks
        assert not self.model.workers
        assert not self.run(self.store.claim_spans(100, 0.0))
        self.databases.give_back(self.clock, self.stores)

    async def read_session(self) -> None:
        """Read the session's events in pages; those of one commit come in any order, commits in theirs."""
        commits = self.model.session_events(SESSION)
        cursor = ""
        found: list[TaskEvent] = []
        async with asyncio.timeout(30):
            while len(found) < sum(map(len, commits)):  # an event may show a moment after its commit
                page = await self.store.session_events(SESSION, cursor, 5)
                found += [event.event for event in page]
                cursor = page[-1].cursor if page else cursor
        assert await self.store.session_events(SESSION, cursor, 5) == []
        pairs = iter([(event.task_id, event.generation) for event in found])
        for commit in commits:
            assert {next(pairs) for _ in commit} == set(commit)

    def epoch_of(self, worker_id: str) -> int:
        """Return the newest epoch that is known of a worker; of one that nobody knows, one that was never given."""
        worker = self.model.workers.get(worker_id)
        return 10**6 if worker is None or worker.epoch == UNKNOWN else worker.epoch


FEW = settings(
    max_examples=30,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


# Long enough to shrink what fails: it takes seconds when nothing does.
slow_to_fail = pytest.mark.timeout(600)


def drive(databases: Databases) -> None:
    """Run the machine."""
    run_state_machine_as_test(lambda: StoreMachine(databases), settings=FEW)  # type: ignore[arg-type]


@slow_to_fail
def test_sqlite(tmp_path: Path) -> None:
    """SQLite does what the domain says."""
    with Databases(lambda clock: sqlite_backend(tmp_path / uuid4().hex, clock)) as databases:
        drive(databases)


@slow_to_fail
def test_postgresql(postgres_server: PostgresServer) -> None:
    """PostgreSQL does what the domain says."""
    postgres_server.start()  # a test before may have stopped it

    def make(clock: FakeClock) -> Backend:
        return postgres_backend(postgres_server.url(postgres_server.create_database()), clock)

    with Databases(make) as databases:
        drive(databases)
