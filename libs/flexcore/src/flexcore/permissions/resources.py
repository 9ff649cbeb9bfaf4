"""Finding the resource of a request, together with its owner."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flexmodel.errors import Forbidden, NotFound
from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.credentials.repository import IDENTIFY, USABLE, CallerRow
from flexcore.permissions.identity import Identity, Role
from flexcore.permissions.policy import Action, Owner, ResourceType, may

LARGEST_ID = 2**31 - 1

RULES_PLATFORM = """
exists (select from user_role ur join role r on r.id = ur.role_id
        where ur.user_id = u.id and r.name in ('admin', 'admin-reader')) as rules_platform"""
FIND_TOKEN = f"""
        select t.id, t.kind, t.name, u.username, u.account_id, a.consultancy_account_id, u.id as user_id,
               {RULES_PLATFORM}
        from token t join users u on u.id = t.user_id join account a on a.id = u.account_id
        where t.id = $1 and {USABLE}"""
FIND: dict[ResourceType, str] = {
    ResourceType.ACCOUNT: """
        select id, name, id as account_id, consultancy_account_id, null::int as user_id from account where id = $1""",
    ResourceType.USER: f"""
        select u.id, u.username, u.email, u.account_id, a.consultancy_account_id, u.id as user_id,
               {RULES_PLATFORM}
        from users u join account a on a.id = u.account_id where u.id = $1""",
    ResourceType.ASSET: """
        select s.id, s.name, s.parent_asset_id, s.account_id, a.consultancy_account_id, null::int as user_id
        from asset s left join account a on a.id = s.account_id where s.id = $1""",
    ResourceType.SENSOR: """
        select n.id, n.name, n.unit, n.event_resolution, n.timezone, n.asset_id,
               s.name as asset_name, s.account_id, a.consultancy_account_id, null::int as user_id
        from sensor n join asset s on s.id = n.asset_id left join account a on a.id = s.account_id where n.id = $1""",
    ResourceType.TOKEN: FIND_TOKEN,
    ResourceType.KEY: f"{FIND_TOKEN} and t.kind = 'key'",
    ResourceType.WEBHOOK: """
        select w.id, w.url, w.active, w.account_id, a.consultancy_account_id, null::int as user_id
        from webhook w join account a on a.id = w.account_id where w.id = $1""",
}

FIND_FOR_CALLER = {
    thing: f"select * from ({IDENTIFY}) caller left join ({find.replace('$1', '$3')}) thing on true"
    for thing, find in FIND.items()
}


class ResourceRow(Row):
    """A resource with what is needed to know its owner.

    Every kind has the first four columns; the others belong to some kinds only, as the SQL above says.
    """

    id: int
    account_id: int | None
    consultancy_account_id: int | None
    user_id: int | None
    name: str
    username: str
    email: str
    kind: str
    url: str
    active: bool
    parent_asset_id: int | None
    asset_id: int
    asset_name: str
    unit: str
    event_resolution: timedelta
    timezone: str


class CallerAndResourceRow(CallerRow, ResourceRow):
    """A caller, and the resource that a request is about; without a resource its columns are null."""


async def find(con: Connection, thing: ResourceType, id: int) -> ResourceRow | None:
    """Return the resource of a kind, or None if there is none with this id."""
    return await con.fetchrow(FIND[thing], id, record_class=ResourceRow) if 0 < id <= LARGEST_ID else None


async def get(con: Connection, thing: ResourceType, id: int) -> ResourceRow:
    """Return the resource of a kind. Raises `NotFound` if there is none with this id."""
    row = await find(con, thing, id)
    if row is None:
        raise NotFound(f"There is no {thing} with ID {id}.")
    return row


async def find_for_caller(
    con: Connection, thing: ResourceType, id: int, token_hash: bytes, seen_every: timedelta
) -> CallerAndResourceRow | None:
    """Return the caller and the resource in one query: None for a bad token, a row with a null `id` for no resource."""
    number = id if 0 < id <= LARGEST_ID else 0
    return await con.fetchrow(FIND_FOR_CALLER[thing], token_hash, seen_every, number, record_class=CallerAndResourceRow)


def owner_of(row: ResourceRow) -> Owner:
    """Return the owner of a resource."""
    return Owner(row.account_id, row.consultancy_account_id, row.user_id, row.get("rules_platform") or False)


@dataclass(frozen=True, slots=True)
class Found:
    """A resource that the caller may act on, with its owner."""

    caller: Identity
    row: ResourceRow
    owner: Owner

    @property
    def id(self) -> int:
        return self.row.id

    @property
    def account_id(self) -> int | None:
        return self.row.account_id

    @property
    def home_account_id(self) -> int:
        """The account of a resource that always has one: a user, a token, a webhook."""
        assert self.row.account_id is not None
        return self.row.account_id


async def visible_accounts(con: Connection, caller: Identity) -> list[int] | None:
    """Return the accounts whose resources the caller may read; None means all."""
    only = caller.only_account
    if caller.reads_all_accounts:
        return None if only is None else [only]
    within = [caller.account_id]
    if caller.has(Role.CONSULTANT):
        clients = await con.fetch("select id from account where consultancy_account_id = $1", caller.account_id)
        within += [row["id"] for row in clients]
    return within if only is None else [account for account in within if account == only]


async def load_sensor_owners(con: Connection, sensor_ids: Sequence[int]) -> dict[int, ResourceRow]:
    """Return the owners of those sensors that exist."""
    rows = await con.fetch(
        """select s.id, a.account_id, acc.consultancy_account_id, null::int as user_id
           from sensor s join asset a on a.id = s.asset_id left join account acc on acc.id = a.account_id
           where s.id = any($1::int[])""",
        list(sensor_ids),
        record_class=ResourceRow,
    )
    return {row.id: row for row in rows}


async def check_feedable(con: Connection, caller: Identity, sensor_ids: Sequence[int]) -> None:
    """Refuse sensors on which the caller may not store values."""
    owners = {id: owner_of(row) for id, row in (await load_sensor_owners(con, sensor_ids)).items()}
    for sensor_id in sensor_ids:
        if sensor_id in owners and not may(caller, Action.FEED, ResourceType.SENSOR, owners[sensor_id]):
            raise Forbidden(f"You may not store values on sensor {sensor_id}.")
