"""SQL about sensor data, in addition to the store."""

from flexstore.store import Connection


async def source_exists(con: Connection, source_id: int) -> bool:
    return bool(await con.fetchval("select true from source where id = $1", source_id))


async def heard_of_type(con: Connection, sensor_id: int, source_type: str) -> bool:
    """Return whether a source of this type has recorded any data on the sensor."""
    found: bool = await con.fetchval(
        """select exists (select from belief join source on source.id = belief.source_id
                          where sensor_id = $1 and type = $2)""",
        sensor_id,
        source_type,
    )
    return found
