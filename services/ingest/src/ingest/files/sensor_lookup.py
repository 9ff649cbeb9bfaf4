"""Lookup of the sensors of a file: the one in the URL, or those that it names and its sender may write to."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from flexmodel.digits import parse_digits
from flexmodel.errors import Forbidden, Invalid
from flexstore.store import Connection

from ingest.data.repository import Sensor, load_sensor
from ingest.data.units import accepts_unit
from ingest.files.errors import FileError

SENSOR_COLUMNS = """
select sensor.id, sensor.name, sensor.unit, sensor.event_resolution, sensor.timezone, asset.account_id
from sensor join asset on asset.id = sensor.asset_id
"""
BY_ID = SENSOR_COLUMNS + "where sensor.id = any($1::int[])"
BY_NAME = (
    SENSOR_COLUMNS
    + """
where sensor.name = any($1::text[]) and ($2::int[] is null or coalesce(asset.account_id, 0) = any($2::int[]))
order by sensor.name, sensor.id"""
)
LARGEST_ID = 2**31 - 1
MAX_SENSORS = 1_000


@dataclass(frozen=True, slots=True)
class UploadSender:
    """Sender of an upload, and the accounts whose sensors the sender may write to (None for public sensors)."""

    user_id: int
    accounts: frozenset[int | None] | None
    """None for all accounts."""

    def may_write_to(self, sensor: Sensor) -> bool:
        """Return whether the sender may write to the sensor."""
        return self.accounts is None or sensor.account in self.accounts


@dataclass(slots=True)
class SensorLookup:
    """Sensors by their name in the file. The only sensor of a file about one has the name None."""

    sender: UploadSender
    unit: str | None
    known: dict[str | None, Sensor] = field(default_factory=dict)

    async def set_only_sensor(self, con: Connection, sensor_id: int) -> Sensor:
        """Set the only sensor of the files. The permission for it has been checked before."""
        sensor = await load_sensor(con, sensor_id)
        if self.unit is not None and not accepts_unit(sensor.unit, self.unit):
            sentence = f"Provided unit '{self.unit}' is not convertible to sensor unit '{sensor.unit}'"
            raise Invalid({"_schema": [sentence]})
        self.known[None] = sensor
        return sensor

    async def load_named(self, con: Connection, names: Iterable[str]) -> list[str]:
        """Load sensors by id, else by name among those that the sender may write to.

        Returns:
            The names for which there is no sensor.

        Raises:
            Forbidden: The sender may not write to a sensor named by id.
        """
        new = set(names) - self.known.keys()
        if len(self.known) + len(new) > MAX_SENSORS:
            raise FileError(f"More than {MAX_SENSORS} sensors. Split the file.")
        ids = {id: name for name in new if (id := parse_digits(name, LARGEST_ID)) is not None}
        for row in await con.fetch(BY_ID, list(ids)) if ids else ():
            sensor = Sensor(*row)
            if not self.sender.may_write_to(sensor):
                raise Forbidden(f"You may not send values to sensor {sensor.id}.")
            self._add(ids[sensor.id], sensor)
        remaining = [name for name in new if name not in self.known]
        accounts = None if self.sender.accounts is None else [account or 0 for account in self.sender.accounts]
        for row in await con.fetch(BY_NAME, remaining, accounts) if remaining else ():
            self._add(row["name"], Sensor(*row))
        return sorted(name for name in new if name not in self.known)

    def common_time_zone(self, names: Collection[str]) -> str | None:
        """Return the time zone that these sensors, or the only one, share; None if they differ."""
        zones = {self.known[name].timezone for name in names or self.known}
        return zones.pop() if len(zones) == 1 else None

    def _add(self, name: str, sensor: Sensor) -> None:
        other = self.known.get(name)
        if other is not None:
            raise FileError(f"Sensors {other.id} and {sensor.id} are both called '{name}': use their ids.")
        if self.unit is not None and not accepts_unit(sensor.unit, self.unit):
            sentence = f"'{self.unit}' is not convertible to '{sensor.unit}', the unit of sensor {sensor.id}."
            raise Invalid({"unit": [sentence]})
        self.known[name] = sensor
