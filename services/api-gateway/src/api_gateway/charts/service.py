"""What charts show over a period."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from textwrap import wrap
from typing import Any

from flexcore.permissions.identity import Identity
from flexcore.permissions.resources import visible_accounts
from flexmodel.errors import Invalid
from flexmodel.time import Duration, moment_of
from flexstore import series

from api_gateway.charts import repository
from api_gateway.charts.schemas import Period
from api_gateway.sources.routes import described

MOST_ROWS = 200_000
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LINE = 60
"""Characters of an annotation on one line of a chart."""


def period_of(start: datetime | None, end: datetime | None, duration: Duration | None = None) -> Period:
    """The period asked for: from two of its start, end and duration."""
    if duration is not None:
        if start is None and end is None:
            raise Invalid({"duration": ["Give a start or an end as well."]})
        try:
            if start is not None:
                end = duration.after(start)
            elif end is not None:
                start = duration.before(end)
        except (OverflowError, ValueError) as error:
            raise Invalid({"duration": ["This goes beyond the years 1 to 9999."]}) from error
    if start is not None and end is not None and end < start:
        field = "end" if duration is None else "duration"
        raise Invalid({field: ["The end must not be before the start."]})
    return Period(start, end)


async def readable(con: Any, caller: Identity, sensor_ids: Sequence[int]) -> dict[int, Any]:
    """Those of the sensors that the caller may read."""
    visible = await visible_accounts(con, caller)
    return {row["id"]: row for row in await repository.sensors(con, sensor_ids, visible)}


async def data(
    con: Any,
    sensors: dict[int, Any],
    period: Period,
    prior: datetime | None,
    *,
    most_recent: bool = True,
    latest_version: bool = False,
) -> list[Any]:
    """What was believed of the sensors' events in the period. If that is more than a chart can show: of each day."""
    if await repository.has_more(con, list(sensors), period, MOST_ROWS):
        rows = await day_by_day(con, sensors, period, prior) if most_recent and not latest_version else None
        if rows is None or len(rows) > MOST_ROWS:
            raise Invalid({"end": [f"This period has more than {MOST_ROWS} values. Ask for a shorter one."]})
        return rows
    return await repository.beliefs(
        con, list(sensors), period, prior, most_recent=most_recent, latest_version=latest_version
    )


async def day_by_day(con: Any, sensors: dict[int, Any], period: Period, prior: datetime | None) -> list[dict[str, Any]]:
    """The mean of each day of each sensor and source, as if it were a belief about the day."""
    rows = []
    for sensor_id in sensors:
        days = await series.load_daily_statistics(con, sensor_id, period.start, period.end, prior, by_source=True)
        columns = (days.day, days.source.tolist(), days.last_belief, days.mean.tolist())
        rows += [
            {
                "sensor_id": sensor_id,
                "event_start": moment_of(day),
                "source_id": source,
                "belief_time": moment_of(believed),
                "event_value": mean,
            }
            for day, source, believed, mean in zip(*columns, strict=True)
        ]
    return rows


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def shown_source(source: Any) -> dict[str, Any]:
    kind = source["type"]
    return {
        "name": source["name"],
        "model": source["model"] or "",
        "version": source["version"] or "",
        "type": kind if kind in ("forecaster", "scheduler", "reporter") else "other",
        "raw_type": kind,
        "display_type": kind,
        "description": described(source),
    }


def shown_sensor(sensor: Any) -> dict[str, Any]:
    parent = sensor["parent_name"]
    return {
        "asset_id": sensor["asset_id"],
        "name": sensor["name"],
        "event_resolution": sensor["event_resolution"].total_seconds(),
        "description": f"{sensor['name']} ({sensor['asset_name']})",
        "asset_description": sensor["asset_name"] if parent is None else f"{sensor['asset_name']} ({parent})",
    }


def spelled_out(
    rows: Sequence[Any], sensors: dict[int, Any], sources: dict[int, Any], *, most_recent: bool = True
) -> list[dict[str, Any]]:
    """Every belief with all there is to say about its sensor and its source, ready to be drawn."""
    shown_sensors = {
        id: shown_sensor(sensor) | {"id": id, "sensor_unit": sensor["unit"]} for id, sensor in sensors.items()
    }
    shown_sources = {id: shown_source(source) | {"id": id} for id, source in sources.items()}
    return [
        {
            "index": index,
            "event_start": milliseconds(row["event_start"]),
            "event_value": row["event_value"],
            "belief_horizon": horizon(row, sensors),
            "source": shown_sources[row["source_id"]],
            "sensor": shown_sensors[row["sensor_id"]],
            "sensor_unit": sensors[row["sensor_id"]]["unit"],
            "scale_factor": 1.0,
        }
        | ({} if most_recent else {"belief_time": milliseconds(row["belief_time"])})
        for index, row in enumerate(rows)
    ]


def compressed(
    rows: Sequence[Any], sensors: dict[int, Any], sources: dict[int, Any], *, most_recent: bool = True
) -> dict[str, Any]:
    """The same with sensors and sources named once."""
    return {
        "data": [
            {
                "ts": milliseconds(row["event_start"]),
                "sid": row["sensor_id"],
                "val": row["event_value"],
                "sf": 1.0,
                "src": row["source_id"],
                "bh": horizon(row, sensors),
            }
            | ({} if most_recent else {"bt": milliseconds(row["belief_time"])})
            for row in rows
        ],
        "sensors": {str(id): shown_sensor(sensor) | {"unit": sensor["unit"]} for id, sensor in sensors.items()},
        "sources": {str(id): shown_source(source) for id, source in sources.items()},
    }


def horizon(row: Any, sensors: dict[int, Any]) -> int:
    """How long before the end of the event it was believed, in milliseconds."""
    end = row["event_start"] + sensors[row["sensor_id"]]["event_resolution"]
    before: timedelta = end - row["belief_time"]
    return before // MILLISECOND


def shown_annotations(rows: Sequence[Any], period: Period, *, clip: bool) -> list[dict[str, Any]]:
    """Annotations as a chart marks them, cut to the period if asked."""
    earliest = (clip and period.start) or datetime.min.replace(tzinfo=UTC)
    latest = (clip and period.end) or datetime.max.replace(tzinfo=UTC)
    return [
        {
            "index": index,
            "start": milliseconds(max(row["start"], earliest)),
            "end": milliseconds(min(row["end"], latest)),
            "belief_time": None if row["belief_time"] is None else milliseconds(row["belief_time"]),
            "source": row["source_name"],
            "type": row["type"],
            "content": wrap(row["content"], LINE),
        }
        for index, row in enumerate(rows)
    ]
