"""Checks of configurations to be stored on an asset."""

import pytest
from flexmodel.errors import Invalid
from flexmodel.stored import check_flex_context, check_flex_model
from plants import Json, Plant

NIGHT = {"start": "2026-03-02T07:00:00+01:00", "duration": "PT1H"}


@pytest.mark.parametrize(
    "config",
    [
        {
            "soc-max": "15.03 kWh",
            "roundtrip-efficiency": 0.85,
            "power-capacity": "5.0kW",
            "state-of-charge": {"sensor": 31},
        },
        {"soc-usage": [{"sensor": 24}], "charging-efficiency": "300.0 %", "storage-efficiency": "99.3 %"},
        {"soc-min": {"sensor": 31}},
        {"duration": "PT4H", "power": "15 kW", "process-type": "SHIFTABLE"},
        {"power-capacity": "5 kW", "group": {"asset": 7}},
    ],
)
def test_valid_flex_models(plant: Plant, config: Json) -> None:
    check_flex_model(config, plant(3))


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"soc-maxx": "1 kWh"}, "soc-maxx"),
        ({"soc-max": 15}, "soc-max"),
        ({"soc-at-start": "1 kWh"}, "soc-at-start"),
        ({"soc-unit": "kWh"}, "soc-unit"),
        ({"operation-modes": [{"consumption-range": ["0 kW", "1 kW"]}]}, "operation-modes"),
        ({"consumption-capacity": [{**NIGHT, "value": "1 kW"}]}, "consumption-capacity"),
        ({"power-capacity": "-1 kW"}, "power-capacity"),
        ({"soc-max": "-1 kWh"}, "soc-max"),
        ({"power-capacity": {"sensor": 999}}, "power-capacity"),
        ({"duration": "PT4H"}, "power"),
    ],
)
def test_invalid_flex_models(plant: Plant, config: Json, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        check_flex_model(config, plant(3))
    assert list(raised.value.fields) == [field]
    assert raised.value.where == "json"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"consumption-price": {"sensor": 20}, "site-power-capacity": "100 kW"},
        {"consumption-price": {"sensor": 20}, "site-peak-consumption-price": "2 cEUR/kW", "relax-constraints": False},
        {"inflexible-device-sensors": [24], "aggregate-power": {"sensor": 27}},
    ],
)
def test_valid_flex_contexts(plant: Plant, config: Json) -> None:
    check_flex_context(config, plant())


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"consumption-price": "10 EUR/MWh"}, "consumption-price"),
        ({"production-price": "10 EUR/MWh"}, "production-price"),
        ({"consumption-price": [{**NIGHT, "value": "1 EUR/MWh"}]}, "consumption-price"),
        ({"consumption-price": {"sensor": 24}}, "consumption-price"),
        (
            {"consumption-price": {"sensor": 20}, "site-peak-consumption-price": "1 USD/MW"},
            "site-peak-consumption-price",
        ),
        ({"foo": 1}, "foo"),
    ],
)
def test_invalid_flex_contexts(plant: Plant, config: Json, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        check_flex_context(config, plant())
    assert list(raised.value.fields) == [field]


def test_an_unknown_sensor_is_named(plant: Plant) -> None:
    with pytest.raises(Invalid) as raised:
        check_flex_context({"consumption-price": {"sensor": 9999}}, plant())
    assert raised.value.fields == {"consumption-price": ["No sensor found with ID 9999."]}
