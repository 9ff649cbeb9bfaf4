"""The sensors that a file is about: the one in the address, or those that it names and its sender may feed."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from flexmodel.errors import Forbidden, Invalid
from flexstore.store import Connection

from ingest.data.repository import Sensor, find_sensor
from ingest.data.units import accepts
from ingest.files.problems import FileError

SELECT = """
select sensor.id, sensor.name, sensor.unit, sensor.event_resolution, sensor.timezone, asset.account_id
from sensor join asset on asset.id = sensor.asset_id
"""
BY_ID = SELECT + "where sensor.id = any($1::int[])"
BY_NAME = (
    SELECT
    + """
where sensor.name = any($1::text[]) and ($2::int[] is null or coalesce(asset.account_id, 0) = any($2::int[]))
order by sensor.name, sensor.id"""
)
LARGEST_ID = 2**31 - 1
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Feeder:
    """Who sends the files, and whose sensors may be fed: of which accounts, and public ones (None) among them."""

    user: int
    accounts: frozenset[int | None] | None
    """None: all."""

    def may_feed(self, sensor: Sensor) -> bool:
        return self.accounts is None or sensor.account in self.accounts


@dataclass(slots=True)
class Sensors:
    """The sensors by what a file calls them; the only one is called None."""

    feeder: Feeder
    unit: str | None
    known: dict[str | None, Sensor] = field(default_factory=dict)

    async def only(self, con: Connection, sensor_id: int) -> Sensor:
        """The one sensor that the files are about. Its permission was asked before."""
        sensor = await find_sensor(con, sensor_id)
        if self.unit is not None and not accepts(sensor.unit, self.unit):
            sentence = f"Provided unit '{self.unit}' is not convertible to sensor unit '{sensor.unit}'"
            raise Invalid({"_schema": [sentence]})
        self.known[None] = sensor
        return sensor

    async def find(self, con: Connection, names: Iterable[str]) -> list[str]:
        """Get to know sensors called so: by id, else by name among those that the sender may feed. Returns the names
        of those that are not there."""
        new = set(names) - self.known.keys()
        if len(self.known) + len(new) > MOST:
            raise FileError(f"More than {MOST} sensors. Split the file.")
        ids = {int(name): name for name in new if name.isdecimal() and int(name) <= LARGEST_ID}
        for row in await con.fetch(BY_ID, list(ids)) if ids else ():
            sensor = Sensor(*row)
            if not self.feeder.may_feed(sensor):
                raise Forbidden(f"You may not send values to sensor {sensor.id}.")
            self._add(ids[sensor.id], sensor)
        names_left = [name for name in new if name not in self.known]
        accounts = None if self.feeder.accounts is None else [account or 0 for account in self.feeder.accounts]
        for row in await con.fetch(BY_NAME, names_left, accounts) if names_left else ():
            self._add(row["name"], Sensor(*row))
        return sorted(name for name in new if name not in self.known)

    def zone(self, names: Collection[str]) -> str | None:
        """The time zone that these sensors, or the only one, share; None if they do not."""
        zones = {self.known[name].timezone for name in names or self.known}
        return zones.pop() if len(zones) == 1 else None

    def _add(self, name: str, sensor: Sensor) -> None:
        other = self.known.get(name)
        if other is not None:
            raise FileError(f"Sensors {other.id} and {sensor.id} are both called '{name}': use their ids.")
        if self.unit is not None and not accepts(sensor.unit, self.unit):
            sentence = f"'{self.unit}' is not convertible to '{sensor.unit}', the unit of sensor {sensor.id}."
            raise Invalid({"unit": [sentence]})
        self.known[name] = sensor
