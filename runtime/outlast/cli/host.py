"""``outlast host``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outlast.cli.options import set_variables

#: What is read where no file is named.
DEFAULT_FILE = Path("outlast.toml")


def host(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help=f"A configuration (*.toml), or the Python program of the only agent; {DEFAULT_FILE} by default.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65_535, help="Port it listens on, 8080 by default. [OUTLAST_PORT, PORT]"
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--host", metavar="ADDRESS", help="Address it listens on, 127.0.0.1 by default. [OUTLAST_HOST]"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where sessions and tasks are kept, sqlite:///PATH or postgresql://USER@HOST:PORT/DATABASE; by "
            "default .outlast/store/host.db beside FILE. [OUTLAST_STORE]",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Log what AgentCore itself would have refused or ended.")
    ] = False,
    idle_timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long a session may idle, 15m by default. For a program only."),
    ] = None,
    max_lifetime: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long a session may live, 8h by default. For a program only."),
    ] = None,
) -> None:
    """Run agents, with a process for each session.

    Clients call it as they call AgentCore; boto3 does so with endpoint_url. A session's process is started by the first
    call with a new session id, met again by every further one, and ended when it idles. An option wins over its
    variable, which is named behind it, and that wins over the file.

    Examples:

    \b
      outlast host agent.py
      outlast host agent.py --port 9000 --idle-timeout 2m
      outlast host outlast.toml --strict
    \b
      curl -i -X POST http://127.0.0.1:8080/runtimes/agent/invocations -d '{"prompt": "hello"}'
      outlast sessions list
    """
    program = file is not None and file.suffix != ".toml"
    for option, value in (("--idle-timeout", idle_timeout), ("--max-lifetime", max_lifetime)):
        if value is not None and not program:
            key = option[2:].replace("-", "_")
            raise typer.BadParameter(f"a configuration says for each agent what its {key} is", param_hint=option)
    if file is None and not DEFAULT_FILE.exists():
        raise typer.BadParameter(f"name one, as there is no {DEFAULT_FILE} in this folder", param_hint="FILE")
    set_variables({"OUTLAST_PORT": port, "OUTLAST_HOST": address, "OUTLAST_STORE": store})

    from outlast.settings.model import load_settings
    from outlast.telemetry.capture import set_up_logs
    from outlastd.session_host.config_file import config_for, load_config

    settings = load_settings(agent="host")
    set_up_logs(settings, capture=True)
    wanted = {"host", "port", "store", "task_manager_listen"} & settings.given
    given = {name: getattr(settings, name) for name in wanted} | {"strict": strict or None}
    given["container"] = settings.container
    token = settings.token is not None
    if file is not None and program:
        config = config_for(file, token=token, idle_timeout=idle_timeout, max_lifetime=max_lifetime, **given)
    else:
        config = load_config(file or DEFAULT_FILE, token=token, **given)
    from outlastd.launch import run_host

    run_host(config, settings)
