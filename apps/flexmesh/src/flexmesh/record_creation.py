"""Creation of accounts, users, assets, sensors and sources on the command line, by the rules of the API."""

from collections.abc import Sequence
from typing import Any

from api_gateway.settings import GatewaySettings
from flexcore.accounts import repository as accounts
from flexcore.accounts import service as account_service
from flexcore.assets import service as asset_service
from flexcore.assets.inputs import AssetPost
from flexcore.credentials import password_rules
from flexcore.credentials.passwords import HASHER
from flexcore.fields import Input
from flexcore.sensors import service as sensor_service
from flexcore.sensors.inputs import SensorPost
from flexcore.users import service as user_service
from flexmodel.errors import Conflict, Invalid, NotFound
from flexserve.settings import load
from flexstore import sources
from flexstore.rows import Row
from flexstore.store import Connection
from pydantic import ValidationError

NAMED = ("account_role", "asset_type")


def validate_fields(model: type[Input], **values: object) -> dict[str, Any]:
    """Return the given values as the API accepts them. Raises `Invalid`."""
    return validate_input(model, **values).sent()


def validate_input[Given: Input](model: type[Given], **values: object) -> Given:
    """Validate the given values. Raises `Invalid` with the first error."""
    try:
        return model.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        problem = error.errors()[0]
        raise Invalid({".".join(map(str, problem["loc"])): [problem["msg"]]}) from None


async def load_row(con: Connection, table: str, id: int, called: str) -> Row:
    found = await con.fetchrow(f'select * from "{table}" where id = $1', id, record_class=Row)  # noqa: S608 (names of ours)
    if found is None:
        raise NotFound(f"There is no {called} with id {id}.")
    return found


async def add_role_or_type(con: Connection, table: str, name: str, description: str | None) -> int:
    """Add an account role or an asset type, and return its id."""
    assert table in NAMED
    statement = f"insert into {table} (name, description) values ($1, $2) on conflict do nothing returning id"  # noqa: S608 - put together from constants
    added: int | None = await con.fetchval(statement, name, description)
    if added is None:
        raise Conflict(f"There is an {table.replace('_', ' ')} named '{name}' already.")
    return added


async def add_account(
    con: Connection, name: str, *, roles: Sequence[str], consultancy: int | None, look: dict[str, str | None]
) -> int:
    known = {found["name"]: found["id"] for found in await con.fetch("select id, name from account_role")}
    for role in roles:
        if role not in known:
            raise NotFound(f"There is no account role named '{role}'. Add it with `flexmesh add account-role`.")
    account = await account_service.create(con, None, name, consultancy)
    await accounts.set_roles(con, account, [known[role] for role in roles])
    await accounts.update(con, account, {field: value for field, value in look.items() if value is not None})
    return account


async def add_user(
    con: Connection, *, account: int, username: str, email: str, password: str, roles: Sequence[str], timezone: str
) -> int:
    await load_row(con, "account", account, "account")
    known = [found["name"] for found in await con.fetch("select name from role order by id")]
    for role in roles:
        if role not in known:
            raise NotFound(f"There is no role named '{role}'. The roles are: {', '.join(known)}.")
    password_rules.check("password", password, load(GatewaySettings).shortest_password, username, email)
    hashed = HASHER.hash(password)
    user = await user_service.create(con, None, account, email, username, hashed, roles=roles, timezone=timezone)
    await sources.ensure(con, username, "user", user_id=user, account_id=account)
    return user


async def add_asset(con: Connection, *, account: int | None, **values: object) -> int:
    """Add an asset, public if it has no account, and return its id."""
    return await asset_service.create(con, None, {**validate_fields(AssetPost, **values), "account_id": account})


async def add_sensor(con: Connection, **values: object) -> int:
    return await sensor_service.create(con, None, validate_fields(SensorPost, **values))


async def find_source(con: Connection, text: str) -> int:
    """Return the id of the source with this id, of the user of this name, or else of a CLI script of this name."""
    if text.isdigit():
        return int((await load_row(con, "source", int(text), "source"))["id"])
    user = await con.fetchrow("select id, account_id from users where username = $1", text)
    if user is not None:
        return await sources.ensure(con, text, "user", user_id=user["id"], account_id=user["account_id"])
    return await sources.ensure(con, text, "CLI script")
