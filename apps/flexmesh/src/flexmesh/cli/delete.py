"""`flexmesh delete …`"""

from datetime import datetime
from typing import Annotated

import typer

from flexmesh.cli import arguments

app = typer.Typer(name="delete")

Id = Annotated[int, typer.Option("--id", help="Its ID.")]
Force = Annotated[bool, typer.Option("--force/--no-force", help="Do not ask.")]


def ask(force: bool, question: str) -> None:
    if not force:
        typer.confirm(question, abort=True)


@app.command("account-role")
def account_role(name: Annotated[str, typer.Option(help="Its name.")]) -> None:
    """Delete an account role."""
    from flexmesh import database, record_changes

    database.run_in_transaction(lambda con: record_changes.delete_account_role(con, name))
    typer.secho(f"Account role '{name}' was deleted.", fg="green")


@app.command()
def account(id: Id, force: Force = False) -> None:
    """Delete an account with its users, assets and data."""
    from flexmesh import database, record_changes

    ask(force, f"Delete account {id} with all its users, assets, sensors and data?")
    name = database.run_in_transaction(lambda con: record_changes.delete_account(con, id))
    typer.secho(f"Account '{name}' was deleted.", fg="green")


@app.command()
def user(email: Annotated[str, typer.Option(help="The user's address.")], force: Force = False) -> None:
    """Delete a user. What the user sent stays."""
    from flexmesh import database, record_changes

    ask(force, f"Delete user {email}?")
    database.run_in_transaction(lambda con: record_changes.delete_user(con, email))
    typer.secho(f"User {email} was deleted.", fg="green")


@app.command("api-key")
def api_key(id: Id, force: Force = False) -> None:
    """Delete an API key: from now on it opens nothing."""
    from flexmesh import database, keys

    ask(force, f"Delete API key {id}?")
    name = database.run_in_transaction(lambda con: keys.delete_key(con, id))
    typer.secho(f"API key '{name}' was deleted.", fg="green")


@app.command()
def webhook(id: Id, force: Force = False) -> None:
    """Delete a webhook: from now on it is told nothing."""
    from flexmesh import database, webhooks

    ask(force, f"Delete webhook {id}?")
    where = database.run_in_transaction(lambda con: webhooks.delete_webhook(con, id))
    typer.secho(f"Webhook {id} to {where} was deleted.", fg="green")


@app.command()
def asset(id: Id, force: Force = False) -> None:
    """Delete an asset with everything below it: assets, sensors and data."""
    from flexmesh import database, record_changes

    ask(force, f"Delete asset {id} with everything below it?")
    database.run_in_transaction(lambda con: record_changes.delete_asset(con, id))
    typer.secho(f"Asset {id} was deleted.", fg="green")


@app.command()
def sensor(
    id: Annotated[list[int], typer.Option("--id", help="ID of a sensor; may be repeated.")], force: Force = False
) -> None:
    """Delete sensors with their data."""
    from flexmesh import database, record_changes

    ask(force, f"Delete sensors {', '.join(map(str, id))} with their data?")
    database.run_in_transaction(lambda con: record_changes.delete_sensors(con, id))
    typer.secho(f"Deleted {len(id)} sensors.", fg="green")


@app.command()
def beliefs(
    sensor: Annotated[list[int] | None, typer.Option(help="ID of a sensor; may be repeated.")] = None,
    asset: Annotated[list[int] | None, typer.Option(help="ID of an asset: all its sensors.")] = None,
    offspring: Annotated[bool, typer.Option("--offspring", help="With --asset: also of assets below it.")] = False,
    source: Annotated[int | None, typer.Option(help="Only of this source.")] = None,
    start: Annotated[datetime | None, arguments.time_option(help="Only events from here on …")] = None,
    end: Annotated[datetime | None, arguments.time_option(help="… and before here.")] = None,
    force: Force = False,
) -> None:
    """Delete values of sensors."""
    from flexmesh import database, record_changes

    if not sensor and not asset:
        raise typer.BadParameter("Give --sensor or --asset.")
    sensors = database.run_in_transaction(
        lambda con: record_changes.sensors_of(con, sensor or [], asset or [], offspring=offspring)
    )
    ask(force, f"Delete values of sensors {', '.join(map(str, sensors))}?")
    gone = database.run_in_transaction(lambda con: record_changes.delete_beliefs(con, sensors, source, start, end))
    typer.secho(f"Deleted {gone} beliefs.", fg="green")
