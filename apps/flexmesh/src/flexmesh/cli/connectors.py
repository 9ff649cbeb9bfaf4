"""`flexmesh connectors …`: connectors that fetch prices, weather and measurements."""

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flexmesh.cli import arguments

if TYPE_CHECKING:
    from ingest.connectors.service import ConnectorChanges

app = typer.Typer(name="connectors")

Id = Annotated[int, typer.Option("--id", help="ID of the connector.")]


def day(text: str) -> date:
    """Return the day, or the moment."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return arguments.to_moment(text)


day_option = arguments.make_option(day, "DAY")

Sensors = Annotated[
    list[str] | None,
    typer.Option("--sensor", help="Which sensor it fills with which series, as series=ID; may be repeated."),
]
Set = Annotated[list[str] | None, typer.Option("--set", help="A setting of its kind, as name=value; may be repeated.")]
Config = Annotated[
    dict[str, Any] | None, arguments.object_option("--config", help="Its settings, as JSON or a file of it.")
]
Every = Annotated[timedelta | None, arguments.duration_option("--every", help="Time between two runs, such as PT30M.")]
Secret = Annotated[
    list[str] | None,
    typer.Option("--secret", help="Ask for this secret, such as token; may be repeated. Needed ones are asked for."),
]


@app.command()
def kinds(kind: Annotated[str | None, typer.Argument(help="Show the settings of this one.")] = None) -> None:
    """List the kinds of connectors there are, or what one of them can do and be told."""
    from flexmesh import connectors
    from flexmesh.cli.show import table

    if kind is None:
        table(*connectors.list_kinds())
        return
    series = connectors.list_series(kind)
    if series is not None:
        table(*series)
        typer.echo()
    table(*connectors.list_settings(kind))


@app.command("list")
def list_connectors(
    account: Annotated[int | None, typer.Option("--account", "--account-id", help="Only those of an account.")] = None,
) -> None:
    """List connectors and how they do."""
    from flexmesh import connectors
    from flexmesh.cli.show import show as show_table

    show_table(lambda con: connectors.list_connectors(con, account), "There are no connectors yet.")


@app.command()
def show(id: Id) -> None:
    """Show a connector: what it is told, and how its last run went."""
    from flexmesh import connectors
    from flexmesh.cli.show import show_all

    show_all(lambda con: connectors.describe_connector(con, id))


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="See `flexmesh connectors kinds`.")],
    name: Annotated[str, typer.Option(help="Its name.")],
    sensor: Sensors = None,
    settings: Set = None,
    config: Config = None,
    every: Every = None,
    secret: Secret = None,
) -> None:
    """Add a connector. It belongs to the account of its sensors, and runs at once where the platform runs.

    Secrets are never options: they are asked for, or read from FLEXMESH_CONNECTOR_TOKEN and the like.
    """
    from ingest.connectors import registry, service

    from flexmesh import connectors, database

    given = connectors.complete_settings(kind, told(kind, config, settings), secret or [], ask)
    changes = changed(given, sensor, every)
    added = database.run_in_transaction(lambda con: service.add(con, kind, name, changes))
    typer.secho(f"Connector '{name}' (ID {added}) was added.", fg="green")
    if kind in registry.POLLING_KINDS:
        typer.echo(f"Run it here and now with `flexmesh connectors run --id {added}`.")


@app.command()
def edit(
    id: Id,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    sensor: Sensors = None,
    settings: Set = None,
    config: Config = None,
    every: Every = None,
    secret: Secret = None,
) -> None:
    """Change a connector. What is not named stays; --sensor names all its sensors anew."""
    from ingest.connectors import service

    from flexmesh import connectors, database

    kind = database.run_in_transaction(lambda con: service.load_existing(con, id)).kind
    given = told(kind, config, settings) | connectors.collect_secrets(kind, secret or [], ask)
    changes = changed(given, sensor, every, name)
    database.run_in_transaction(lambda con: service.edit(con, id, changes))
    typer.secho(f"Connector {id} was changed.", fg="green")


@app.command()
def run(
    id: Id,
    start: Annotated[
        date | None, day_option("--from", "--from-date", help="Fetch from this day or moment on …")
    ] = None,
    end: Annotated[
        date | None, day_option("--to", "--to-date", help="… to the end of this day, or to this moment.")
    ] = None,
) -> None:
    """Run a connector here and now; with --from also over a time long past."""
    from flexmesh import connectors, database
    from flexmesh.cli.status_line import StatusLine

    if end is not None and start is None:
        raise typer.BadParameter("With --to, give --from as well.")
    with StatusLine(f"Connector {id}") as counting:
        ran = database.run_with_store(lambda store: connectors.run_connector(store, id, start, end, counting.tell))
    written = ran.written
    typer.secho(
        f"Stored {written.new} new values and changed {written.changed}; {written.unchanged} were known already.",
        fg="green",
    )


@app.command()
def pause(id: Id) -> None:
    """Let a connector rest until it is resumed."""
    switch(id, on=False)


@app.command()
def resume(id: Id) -> None:
    """Let a connector that was paused run again."""
    switch(id, on=True)


def switch(id: int, *, on: bool) -> None:
    from ingest.connectors import service

    from flexmesh import database

    name = database.run_in_transaction(lambda con: service.set_enabled(con, id, on=on))
    typer.secho(f"Connector '{name}' {'runs again' if on else 'rests'}.", fg="green")


@app.command()
def delete(id: Id, force: Annotated[bool, typer.Option("--force/--no-force", help="Do not ask.")] = False) -> None:
    """Delete a connector. What it has fetched stays."""
    from ingest.connectors import service

    from flexmesh import database

    if not force:
        typer.confirm(f"Delete connector {id}?", abort=True)
    name = database.run_in_transaction(lambda con: service.delete(con, id))
    typer.secho(f"Connector '{name}' was deleted.", fg="green")


def ask(name: str) -> str:
    return str(typer.prompt(name.capitalize(), hide_input=True))


def told(kind: str, config: dict[str, Any] | None, settings: list[str] | None) -> dict[str, Any]:
    """Return the settings from the options --config and --set."""
    from flexmesh import connectors

    typed = {name: parse_json_or_text(value) for name, value in (pair("--set", text) for text in settings or [])}
    connectors.refuse_secrets(kind, typed)
    return {**(config or {}), **typed}


def changed(
    given: dict[str, Any], sensors: list[str] | None, every: timedelta | None, name: str | None = None
) -> "ConnectorChanges":
    from ingest.connectors.service import ConnectorChanges

    pairs = None if sensors is None else dict(pair("--sensor", text) for text in sensors)
    for text in (pairs or {}).values():
        if not text.isdecimal():
            raise typer.BadParameter(f"'{text}' is no ID of a sensor.")
    ids = None if pairs is None else {series: int(text) for series, text in pairs.items()}
    return ConnectorChanges(name, given, ids, every)


def pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise typer.BadParameter(f"{option} {text}: write it as name=value.")
    return name, value


def parse_json_or_text(text: str) -> object:
    if text[:1] not in "{[":
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"This is not JSON: {error}.") from None
