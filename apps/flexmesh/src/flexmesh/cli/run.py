"""`flexmesh up`, `serve` and `worker`: commands that run until they are stopped."""

import os
from typing import Annotated

import typer

SERVICES = ("gateway", "ingest", "scheduler", "reporting")
QUEUES = ("schedule", "ingest", "connector")

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="The port to listen on [FLEXMESH_PORT].")]
Host = Annotated[str | None, typer.Option(help="The address to listen on [FLEXMESH_HOST].")]


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command("run", hidden=True)(up)
    app.command()(serve)
    app.command()(worker)


def set_environment(**values: object) -> None:
    """Set the given options in the environment, from which services load their settings."""
    for name, value in values.items():
        if value is not None:
            os.environ[f"FLEXMESH_{name.upper()}"] = str(value)


def up(
    port: Port = None,
    host: Host = None,
    toy: Annotated[bool, typer.Option("--toy", help="With the toy account of the tutorials and its schedule.")] = False,
) -> None:
    """Run the whole platform in one process, with its own database. Ctrl-C stops it; the data stays."""
    set_environment(port=port, host=host)
    from flexmesh.progress import Steps

    steps = Steps()
    from flexmesh import platform

    raise typer.Exit(platform.up(steps, with_toy=toy))


def serve(
    service: Annotated[str, typer.Argument(help=f"One of: {', '.join(SERVICES)}.")],
    port: Port = None,
    host: Host = None,
) -> None:
    """Run one service, as set in the environment."""
    if service not in SERVICES:
        raise typer.BadParameter(f"'{service}' is not one of: {', '.join(SERVICES)}.")
    set_environment(port=port, host=host)
    from flexmesh import entry_points

    raise typer.Exit(entry_points.SERVICES[service]())


def worker(
    queue: Annotated[str, typer.Argument(help=f"One of: {', '.join(QUEUES)}.")],
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port for health and metrics [FLEXMESH_PORT, else any].")
    ] = None,
    host: Host = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Jobs at a time [FLEXMESH_WORKER_CONCURRENCY].")
    ] = None,
) -> None:
    """Run a worker that takes jobs from a queue. Any number may run beside one another."""
    if queue not in QUEUES:
        raise typer.BadParameter(f"'{queue}' is not one of: {', '.join(QUEUES)}.")
    set_environment(port=port if port is not None else os.environ.get("FLEXMESH_PORT", 0), host=host)
    set_environment(worker_concurrency=concurrency)
    from flexmesh import entry_points

    raise typer.Exit(entry_points.WORKERS[queue]())
