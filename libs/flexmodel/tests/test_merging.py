"""Stored and passed configurations, merged."""

from flexmodel.references import referenced_assets, referenced_sensors
from flexmodel.request import merge_flex_context, merge_flex_model
from plants import Plant


def test_the_nearest_flex_context_overrides_each_field(plant: Plant) -> None:
    tree = plant(
        3,
        flex_context={
            1: {"consumption-price": {"sensor": 20}, "site-power-capacity": "1 MW", "relax-constraints": False},
            2: {"site-power-capacity": "2 MW", "production-price": {"sensor": 21}},
            3: {"production-price": {"sensor": 20}},
            4: {"site-power-capacity": "9 MW"},
        },
    )
    assert merge_flex_context({"site-consumption-capacity": "5 kW", "relax-constraints": True}, tree) == {
        "site-consumption-capacity": "5 kW",
        "relax-constraints": True,
        "production-price": {"sensor": 20},
        "site-power-capacity": "2 MW",
        "consumption-price": {"sensor": 20},
    }


def test_lists_of_inflexible_devices_are_overridden_together(plant: Plant) -> None:
    tree = plant(
        3,
        flex_context={1: {"inflexible-device-sensors": [24]}, 2: {"inflexible-consumption": [{"sensor": 24}]}},
    )
    assert merge_flex_context({}, tree) == {"inflexible-consumption": [{"sensor": 24}]}
    assert merge_flex_context({"inflexible-production": []}, tree) == {"inflexible-production": []}


def test_a_price_replaces_the_deprecated_way_to_give_it(plant: Plant) -> None:
    tree = plant(flex_context={2: {"consumption-price-sensor": 20, "production-price-sensor": 20}})
    assert merge_flex_context({"consumption-price": {"sensor": 22}}, tree) == {
        "consumption-price": {"sensor": 22},
        "production-price-sensor": 20,
    }


def test_a_list_of_contexts_describes_commodities(plant: Plant) -> None:
    tree = plant(
        flex_context={
            2: {"consumption-price": {"sensor": 20}, "site-power-capacity": "2 MW", "relax-constraints": False}
        }
    )
    passed = [{"commodity": "electricity", "consumption-price": "1 EUR/MWh"}]
    assert merge_flex_context(passed, tree) == {"commodities": passed, "relax-constraints": False}
    gas = [{"commodity": "gas", "consumption-price": "1 EUR/MWh"}]
    assert merge_flex_context(gas, tree)["site-power-capacity"] == "2 MW"


def test_passed_entries_override_stored_ones(plant: Plant) -> None:
    tree = plant(
        flex_model={
            2: {"power-capacity": "1 MW"},
            3: {"soc-max": "90 kWh", "soc-min": "9 kWh"},
            4: {"consumption-capacity": "0 kW"},
            9: {"soc-max": "1 kWh"},
        }
    )
    assert merge_flex_model(
        [{"sensor": 30, "soc-min": "5 kWh"}, {"asset": 5, "power-capacity": "2 kW"}], tree, alone=False
    ) == [
        {"asset": 2, "power-capacity": "1 MW"},
        {"asset": 4, "consumption-capacity": "0 kW"},
        {"sensor": 30, "soc-max": "90 kWh", "soc-min": "5 kWh"},
        {"asset": 5, "power-capacity": "2 kW"},
    ]


def test_an_entry_is_matched_by_its_power_sensor_or_its_state_of_charge(plant: Plant) -> None:
    tree = plant(flex_model={3: {"soc-max": "90 kWh"}})
    for entry in (
        {"asset": 3},
        {"sensor": 30},
        {"consumption": {"sensor": 30}},
        {"production": {"sensor": 30}},
        {"state-of-charge": {"sensor": 31}},
    ):
        assert merge_flex_model([entry], tree, alone=False) == [{**entry, "soc-max": "90 kWh"}]


def test_two_entries_of_one_asset_both_inherit(plant: Plant) -> None:
    tree = plant(flex_model={6: {"soc-usage": ["1 kW"]}})
    entries = merge_flex_model([{"sensor": 60}, {"sensor": 61}], tree, alone=False)
    assert [entry["soc-usage"] for entry in entries] == [["1 kW"], ["1 kW"]]


def test_attributes_fill_missing_fields(plant: Plant) -> None:
    tree = plant(
        3,
        flex_model={3: {"soc-max": "90 kWh"}},
        attributes={3: {"max_soc_in_mwh": 5, "min_soc_in_mwh": 0.01, "roundtrip_efficiency": 0.9}},
        sensor_attributes={30: {"consumption_capacity": 0.002}},
    )
    assert merge_flex_model([{"sensor": 30}], tree, alone=True)[0] == {
        "sensor": 30,
        "soc-max": "90 kWh",
        "soc-min": "0.01 MWh",
        "roundtrip-efficiency": "0.9",
        "consumption-capacity": "0.002 MW",
    }
    assert (
        "roundtrip-efficiency"
        not in merge_flex_model([{"sensor": 30, "charging-efficiency": "95%"}], tree, alone=True)[0]
    )
    assert merge_flex_model([{"sensor": 30, "duration": "PT4H", "power": 5}], tree, alone=True)[0]["duration"] == "PT4H"
    assert (
        "soc-min" not in merge_flex_model([{"asset": 3, "inflexible-consumption": {"sensor": 24}}], tree, alone=True)[0]
    )


def test_references() -> None:
    message = {
        "flex-model": [
            {"sensor": 1, "state-of-charge": {"sensor": 2}, "soc-usage": [{"sensor": 3}], "group": {"asset": 40}},
            {"asset": 41, "soc-max": {"sensor": "x"}},
        ],
        "flex-context": {
            "consumption-price-sensor": 4,
            "inflexible-device-sensors": [5, 6],
            "commitments": [{"name": "c", "sensors": [7], "baseline": {"sensor": 8}}],
            "commodities": [{"commodity": "gas", "consumption-price": {"sensor": 9, "sources": [99]}}],
            "relax-constraints": True,
        },
    }
    assert referenced_sensors(message) == {1, 2, 3, 4, 5, 6, 7, 8, 9}
    assert referenced_assets(message) == {40, 41}
