"""SQL about assets."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Mapping, Sequence
from typing import Any

from flexmodel.errors import NotFound
from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.assets.inputs import AssetQuery

COLUMNS = """
  a.id, a.name, a.account_id, a.parent_asset_id, a.description, a.external_id, a.latitude, a.longitude,
  a.attributes::text as attributes, a.flex_model::text as flex_model, a.flex_context::text as flex_context,
  a.sensors_to_show::text as sensors_to_show, a.sensors_to_show_as_kpis::text as sensors_to_show_as_kpis,
  t.id as type_id, t.name as type_name, acc.name as owner_name,
  coalesce((select json_agg(json_build_object('account_id', c.account_id, 'generic_asset_type',
              json_build_object('id', ct.id, 'name', ct.name), 'id', c.id, 'name', c.name) order by c.id)
            from asset c join asset_type ct on ct.id = c.asset_type_id where c.parent_asset_id = a.id)::text,
           '[]') as child_assets,
  coalesce((select json_agg(json_build_object('id', s.id, 'name', s.name) order by s.id)
            from sensor s where s.asset_id = a.id)::text, '[]') as sensors
"""
TABLES = "asset a join asset_type t on t.id = a.asset_type_id left join account acc on acc.id = a.account_id"
SORT = {"id": "id", "name": "lower(name)", "owner": "lower(owner_name)"}
STORED = {
    "name": "name", "description": "description", "generic_asset_type_id": "asset_type_id",
    "parent_asset_id": "parent_asset_id", "account_id": "account_id", "latitude": "latitude", "longitude": "longitude",
    "external_id": "external_id", "attributes": "attributes", "flex_model": "flex_model",
    "flex_context": "flex_context", "sensors_to_show": "sensors_to_show",
    "sensors_to_show_as_kpis": "sensors_to_show_as_kpis",
}  # fmt: skip
"""Fields of the API and the columns that keep them."""
SUBTREE = """
with recursive below as (
    select id, 0 as level from asset where id = $1
    union all select c.id, b.level + 1 from asset c join below b on c.parent_asset_id = b.id
) """


class AssetTypeRow(Row):
    """A type that assets may have."""

    id: int
    name: str
    description: str | None


class AssetRow(Row):
    """An asset with its type, owner, children and sensors. Documents and lists are JSON as text."""

    id: int
    name: str
    account_id: int | None
    parent_asset_id: int | None
    description: str | None
    external_id: str | None
    latitude: float | None
    longitude: float | None
    attributes: str
    flex_model: str
    flex_context: str
    sensors_to_show: str
    sensors_to_show_as_kpis: str
    type_id: int
    type_name: str
    owner_name: str | None
    child_assets: str
    sensors: str


async def load_types(con: Connection) -> list[AssetTypeRow]:
    return await con.fetch("select id, name, description from asset_type order by id", record_class=AssetTypeRow)


async def find(con: Connection, asset_id: int) -> AssetRow | None:
    """Return the asset, or None if there is none with this id."""
    return await con.fetchrow(f"select {COLUMNS} from {TABLES} where a.id = $1", asset_id, record_class=AssetRow)


async def get(con: Connection, asset_id: int) -> AssetRow:
    """Return the asset. Raises `NotFound` if there is none with this id."""
    row = await find(con, asset_id)
    if row is None:
        raise NotFound(f"No asset found with ID {asset_id}.")
    return row


async def fetch_page(
    con: Connection, accounts: Sequence[int] | None, query: AssetQuery, *, public: bool, order: str
) -> tuple[list[AssetRow], int]:
    """Return a page of the assets of some accounts (None: of all), and how many match."""
    sql, *values = matching(accounts, query, public=public, patterns=query.patterns)
    return await query.fetch(con, AssetRow, sql, *values, order=order)


async def count(con: Connection, accounts: Sequence[int] | None, query: AssetQuery, *, public: bool) -> int:
    """Return how many assets there are before the filter."""
    sql, *values = matching(accounts, query, public=public, patterns=[])
    total: int = await con.fetchval(f"select count(*) from ({sql}) as found", *values)
    return total


def matching(
    accounts: Sequence[int] | None, query: AssetQuery, *, public: bool, patterns: Sequence[str]
) -> tuple[str, Sequence[int] | None, bool, list[str], int | None, int | None, int | None]:
    """Return SQL for the assets that a query asks for, and its parameters."""
    below = "true"
    if query.root is not None or query.depth is not None:
        start = "a0.id = $5" if query.root is not None else "a0.parent_asset_id is null and $5::int is null"
        below = f"""a.id in (
            with recursive below as (
                select a0.id, 0 as level from asset a0 where {start}
                union all select c.id, b.level + 1 from asset c join below b on c.parent_asset_id = b.id
                          where $6::int is null or b.level < $6
            ) select id from below)"""
    else:
        below = "$5::int is null and $6::int is null"
    sql = f"""select {COLUMNS} from {TABLES}
        where ((a.account_id is not null and ($1::int[] is null or a.account_id = any($1)))
               or (a.account_id is null and $2))
          and concat_ws(' ', a.name, acc.name) ilike all($3::text[])
          and ($4::int is null or a.asset_type_id = $4) and {below}"""
    return sql, accounts, public, list(patterns), query.asset_type, query.root, query.depth


async def load_public(con: Connection) -> list[AssetRow]:
    return await con.fetch(
        f"select {COLUMNS} from {TABLES} where a.account_id is null order by a.id", record_class=AssetRow
    )


async def type_exists(con: Connection, type_id: int) -> bool:
    return bool(await con.fetchval("select true from asset_type where id = $1", type_id))


async def find_by_name(con: Connection, name: str, parent_id: int | None, account_id: int | None) -> int | None:
    """Return the id of the asset with a name under a parent, or without a parent in an account."""
    asset: int | None = await con.fetchval(
        """select id from asset where name = $1 and parent_asset_id is not distinct from $2
           and ($2 is not null or account_id is not distinct from $3)""",
        name, parent_id, account_id,
    )  # fmt: skip
    return asset


async def insert(con: Connection, values: Mapping[str, Any]) -> int:
    columns = [STORED[field] for field in values]
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    asset: int = await con.fetchval(
        f"insert into asset ({', '.join(columns)}) values ({places}) returning id", *values.values()
    )
    return asset


async def update(con: Connection, asset_id: int, values: Mapping[str, Any]) -> None:
    sets = ", ".join(f"{STORED[field]} = ${number}" for number, field in enumerate(values, start=2))
    if sets:
        await con.execute(f"update asset set {sets} where id = $1", asset_id, *values.values())


async def transfer(con: Connection, asset_id: int, account_id: int | None) -> None:
    """Transfer the asset and its descendants to an account."""
    await con.execute(
        f"{SUBTREE} update asset set account_id = $2 from below where asset.id = below.id", asset_id, account_id
    )


async def is_below(con: Connection, asset_id: int, root_id: int) -> bool:
    """Return whether the asset is the root or one of its descendants."""
    return bool(await con.fetchval(f"{SUBTREE} select true from below where id = $2", root_id, asset_id))


async def load_sensors_below(con: Connection, asset_id: int) -> list[int]:
    rows = await con.fetch(
        f"{SUBTREE} select s.id from sensor s join below b on s.asset_id = b.id order by s.id", asset_id
    )
    return [row["id"] for row in rows]


async def load_assets_below(con: Connection, asset_id: int) -> list[int]:
    """Return the ids of the asset and its descendants, parents first."""
    return [row["id"] for row in await con.fetch(f"{SUBTREE} select id from below order by level, id", asset_id)]


async def delete(con: Connection, asset_id: int) -> None:
    await con.execute("delete from asset where id = $1", asset_id)
