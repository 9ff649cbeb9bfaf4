"""Queries about sensors and about the users who send values."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from functools import lru_cache
from time import monotonic

import orjson
from flexmodel.errors import NotFound
from flexmodel.time import zone
from flexstore import sources
from flexstore.store import Connection

SENSORS = """
select sensor.id, sensor.name, sensor.unit, sensor.event_resolution, sensor.timezone, asset.account_id
from sensor join asset on asset.id = sensor.asset_id
where sensor.id = any($1::int[])
"""
SENSOR = SENSORS.replace("any($1::int[])", "$1")
USER = "select username, account_id from users where id = $1"

CACHE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor with what is needed to store values of it."""

    id: int
    name: str
    unit: str
    resolution: timedelta
    timezone: str
    account: int | None
    """Id of the account that owns its asset; None for a public asset."""

    @property
    def zone(self) -> tzinfo:
        return zone(self.timezone)


@lru_cache(maxsize=2_000)
def sensor_from_header(sensor_id: int, header: str) -> Sensor:
    """Parse the sensor that the gateway has just loaded and sends in a header, with lengths in seconds."""
    fields = orjson.loads(header)
    return Sensor(
        sensor_id,
        fields["name"],
        fields["unit"],
        timedelta(seconds=fields["resolution"]),
        fields["timezone"],
        fields["account"],
    )


async def load_sensor(con: Connection, sensor_id: int) -> Sensor:
    """Load a sensor. Raises `NotFound` if there is none."""
    row = await con.fetchrow(SENSOR, sensor_id)
    if row is None:
        raise NotFound(f"Sensor {sensor_id} not found")
    return Sensor(*row)


async def load_sensors(con: Connection, sensor_ids: Collection[int]) -> dict[int, Sensor]:
    """Load those of the sensors that exist, by id."""
    return {row["id"]: Sensor(*row) for row in await con.fetch(SENSORS, list(sensor_ids))}


class UserSources:
    """Ids of the data sources of users, cached because every post needs one."""

    def __init__(self) -> None:
        self._cache: dict[int, tuple[float, int]] = {}

    async def load_source_id(self, con: Connection, user_id: int) -> int:
        """Return the id of the user's source, which is created if needed."""
        until, source_id = self._cache.get(user_id, (0.0, 0))
        if monotonic() >= until:
            source_id = await self._ensure_source(con, user_id)
            self._cache[user_id] = (monotonic() + CACHE_SECONDS, source_id)
        return source_id

    async def _ensure_source(self, con: Connection, user_id: int) -> int:
        user = await con.fetchrow(USER, user_id)
        if user is None:
            raise NotFound(f"User {user_id} not found")
        return await sources.ensure(
            con, name=user["username"], type="user", user_id=user_id, account_id=user["account_id"]
        )
