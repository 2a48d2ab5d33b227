"""``outlast sessions``: what a session host has, as text for people and as JSON for programs."""

from __future__ import annotations

from typing import Annotated

import typer

from outlast.cli.options import AsJson, Token
from outlast.core.errors import OutlastError
from outlastd.session_host.session_view import ViewState

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Ask a session host about its sessions, and have it stop them.",
)

Host = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="URL",
        help="The session host to ask, http://127.0.0.1:8080 by default. [OUTLAST_SESSION_HOST]",
    ),
]
Agent = Annotated[str, typer.Option(metavar="NAME", help="The agent that the session is of.")]


def _states(names: list[str]) -> list[str]:
    for name in names:
        if name.upper() not in ViewState.__members__:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(ViewState)}")
    return [name.upper() for name in names]


@commands.command("list")
def list_sessions(
    agent: Annotated[str, typer.Option(metavar="NAME", help="Only sessions of this agent.")] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            callback=lambda names: _states(names or []),
            help=f"Only sessions in this state: {', '.join(ViewState)}; may be repeated.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at the most.")] = 50,
    as_json: AsJson = False,
    host: Host = None,
    token: Token = None,
) -> None:
    """List sessions, the newest first, also those that have ended and are remembered.

    Examples:

    \b
      outlast sessions list --state active --state idle
      outlast sessions list --agent planner --json
    """
    from outlast.cli import session_client, session_views

    where = session_client.session_host(host, token)
    sessions = session_client.list_sessions(where, agent=agent, states=state or (), limit=limit)
    if as_json:
        session_views.print_sessions_as_json(sessions)
    else:
        session_views.print_sessions(sessions)


@commands.command("get")
def get_session(
    session: Annotated[str, typer.Argument(metavar="ID", help="The session's id, or AGENT/ID.")],
    agent: Agent = "",
    as_json: AsJson = False,
    host: Host = None,
    token: Token = None,
) -> None:
    """Show one session with its tasks. It neither wakes the session nor keeps it from idling.

    Examples:

    \b
      outlast sessions get planner/3f1d…
      outlast sessions get 3f1d… --json | jq .idleSeconds
    """
    from outlast.cli import session_client, session_views

    where = session_client.session_host(host, token)
    found = session_client.get_session(where, session_client.find(where, session, agent))
    session_views.print_session(found, as_json=as_json)


@commands.command("stop")
def stop_sessions(
    sessions: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of sessions, or AGENT/ID.")],
    agent: Agent = "",
    host: Host = None,
    token: Token = None,
) -> None:
    """End sessions: each one's process, and all that it started.

    A process gets SIGTERM and, after its agent's stop_grace, SIGKILL; invocations under way are broken off. The next
    call with the same id begins a new process. What cannot be stopped, or has ended before, is told, a line each, and
    the exit code is 1 then; the others are stopped all the same.

    Examples:

    \b
      outlast sessions stop planner/3f1d…
      outlast sessions list --state idle --json | jq -r '.sessions[].name' | xargs outlast sessions stop
    """
    from outlast.cli import session_client
    from outlast.cli.printing import note, one_line

    where = session_client.session_host(host, token)
    refused = 0
    for session in sessions:
        try:
            key = session_client.find(where, session, agent)
            stopped = session_client.stop_session(where, key)
        except OutlastError as error:
            refused += 1
            note(error.message)
        else:
            typer.echo(one_line(f"{key} is {stopped.get('state')}"))
    raise typer.Exit(1 if refused else 0)
