"""`flexmesh show …`"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flexmesh.cli import arguments

if TYPE_CHECKING:
    from flexmesh.database import Query
    from flexmesh.tables import Table

app = typer.Typer(name="show")

Id = Annotated[int, typer.Option("--id", help="Its ID.")]


def table(header: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Print aligned columns in a terminal, and tab-separated ones elsewhere."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        for row in (header, *rows) if any(header) else rows:
            typer.echo("\t".join(cell(value) for value in row))
        return
    shown = Table(title=title, title_justify="left", show_header=any(header), box=None, pad_edge=False)
    for name in header:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(cell(value) for value in row))
    console.print(shown)


def cell(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def show(query: "Query[Table]", nothing: str) -> None:
    """Run the query and print its table, or the sentence if it is empty."""
    from flexmesh import database

    header, rows = database.run_in_transaction(query)
    if rows:
        table(header, rows)
    else:
        typer.echo(nothing)


def show_all(query: "Query[list[tuple[str, Table]]]") -> None:
    from flexmesh import database

    for title, (header, rows) in database.run_in_transaction(query):
        if rows:
            typer.echo("" if title.split()[-1].isdigit() else f"\n{title}:")
            table(header, rows)


@app.command()
def accounts() -> None:
    """List the accounts."""
    from flexmesh import tables

    show(tables.list_accounts, "There are no accounts yet: `flexmesh add account`.")


@app.command()
def account(id: Id) -> None:
    """Show an account with its users and assets."""
    from flexmesh import tables

    show_all(lambda con: tables.describe_account(con, id))


@app.command()
def users(account: Annotated[int | None, typer.Option(help="Only of this account.")] = None) -> None:
    """List the users."""
    from flexmesh import tables

    show(lambda con: tables.list_users(con, account), "There are no users yet: `flexmesh add user`.")


@app.command("api-keys")
def api_keys(account: Annotated[int | None, typer.Option(help="Only of the users of this account.")] = None) -> None:
    """List the API keys, without their secrets."""
    from flexmesh import keys

    show(lambda con: keys.list_keys(con, account), "There are no API keys: `flexmesh add api-key`.")


@app.command()
def webhooks(account: Annotated[int | None, typer.Option(help="Only of this account.")] = None) -> None:
    """List the webhooks, without their secrets."""
    from flexmesh import webhooks

    show(lambda con: webhooks.list_webhooks(con, account), "There are no webhooks: `flexmesh add webhook`.")


@app.command()
def roles() -> None:
    """List the roles of users and accounts."""
    from flexmesh import tables

    show(tables.list_roles, "There are no roles.")


@app.command("asset-types")
def asset_types() -> None:
    """List the types that assets may have."""
    from flexmesh import tables

    show(tables.list_asset_types, "There are no asset types.")


@app.command()
def assets(
    account: Annotated[int | None, typer.Option(help="ID of an account. Left out: public assets.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The assets of all accounts.")] = False,
) -> None:
    """List the assets of an account, or the public ones."""
    from flexmesh import tables

    show(lambda con: tables.list_assets(con, account, everything=everything), "There are none: `flexmesh add asset`.")


@app.command()
def asset(id: Id) -> None:
    """Show an asset with its sensors and child assets."""
    from flexmesh import tables

    show_all(lambda con: tables.describe_asset(con, id))


@app.command()
def sensors(asset: Annotated[int | None, typer.Option(help="Only of this asset.")] = None) -> None:
    """List the sensors."""
    from flexmesh import tables

    show(lambda con: tables.list_sensors(con, asset), "There are none: `flexmesh add sensor`.")


@app.command("data-sources")
def data_sources(
    id: Annotated[int | None, typer.Option(help="Only this one.")] = None,
    show_sensors: Annotated[bool, typer.Option("--show-sensors", help="With the sensors it has data on.")] = False,
) -> None:
    """List the data sources."""
    from flexmesh import tables

    show(lambda con: tables.list_data_sources(con, id), "There are no data sources yet.")
    if show_sensors and id is not None:
        show(lambda con: tables.list_sensors_of_source(con, id), "It has no data.")


@app.command()
def jobs(
    queue: Annotated[str | None, typer.Option(help="Only of this queue.")] = None,
    status: Annotated[str | None, typer.Option(help="Only in this state, for example FAILED.")] = None,
    count: Annotated[int, typer.Option("--n", min=1, help="How many.")] = 20,
) -> None:
    """List the newest jobs."""
    from flexmesh import tables

    show(lambda con: tables.list_jobs(con, queue, status, count), "There are no such jobs.")


@app.command()
def beliefs(
    sensor: Annotated[list[int], typer.Option("--sensor", "--sensor-id", help="ID of a sensor; may be repeated.")],
    start: Annotated[datetime, arguments.time_option(help="Like 2026-01-31T07:00+01:00.")],
    duration: Annotated[timedelta, arguments.duration_option(help="Like PT12H.")],
    belief_time_before: Annotated[datetime | None, arguments.time_option(help="As known at this time.")] = None,
    source: Annotated[list[int] | None, typer.Option("--source", "--source-id", help="Only of this source.")] = None,
    source_type: Annotated[list[str] | None, typer.Option(help="Only of sources of this type.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Left out: that of the sensor.")] = None,
    to_file: Annotated[Path | None, typer.Option(help="Write the values to this CSV file instead.")] = None,
) -> None:
    """Plot the values of sensors in the terminal."""
    from flexmesh import database, sensor_values

    window = sensor_values.ValueSelection(start, start + duration, belief_time_before, source, source_type)
    found = database.run_in_transaction(lambda con: sensor_values.read(con, sensor, window))
    if timezone is not None:
        found = [series.in_zone(arguments.to_zone_name(timezone)) for series in found]
    if to_file is not None:
        sensor_values.write_csv(to_file, found)
        typer.echo(f"Wrote {sum(len(series.starts) for series in found)} values to {to_file}.")
        return
    for series in found:
        typer.echo(sensor_values.plot_values(series, start, timedelta(seconds=duration.total_seconds())))
