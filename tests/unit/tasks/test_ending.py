"""The moment at which a task has ended, for threads that wait."""

from __future__ import annotations

import threading

import pytest

from outlast.tasks.ending import Ending

PATIENCE = 30.0


def test_every_thread_that_waits_is_woken() -> None:
    """Also one that comes when it is over; before that the time runs out."""
    ending, woken = Ending(), list[bool]()
    assert not ending.block(0.0)
    threads = [threading.Thread(target=lambda: woken.append(ending.block(PATIENCE))) for _ in range(3)]
    for thread in threads:
        thread.start()

    ending.happen()

    for thread in threads:
        thread.join(PATIENCE)
    assert woken == [True] * 3
    assert ending.block()


def test_it_may_happen_while_a_thread_prepares_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a finaliser, that is, which the garbage collector runs on that very thread."""
    ending, event_of = Ending(), threading.Event

    def event() -> threading.Event:
        ending.happen()
        return event_of()

    monkeypatch.setattr("outlast.tasks.ending.threading.Event", event)

    assert ending.block(PATIENCE)
