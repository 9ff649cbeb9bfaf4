"""SQL for charts."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from flexcore.sources.repository import SourceRow
from flexmodel.errors import NotFound
from flexstore.rows import Row
from flexstore.store import Connection

from api_gateway.charts.schemas import Period

PARTITION = {
    (False, False): None,
    (True, False): "b.sensor_id, b.event_start, b.source_id",
    (True, True): "b.sensor_id, b.event_start, s.name, s.type, s.model, s.user_id",
    (False, True): "b.sensor_id, b.event_start, s.name, s.type, s.model, s.user_id",
}


class ChartAssetRow(Row):
    """An asset with its configuration of charts."""

    id: int
    name: str
    account_id: int | None
    sensors_to_show: list[Any]
    sensors_to_show_as_kpis: list[Any]
    flex_context: dict[str, Any]
    flex_model: dict[str, Any]


class ChartSensorRow(Row):
    """A sensor with the names of its asset and of the asset above that."""

    id: int
    name: str
    unit: str
    event_resolution: timedelta
    asset_id: int
    asset_name: str
    parent_name: str | None


class ChartBelief(NamedTuple):
    """A belief, or the mean of a day in its place."""

    sensor_id: int
    event_start: datetime
    source_id: int
    belief_time: datetime
    event_value: float | None


async def find_asset(con: Connection, asset_id: int) -> ChartAssetRow | None:
    return await con.fetchrow(
        """select id, name, account_id, sensors_to_show, sensors_to_show_as_kpis, flex_context, flex_model
           from asset where id = $1""",
        asset_id,
        record_class=ChartAssetRow,
    )


async def get_asset(con: Connection, asset_id: int) -> ChartAssetRow:
    """Return the asset. Raises `NotFound` if there is none with this id."""
    row = await find_asset(con, asset_id)
    if row is None:
        raise NotFound(f"No asset found with ID {asset_id}.")
    return row


async def own_sensors(con: Connection, asset_id: int, limit: int) -> list[int]:
    rows = await con.fetch("select id from sensor where asset_id = $1 order by id limit $2", asset_id, limit)
    return [row["id"] for row in rows]


async def sensors(con: Connection, sensor_ids: Sequence[int], accounts: Sequence[int] | None) -> list[ChartSensorRow]:
    """Load those of the sensors that are public or belong to these accounts (None: all)."""
    return await con.fetch(
        """select s.id, s.name, s.unit, s.event_resolution, s.asset_id, a.name as asset_name, p.name as parent_name
           from sensor s join asset a on a.id = s.asset_id left join asset p on p.id = a.parent_asset_id
           where s.id = any($1::int[]) and (a.account_id is null or $2::int[] is null or a.account_id = any($2))
           order by s.id""",
        list(sensor_ids), accounts, record_class=ChartSensorRow,
    )  # fmt: skip


IN_PERIOD = """b.sensor_id = any($1::int[]) and b.event_start >= coalesce($2::timestamptz, '-infinity')
                  and b.event_start < coalesce($3::timestamptz, 'infinity')"""


async def has_more(con: Connection, sensor_ids: Sequence[int], period: Period, than: int) -> bool:
    """Return whether there are more beliefs about events that start in the period, without counting all of them."""
    found: int = await con.fetchval(
        f"select count(*) from (select from belief b where {IN_PERIOD} limit $4) as found",
        list(sensor_ids), period.start, period.end, than + 1,
    )  # fmt: skip
    return found > than


async def beliefs(
    con: Connection,
    sensor_ids: Sequence[int],
    period: Period,
    prior: datetime | None,
    *,
    most_recent: bool,
    latest_version: bool,
) -> list[ChartBelief]:
    """Load the beliefs about events that start in the period."""
    partition = PARTITION[most_recent, latest_version]
    distinct = "" if partition is None else f"distinct on ({partition})"
    newest = "b.belief_time" if partition is None else f"{partition}, s.version_order desc, b.belief_time desc"
    rows = await con.fetch(
        f"""select * from (
                select {distinct} b.sensor_id, b.event_start, b.source_id, b.belief_time, b.event_value
                from belief b join source s on s.id = b.source_id
                where {IN_PERIOD} and b.belief_time <= coalesce($4::timestamptz, 'infinity')
                order by {newest}) as found
            order by sensor_id, event_start, source_id, belief_time""",
        list(sensor_ids), period.start, period.end, prior,
    )  # fmt: skip
    return [ChartBelief(*row) for row in rows]


async def sources(con: Connection, source_ids: Sequence[int]) -> dict[int, SourceRow]:
    rows = await con.fetch(
        "select id, name, type, model, version, user_id, account_id from source where id = any($1::int[])",
        list(source_ids),
        record_class=SourceRow,
    )
    return {row.id: row for row in rows}
