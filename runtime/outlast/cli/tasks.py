"""``outlast tasks``: what a task manager knows and does, as text for people and as JSON for programs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from outlast.cli import options
from outlast.cli.options import AsJson, TaskId, TaskManager, Token
from outlast.core.errors import OutlastError
from outlast.core.state import TaskState

#: How ``wait`` and ``watch`` end: 0 when the task COMPLETED, and else with one of these.
DID_NOT_COMPLETE = 1
NOBODY_KNOWS = 3
TIMED_OUT = 124
INTERRUPTED = 130

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Ask a task manager about tasks, watch them, and have it cancel, repeat and delete them.",
)


def _states(names: list[str]) -> list[str]:
    for name in names:
        if name.upper() not in TaskState.__members__:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(TaskState.__members__)}")
    return [name.upper() for name in names]


@commands.callback()
def ask() -> None:
    """Prepare for a question."""
    # gRPC reads this when it is loaded, and else says on standard error itself that a connection has ended.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


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
    from outlast.cli import connection, task_client, task_views

    states = [TaskState[name] for name in state or []]
    where = connection.connection(task_manager, token)
    tasks = task_client.list_tasks(where, states=states, session_id=session, agent=agent, limit=limit)
    if as_json:
        task_views.print_tasks_as_json(tasks, where.trace_url)
    else:
        task_views.print_tasks(tasks)


@commands.command("get")
def get_task(
    task: TaskId,
    as_json: AsJson = False,
    task_manager: TaskManager = None,
    token: Token = None,
) -> None:
    """Show one task with its result, and a link to its trace where OUTLAST_TRACE_URL is set.

    Examples:

    \b
      outlast tasks get 4680601251139015056
      outlast tasks get 4680601251139015056 --json | jq .result
    """
    from outlast.cli import connection, task_client, task_views

    where = connection.connection(task_manager, token)
    task_views.print_task(task_client.get_task(where, task), where.trace_url, as_json=as_json)


@commands.command("wait")
def wait(
    task: TaskId,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Wait this long at the most: 90, 90s, 5m, 1.5h. For ever without."),
    ] = None,
    as_json: AsJson = False,
    task_manager: TaskManager = None,
    token: Token = None,
) -> None:
    """Wait until a task has ended, and show it with its result.

    A task manager that goes away meanwhile is waited for. The exit code says how the task ended:

    \b
      0    COMPLETED
      1    FAILED, CANCELED or REJECTED
      3    nobody can say: there is no such task, or no task manager
      124  the time is over and the task goes on
      130  Ctrl-C; the task goes on

    Examples:

    \b
      outlast tasks wait 4680601251139015056 && echo done
      outlast tasks wait 4680601251139015056 --timeout 5m --json | jq .result
    """
    from outlast.cli import connection, following, task_client, task_views
    from outlast.cli.printing import note

    seconds = options.seconds(timeout)

    def waiting() -> int:
        name = task_client.task_name(task)
        where = connection.connection(task_manager, token)
        found = following.wait(where, name, seconds, note)
        state = TaskState(found.state)
        if not state.terminal:
            note(f"{name} is still {state.name} after {timeout}")
            return TIMED_OUT
        task_views.print_task(found, where.trace_url, as_json=as_json)
        return _exit_code(state)

    raise typer.Exit(_followed(waiting, "the task goes on"))


@commands.command("watch")
def watch(
    task: Annotated[str, typer.Argument(metavar="ID", help="The task's id, or its name tasks/ID.")] = "",
    session: Annotated[
        str, typer.Option(metavar="ID", help="Watch all tasks of this session, also those to come, until Ctrl-C.")
    ] = "",
    after: Annotated[
        str,
        typer.Option(
            metavar="POSITION",
            help="Leave out what was seen: up to this generation of the task, or cursor of the session (see --json).",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as one line of JSON.")] = False,
    task_manager: TaskManager = None,
    token: Token = None,
) -> None:
    """Show live what a task does, up to its end.

    That is its progress, output, states and result, from the beginning on. In a terminal progress is a bar; in a pipe
    each event is a line. A task manager that goes away meanwhile is waited
    for, and no event is lost or shown twice. The exit code is that of `outlast tasks wait`.

    Examples:

    \b
      outlast tasks watch 4680601251139015056
      outlast tasks watch 4680601251139015056 --after 12 --json
      outlast tasks watch --session s-1
    """
    if bool(task) == bool(session):
        raise typer.BadParameter("name one task, or one session with --session")
    if task and after and not (after.isascii() and after.isdecimal() and len(after) < 19):
        raise typer.BadParameter(f"{after!r} is no generation of a task: it is a number", param_hint="--after")
    raise typer.Exit(_watch(task, session, after, as_json, task_manager, token))


@commands.command("cancel")
def cancel(
    task: TaskId,
    force: Annotated[
        bool, typer.Option("--force", help="End the task when it has not stopped by itself within the grace.")
    ] = False,
    grace: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long that is: 5, 5s, 2m. The task manager's by default, 10 s."),
    ] = None,
    as_json: AsJson = False,
    task_manager: TaskManager = None,
    token: Token = None,
) -> None:
    """Ask a task to stop.

    The task's code hears of it within a second. Without --force it decides by itself when to stop, and a result that
    comes first wins. A task that is tracked by hand has no code that could hear: it is ended after the grace.

    Examples:

    \b
      outlast tasks cancel 4680601251139015056
      outlast tasks cancel 4680601251139015056 --force --grace 5s
    """
    from outlast.cli import connection, task_client, task_views

    where = connection.connection(task_manager, token)
    found = task_client.cancel_task(where, task, force=force, grace=options.seconds(grace))
    if as_json:
        task_views.print_task(found, where.trace_url, as_json=True)
    elif TaskState(found.state).terminal:
        typer.echo(f"{found.name} is {TaskState(found.state).name}")
    else:
        typer.echo(f"{found.name} was asked to stop; it is {TaskState(found.state).name}")


@commands.command("retry")
def retry(
    task: TaskId,
    watch: Annotated[bool, typer.Option("--watch", help="Watch the new task, as `outlast tasks watch` does.")] = False,
    as_json: AsJson = False,
    task_manager: TaskManager = None,
    token: Token = None,
) -> None:
    """Submit a task that has ended once more.

    The new task gets the same arguments, and its id is printed. The old one stays as it is; the new one's label
    outlast.retry_of names it. It works for tasks whose arguments are on record: those with max_attempts over 1, and
    those from CreateTask.

    Examples:

    \b
      outlast tasks retry 4680601251139015056
      outlast tasks wait $(outlast tasks retry 4680601251139015056)
      outlast tasks retry 4680601251139015056 --watch
    """
    from outlast.cli import connection, task_client, task_views

    where = connection.connection(task_manager, token)
    new = task_client.retry_task(where, task)
    if watch:
        raise typer.Exit(_watch(new.name, "", "", as_json, task_manager, token))
    if as_json:
        task_views.print_task(new, where.trace_url, as_json=True)
    else:
        typer.echo(new.task_id)


@commands.command("delete")
def delete(
    tasks: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of tasks, or their names tasks/ID.")],
    task_manager: TaskManager = None,
    token: Token = None,
) -> None:
    """Delete tasks that have ended.

    Their events and results go with them; nothing is asked. What cannot be deleted is told, a line each, and the exit
    code is 1 then; the others are deleted all the same.

    Examples:

    \b
      outlast tasks delete 4680601251139015056
      outlast tasks list --state completed --json | jq -r '.tasks[].taskId' | xargs outlast tasks delete
    """
    from outlast.cli import connection, task_client
    from outlast.cli.printing import note

    where = connection.connection(task_manager, token)
    refused = 0
    for task in tasks:
        try:
            task_client.delete_task(where, task)
        except OutlastError as error:
            refused += 1
            note(error.message)
    raise typer.Exit(1 if refused else 0)


def _watch(task: str, session: str, after: str, as_json: bool, task_manager: str | None, token: str | None) -> int:
    import sys

    from outlast.cli import connection, following, task_client
    from outlast.cli.watch_lines import JsonLines, Lines

    def watching() -> int:
        where = connection.connection(task_manager, token)
        name = task_client.task_name(task) if task else ""

        def follow(view: following.View) -> int:
            if session:
                following.watch_session(where, session, after, view)
                return 0
            return _exit_code(following.watch_task(where, name, int(after or "0"), view))

        if as_json:
            return follow(JsonLines())
        if not sys.stdout.isatty():
            return follow(Lines(names=bool(session)))
        from outlast.cli.watch_bars import Bars

        with Bars(names=bool(session)) as bars:
            return follow(bars)

    return _followed(watching, "its tasks go on" if session else "the task goes on")


def _exit_code(state: TaskState) -> int:
    return 0 if state is TaskState.COMPLETED else DID_NOT_COMPLETE


def _followed(follow: Callable[[], int], goes_on: str) -> int:
    """Return the exit code of what follows tasks; whoever has had enough is told that they go on."""
    from outlast.cli.printing import note

    try:
        return follow()
    except OutlastError as error:
        note(error.message)
        return NOBODY_KNOWS
    except KeyboardInterrupt:
        note(f"stopped; {goes_on}")
        return INTERRUPTED
