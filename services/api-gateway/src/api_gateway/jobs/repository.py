"""SQL about the jobs of an asset."""

from typing import Any

NEWEST = 100


async def of_asset(con: Any, asset_id: int) -> list[Any]:
    """The newest jobs about an asset, what is below it, and their sensors."""
    rows: list[Any] = await con.fetch(
        """with recursive below as (
               select id from asset where id = $1
               union all select c.id from asset c join below b on c.parent_asset_id = b.id
           )
           select j.id, j.queue, j.status, j.error, j.request, j.enqueued_at, j.asset_id, j.sensor_id,
                  coalesce(s.name, a.name) as name, coalesce(j.sensor_id, j.asset_id) as entity_id
           from job j left join sensor s on s.id = j.sensor_id left join asset a on a.id = j.asset_id
           where j.asset_id in (select id from below) or s.asset_id in (select id from below)
           order by j.enqueued_at desc, j.id limit $2""",
        asset_id, NEWEST,
    )  # fmt: skip
    return rows
