"""SQL about sensor data that the store has no words for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any


async def source_exists(con: Any, source_id: int) -> bool:
    return bool(await con.fetchval("select true from source where id = $1", source_id))


async def heard_of_type(con: Any, sensor_id: int, source_type: str) -> bool:
    """Whether a source of this type has ever said anything about the sensor."""
    found: bool = await con.fetchval(
        """select exists (select from belief join source on source.id = belief.source_id
                          where sensor_id = $1 and type = $2)""",
        sensor_id,
        source_type,
    )
    return found


async def delete_between(
    con: Any, sensor_id: int, source_id: int | None, start: datetime | None, until: datetime | None
) -> int:
    """Delete beliefs about events that start in [start, until), of one source or of all; how many there were."""
    done: str = await con.execute(
        """delete from belief where sensor_id = $1 and ($2::int is null or source_id = $2)
           and ($3::timestamptz is null or event_start >= $3) and ($4::timestamptz is null or event_start < $4)""",
        sensor_id, source_id, start, until,
    )  # fmt: skip
    return int(done.split()[-1])


async def delete_all(con: Any, sensor_ids: Sequence[int]) -> None:
    """Delete everything believed of these sensors. Beliefs have no foreign keys, so nothing else does it."""
    await con.execute("delete from belief where sensor_id = any($1::int[])", list(sensor_ids))
