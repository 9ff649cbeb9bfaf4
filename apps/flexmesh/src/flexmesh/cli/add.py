"""`flexmesh add …`: accounts, users, assets, sensors, sources and the toy account. Data and schedules: see `data`."""

from datetime import datetime
from typing import Annotated, Any

import typer

from flexmesh.cli import arguments, data

app = typer.Typer(name="add")
data.register(app)

Name = Annotated[str, typer.Option(help="Its name.")]
Description = Annotated[str | None, typer.Option(help="A sentence about it.")]
Words = Annotated[str, typer.Option(help="Names, with commas between them.")]


def done(sentence: str) -> None:
    typer.secho(sentence, fg="green")


@app.command("initial-structure")
def initial_structure() -> None:
    """Make the tables with the roles and asset types that every platform has."""
    from flexmesh.cli import db

    db.upgrade()


@app.command("account-role")
def account_role(name: Name, description: Description = None) -> None:
    """Add a role that accounts may have, for example Prosumer."""
    from flexmesh import database, record_creation

    role = database.run_in_transaction(
        lambda con: record_creation.add_role_or_type(con, "account_role", name, description)
    )
    done(f"Account role '{name}' (ID {role}) was added.")


@app.command("asset-type")
def asset_type(name: Name, description: Description = None) -> None:
    """Add a type that assets may have."""
    from flexmesh import database, record_creation

    added = database.run_in_transaction(
        lambda con: record_creation.add_role_or_type(con, "asset_type", name, description)
    )
    done(f"Asset type '{name}' (ID {added}) was added.")


@app.command()
def account(
    name: Name,
    roles: Words = "",
    consultancy: Annotated[int | None, typer.Option(help="ID of the account that manages this one.")] = None,
    primary_color: Annotated[str | None, typer.Option(help="Like #1a3443.")] = None,
    secondary_color: Annotated[str | None, typer.Option(help="Like #1a3443.")] = None,
    logo_url: Annotated[str | None, typer.Option(help="Address of a picture.")] = None,
) -> None:
    """Add an account: a tenant with users and assets of its own."""
    from flexmesh import database, record_creation

    look = {"primary_color": primary_color, "secondary_color": secondary_color, "logo_url": logo_url}
    added = database.run_in_transaction(
        lambda con: record_creation.add_account(
            con, name, roles=arguments.split_words(roles), consultancy=consultancy, look=look
        )
    )
    done(f"Account '{name}' (ID {added}) was added. Add its first user with `flexmesh add user --account {added} …`.")


@app.command()
def user(
    username: Annotated[str, typer.Option(help="The name to show.")],
    email: Annotated[str, typer.Option(help="The address to log in with.")],
    account: Annotated[int, typer.Option("--account", "--account-id", help="ID of the account.")],
    roles: Words = "",
    timezone: Annotated[str, arguments.zone_option(help="For example Europe/Amsterdam.")] = "UTC",
    password: Annotated[
        str | None,
        typer.Option(envvar="FLEXMESH_USER_PASSWORD", help="Asked for when left out.", show_envvar=True),
    ] = None,
) -> None:
    """Add a user to an account."""
    from flexmesh import database, record_creation

    chosen = password or typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    added = database.run_in_transaction(
        lambda con: record_creation.add_user(
            con,
            account=account,
            username=username,
            email=email,
            password=chosen,
            roles=arguments.split_words(roles),
            timezone=timezone,
        )
    )
    done(f"User '{username}' (ID {added}) was added.")


@app.command("api-key")
def api_key(
    user: Annotated[str, typer.Option(help="Address or name of the user whom it belongs to.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    scopes: Annotated[str, typer.Option(help="read, write, schedule and admin, with commas between them.")],
    only_account: Annotated[int | None, typer.Option(help="ID of the one account whose things it is good for.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="The most it is good for. Left out: any.")] = None,
    expires: Annotated[datetime | None, arguments.time_option(help="Left out: when it is deleted.")] = None,
) -> None:
    """Add an API key, for a gateway or a dashboard. It is printed this once."""
    from flexmesh import database, keys

    wanted = {
        "name": name,
        "scopes": arguments.split_words(scopes),
        "requests_per_minute": requests_per_minute,
        "expires_at": expires and expires.isoformat(),
    }
    key, listed = database.run_in_transaction(
        lambda con: keys.add_key(con, user=user, only_account=only_account, **wanted)
    )
    done(f"API key '{name}' (ID {listed['id']}) was added. Keep it: it is not shown again.")
    typer.echo(key)


@app.command()
def webhook(
    account: Annotated[int, typer.Option("--account", "--account-id", help="ID of the account.")],
    url: Annotated[str, typer.Option(help="Where messages are posted to.")],
    events: Annotated[str, typer.Option(help="The types it hears of, with commas between them. Left out: all.")] = "",
    asset: Annotated[
        list[int] | None, typer.Option(help="Only of this asset and those below; may be repeated.")
    ] = None,
    sensor: Annotated[list[int] | None, typer.Option(help="Only of this sensor; may be repeated.")] = None,
    description: Annotated[str, typer.Option(help="A sentence about it.")] = "",
) -> None:
    """Add a webhook: an address that is told what happens. Its secret is printed this once."""
    from flexmesh import database, webhooks

    filters = {"events": arguments.split_words(events), "assets": asset or [], "sensors": sensor or []}
    added, secret = database.run_in_transaction(
        lambda con: webhooks.add_webhook(con, account, url=url, description=description, **filters)
    )
    done(f"Webhook {added} was added. Keep the secret that signs its messages: it is not shown again.")
    typer.echo(secret)


@app.command()
def asset(
    name: Name,
    asset_type: Annotated[int, typer.Option("--asset-type", "--asset-type-id", help="See `show asset-types`.")],
    account: Annotated[
        int | None, typer.Option("--account", "--account-id", help="ID of the account. Left out: a public asset.")
    ] = None,
    parent_asset: Annotated[int | None, typer.Option(help="ID of the asset it is part of.")] = None,
    latitude: Annotated[float | None, typer.Option(min=-90, max=90)] = None,
    longitude: Annotated[float | None, typer.Option(min=-180, max=180)] = None,
    description: Description = None,
    attributes: Annotated[dict[str, Any] | None, arguments.object_option(help="JSON, or a file of it.")] = None,
    flex_model: Annotated[dict[str, Any] | None, arguments.object_option(help="JSON, or a file of it.")] = None,
    flex_context: Annotated[dict[str, Any] | None, arguments.object_option(help="JSON, or a file of it.")] = None,
) -> None:
    """Add an asset: a site, a battery, a charge point, a market zone."""
    from flexmesh import database, record_creation

    values = {
        "name": name,
        "generic_asset_type_id": asset_type,
        "parent_asset_id": parent_asset,
        "latitude": latitude,
        "longitude": longitude,
        "description": description,
        "attributes": attributes,
        "flex_model": flex_model,
        "flex_context": flex_context,
    }
    added = database.run_in_transaction(lambda con: record_creation.add_asset(con, account=account, **values))
    done(f"Asset '{name}' (ID {added}) was added. Add a sensor with `flexmesh add sensor --asset {added} …`.")


@app.command()
def sensor(
    name: Name,
    unit: Annotated[str, typer.Option(help="For example kW, EUR/MWh or °C.")],
    event_resolution: Annotated[str, typer.Option(help="How long a value lasts, for example PT15M (or minutes).")],
    asset: Annotated[int, typer.Option(help="ID of the asset.")],
    timezone: Annotated[str, arguments.zone_option(help="For example Europe/Amsterdam.")] = "UTC",
    attributes: Annotated[dict[str, Any] | None, arguments.object_option(help="JSON, or a file of it.")] = None,
) -> None:
    """Add a sensor: one series of values of an asset."""
    from flexmesh import database, record_creation

    resolution = f"PT{event_resolution}M" if event_resolution.isdigit() else event_resolution
    values = {
        "name": name,
        "unit": unit,
        "event_resolution": resolution,
        "generic_asset_id": asset,
        "timezone": timezone,
        "attributes": attributes,
    }
    added = database.run_in_transaction(lambda con: record_creation.add_sensor(con, **values))
    done(f"Sensor '{name}' (ID {added}) was added. Add data with `flexmesh add beliefs --sensor {added} FILE`.")


@app.command()
def source(
    name: Name,
    source_type: Annotated[str, typer.Option("--type", help="For example forecaster.")],
    model: Annotated[str | None, typer.Option(help="The model it uses.")] = None,
    version: Annotated[str | None, typer.Option(help="The version of the model.")] = None,
    account: Annotated[int | None, typer.Option(help="ID of the account it belongs to.")] = None,
) -> None:
    """Add a data source: who or what believes values."""
    from flexstore import sources

    from flexmesh import database

    added = database.run_in_transaction(
        lambda con: sources.ensure(con, name, source_type, model, version, account_id=account)
    )
    done(f"Source '{name}' has ID {added}.")


@app.command("toy-account")
def toy_account(
    kind: Annotated[str, typer.Option(help="battery or process.")] = "battery",
    name: Annotated[str, typer.Option(help="Name of the account.")] = "Toy Account",
    shell_vars: Annotated[bool, typer.Option("--shell-vars", help="Print the IDs as shell variables only.")] = False,
) -> None:
    """Add the account, user, assets and sensors of the tutorials."""
    from flexmesh import database, toy_account

    if kind not in toy_account.KINDS:
        raise typer.BadParameter(f"'{kind}' is not one of: {', '.join(toy_account.KINDS)}.")
    made = database.run_in_transaction(lambda con: toy_account.ensure_toy_account(con, kind, name))
    if not shell_vars:
        login = f"log in as {toy_account.EMAIL} with password {toy_account.PASSWORD}"
        done(f"Toy account '{name}' (ID {made.account_id}): {login}.")
    typer.echo("\n".join(made.shell_variables()))
