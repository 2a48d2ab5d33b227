"""Values that break stores: kept byte for byte, or refused whole; never changed and never in anybody's way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from outlast.core.errors import StoreRefused, TaskNotFound
from outlast.core.operation import Action, Finish, Operation, Output, Report, Start
from outlast.core.state import TaskState
from outlast.core.task import Progress, TaskError, TraceContext
from outlast.core.task_id import MAX_TASK_ID
from outlastd.stores.port import TaskFilter, TaskStore

from .making import AT, DONE, START, operations, register, submission

JSON = {
    "empty": b"",
    "null": b"null",
    "nul in a string": b'"\\u0000"',
    "nul byte": b'"\x00"',
    "lone surrogate": b'"\\ud800"',
    "surrogate bytes": b'"\xed\xa0\x80"',
    "not UTF-8": b"\xff\xfe\x00",
    "NaN": b"[NaN, Infinity, -Infinity]",
    "big integer": b"1" * 5000,
    "many decimals": b"0.1000000000000000055511151231257827",
    "repeated key": b'{"a": 1, "a": 2}',
    "SQL": b"'); DROP TABLE tasks; --",
    "1 MiB": b'"' + b"x" * (1024 * 1024) + b'"',
}
TEXT = {
    "empty": "",
    "newlines": "a\r\nb\u2028c",
    "SQL": "'; DROP TABLE tasks; -- ? :name @x $1 %s {0}",
    "wildcards": "100%_\\",
    "beyond the BMP": "😀\U0010fffd",
    "combining": "e\u0301 \u202e",
    "digits": "0123",
    "long": "ü" * 1024,
}


@pytest.mark.parametrize("value", JSON.values(), ids=JSON)
async def test_json_is_bytes(store: TaskStore, value: bytes) -> None:
    """JSON of users comes back byte for byte, whatever it says."""
    await register(store, "worker")

    applied = await store.apply(
        "worker",
        operations(1, Start("t", metadata=value, input=value), Output(value), Finish(TaskState.COMPLETED, "", value)),
    )

    task = await store.get(1)
    events = await store.events(1, 0, 10)
    assert applied.changes[-1].task == task
    assert (value, value, value) == (task.metadata, task.input, task.result)
    assert (value, value) == (events[1].output, events[2].result)


@pytest.mark.parametrize("value", TEXT.values(), ids=TEXT)
async def test_text_survives(store: TaskStore, value: str) -> None:
    """Any Unicode text comes back as it was, and can be filtered by."""
    worker = await register(store, value, value, value, lock_path=value, session_id=value)
    start = Start(
        value,
        session_id=value,
        request_id=value,
        trace_context=TraceContext(value, value),
        labels={value: value},
    )
    end = Finish(TaskState.FAILED, value, error=TaskError(2, value, value))

    applied = await store.apply(value, operations(1, start, Report(Progress(None, value, AT)), end))

    assert applied.changes[-1].task == await store.get(1)
    assert [change.event for change in applied.changes] == await store.events(1, 0, 10)
    assert [task.task_id for task in await store.list(TaskFilter(session_id=value, agent=value), 10)] == [1]
    assert [replace(worker, applied_sequence=3)] == await store.living_workers()


async def test_nul(store: TaskStore) -> None:
    """A NUL, which not every database can hold, comes back as it was, or is refused whole."""
    await register(store, "worker")
    start = Start("a\x00b", session_id="\x00")

    try:
        await store.apply("worker", operations(1, start))
    except StoreRefused:
        with pytest.raises(TaskNotFound):
            await store.get(1)
    else:
        task = await store.get(1)
        assert (start.task_type, start.session_id) == (task.task_type, task.session_id)


async def test_nul_in_text(store: TaskStore) -> None:
    """U+0000, which no name may hold, is kept as it is where a database can, and else refused whole."""
    nul = "a\x00b"
    await register(store, "worker")
    failed = Finish(TaskState.FAILED, error=TaskError(2, nul, ""))

    try:
        await store.apply("worker", operations(1, START, failed))
    except StoreRefused:
        with pytest.raises(TaskNotFound):
            await store.get(1)
    else:
        error = (await store.get(1)).error
        assert error is not None
        assert nul == error.message


@pytest.mark.parametrize("task_id", [1, 2**53 + 1, 4680601251139015056, MAX_TASK_ID])
async def test_ids_of_63_bits(store: TaskStore, task_id: int) -> None:
    """Ids up to 63 bits are kept exactly."""
    await register(store, "worker")

    await store.apply("worker", operations(task_id, START))

    assert task_id == (await store.get(task_id)).task_id
    assert task_id == (await store.list(TaskFilter(), 1))[0].task_id


LONE = "\udfff"


@pytest.mark.parametrize(
    ("task_id", "action"),
    [
        (1, Start(LONE)),
        (1, Start("t", session_id=LONE)),
        (1, Start("t", trace_context=TraceContext(LONE))),
        (1, Start("t", labels={"a": LONE})),
        (1, Start("t", labels={LONE: "a"})),
        (1, Start("t", max_attempts=0)),
        (1, Start("t", max_attempts=2**63)),
        (1, Start("t", timeout=timedelta.max)),
        (0, START),
        (-1, START),
        (2**63, START),
        (2**64, START),
        (7, Report(Progress(0.5, LONE, AT))),
        (7, Report(Progress(float("nan"), "", AT))),
        (7, Report(Progress(0.5, "", datetime(2026, 1, 1)))),
        (7, Finish(TaskState.FAILED, error=TaskError(2, LONE, ""))),
        (7, Finish(TaskState.FAILED, error=TaskError(2**70, "", ""))),
    ],
    ids=ascii,
)
async def test_refused_values(store: TaskStore, task_id: int, action: Action) -> None:
    """What cannot be kept as it is is refused, nothing of its batch is written, and the store goes on."""
    await register(store, "worker")
    await store.apply("worker", operations(7, START))
    before = await store.get(7)

    with pytest.raises(StoreRefused):
        await store.apply("worker", [Operation(2, 8, AT, START), Operation(3, task_id, AT, action)])

    assert before == await store.get(7)
    with pytest.raises(TaskNotFound):
        await store.get(8)
    assert len((await store.apply("worker", [*operations(8, START, DONE, first=2)])).changes) == 2


@pytest.mark.parametrize("field", ["session_id", "request_id", "idempotency_key"])
async def test_refused_create(store: TaskStore, field: str) -> None:
    """A submission with text that cannot be kept is refused whole."""
    with pytest.raises(StoreRefused):
        await store.create(submission(1, **{field: LONE}))
    with pytest.raises(TaskNotFound):
        await store.get(1)


async def test_refused_questions(store: TaskStore) -> None:
    """A question that no task can answer is refused, and the next one is answered."""
    with pytest.raises(StoreRefused):
        await store.get(2**63)
    with pytest.raises(StoreRefused):
        await store.list(TaskFilter(session_id=LONE), 10)
    with pytest.raises(StoreRefused):
        await register(store, LONE)

    assert await store.list(TaskFilter(), 10) == []


@pytest.mark.parametrize(
    "at",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
async def test_times_are_exact(store: TaskStore, at: datetime) -> None:
    """Times keep their microseconds, however early or late a worker's clock is."""
    await register(store, "worker")

    await store.apply("worker", [replace(operation, at=at) for operation in operations(1, START, DONE)])

    task = await store.get(1)
    assert (at, at) == (task.started_at, task.ended_at)
