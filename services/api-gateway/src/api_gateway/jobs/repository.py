"""SQL about the jobs of an asset."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flexstore.rows import Row
from flexstore.store import Connection

NEWEST = 100


class AssetJobRow(Row):
    """A job about an asset or a sensor, which `name` and `entity_id` identify."""

    id: UUID
    queue: str
    status: str
    error: str | None
    request: dict[str, Any]
    enqueued_at: datetime
    asset_id: int | None
    sensor_id: int | None
    name: str
    entity_id: int


async def of_asset(con: Connection, asset_id: int) -> list[AssetJobRow]:
    """Load the newest jobs about an asset, its descendants, and their sensors."""
    return await con.fetch(
        """with recursive below as (
               select id from asset where id = $1
               union all select c.id from asset c join below b on c.parent_asset_id = b.id
           )
           select j.id, j.queue, j.status, j.error, j.request, j.enqueued_at, j.asset_id, j.sensor_id,
                  coalesce(s.name, a.name) as name, coalesce(j.sensor_id, j.asset_id) as entity_id
           from job j left join sensor s on s.id = j.sensor_id left join asset a on a.id = j.asset_id
           where j.asset_id in (select id from below) or s.asset_id in (select id from below)
           order by j.enqueued_at desc, j.id limit $2""",
        asset_id, NEWEST, record_class=AssetJobRow,
    )  # fmt: skip


async def progress_of(con: Connection, job_id: UUID) -> dict[str, Any] | None:
    """Load the progress of the job of an upload."""
    row = await con.fetchrow("select rows_total, rows_read, rows_stored from upload where job_id = $1", job_id)
    return None if row is None else {name.replace("_", "-"): value for name, value in row.items()}
