"""A small site for all tests: a building with a battery, a solar roof, a charger and a boiler."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flexmodel.parse_trigger import parse_trigger
from flexmodel.reading import Reader
from flexmodel.tree import AssetTree, TreeAsset, TreeSensor
from flexmodel.trigger import Trigger

START = "2026-03-02T00:00:00+01:00"
QUARTER = 15


def _sensor(number: int, name: str, asset: int, unit: str, minutes: int = QUARTER, **attributes: Any) -> TreeSensor:
    return TreeSensor(number, name, asset, 1, unit, timedelta(minutes=minutes), "Europe/Amsterdam", attributes)


ASSETS = [
    TreeAsset(1, "street", None, 1, "area"),
    TreeAsset(2, "building", 1, 1, "building"),
    TreeAsset(3, "battery", 2, 1, "battery"),
    TreeAsset(4, "roof", 2, 1, "solar"),
    TreeAsset(5, "charger", 2, 1, "two-way_evse"),
    TreeAsset(6, "boiler", 2, 1, "heat-storage"),
    TreeAsset(7, "inverter", 2, 1, "inverter"),
    TreeAsset(9, "elsewhere", None, 1, "building"),
]
SENSORS = [
    _sensor(20, "price", 2, "EUR/MWh", 60),
    _sensor(21, "feed-in price", 2, "EUR/kWh", 60),
    _sensor(22, "dollar price", 2, "USD/MWh", 60),
    _sensor(23, "emissions", 2, "kg/MWh", 60),
    _sensor(24, "load", 2, "kW"),
    _sensor(25, "metered load", 2, "kWh", consumption_is_positive=True),
    _sensor(26, "grid limit", 2, "kW", 60),
    _sensor(27, "net power", 2, "kW"),
    _sensor(30, "power", 3, "kW"),
    _sensor(31, "state of charge", 3, "kWh", 0),
    _sensor(32, "state of charge in %", 3, "%", 0),
    _sensor(40, "power", 4, "kW"),
    _sensor(41, "forecast", 4, "kW", 60),
    _sensor(50, "power", 5, "kW", 5),
    _sensor(51, "state of charge", 5, "kWh", 0),
    _sensor(60, "heat", 6, "kW"),
    _sensor(61, "electric power", 6, "MW"),
    _sensor(62, "stored heat", 6, "kWh", 0),
    _sensor(63, "temperature", 6, "°C"),
    _sensor(70, "power", 7, "kW"),
    _sensor(90, "power", 9, "kW"),
]

Plant = Callable[..., AssetTree]


@pytest.fixture
def start() -> datetime:
    return datetime.fromisoformat(START)


@pytest.fixture
def plant() -> Plant:
    """Makes the site's tree, seen from one asset, with what is stored on its assets and sensors."""

    def make(
        asset: int = 2,
        *,
        flex_model: dict[int, dict[str, Any]] | None = None,
        flex_context: dict[int, dict[str, Any]] | None = None,
        attributes: dict[int, dict[str, Any]] | None = None,
        sensor_attributes: dict[int, dict[str, Any]] | None = None,
    ) -> AssetTree:
        return AssetTree(
            asset,
            {
                one.id: replace(
                    one,
                    flex_model=(flex_model or {}).get(one.id, {}),
                    flex_context=(flex_context or {}).get(one.id, {}),
                    attributes=(attributes or {}).get(one.id, {}),
                )
                for one in ASSETS
            },
            {
                one.id: replace(one, attributes={**one.attributes, **(sensor_attributes or {}).get(one.id, {})})
                for one in SENSORS
            },
        )

    return make


@pytest.fixture
def reader(plant: Plant) -> Reader:
    return Reader(plant(), timezone="Europe/Amsterdam")


class Reading:
    """Reads triggers for 24 hours on the building, with a price; everything can be said otherwise."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant

    def __call__(
        self,
        flex_model: Any = (),
        flex_context: Any = None,
        tree: AssetTree | None = None,
        *,
        sensor_id: int | None = None,
        limits: dict[str, Any] | None = None,
        **message: Any,
    ) -> Trigger:
        sent: dict[str, Any] = {"start": START, "duration": "PT24H", **message}
        sent["flex-context"] = {"consumption-price": {"sensor": 20}} if flex_context is None else flex_context
        sent["flex-model"] = flex_model if isinstance(flex_model, dict) else list(flex_model)
        return parse_trigger(sent, tree or self.plant(), sensor_id=sensor_id, **(limits or {}))

    def raw(self, message: Any, *, sensor_id: int | None = None, without: list[str] | None = None) -> Trigger:
        """Reads a message nearly as it is: only the times are added where they are missing and wanted."""
        if isinstance(message, dict):
            message = {"start": START, "duration": "PT24H", **message}
            message = {key: value for key, value in message.items() if key not in (without or [])}
        return parse_trigger(message, self.plant(), sensor_id=sensor_id)


@pytest.fixture
def read(plant: Plant) -> Reading:
    return Reading(plant)


@pytest.fixture
def battery() -> dict[str, Any]:
    """A complete entry for the battery."""
    return {
        "sensor": 30,
        "soc-at-start": "20 kWh",
        "soc-min": "5 kWh",
        "soc-max": "90 kWh",
        "power-capacity": "20 kW",
        "roundtrip-efficiency": "81%",
    }
