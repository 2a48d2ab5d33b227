"""What becomes of a program when its agent has stopped."""

from __future__ import annotations

from .conftest import Launcher


def test_a_program_goes_on_after_run(launch: Launcher) -> None:
    """`app.run()` returns when the agent is told to stop; its tasks still work then, and are not recorded."""
    agent = launch.ready("after_run.py")
    [task_id] = agent.invoke({}).task_ids
    agent.finished(task_id)

    assert agent.stop() == 0

    assert agent.output == ["4 6 True"]
