"""``outlast tasks``: what a task manager knows, as tables for people and as JSON for programs."""

from __future__ import annotations

from typing import Annotated

import typer

from outlast.core.state import TaskState

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Ask a task manager about tasks.")

TaskManager = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="The task manager to ask, 127.0.0.1:50051 by default. [OUTLAST_TASK_MANAGER]"
    ),
]
Token = Annotated[
    str | None, typer.Option(metavar="TOKEN", help="The token it asks for. [OUTLAST_TOKEN, OUTLAST_TOKEN_FILE]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _states(names: list[str]) -> list[str]:
    for name in names:
        if name.upper() not in TaskState.__members__:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(TaskState.__members__)}")
    return [name.upper() for name in names]


@commands.command("list")
def list_tasks(
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            callback=lambda names: _states(names or []),
            help="Only tasks in this state; may be repeated.",
        ),
    ] = None,
    session: Annotated[str, typer.Option(metavar="ID", help="Only tasks of this session.")] = "",
    agent: Annotated[str, typer.Option(metavar="NAME", help="Only tasks of this agent.")] = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at the most.")] = 50,
    as_json: AsJson = False,
    task_manager: TaskManager = None,
    token: Token = None,
) -> None:
    """List tasks, the newest first.

    Examples:

    \b
      outlast tasks list --state working --state failed
      outlast tasks list --session s-1 --json
    """
    from outlast.cli import task_client, task_views

    states = [TaskState[name] for name in state or []]
    tasks = task_client.list_tasks(
        task_client.connection(task_manager, token), states=states, session_id=session, agent=agent, limit=limit
    )
    if as_json:
        task_views.print_tasks_as_json(tasks)
    else:
        task_views.print_tasks(tasks)


@commands.command("get")
def get_task(
    task: Annotated[str, typer.Argument(metavar="ID", help="The task's id, or its name tasks/ID.")],
    as_json: AsJson = False,
    task_manager: TaskManager = None,
    token: Token = None,
) -> None:
    """Show one task with its result.

    Examples:

    \b
      outlast tasks get 4680601251139015056
      outlast tasks get 4680601251139015056 --json | jq .result
    """
    from outlast.cli import task_client, task_views

    found = task_client.get_task(task_client.connection(task_manager, token), task)
    if as_json:
        task_views.print_task_as_json(found)
    else:
        task_views.print_task(found)
