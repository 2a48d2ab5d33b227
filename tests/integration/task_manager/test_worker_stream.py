"""The worker stream: answers, replays, refusals in the midst of a batch, and who holds the stream."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from outlast.core.errors import IllegalTransition, InvalidField, LeaseLost, StoreRefused, TaskExists, TaskNotFound
from outlast.core.operation import Finish, Operation, Output, Report, Start
from outlast.core.state import TaskState
from outlast.core.task import Progress, TaskError
from outlast.v1 import worker_service_pb2 as pb
from outlast.v1.task_service_pb2 import GetTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlast.v1.worker_service_pb2_grpc import WorkerServiceStub
from outlastd.stores.port import Applied, TaskStore
from outlastd.stores.sqlite import SQLiteTaskStore

from .conftest import Serve
from .speaking import AT, DONE, START, Seen, Speaker, connected, operation


class PickyStore:
    """A real store that refuses every batch in which an operation says so, or is away."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self.batches: list[int] = []
        self.refuse_ends = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply, unless there is poison in it."""
        self.batches.append(len(operations))
        for each in operations:
            action = each.action
            if (isinstance(action, Finish) and action.result == b'"poison"') or (
                isinstance(action, Start) and action.task_type == "poison"
            ):
                raise StoreRefused("the database refuses poison")
        return await self._store.apply(worker_id, operations)


async def state(store: TaskStore, task_id: int) -> tuple[TaskState, str]:
    """Return where a task stands, and why."""
    task = await store.get(task_id)
    return task.state, task.state_reason


async def test_an_answer_means_durable_and_shown(
    channel: grpc.aio.Channel, store: TaskStore, seen: Seen, tasks: TaskServiceStub
) -> None:
    """When an operation is answered its task is in the store and its line has been written."""
    async with connected(channel) as worker:
        welcome = await worker.hello()
        assert (welcome.epoch, welcome.worker_number, welcome.applied_sequence) == (1, 1, 0)
        assert await worker.do(operation(1, 7, START)) == {1: None}
        assert seen.lines == [("started", 7)]
        task = await store.get(7)
        assert (task.state, task.attempt, task.generation, task.epoch) == (TaskState.WORKING, 1, 1, 1)
        report = Report(Progress(0.5, "half\x00way", AT))
        assert await worker.do(operation(2, 7, report), operation(3, 7, DONE)) == {2: None, 3: None}
        assert seen.lines == [("started", 7), ("COMPLETED", 7)]
    done = await tasks.GetTask(GetTaskRequest(name="tasks/7"))
    assert (done.result, done.progress.message, done.generation) == ('{"answer": 42}', "half\\x00way", 3)


async def test_a_replay_does_nothing(channel: grpc.aio.Channel, store: TaskStore, seen: Seen) -> None:
    """A worker that connects again is told what was applied; what it sends again is acknowledged and not repeated."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START), operation(2, 7, Output(b"[1]")))
    async with connected(channel) as worker:
        assert (await worker.hello()).applied_sequence == 2
        replayed = [operation(1, 7, START), operation(2, 7, Output(b"[1]")), operation(3, 7, DONE)]
        assert await worker.do(*replayed) == {1: None, 2: None, 3: None}
    assert [event.generation for event in await store.events(7, 0, 9)] == [1, 2, 3]
    assert seen.lines == [("started", 7), ("COMPLETED", 7)]


async def test_a_refusal_harms_no_other(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """Each operation of a batch is refused alone, with the error that says why."""
    async with connected(channel) as other:
        await other.hello("worker-0")
        await other.do(operation(1, 3, START))
        async with connected(channel) as worker:
            await worker.hello()
            answers = await worker.do(
                operation(1, 1, START),
                operation(2, 2, DONE),
                operation(3, 3, START),
                operation(4, 3, DONE),
                operation(5, 1, Output(b"{}")),
                operation(6, 1, Report(Progress(2.0, "", AT))),
                operation(7, 1, Finish(TaskState.REJECTED)),
                operation(8, 0, START),
                operation(9, 4, Start("")),
                operation(10, 5, START),
                operation(11, 5, DONE),
                operation(12, 5, DONE),
            )
    kinds = {sequence: type(error) for sequence, error in answers.items() if error is not None}
    assert kinds == {
        2: TaskNotFound,
        3: TaskExists,
        4: LeaseLost,
        5: InvalidField,
        6: InvalidField,
        7: InvalidField,
        8: InvalidField,
        9: InvalidField,
        12: IllegalTransition,
    }
    assert await state(store, 5) == (TaskState.COMPLETED, "")
    assert (await store.get(3)).worker_id == "worker-0"


async def test_a_result_that_cannot_be_kept_ends_its_task(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """A finish that is refused for what it brings ends its task FAILED(RESULT_REFUSED): it has ended all the same."""
    async with connected(channel) as worker:
        await worker.hello()
        bad = Finish(TaskState.COMPLETED, result=b"{not json")
        answers = await worker.do(operation(1, 7, START), operation(2, 7, bad))
        assert isinstance(answers[2], InvalidField)
    assert await state(store, 7) == (TaskState.FAILED, "RESULT_REFUSED")


async def test_messages_that_make_no_sense_are_refused_alone(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """No time, a time beyond the calendar, nothing to do: refused; the start beside them is applied."""
    async with connected(channel) as worker:
        await worker.hello()
        start, at = pb.StartOperation(task_type="research"), Timestamp(seconds=1_800_000_000)
        await worker.send_raw(
            pb.Operation(sequence=1, task_id=1, start=start),
            pb.Operation(sequence=2, task_id=2, operation_time=Timestamp(seconds=1 << 60), start=start),
            pb.Operation(sequence=3, task_id=3, operation_time=at),
            pb.Operation(sequence=4, task_id=4, operation_time=at, start=start),
        )
        answers = await worker.answers()
    assert {sequence: getattr(error, "field", None) for sequence, error in answers.items()} == {
        1: "operation_time",
        2: "operation_time",
        3: "operation",
        4: None,
    }
    assert await state(store, 4) == (TaskState.WORKING, "")


@pytest.mark.parametrize("text", ['"\\u0000"', '"\\ud800"', "123456789012345678901234567890", "9" * 10_000, '"\u2028"'])
async def test_poison_values_come_back_as_they_were(
    channel: grpc.aio.Channel, tasks: TaskServiceStub, text: str
) -> None:
    """NUL, lone surrogates and integers of any size are JSON: kept to the byte."""
    async with connected(channel) as worker:
        await worker.hello()
        finish = Finish(TaskState.COMPLETED, result=text.encode())
        assert await worker.do(operation(1, 7, START), operation(2, 7, finish)) == {1: None, 2: None}
    assert (await tasks.GetTask(GetTaskRequest(name="tasks/7"))).result == text


async def test_what_the_store_refuses_is_found_in_halves(serve: Serve, store: TaskStore) -> None:
    """One refused operation ends its own task FAILED(STORE_REFUSED), a refused start is refused; all others hold."""
    picky = PickyStore(store)
    bound = await serve(store=picky)
    async with grpc.aio.insecure_channel(bound.public) as channel, connected(channel) as worker:
        await worker.hello()
        starts = [operation(task_id, task_id, START) for task_id in range(1, 9)]
        finishes = [operation(10 + task_id, task_id, DONE) for task_id in range(1, 9)]
        starts[5] = operation(6, 6, Start("poison"))
        finishes[2] = operation(13, 3, Finish(TaskState.COMPLETED, result=b'"poison"'))
        answers = await worker.do(*starts, *finishes)
    assert {sequence: type(error) for sequence, error in answers.items() if error} == {
        6: StoreRefused,
        13: StoreRefused,
        16: TaskNotFound,
    }
    assert await state(store, 3) == (TaskState.FAILED, "STORE_REFUSED")
    assert [(await store.get(task_id)).state for task_id in (1, 2, 4, 5, 7, 8)] == [TaskState.COMPLETED] * 6
    assert picky.batches[:3] == [16, 8, 4]


async def test_a_store_that_is_away_ends_the_stream(serve: Serve, store: SQLiteTaskStore) -> None:
    """The stream ends with UNAVAILABLE and the worker comes again; nothing is answered that is not durable."""
    bound = await serve()
    async with grpc.aio.insecure_channel(bound.public) as channel, connected(channel) as worker:
        await worker.hello()
        await store.close()
        await worker.send(operation(1, 7, START))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await worker.call.read()
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_newer_stream_takes_over(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """The older stream of the same worker ends with ABORTED; what it brought is applied before the newer welcome."""
    async with connected(channel) as older, connected(channel) as newer:
        await older.hello()
        await older.send(operation(1, 7, START))
        await older.answers()
        assert (await newer.hello()).applied_sequence == 1
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await older.call.read()
        assert raised.value.code() == grpc.StatusCode.ABORTED
        assert await newer.do(operation(2, 7, DONE)) == {2: None}


async def test_a_stream_begins_with_hello(channel: grpc.aio.Channel) -> None:
    """Anything else, or a hello without names, is INVALID_ARGUMENT."""
    for first in (
        pb.ConnectRequest(batch=pb.OperationBatch()),
        pb.ConnectRequest(),
        pb.ConnectRequest(hello=pb.Hello(worker_id="w")),
    ):
        call = WorkerServiceStub(channel).Connect()
        await call.write(first)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_worker_may_hang_up_politely(channel: grpc.aio.Channel) -> None:
    """After done_writing, what was sent is answered still, and the stream ends well."""
    async with connected(channel) as worker:
        await worker.hello()
        for sequence in range(1, 101):
            await worker.send(operation(sequence, sequence, START))
        await worker.call.done_writing()
        answered: dict[int, object] = {}
        while (response := await worker.call.read()) is not grpc.aio.EOF:
            assert isinstance(response, pb.ConnectResponse)
            answered |= {result.sequence: result.HasField("error") for result in response.results.results}
        assert answered == dict.fromkeys(range(1, 101), False)


async def test_what_arrived_is_kept_when_the_worker_dies(serve: Serve, store: TaskStore, seen: Seen) -> None:
    """A batch that was read before the stream broke is committed and shown, though nobody is left to be answered."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    class SlowStore(PickyStore):
        async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
            entered.set()
            await go_on.wait()
            return await super().apply(worker_id, operations)

    bound = await serve(store=SlowStore(store))
    async with grpc.aio.insecure_channel(bound.public) as channel:
        async with connected(channel) as worker:
            await worker.hello()
            await worker.send(operation(1, 7, START))
            await entered.wait()
        async with connected(channel) as again:
            # The newer stream is let in only when the older one's batch is durable.
            hello = asyncio.create_task(again.hello())
            await asyncio.wait([hello], timeout=0.1)
            assert not hello.done()
            go_on.set()
            assert (await hello).applied_sequence == 1
    assert seen.lines == [("started", 7)]


async def test_failures_and_their_errors_are_kept(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """FAILED and CANCELED come with an error; what the worker says of it arrives."""
    async with connected(channel) as worker:
        await worker.hello()
        error = TaskError(2, "no such page: é", "LookupError")
        await worker.do(operation(1, 7, START), operation(2, 7, Finish(TaskState.FAILED, error=error)))
    assert (await store.get(7)).error == error


async def test_many_batches_in_flight_are_answered_in_order(channel: grpc.aio.Channel) -> None:
    """A worker that does not wait for answers gets them all, in the order of its operations."""
    async with connected(channel) as worker:
        await worker.hello()
        count = 300

        async def send(worker: Speaker) -> None:
            for number in range(1, count + 1):
                await worker.send(operation(2 * number - 1, number, START), operation(2 * number, number, DONE))

        sending = asyncio.create_task(send(worker))
        answered: list[int] = []
        while len(answered) < 2 * count:
            answers = await worker.answers()
            assert not any(answers.values())
            answered += answers
        await sending
    assert answered == list(range(1, 2 * count + 1))
