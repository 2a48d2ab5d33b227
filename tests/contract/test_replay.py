"""A worker may send operations again: the sequence alone decides what is new."""

from __future__ import annotations

from outlastd.stores.port import Applied, TaskStore

from .making import CHUNK, DONE, HALF, START, operations, register


async def test_replay_does_nothing(store: TaskStore) -> None:
    """A batch that was applied is acknowledged again without a change."""
    await register(store, "worker")
    batch = operations(7, START, HALF, DONE)
    await store.apply("worker", batch)
    before = await store.get(7), await store.events(7, 0, 100)

    again = await store.apply("worker", batch)

    assert Applied([], {}) == again
    assert before == (await store.get(7), await store.events(7, 0, 100))


async def test_overlap_applies_what_is_new(store: TaskStore) -> None:
    """Of a batch that overlaps the last one, only what lies above the applied sequence is applied."""
    await register(store, "worker")
    batch = operations(7, START, HALF, CHUNK, DONE)
    await store.apply("worker", batch[:2])

    applied = await store.apply("worker", batch[1:])

    assert [change.event.generation for change in applied.changes] == [3, 4]
    assert len(await store.events(7, 0, 100)) == 4


async def test_repeat_within_a_batch(store: TaskStore) -> None:
    """An operation that stands in a batch twice is applied once."""
    await register(store, "worker")
    start, chunk = operations(7, START, CHUNK)

    applied = await store.apply("worker", [start, chunk, chunk])

    assert len(applied.changes) == 2
    assert not applied.refusals
    assert len(await store.events(7, 0, 100)) == 2


async def test_applied_sequence_is_kept(store: TaskStore) -> None:
    """A worker that connects again learns how far it was applied, refusals included."""
    await register(store, "worker")
    await store.apply("worker", [*operations(7, START, DONE), *operations(7, HALF, first=3)])

    assert (await register(store, "worker")).applied_sequence == 3


async def test_refusal_is_not_tried_again(store: TaskStore) -> None:
    """A refused operation counts as applied: sent again, it is neither a change nor a refusal."""
    await register(store, "worker")
    batch = operations(7, HALF)
    assert list((await store.apply("worker", batch)).refusals) == [1]

    assert Applied([], {}) == await store.apply("worker", batch)


async def test_sequences_are_per_worker(store: TaskStore) -> None:
    """What one worker has counted says nothing of another."""
    for worker_id, task_id in [("a", 1), ("b", 2)]:
        await register(store, worker_id)
        assert len((await store.apply(worker_id, operations(task_id, START))).changes) == 1


async def test_empty_batch(store: TaskStore) -> None:
    """An empty batch is no error."""
    await register(store, "worker")

    assert Applied([], {}) == await store.apply("worker", [])
