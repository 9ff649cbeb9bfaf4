"""Mapping of a series of messages to the sensor it fills: the unit of its readings, and the starts of their events."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from flexmodel.quantities import is_convertible
from flexmodel.time import Instants

from ingest.connectors.fetched_series import FetchError
from ingest.connectors.mqtt.aggregation import event_starts
from ingest.connectors.mqtt.repository import ReadingKey
from ingest.connectors.mqtt.settings import MqttSeries, MqttSettings
from ingest.data.repository import Sensor
from ingest.data.units import accepts_unit

DAY = timedelta(days=1)
AMOUNTS = ("amount", "counter")
"""Meanings with an amount per event, which is a flow over the event."""


@dataclass(frozen=True, slots=True)
class SeriesMapping:
    name: str
    series: MqttSeries
    sensor: Sensor
    unit: str
    """Unit of stored readings: the sensor's, or for amounts that become a flow, the sensor's times hours."""

    @property
    def key(self) -> ReadingKey:
        return ReadingKey(self.sensor.id, self.series.meaning)

    @property
    def is_event_value(self) -> bool:
        """True if each reading is the value of an event and stored as it comes."""
        return not self.sensor.resolution or self.series.meaning == "event"

    def event_starts_of(self, times: Instants) -> Instants:
        """Return the starts of the events of readings that are values of events."""
        if not self.sensor.resolution:
            return times
        return event_starts(times, self.series.time_is, self.sensor)


def map_series(settings: MqttSettings, sensors: Mapping[str, Sensor]) -> dict[str, SeriesMapping]:
    """Map every series that fills a sensor.

    Raises:
        FetchError: A series does not fit its sensor.
    """
    for name in sensors.keys() - settings.series.keys():
        raise FetchError(
            f"There is no series {name} in `series`, though sensor {sensors[name].id} is to be filled by it."
        )
    return {name: _map_one(name, settings.series[name], sensor) for name, sensor in sensors.items()}


def _map_one(name: str, series: MqttSeries, sensor: Sensor) -> SeriesMapping:
    mapping = SeriesMapping(name, series, sensor, sensor.unit)
    if mapping.is_event_value and sensor.resolution:
        fits = accepts_unit(sensor.unit, series.unit)
    elif not mapping.is_event_value and DAY % sensor.resolution:
        raise FetchError(f"Readings cannot become events of sensor {sensor.id}: {sensor.resolution} divides no day.")
    else:
        fits = is_convertible(series.unit, sensor.unit)
    if fits:
        return mapping
    flow_mapping = SeriesMapping(name, series, sensor, f"({sensor.unit}) * h")
    if series.meaning in AMOUNTS and not mapping.is_event_value and is_convertible(series.unit, flow_mapping.unit):
        return flow_mapping
    raise FetchError(
        f"Readings of {name} in {series.unit}, taken as {series.meaning}, cannot become values of sensor {sensor.id} "
        f"in {sensor.unit}."
    )
