"""A series of messages and the sensor it fills: what its readings are in, and when their events begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from flexmodel.quantities import is_convertible
from flexmodel.time import Instants

from ingest.connectors.fetched import NotFetched
from ingest.connectors.mqtt.events import event_starts
from ingest.connectors.mqtt.repository import Key
from ingest.connectors.mqtt.settings import MqttSettings, Series
from ingest.data.repository import Sensor
from ingest.data.units import accepts

DAY = timedelta(days=1)
AMOUNTS = ("amount", "counter")
"""Meanings that give an amount per event, which is a flow for as long as the event lasts."""


@dataclass(frozen=True, slots=True)
class Mapped:
    name: str
    series: Series
    sensor: Sensor
    unit: str
    """In which readings are kept: the sensor's, or for amounts that become a flow, the sensor's times hours."""

    @property
    def key(self) -> Key:
        return Key(self.sensor.id, self.series.meaning)

    @property
    def is_whole(self) -> bool:
        """Whether each reading is the value of an event, and stored as it comes."""
        return not self.sensor.resolution or self.series.meaning == "event"

    def starts(self, times: Instants) -> Instants:
        """When the events of whole readings begin."""
        if not self.sensor.resolution:
            return times
        return event_starts(times, self.series.time_is, self.sensor)


def mapped(settings: MqttSettings, sensors: Mapping[str, Sensor]) -> dict[str, Mapped]:
    """Every series that fills a sensor. Raises `NotFetched` for one that cannot."""
    for name in sensors.keys() - settings.series.keys():
        raise NotFetched(
            f"There is no series {name} in `series`, though sensor {sensors[name].id} is to be filled by it."
        )
    return {name: _mapped(name, settings.series[name], sensor) for name, sensor in sensors.items()}


def _mapped(name: str, series: Series, sensor: Sensor) -> Mapped:
    found = Mapped(name, series, sensor, sensor.unit)
    if found.is_whole and sensor.resolution:
        fits = accepts(sensor.unit, series.unit)
    elif not found.is_whole and DAY % sensor.resolution:
        raise NotFetched(f"Readings cannot become events of sensor {sensor.id}: {sensor.resolution} divides no day.")
    else:
        fits = is_convertible(series.unit, sensor.unit)
    if fits:
        return found
    flow = Mapped(name, series, sensor, f"({sensor.unit}) * h")
    if series.meaning in AMOUNTS and not found.is_whole and is_convertible(series.unit, flow.unit):
        return flow
    raise NotFetched(
        f"Readings of {name} in {series.unit}, taken as {series.meaning}, cannot become values of sensor {sensor.id} "
        f"in {sensor.unit}."
    )
