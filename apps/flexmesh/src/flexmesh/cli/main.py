"""The root command with all groups. Errors are printed as one sentence, with a nonzero exit code."""

from typing import TYPE_CHECKING, Annotated

import typer
from flexmodel.errors import FlexmeshError
from typer.core import TyperGroup

from flexmesh.cli import add, connectors, db, delete, doctor, edit, jobs, run, show

if TYPE_CHECKING:
    from typer._click import Context


class Commands(TyperGroup):
    def invoke(self, ctx: "Context") -> object:
        try:
            return super().invoke(ctx)
        except FlexmeshError as error:
            typer.secho(error.message, fg="red", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
run.register(app)
app.command("doctor")(doctor.doctor)
for group, about in (
    (add, "Add accounts, users, assets, sensors, data and schedules."),
    (show, "Show what is there."),
    (edit, "Change what is there."),
    (delete, "Delete what is there."),
    (jobs, "Look at and run jobs."),
    (connectors, "Fetch prices, weather and measurements from elsewhere."),
    (db, "The tables of the database, backup and restore."),
):
    app.add_typer(group.app, help=about, no_args_is_help=True)
app.add_typer(db.ops, help="Backup and restore, as in `db`.", no_args_is_help=True)


def show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"Flexmesh {version('flexmesh')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """When should each flexible asset run?"""
