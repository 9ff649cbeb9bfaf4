"""`flexmesh jobs …`"""

from typing import Annotated

import typer

app = typer.Typer(name="jobs")

JobId = Annotated[str, typer.Option("--job", help="ID of the job.")]


@app.command("show-queues")
def show_queues() -> None:
    """List the queues and how many jobs of each are in which state."""
    from flexmesh import listing
    from flexmesh.cli.show import show

    show(listing.queues, "There have been no jobs yet.")


@app.command("inspect-job")
def inspect_job(job: JobId) -> None:
    """Show a job: its state, what was asked and what came of it."""
    from flexmesh import listing
    from flexmesh.cli.show import show_all

    show_all(lambda con: listing.job(con, job))
