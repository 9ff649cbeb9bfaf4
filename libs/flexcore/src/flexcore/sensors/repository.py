"""SQL about sensors."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from flexmodel.errors import NotFound
from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.listing import Page

COLUMNS = "s.id, s.name, s.unit, s.event_resolution, s.timezone, s.asset_id, s.attributes::text as attributes"
SORT = {"id": "id", "name": "lower(name)", "resolution": "event_resolution"}
STORED = {
    "name": "name", "unit": "unit", "event_resolution": "event_resolution", "timezone": "timezone",
    "attributes": "attributes", "generic_asset_id": "asset_id",
}  # fmt: skip


class SensorRow(Row):
    """A sensor. Its attributes are JSON as text."""

    id: int
    name: str
    unit: str
    event_resolution: timedelta
    timezone: str
    asset_id: int
    attributes: str


async def get(con: Connection, sensor_id: int) -> SensorRow:
    """Return the sensor. Raises `NotFound` if there is none with this id."""
    row = await con.fetchrow(f"select {COLUMNS} from sensor s where s.id = $1", sensor_id, record_class=SensorRow)
    if row is None:
        raise NotFound(f"Sensor {sensor_id} not found")
    return row


async def fetch_page(
    con: Connection,
    page: Page,
    accounts: Sequence[int] | None,
    *,
    public: bool,
    below: int | None = None,
    unit: str | None = None,
    order: str,
) -> tuple[list[SensorRow], int, int]:
    """Return a page of the sensors of some accounts (None: of all), how many match, and how many there are."""
    sql = f"""
        with recursive tree as (
            select id from asset where id = $4
            union all select c.id from asset c join tree t on c.parent_asset_id = t.id
        )
        select {COLUMNS} from sensor s join asset a on a.id = s.asset_id left join account acc on acc.id = a.account_id
        where ((a.account_id is not null and ($1::int[] is null or a.account_id = any($1)))
               or (a.account_id is null and $2))
          and concat_ws(' ', s.name, a.name, acc.name) ilike all($3::text[])
          and ($4::int is null or a.id in (select id from tree))
          and ($5::text is null or s.unit = $5)"""
    rows, filtered = await page.fetch(con, SensorRow, sql, accounts, public, page.patterns, below, unit, order=order)
    if not page.patterns:
        return rows, filtered, filtered
    return (
        rows,
        filtered,
        await con.fetchval(f"select count(*) from ({sql}) as found", accounts, public, [], below, unit),
    )


async def fetch_page_of_asset(
    con: Connection, asset_id: int, page: Page, order: str
) -> tuple[list[SensorRow], int, int]:
    sql = f"select {COLUMNS} from sensor s where s.asset_id = $1 and s.name ilike all($2::text[])"
    rows, filtered = await page.fetch(con, SensorRow, sql, asset_id, page.patterns, order=order)
    return rows, filtered, await con.fetchval("select count(*) from sensor where asset_id = $1", asset_id)


async def find_by_name(con: Connection, name: str, asset_id: int) -> int | None:
    sensor: int | None = await con.fetchval("select id from sensor where name = $1 and asset_id = $2", name, asset_id)
    return sensor


async def insert(con: Connection, values: Mapping[str, Any]) -> int:
    columns = [STORED[field] for field in values]
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    sensor: int = await con.fetchval(
        f"insert into sensor ({', '.join(columns)}) values ({places}) returning id", *values.values()
    )
    return sensor


async def update(con: Connection, sensor_id: int, values: Mapping[str, Any]) -> None:
    sets = ", ".join(f"{STORED[field]} = ${number}" for number, field in enumerate(values, start=2))
    if sets:
        await con.execute(f"update sensor set {sets} where id = $1", sensor_id, *values.values())


async def delete(con: Connection, sensor_id: int) -> None:
    await con.execute("delete from sensor where id = $1", sensor_id)
