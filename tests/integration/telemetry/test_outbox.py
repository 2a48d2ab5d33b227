"""One span per sampled task, always (promise 8): a real store, a real exporter, a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from outlast.core.errors import StoreUnavailable
from outlast.core.event import Change
from outlast.core.operation import Action, Finish, Operation, Start
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.state import TaskState
from outlast.core.task import TaskError, TraceContext
from outlast.core.worker import Registration
from outlast.telemetry import exporting, tracing
from outlast.telemetry.propagation import attempt_span_id
from outlast.telemetry.task_span import task_spans
from outlastd.stores.port import EndedTask
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager import outbox as outbox_module
from outlastd.task_manager import spans_at_hand
from outlastd.task_manager.outbox import CLAIM_SECONDS, EXPORT_SECONDS, MAX_BATCH, SpanOutbox
from outlastd.task_manager.spans_at_hand import SpansAtHand

from ...contract.clock import FakeClock
from ...jaeger_rules import broken_rules
from .collector import Collector
from .conftest import forget_provider

CALLER = "b7ad6b7169203331"
TRACE = TraceContext(f"00-0af7651916cd43dd8448eb211c80319c-{CALLER}-01")
FAILED = Finish(TaskState.FAILED, error=TaskError(2, "boom", "ValueError"))
DONE = Finish(TaskState.COMPLETED)
AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)

Lines = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing that a test would have to wait for too."""
    monkeypatch.setattr(outbox_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(outbox_module, "MAX_BACKOFF", 0.05)


@pytest.fixture
def clock() -> FakeClock:
    """Return the store's clock."""
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SQLiteTaskStore]:
    """Return a store that keeps an outbox, with a worker ``w``."""
    store = await SQLiteTaskStore.open(tmp_path / "tasks.db", replace(DEFAULT_POLICY, spans=True), clock)
    await store.register_worker(Registration("w", "agent"))
    yield store
    await store.close()


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    """Return what the outbox has said so far."""
    said: list[str] = []

    def read() -> list[str]:
        told = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
        said.extend(line["message"] for line in told if line["logger"] == "outlast")
        return said

    return read


async def switch_on(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export to the collector."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    assert await asyncio.to_thread(tracing.set_up, "agent")


@asynccontextmanager
async def at_work(outbox: SpanOutbox) -> AsyncIterator[None]:
    """Have an outbox run, and stop it as a server does."""
    running = asyncio.create_task(outbox.run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await outbox.flush(10)


async def until(condition: Callable[[], object]) -> None:
    """Ask again and again until the condition holds: for what tells nobody when it changes."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def end_tasks(
    store: SQLiteTaskStore, *task_ids: int, finish: Finish = DONE, trace: TraceContext = TRACE
) -> Sequence[Change]:
    """Run tasks of one attempt to their end; return the changes that end them."""
    actions: list[tuple[int, Action]] = []
    for task_id in task_ids:
        actions += [(task_id, Start("research", trace_context=trace)), (task_id, finish)]
    return [change for change in await apply(store, actions) if change.event.state.terminal]


async def apply(store: SQLiteTaskStore, actions: Iterable[tuple[int, Action]]) -> Sequence[Change]:
    """Apply operations of the worker ``w``; return what they changed."""
    before = (await store.register_worker(Registration("w", "agent", frozenset({"research"})))).applied_sequence
    batch = [Operation(number, task_id, AT, action) for number, (task_id, action) in enumerate(actions, before + 1)]
    applied = await store.apply("w", batch)
    assert not applied.refusals
    return applied.changes


async def left(store: SQLiteTaskStore, clock: FakeClock) -> list[int]:
    """Return the tasks on the outbox once every claim has lapsed."""
    clock.move(CLAIM_SECONDS)
    return [ended.task.task_id for ended in await store.claim_spans(1_000, CLAIM_SECONDS)]


async def test_every_sampled_task_is_exported_once(
    store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    """What ended before the start, and what ends later, arrives once; nothing stays on the outbox; unsampled: none."""
    await switch_on(collector, monkeypatch)
    await end_tasks(store, 1, 2)
    outbox = SpanOutbox(store)
    async with at_work(outbox):
        await collector.wait_spans(2)
        await end_tasks(store, 3, 4, finish=FAILED)
        await end_tasks(store, 5, trace=TraceContext(TRACE.traceparent[:-2] + "00"))
        outbox.wake()
        await collector.wait_spans(4)

    assert sorted(span.span_id[-1] for _, span in collector.received) == [1, 2, 3, 4]
    assert await left(store, clock) == []
    assert broken_rules(collector.exported, {CALLER}) == []
    assert lines() == []


async def test_more_than_a_batch_goes_at_once(
    store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches follow each other without a pause."""
    monkeypatch.setattr(outbox_module, "POLL_SECONDS", 3600)
    await switch_on(collector, monkeypatch)
    await end_tasks(store, *range(1, 3 * MAX_BATCH))
    async with at_work(SpanOutbox(store)):
        await collector.wait_spans(3 * MAX_BATCH - 1)

    assert collector.messages == 3
    assert await left(store, clock) == []


async def test_retries_are_exported_with_their_attempts(
    store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that needed a second attempt is one trace with a span for each, made from what the store has kept."""
    await switch_on(collector, monkeypatch)
    start = Start("research", input=b"{}", trace_context=TRACE, max_attempts=2, backoff=timedelta(seconds=1))
    await apply(store, [(1, start), (1, FAILED)])
    clock.move(2)
    worker = await store.register_worker(Registration("w", "agent", frozenset({"research"})))
    [claimed] = await store.claim("w", worker.epoch, 1)
    assert claimed.task.attempt == 2
    clock.move(3)
    await apply(store, [(1, DONE)])
    async with at_work(SpanOutbox(store)):
        await collector.wait_spans(3)

    assert broken_rules(collector.exported, {CALLER}) == []
    whole, first, second = (collector.span(name) for name in ("async_task research", "attempt 1", "attempt 2"))
    assert [span.parent_span_id for span in (first, second)] == [whole.span_id] * 2
    assert [int.from_bytes(span.span_id) for span in (first, second)] == [attempt_span_id(1, 1), attempt_span_id(1, 2)]
    assert [span.status.code for span in (whole, first, second)] == [1, 2, 1]


async def test_an_outage_loses_nothing_and_says_two_lines(
    store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    """Spans that a collector refuses wait, however often; a line when it begins, a line when it is over."""
    await switch_on(collector, monkeypatch)
    collector.refuses = True
    await end_tasks(store, 1, 2, 3)
    async with at_work(SpanOutbox(store)):
        for number in range(1, 4):
            await collector.wait_messages(number)
            clock.move(CLAIM_SECONDS)
        assert collector.received == []
        collector.refuses = False
        await until(lambda: clock.move(CLAIM_SECONDS) > AT and len(collector.received) == 3)

    assert await left(store, clock) == []
    assert broken_rules(collector.exported, {CALLER}) == []
    assert lines() == ["spans cannot be exported; they wait in the outbox", "spans are exported again"]


async def test_a_repeat_is_the_same_to_the_byte(
    store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A span that was exported by somebody who died before he could say so comes again, and nobody can tell."""
    await switch_on(collector, monkeypatch)
    await end_tasks(store, 1, finish=FAILED)
    drop, dropped = store.drop_spans, asyncio.Event()

    async def not_dropped(_task_ids: Iterable[int]) -> None:
        monkeypatch.setattr(store, "drop_spans", drop)
        dropped.set()
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(store, "drop_spans", not_dropped)
    async with at_work(SpanOutbox(store)):
        await dropped.wait()
    await asyncio.to_thread(tracing.shutdown, 10)
    forget_provider()
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=another,k8s.pod.name=another")
    await switch_on(collector, monkeypatch)
    clock.move(CLAIM_SECONDS)
    async with at_work(SpanOutbox(store)):
        await collector.wait_spans(2)

    assert len({span.SerializeToString() for _, span in collector.exported}) == 1
    assert broken_rules(collector.exported, {CALLER}) == []


async def test_two_managers_share_the_work(
    store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each span is exported by one of them."""
    await switch_on(collector, monkeypatch)
    await end_tasks(store, *range(1, 200))
    async with at_work(SpanOutbox(store)), at_work(SpanOutbox(store)):
        await collector.wait_spans(199)

    assert len({span.span_id for _, span in collector.received}) == len(collector.received) == 199
    assert await left(store, clock) == []


async def test_the_stop_exports_what_has_just_ended(
    store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to wake the outbox for the last time, and what it has begun it finishes."""
    monkeypatch.setattr(outbox_module, "POLL_SECONDS", 3600)
    await switch_on(collector, monkeypatch)
    async with at_work(SpanOutbox(store)):
        await end_tasks(store, 1, 2)

    assert len(collector.received) == 2
    assert await left(store, clock) == []


async def test_a_stop_waits_no_longer_for_a_store_than_it_has_time(
    store: SQLiteTaskStore, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a store that answers no more, neither what is taken off the outbox nor the next ones hold up the end."""
    monkeypatch.setattr(outbox_module, "MAX_BATCH", 2)
    await switch_on(collector, monkeypatch)
    await end_tasks(store, *range(1, 9))
    claim = store.claim_spans
    asked: list[str] = []

    async def drop(task_ids: Iterable[int]) -> None:
        asked.append("drop")
        await asyncio.Event().wait()

    async def claim_once(limit: int, seconds: float) -> Sequence[EndedTask]:
        asked.append("claim")
        if asked != ["claim"]:
            await asyncio.Event().wait()
        return await claim(limit, seconds)

    monkeypatch.setattr(store, "drop_spans", drop)
    monkeypatch.setattr(store, "claim_spans", claim_once)
    outbox = SpanOutbox(store)
    running = asyncio.create_task(outbox.run())
    await until(lambda: len(asked) == 3)
    running.cancel()

    async with asyncio.timeout(10):
        await outbox.flush(0.05)

    assert asked == ["claim", "drop", "claim"]


async def test_every_exporter_has_to_succeed(
    store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two exporters, one of which fails, the spans are not gone; the other one gets them all the same."""
    console = InMemorySpanExporter()
    monkeypatch.setattr(exporting, "ConsoleSpanExporter", lambda: console)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp,console")
    await switch_on(collector, monkeypatch)
    collector.refuses = True
    await end_tasks(store, 1)
    async with at_work(SpanOutbox(store)):
        await collector.wait_messages(1)

    assert await left(store, clock) == [1]
    assert [span.name for span in console.get_finished_spans()] == ["async_task research"]


async def test_a_span_that_cannot_be_made_holds_up_no_other(
    store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    """It is given up with a line."""

    def failing(task: Any, *arguments: Any) -> Any:
        return task_spans(task, *arguments) if task.task_id != 2 else 1 / 0

    monkeypatch.setattr(outbox_module, "task_spans", failing)
    await switch_on(collector, monkeypatch)
    await end_tasks(store, 1, 2, 3)
    async with at_work(SpanOutbox(store)):
        await collector.wait_spans(2)

    assert await left(store, clock) == []
    assert lines() == ["a task's spans could not be made"]


class TestOwnSpans:
    """What this process has ended is exported from memory, and the outbox is for when it does not come to that."""

    @pytest.fixture
    async def store(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SQLiteTaskStore]:
        """Return a store whose processes have what they end to themselves for a while."""
        policy = replace(DEFAULT_POLICY, spans=True, own_spans=timedelta(seconds=CLAIM_SECONDS))
        store = await SQLiteTaskStore.open(tmp_path / "tasks.db", policy, clock)
        await store.register_worker(Registration("w", "agent"))
        yield store
        await store.close()

    async def test_no_row_is_read(
        self, store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are exported though nobody may claim them, in messages that are as full as they can be, and dropped."""
        monkeypatch.setattr(outbox_module, "POLL_SECONDS", 3600)
        await switch_on(collector, monkeypatch)
        outbox = SpanOutbox(store)
        async with at_work(outbox):
            outbox.note(await end_tasks(store, *range(1, 2 * MAX_BATCH + 2)))
            await collector.wait_spans(2 * MAX_BATCH + 1)

        assert sorted(int.from_bytes(span.span_id) for _, span in collector.received) == [*range(1, 2 * MAX_BATCH + 2)]
        assert collector.messages == 3
        assert await left(store, clock) == []
        assert broken_rules(collector.exported, {CALLER}) == []

    async def test_the_stop_exports_all_of_what_has_just_ended(
        self, store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is left of it is less than a message takes, and goes too: nobody else may have it for some time."""
        await switch_on(collector, monkeypatch)
        outbox = SpanOutbox(store)
        outbox.note(await end_tasks(store, *range(1, MAX_BATCH + 3)))

        await outbox.flush(10)

        assert len(collector.received) == MAX_BATCH + 2
        assert await left(store, clock) == []

    async def test_from_memory_as_from_the_store(
        self, store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who takes over from a process that was killed before it could say so sends the same, to the byte."""
        await switch_on(collector, monkeypatch)
        killed, ended = SpanOutbox(store), await end_tasks(store, 1, 2)
        with monkeypatch.context() as dying:
            dying.setattr(store, "drop_spans", hang)
            running = asyncio.create_task(killed.run())
            killed.note(ended)
            await collector.wait_spans(2)
            running.cancel()
            await killed.flush(0.01)
        async with at_work(SpanOutbox(store)):
            clock.move(CLAIM_SECONDS)
            await collector.wait_spans(4)

        assert len({span.SerializeToString() for _, span in collector.exported}) == 2
        assert await left(store, clock) == []

    async def test_what_takes_more_than_memory_is_read(
        self, store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A task of several attempts goes out as soon as any other."""
        monkeypatch.setattr(outbox_module, "POLL_SECONDS", 3600)
        await switch_on(collector, monkeypatch)
        outbox = SpanOutbox(store)
        async with at_work(outbox):
            retried = await apply(store, [(1, Start("research", trace_context=TRACE, max_attempts=2)), (1, DONE)])
            outbox.note([*retried[1:], *await end_tasks(store, 2)])
            await collector.wait_spans(3)

        assert sorted(span.name for _, span in collector.received) == ["async_task research"] * 2 + ["attempt 1"]
        assert await left(store, clock) == []

    async def test_what_is_late_is_left_on_the_outbox(
        self, store: SQLiteTaskStore, clock: FakeClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor is more held than there is room for: others find it once it is theirs."""
        monkeypatch.setattr(spans_at_hand, "MAX_TASKS", 2)
        await switch_on(collector, monkeypatch)
        times = iter([0.0, 4.1])
        at_hand = SpansAtHand(store.policy, EXPORT_SECONDS, lambda: next(times))
        at_hand.note(await end_tasks(store, 1, 2, 3))

        assert len(at_hand) == 2
        assert at_hand.take(10) == []
        assert await left(store, clock) == [1, 2, 3]

    async def test_nothing_large_is_held(self, store: SQLiteTaskStore) -> None:
        """A span has none of a task's payloads, nor its labels."""
        start = Start("research", trace_context=TRACE, labels={"topic": "clouds"})
        labeled = await apply(store, [(1, start), (1, DONE)])
        ended = [*labeled[1:], *await end_tasks(store, 2, finish=replace(DONE, result=b"9" * 2_000))]
        at_hand = SpansAtHand(store.policy, EXPORT_SECONDS, lambda: 0.0)

        assert at_hand.note(ended)

        assert [(held.task.result, held.task.labels) for held in at_hand.take(10)] == [(None, {})] * 2

    async def test_unsampled(self, store: SQLiteTaskStore) -> None:
        """What has no span is not held."""
        at_hand = SpansAtHand(store.policy, EXPORT_SECONDS, lambda: 0.0)

        assert at_hand.note(await end_tasks(store, 1, trace=TraceContext(TRACE.traceparent[:-2] + "00")))

        assert len(at_hand) == 0


async def hang(_task_ids: Iterable[int]) -> None:
    """Do nothing, for ever."""
    await asyncio.Event().wait()


class Gate(SimpleSpanProcessor):
    """A processor of the program's own, which takes its time."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        super().__init__(exporter)
        self.entered = threading.Event()
        self.open = threading.Event()
        self.flushes = True

    def on_end(self, span: Any) -> None:
        """Wait for the gate."""
        self.entered.set()
        assert self.open.wait(30)
        super().on_end(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Say what the test wants said."""
        return self.flushes


class TestProviderOfTheProgram:
    """Spans go to the processors of a provider that the program has set up."""

    @pytest.fixture
    def exporter(self) -> InMemorySpanExporter:
        """Return where the program exports to."""
        return InMemorySpanExporter()

    @pytest.fixture
    def gate(self, exporter: InMemorySpanExporter) -> Iterator[Gate]:
        """Return the program's processor, which lets nothing through; tracing is on."""
        gate = Gate(exporter)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(gate)
        trace.set_tracer_provider(provider)
        assert tracing.set_up("agent")
        yield gate
        gate.open.set()

    async def test_what_was_flushed_is_exported(
        self, store: SQLiteTaskStore, clock: FakeClock, exporter: InMemorySpanExporter, gate: Gate
    ) -> None:
        """Its word for it is force_flush."""
        gate.open.set()
        await end_tasks(store, 1)
        async with at_work(SpanOutbox(store)):
            pass

        assert [span.name for span in exporter.get_finished_spans()] == ["async_task research"]
        assert await left(store, clock) == []

    async def test_what_was_not_flushed_waits(
        self, store: SQLiteTaskStore, clock: FakeClock, gate: Gate, lines: Lines
    ) -> None:
        """A flush that fails is an outage."""
        gate.open.set()
        gate.flushes = False
        await end_tasks(store, 1)
        async with at_work(SpanOutbox(store)):
            pass

        assert await left(store, clock) == [1]
        assert lines() == ["spans cannot be exported; they wait in the outbox"]

    async def test_a_processor_that_hangs_holds_one_batch(
        self,
        store: SQLiteTaskStore,
        clock: FakeClock,
        exporter: InMemorySpanExporter,
        gate: Gate,
        monkeypatch: pytest.MonkeyPatch,
        lines: Lines,
    ) -> None:
        """Nothing else is claimed meanwhile, the loop goes on, and what it takes in the end is taken."""
        monkeypatch.setattr(outbox_module, "EXPORT_SECONDS", 0.05)
        claims = 0
        claim = store.claim_spans

        async def counted(limit: int, seconds: float) -> Any:
            nonlocal claims
            found: list[EndedTask] = list(await claim(limit, seconds))
            claims += bool(found)
            return found

        monkeypatch.setattr(store, "claim_spans", counted)
        await end_tasks(store, 1)
        async with at_work(SpanOutbox(store)):
            await until(lines)
            await end_tasks(store, 2)
            assert exporter.get_finished_spans() == ()
            assert claims == 1
            gate.open.set()
            await until(lambda: len(exporter.get_finished_spans()) == 2)

        assert await left(store, clock) == []
        assert lines() == ["spans cannot be exported; they wait in the outbox", "spans are exported again"]

    async def test_the_stop_waits_for_no_processor_that_hangs(
        self, store: SQLiteTaskStore, clock: FakeClock, gate: Gate, lines: Lines
    ) -> None:
        """It has a deadline; the span is left for whoever looks next."""
        await end_tasks(store, 1)
        await SpanOutbox(store).flush(0.05)

        assert await left(store, clock) == [1]
        assert lines() == ["spans cannot be exported; they wait in the outbox"]
