"""Values: what the domain is made of, and copied at every operation."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field, fields, replace
from threading import Barrier

import pytest

from outlast.core.event import TaskEvent
from outlast.core.operation import Operation, Output, Report
from outlast.core.state import TaskState
from outlast.core.task import Progress, Task, TaskError
from outlast.core.value import evolve, value

from .making import NOW, task_in


def test_a_value_with_changed_fields_is_what_replace_makes() -> None:
    """evolve() changes what it is told to, keeps every other field, and leaves the value as it was."""
    task = task_in(TaskState.WORKING, labels={"team": "x"}, progress=Progress(0.5, "half", NOW))
    before = copy.copy(task)

    changed = evolve(task, generation=7, result=b"1")

    assert changed == replace(task, generation=7, result=b"1")
    assert task == before
    assert type(changed) is Task


def test_values_are_equal_and_hashed_by_their_fields() -> None:
    """Two values of the same fields are one in a set, as with a frozen dataclass."""
    one, other = Progress(0.5, "half", NOW), Progress(0.5, "half", NOW)
    assert {one} == {other}
    assert one != evolve(one, fraction=0.6)
    assert one != (0.5, "half", NOW)  # type: ignore[comparison-overlap]


def test_a_value_is_shown_as_a_dataclass_is() -> None:
    """With its name and its fields; another class of the same fields is not equal to it."""
    assert repr(Output(b"[]")) == "Output(chunks=b'[]')"
    assert repr(TaskError(2, "no", "E")) == "TaskError(code=2, message='no', type='E')"
    assert Output(b"[]") != Report(b"[]")  # type: ignore[arg-type]


def test_a_value_is_made_as_a_dataclass_is() -> None:
    """By position or by name, with its defaults, and wrong fields are named: the first time and every other time."""

    @value(frozen=True, slots=True)
    class Pair:
        left: int
        right: list[int] = field(default_factory=list)

    for _ in range(2):
        with pytest.raises(TypeError, match=r"Pair.__init__\(\) missing 1 required positional argument: 'left'"):
            Pair()  # type: ignore[call-arg]
        assert (Pair(1).left, Pair(left=2, right=[3]).right) == (1, [3])
        assert Pair(1).right is not Pair(1).right
    with pytest.raises(TypeError, match="unexpected keyword argument 'middle'"):
        Pair(1, middle=2)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [Task, TaskEvent, Operation])
def test_values_have_slots(kind: type) -> None:
    """A value holds its fields and nothing else: a name that is misspelt is an error, and a task stays small."""
    assert set(kind.__slots__) == {field.name for field in fields(kind)}  # type: ignore[attr-defined]


def test_values_can_be_pickled() -> None:
    """A value survives pickle, which knows nothing of how it is made."""
    progress = Progress(0.5, "half", NOW)
    assert pickle.loads(pickle.dumps(progress)) == progress


def test_a_value_is_checked_as_a_dataclass_is() -> None:
    """By its __post_init__, the first time and every other time; and a field may be called what it likes."""

    @value(frozen=True, slots=True)
    class Checked:
        self: int
        others: int = 0

        def __post_init__(this) -> None:  # "self" is a field
            if this.self < 0:
                raise ValueError("less than none")

    for _ in range(2):
        assert Checked(self=2, others=3) == Checked(2, 3)
        with pytest.raises(ValueError, match="less than none"):
            Checked(-1)


def test_every_field_of_a_value_may_be_given() -> None:
    """A field that nobody may give is refused where the first one is made: it would be an argument all the same."""

    @value(frozen=True, slots=True)
    class Counted:
        count: int = field(default=1, init=False)

    with pytest.raises(AssertionError, match="may give every field"):
        Counted()


def test_a_value_may_be_made_first_by_several_threads_at_a_time() -> None:
    """Each writes the methods that it finds unwritten, and all have the same."""

    @value(frozen=True, slots=True)
    class Pair:
        left: int
        right: list[int] = field(default_factory=list, kw_only=True)

    together = Barrier(8)

    def make(number: int) -> bool:
        together.wait()
        made = Pair(number, right=[number])
        return repr(made).endswith(f".Pair(left={number}, right=[{number}])") and evolve(made, left=number) == made

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(make, range(8)))
