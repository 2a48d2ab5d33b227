"""``outlast task-manager``."""

from __future__ import annotations

from typing import Annotated

import typer

from outlast.cli.options import set_variables

#: Where a task manager of its own keeps its tasks, below the folder that it is started in.
DEFAULT_STORE = "sqlite:///.outlast/task-manager.db"


def task_manager(
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Where it answers, 127.0.0.1:50051 by default. [OUTLAST_TASK_MANAGER_LISTEN]"
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where tasks are kept, sqlite:///PATH or postgresql://USER@HOST:PORT/DATABASE; by default "
            f"{DEFAULT_STORE}. [OUTLAST_STORE]",
        ),
    ] = None,
) -> None:
    """Run a task manager apart from the agents.

    Agents find it by OUTLAST_TASK_MANAGER or --task-manager, which may name several with commas between: any number of
    them share one PostgreSQL (pip install 'outlast[postgres]'). Beyond this machine it asks for OUTLAST_TOKEN and
    OUTLAST_WORKER_TOKEN.

    Examples:

    \b
      outlast task-manager --store sqlite:///tasks.db
      outlast task-manager --store postgresql://outlast@db.example.com:5432/outlast
      outlast run agent.py --task-manager 127.0.0.1:50051
    """
    set_variables({"OUTLAST_TASK_MANAGER_LISTEN": listen, "OUTLAST_STORE": store})
    from outlast.settings.model import load_settings
    from outlast.telemetry.capture import set_up_logs
    from outlastd.launch import run_task_manager

    settings = load_settings(store=DEFAULT_STORE, agent="task-manager")
    set_up_logs(settings, capture=True)
    run_task_manager(settings)
