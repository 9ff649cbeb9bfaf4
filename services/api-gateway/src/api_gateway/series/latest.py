"""The latest known values of sensors."""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from flexcore.permissions.resources import ResourceRow
from flexmodel.quantities import convert
from flexmodel.time import zone
from flexstore import series
from flexstore.series import SensorValue
from flexstore.store import Store

from api_gateway.series.request import check_unit, zone_of
from api_gateway.series.schemas import LatestQuery


async def load_latest(store: Store, rows: Sequence[ResourceRow], query: LatestQuery) -> list[dict[str, Any]]:
    """Load the latest event of each sensor that has started."""
    for row in rows:
        check_unit(row, query.unit, row.event_resolution)
    async with store.connection() as con:
        found = await series.load_latest_values(
            con, [row.id for row in rows], query.at or datetime.now(UTC), query.prior
        )
    told_in = zone(zone_of(rows, query))
    return [latest_response(row, found.get(row.id), query.unit or row.unit, told_in) for row in rows]


def latest_response(row: ResourceRow, point: SensorValue | None, unit: str, told_in: tzinfo) -> dict[str, Any]:
    known: dict[str, Any] = dict.fromkeys(("value", "event-start", "event-end", "belief-time", "source"))
    if point is not None:
        [value] = convert([point.value], row.unit, unit, row.event_resolution).tolist()
        known = {
            "value": value,
            "event-start": point.event_start.astimezone(told_in),
            "event-end": (point.event_start + row.event_resolution).astimezone(told_in),
            "belief-time": point.belief_time.astimezone(told_in),
            "source": point.source_id,
        }
    return {"sensor": row.id, "name": row.name, "unit": unit, **known}
