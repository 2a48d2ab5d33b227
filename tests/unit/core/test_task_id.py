"""Task ids: unique, sorted by time, never going back, and 63 bits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.core.task_id import (
    EPOCH_MS,
    MANAGERS,
    MAX_TASK_ID,
    NUMBERED,
    UNNUMBERED,
    TaskIdSequence,
    parse_task_name,
)
from outlast.core.worker import Worker

NOW_MS = 1_795_000_000_000


def parts(task_id: int) -> tuple[int, int, int]:
    """Take an id apart: milliseconds, worker number, counter."""
    return task_id >> 22, task_id >> 12 & 1023, task_id & 4095


def test_parts() -> None:
    """An id is the time, the worker's number and a counter."""
    ids = TaskIdSequence(77)

    assert [parts(ids.next(NOW_MS)) for _ in range(2)] == [(NOW_MS - EPOCH_MS, 77, n) for n in (0, 1)]
    assert parts(ids.next(NOW_MS + 1)) == (NOW_MS - EPOCH_MS + 1, 77, 0)


def test_many_in_a_millisecond() -> None:
    """The 2,049th id of a millisecond borrows the next one, and goes on from there when the clock arrives."""
    ids = TaskIdSequence(1)
    ms = NOW_MS - EPOCH_MS
    made = [ids.next(NOW_MS) for _ in range(2048 + 2)]

    assert parts(made[2047]) == (ms, 1, 2047)
    assert [parts(task_id) for task_id in made[2048:]] == [(ms + 1, 1, 0), (ms + 1, 1, 1)]
    assert parts(ids.next(NOW_MS + 1)) == (ms + 1, 1, 2)
    assert parts(ids.next(NOW_MS + 2)) == (ms + 2, 1, 0)


def test_clock_set_back() -> None:
    """A clock that is set back does not take ids back."""
    ids = TaskIdSequence(1)
    first = ids.next(NOW_MS)

    assert ids.next(NOW_MS - 3_600_000) == first + 1


@pytest.mark.parametrize("now_ms", [0, EPOCH_MS - 1, EPOCH_MS])
def test_clock_before_the_epoch(now_ms: int) -> None:
    """An id is positive whatever the clock says."""
    assert TaskIdSequence(0).next(now_ms) > 0


def test_last_id_fits() -> None:
    """The last millisecond of 41 bits still makes an id of 63 bits."""
    assert TaskIdSequence(1023).next(EPOCH_MS + (1 << 41) - 1) <= MAX_TASK_ID


def test_new_number() -> None:
    """A new worker number, which any integer is brought to 10 bits for, is in the ids from then on."""
    ids = TaskIdSequence(5)
    ids.next(NOW_MS)
    ids.renumber(1024 + 6)

    assert ids.worker_number == 6
    assert parts(ids.next(NOW_MS))[1:] == (6, 1)
    assert Worker("worker", "agent", epoch=1030).number == 6


def test_nobody_makes_another_ones_ids() -> None:
    """A worker, a task manager and a worker without a number of its own make different ids of one number."""
    made = [
        [ids.next(NOW_MS) for _ in range(5_000)]
        for ids in map(TaskIdSequence, [7] * 3, [NUMBERED, MANAGERS, UNNUMBERED])
    ]

    assert len({task_id for ids in made for task_id in ids}) == 15_000


def test_counting_elsewhere() -> None:
    """Whoever counts elsewhere from now on makes no id twice, and neither does who is given its number again."""
    ids = TaskIdSequence(7, UNNUMBERED)
    made = [ids.next(NOW_MS)]
    for _ in range(2):
        ids.renumber(7)
        made += [ids.next(NOW_MS), ids.next(NOW_MS)]

    assert [parts(task_id)[2] for task_id in made] == [3_072, 0, 1, 2, 3]


@given(st.lists(st.integers(NOW_MS - 5, NOW_MS + 5), min_size=1, max_size=200))
def test_ids_only_go_up(clock: list[int]) -> None:
    """Whatever the clock does, each id is higher than the one before."""
    ids = TaskIdSequence(9)
    made = [ids.next(now_ms) for now_ms in clock]

    assert made == sorted(set(made))
    assert all(0 < task_id <= MAX_TASK_ID for task_id in made)


@given(st.integers(1, MAX_TASK_ID))
def test_name_of_an_id(task_id: int) -> None:
    """The name of an id parses to the id."""
    assert parse_task_name(f"tasks/{task_id}") == task_id


@pytest.mark.parametrize(
    "name",
    [
        *("", "tasks", "tasks/", "tasks/0", "tasks/-1", "tasks/+1", "tasks/01", "tasks/1/", "tasks/1/events"),
        *("tasks/ 1", "tasks/1 ", "tasks/1_0", "tasks/1.0", "tasks/0x1", "tasks/x", "task/1", "Tasks/1", "/tasks/1"),
        *("tasks/\u0661", "tasks/\uff11", "tasks/\u00b2", f"tasks/{MAX_TASK_ID + 1}", "tasks/" + "9" * 5000),
    ],
)
def test_no_name(name: str) -> None:
    """What is not exactly the name of an id is no name."""
    assert parse_task_name(name) is None


@given(st.text())
def test_any_text_as_name(text: str) -> None:
    """No text makes the parser raise, and only a name in its one spelling is a name."""
    task_id = parse_task_name(text)

    assert task_id is None or text == f"tasks/{task_id}"
