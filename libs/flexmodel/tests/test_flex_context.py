"""Fields of a flex-context: prices and their currency, capacities, lists of devices, commitments."""

import pytest
from flexmodel.flex_context import FlexContext, parse_flex_context, with_currency
from flexmodel.parsing import FieldError, ParseContext
from flexmodel.trigger import Price
from flexmodel.values import Fixed, SensorReference
from plants import Json

COMMITMENT = {"name": "contract", "baseline": "15 kW", "up-price": "50 EUR/MWh"}


def parse_config(context: ParseContext, config: Json) -> FlexContext:
    return parse_flex_context(config, context)[0]


def errors_of(context: ParseContext, config: Json) -> object:
    with pytest.raises(FieldError) as raised:
        parse_config(context, config)
    return raised.value.errors


def test_prices_become_currency_per_megawatt_hour_or_megawatt(context: ParseContext) -> None:
    parsed = parse_config(
        context,
        {
            "consumption-price": "2 cEUR/kWh",
            "production-price": "-0.010 EUR/kWh",
            "site-consumption-breach-price": "10 kEUR/MW",
            "site-peak-consumption-price": "120 EUR/kW",
            "soc-minima-breach-price": "1000 EUR/kWh",
        },
    )
    assert parsed.consumption_price == Fixed(20.0)
    assert parsed.production_price == Fixed(-10.0)
    assert parsed.site_consumption_breach_price == Fixed(10_000.0)
    assert parsed.site_peak_consumption_price == Fixed(120_000.0)
    assert parsed.soc_minima_breach_price == Fixed(1_000_000.0)


def test_capacities(context: ParseContext) -> None:
    parsed = parse_config(context, {"site-power-capacity": "20 kVA", "site-peak-consumption": "(30/2 - 1) kW"})
    assert parsed.site_power_capacity == Fixed(0.02)
    assert parsed.site_peak_consumption == Fixed(0.014)


@pytest.mark.parametrize(
    ("config", "currency", "field"),
    [
        ({}, "EUR", None),
        ({"site-power-capacity": "1 kW"}, "EUR", None),
        ({"consumption-price": {"sensor": 20}}, "EUR", "consumption-price"),
        ({"production-price": {"sensor": 22}}, "USD", "production-price"),
        ({"consumption-price": {"sensor": 23}}, "kg", "consumption-price"),
        ({"consumption-price-sensor": 22}, "USD", "consumption-price"),
        ({"site-peak-consumption-price": "2 KRW/kW"}, "KRW", "site-peak-consumption-price"),
        (
            {"consumption-price": [{"datetime": "2026-03-02T00:00+01:00", "value": "2 AUD/kWh"}]},
            "AUD",
            "consumption-price",
        ),
        ({"commitments": [{**COMMITMENT, "up-price": "5 GBP/MWh"}]}, "GBP", "up-price"),
        ({"commodities": [{"commodity": "gas", "consumption-price": "5 GBP/MWh"}]}, "GBP", "consumption-price"),
        ({"consumption-price": "cheap", "production-price": "5 GBP/MWh"}, "GBP", "production-price"),
    ],
)
def test_the_first_price_sets_the_currency(
    context: ParseContext, config: Json, currency: str, field: str | None
) -> None:
    parsed = with_currency(config, context)
    assert (parsed.currency, parsed.currency_field) == (currency, field)


@pytest.mark.parametrize(
    "config",
    [
        {"consumption-price": "1 EUR/MWh", "site-peak-consumption-price": "1 USD/MW"},
        {"consumption-price": {"sensor": 20}, "production-price": {"sensor": 22}},
        {"consumption-price": {"sensor": 20}, "commitments": [{**COMMITMENT, "down-price": "1 USD/MWh"}]},
        {"consumption-price": {"sensor": 20}, "commodities": [{"commodity": "gas", "consumption-price": "1 USD/MWh"}]},
    ],
)
def test_all_prices_share_one_currency(context: ParseContext, config: Json) -> None:
    assert "must share the same currency" in str(errors_of(context, config))


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        ({"site-power-capacity": "-1 kW"}, {"site-power-capacity": ["Must be greater than or equal to 0 MW."]}),
        (
            {"site-consumption-breach-price": "-1 EUR/kW"},
            {"site-consumption-breach-price": ["Must be greater than or equal to 0 EUR/MW."]},
        ),
        ({"relax-constraints": None}, {"relax-constraints": ["Field may not be null."]}),
        ({"relax-soc-constraints": "no"}, {"relax-soc-constraints": ["Not a valid boolean."]}),
        (
            {"commodity": "gas"},
            {"commodity": ["Only 'electricity' here. Other commodities go into `commodities`."]},
        ),
        (
            {"commodities": [{"commodity": "gas"}, {"commodity": "gas"}]},
            {"commodities": {"1": {"commodity": ["There is more than one context for 'gas'."]}}},
        ),
        ({"commodities": [{"commodity": "gas", "foo": 1}]}, {"commodities": {"0": {"foo": ["Unknown field."]}}}),
        (
            {"commodities": [{"commodity": "gas", "commodities": []}]},
            {"commodities": {"0": {"commodities": ["Unknown field."]}}},
        ),
        ({"commodities": {}}, {"commodities": ["Not a valid list."]}),
        (
            {"consumption-price-sensor": 20, "consumption-price": {"sensor": 20}},
            {
                "consumption-price-sensor": [
                    "Give only `consumption-price`, not the deprecated `consumption-price-sensor` as well."
                ]
            },
        ),
        (
            {"inflexible-consumption": [{"sensor": 24}], "inflexible-production": [{"sensor": 24}]},
            {"inflexible-production": ["Sensor 24 is listed more than once."]},
        ),
        (
            {"inflexible-device-sensors": [24, 24]},
            {"inflexible-device-sensors": ["Sensor 24 is listed more than once."]},
        ),
        (
            {"inflexible-device-sensors": [24], "inflexible-production": [{"sensor": 41}]},
            {
                "inflexible-device-sensors": [
                    "Move these sensors to `inflexible-consumption` and `inflexible-production`: they cannot be mixed."
                ]
            },
        ),
        ({"inflexible-consumption": [24]}, {"inflexible-consumption": {"0": ["Not a valid mapping type."]}}),
        ({"inflexible-device-sensors": ["24"]}, {"inflexible-device-sensors": {"0": ["Not a valid integer."]}}),
        (
            {"aggregate-power": {"sensor": 31}},
            {"aggregate-power": ["Sensor 31 measures 'kWh'. It must have a unit of power, like 'kW'."]},
        ),
        (
            {"commitments": [{"up-price": "1 EUR/MW"}]},
            {
                "commitments": {
                    "0": {
                        "name": ["Missing data for required field."],
                        "baseline": ["Missing data for required field."],
                    }
                }
            },
        ),
        (
            {"commitments": [{"name": "x", "baseline": "1 kW"}]},
            {"commitments": {"0": {"_schema": ["Give an `up-price`, a `down-price` or both."]}}},
        ),
        ({"commitments": [{**COMMITMENT, "name": ""}]}, {"commitments": {"0": {"name": ["Must not be blank."]}}}),
        (
            {"commitments": [{**COMMITMENT, "sensors": [30], "group": {"asset": 7}}]},
            {"commitments": {"0": {"group": ["Give either `sensors` or a `group`."]}}},
        ),
        (
            {"commitments": [{**COMMITMENT, "baseline": "1 kWh"}]},
            {"commitments": {"0": {"baseline": ["Cannot convert value `1 kWh` to 'MW'"]}}},
        ),
    ],
)
def test_invalid_fields(context: ParseContext, config: Json, problems: Json) -> None:
    assert errors_of(context, config) == problems


def test_inflexible_lists(context: ParseContext) -> None:
    parsed = parse_config(
        context,
        {
            "inflexible-consumption": [{"sensor": 25}],
            "inflexible-production": [{"sensor": 41, "source-types": ["forecaster"]}],
        },
    )
    assert parsed.inflexible_consumption == (SensorReference(25),)
    assert parsed.inflexible_production == (SensorReference(41, ("forecaster",)),)
    assert parse_config(context, {"inflexible-device-sensors": [24]}).inflexible_device_sensors == (24,)


def test_commitments_may_be_priced_per_energy_or_per_power(context: ParseContext) -> None:
    [commitment] = parse_config(
        context, {"commitments": [{**COMMITMENT, "down-price": "-1 EUR/MW", "sensors": [30]}]}
    ).commitments
    assert commitment.baseline == Fixed(0.015)
    assert commitment.up_price == Price(Fixed(50.0), "MWh")
    assert commitment.down_price == Price(Fixed(-1.0), "MW")
    assert commitment.sensors == [30]


def test_relaxation(context: ParseContext) -> None:
    assert parse_config(context, {}).relaxes_soc and parse_config(context, {}).relaxes_site
    assert not parse_config(context, {"relax-constraints": False}).relaxes_soc
    assert parse_config(context, {"relax-constraints": False, "relax-soc-constraints": True}).relaxes_soc
    assert not parse_config(context, {"relax-site-capacity-constraints": False}).relaxes_site
    assert parse_config(context, {"relax-soc-constraints": None}).relaxes_soc


def test_the_json_schema_names_all_fields() -> None:
    schema = FlexContext.model_json_schema(by_alias=True)
    assert {"consumption-price", "commodities", "commitments", "inflexible-device-sensors"} <= set(schema["properties"])
    assert schema["properties"]["consumption-price-sensor"]["deprecated"] is True
