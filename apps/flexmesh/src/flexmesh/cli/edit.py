"""`flexmesh edit …`"""

from typing import Annotated, Any

import typer

from flexmesh.cli import arguments

app = typer.Typer(name="edit")
Assets = Annotated[list[int], typer.Option("--asset", "--asset-id", help="ID of an asset; may be repeated.")]


@app.command()
def attribute(
    attribute: Annotated[str, typer.Option(help="Name of the attribute.")],
    asset: Annotated[list[int] | None, typer.Option("--asset", "--asset-id", help="ID of an asset.")] = None,
    sensor: Annotated[list[int] | None, typer.Option("--sensor", "--sensor-id", help="ID of a sensor.")] = None,
    account: Annotated[list[int] | None, typer.Option("--account", help="ID of an account.")] = None,
    float_value: Annotated[float | None, typer.Option("--float", help="A number.")] = None,
    int_value: Annotated[int | None, typer.Option("--int", help="A whole number.")] = None,
    bool_value: Annotated[object, arguments.bool_option("--bool", help="True or False.")] = None,
    str_value: Annotated[str | None, typer.Option("--str", help="Text.")] = None,
    list_value: Annotated[object, arguments.json_option("--list", help="A JSON list.")] = None,
    dict_value: Annotated[dict[str, Any] | None, arguments.object_option("--dict", help="A JSON object.")] = None,
    null: Annotated[bool, typer.Option("--null", help="Nothing.")] = False,
) -> None:
    """Set an attribute of assets, sensors or accounts."""
    from flexmesh import database, record_changes

    values = [float_value, int_value, bool_value, str_value, list_value, dict_value]
    given = [value for value in values if value is not None] + ([None] if null else [])
    if len(given) != 1:
        raise typer.BadParameter("Give exactly one of --float, --int, --bool, --str, --list, --dict and --null.")
    subjects = {"asset": asset or [], "sensor": sensor or [], "account": account or []}
    if not any(subjects.values()):
        raise typer.BadParameter("Give --asset, --sensor or --account.")
    database.run_in_transaction(lambda con: record_changes.set_attribute(con, subjects, attribute, given[0]))
    typer.secho(f"Attribute '{attribute}' was set.", fg="green")


@app.command("transfer-ownership")
def transfer_ownership(
    asset: Annotated[int, typer.Option(help="ID of the asset; everything below it goes along.")],
    new_owner: Annotated[int, typer.Option(help="ID of the account that gets it.")],
) -> None:
    """Give an asset, and everything below it, to another account."""
    from flexmesh import database, record_changes

    moved = database.run_in_transaction(lambda con: record_changes.transfer_ownership(con, asset, new_owner))
    typer.secho(f"{moved} assets now belong to account {new_owner}.", fg="green")


@app.command("transfer-parenthood")
def transfer_parenthood(
    asset: Assets,
    new_parent: Annotated[int | None, typer.Option(help="ID of the new parent. Left out: none.")] = None,
) -> None:
    """Put assets below another asset, or at the top."""
    from flexmesh import database, record_changes

    database.run_in_transaction(lambda con: record_changes.transfer_parenthood(con, asset, new_parent))
    typer.secho(f"Moved {len(asset)} assets.", fg="green")
