"""`flexmesh jobs …`"""

from typing import Annotated

import typer

app = typer.Typer(name="jobs")

QUEUES = {"scheduling": "schedule", "ingestion": "ingest"}
"""Names of queues that existing commands use, and ours."""

JobId = Annotated[str, typer.Option("--job", help="ID of the job.")]


@app.command("show-queues")
def show_queues() -> None:
    """List the queues and how many jobs of each are in which state."""
    from flexmesh import tables
    from flexmesh.cli.show import show

    show(tables.list_queues, "There have been no jobs yet.")


@app.command("run-job")
def run_job(job: JobId) -> None:
    """Do a waiting job here and now."""
    from uuid import UUID

    from flexmesh import database, scheduling
    from flexmesh.cli.data import tell

    try:
        number = UUID(job)
    except ValueError:
        raise typer.BadParameter(f"'{job}' is no ID of a job.") from None
    tell(database.run_with_store(lambda store: scheduling.run_job_here(store, number)))


@app.command("run-worker")
def run_worker(
    queue: Annotated[str, typer.Option(help="Names of queues, with | between them, for example scheduling.")],
    name: Annotated[str | None, typer.Option(help="Not needed: workers name themselves.", hidden=True)] = None,
) -> None:
    """Run a worker, as `flexmesh worker` does."""
    from flexmesh.cli.run import worker

    known = [QUEUES.get(name, name) for name in queue.split("|") if name in (*QUEUES, *QUEUES.values())]
    if not known:
        raise typer.BadParameter(f"'{queue}' names none of the queues there are: {', '.join(QUEUES)}.")
    worker(known[0])


@app.command("inspect-job")
def inspect_job(job: JobId) -> None:
    """Show a job: its state, what was asked and what came of it."""
    from flexmesh import tables
    from flexmesh.cli.show import show_all

    show_all(lambda con: tables.describe_job(con, job))
