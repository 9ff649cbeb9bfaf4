"""The content of charts over a period: beliefs and annotations, in the forms that clients expect."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from textwrap import wrap
from typing import Any

from flexcore.annotations.repository import SourcedAnnotationRow
from flexcore.permissions.identity import Identity
from flexcore.permissions.resources import visible_accounts
from flexcore.sources.repository import SourceRow
from flexmodel.errors import Invalid
from flexmodel.time import Duration, moment_of
from flexstore import series
from flexstore.store import Connection

from api_gateway.charts import repository
from api_gateway.charts.repository import ChartBelief, ChartSensorRow
from api_gateway.charts.schemas import Period
from api_gateway.sources.routes import describe_source

MOST_ROWS = 200_000
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LINE = 60
"""The most characters of a line of an annotation."""


def period_of(start: datetime | None, end: datetime | None, duration: Duration | None = None) -> Period:
    """Return the requested period, from two of its start, end and duration."""
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


async def load_readable_sensors(
    con: Connection, caller: Identity, sensor_ids: Sequence[int]
) -> dict[int, ChartSensorRow]:
    """Load those of the sensors that the caller may read."""
    visible = await visible_accounts(con, caller)
    return {row.id: row for row in await repository.sensors(con, sensor_ids, visible)}


async def load_beliefs(
    con: Connection,
    sensors: dict[int, ChartSensorRow],
    period: Period,
    prior: datetime | None,
    *,
    most_recent: bool = True,
    latest_version: bool = False,
) -> list[ChartBelief]:
    """Load the beliefs about the period, or daily means if there are more beliefs than a chart can show."""
    if await repository.has_more(con, list(sensors), period, MOST_ROWS):
        rows = await load_daily_means(con, sensors, period, prior) if most_recent and not latest_version else None
        if rows is None or len(rows) > MOST_ROWS:
            raise Invalid({"end": [f"This period has more than {MOST_ROWS} values. Ask for a shorter one."]})
        return rows
    return await repository.beliefs(
        con, list(sensors), period, prior, most_recent=most_recent, latest_version=latest_version
    )


async def load_daily_means(
    con: Connection, sensors: dict[int, ChartSensorRow], period: Period, prior: datetime | None
) -> list[ChartBelief]:
    """Load the mean of each day by sensor and source, in the form of a belief about the day."""
    rows: list[ChartBelief] = []
    for sensor_id in sensors:
        days = await series.load_daily_statistics(con, sensor_id, period.start, period.end, prior, by_source=True)
        columns = (days.day, days.source.tolist(), days.last_belief, days.mean.tolist())
        rows += [
            ChartBelief(sensor_id, moment_of(day), source, moment_of(believed), mean)
            for day, source, believed, mean in zip(*columns, strict=True)
        ]
    return rows


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def source_json(source: SourceRow) -> dict[str, Any]:
    kind = source.type
    return {
        "name": source.name,
        "model": source.model or "",
        "version": source.version or "",
        "type": kind if kind in ("forecaster", "scheduler", "reporter") else "other",
        "raw_type": kind,
        "display_type": kind,
        "description": describe_source(source),
    }


def sensor_json(sensor: ChartSensorRow) -> dict[str, Any]:
    parent = sensor.parent_name
    return {
        "asset_id": sensor.asset_id,
        "name": sensor.name,
        "event_resolution": sensor.event_resolution.total_seconds(),
        "description": f"{sensor['name']} ({sensor['asset_name']})",
        "asset_description": sensor.asset_name if parent is None else f"{sensor['asset_name']} ({parent})",
    }


def beliefs_json(
    rows: Sequence[ChartBelief],
    sensors: dict[int, ChartSensorRow],
    sources: dict[int, SourceRow],
    *,
    most_recent: bool = True,
) -> list[dict[str, Any]]:
    """Return beliefs with their sensors and sources in full, ready to be drawn."""
    shown_sensors = {id: sensor_json(sensor) | {"id": id, "sensor_unit": sensor.unit} for id, sensor in sensors.items()}
    shown_sources = {id: source_json(source) | {"id": id} for id, source in sources.items()}
    return [
        {
            "index": index,
            "event_start": milliseconds(row.event_start),
            "event_value": row.event_value,
            "belief_horizon": horizon(row, sensors),
            "source": shown_sources[row.source_id],
            "sensor": shown_sensors[row.sensor_id],
            "sensor_unit": sensors[row.sensor_id].unit,
            "scale_factor": 1.0,
        }
        | ({} if most_recent else {"belief_time": milliseconds(row.belief_time)})
        for index, row in enumerate(rows)
    ]


def compressed_beliefs_json(
    rows: Sequence[ChartBelief],
    sensors: dict[int, ChartSensorRow],
    sources: dict[int, SourceRow],
    *,
    most_recent: bool = True,
) -> dict[str, Any]:
    """Return the same with each sensor and source only once."""
    return {
        "data": [
            {
                "ts": milliseconds(row.event_start),
                "sid": row.sensor_id,
                "val": row.event_value,
                "sf": 1.0,
                "src": row.source_id,
                "bh": horizon(row, sensors),
            }
            | ({} if most_recent else {"bt": milliseconds(row.belief_time)})
            for row in rows
        ],
        "sensors": {str(id): sensor_json(sensor) | {"unit": sensor.unit} for id, sensor in sensors.items()},
        "sources": {str(id): source_json(source) for id, source in sources.items()},
    }


def horizon(row: ChartBelief, sensors: dict[int, ChartSensorRow]) -> int:
    """Return the belief horizon in milliseconds: from the belief time to the end of the event."""
    end = row.event_start + sensors[row.sensor_id].event_resolution
    return (end - row.belief_time) // MILLISECOND


def annotations_json(rows: Sequence[SourcedAnnotationRow], period: Period, *, clip: bool) -> list[dict[str, Any]]:
    """Return annotations as in charts, optionally clipped to the period."""
    earliest = (clip and period.start) or datetime.min.replace(tzinfo=UTC)
    latest = (clip and period.end) or datetime.max.replace(tzinfo=UTC)
    return [
        {
            "index": index,
            "start": milliseconds(max(row.start, earliest)),
            "end": milliseconds(min(row.end, latest)),
            "belief_time": None if row.belief_time is None else milliseconds(row.belief_time),
            "source": row.source_name,
            "type": row.type,
            "content": wrap(row.content, LINE),
        }
        for index, row in enumerate(rows)
    ]
