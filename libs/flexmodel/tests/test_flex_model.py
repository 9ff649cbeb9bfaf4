"""Fields of an entry of the flex-model: accepted forms, parsed values, and errors."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flexmodel.flex_model import FlexModelEntry
from flexmodel.parsing import FieldError, ParseContext
from flexmodel.process_model import ProcessEntry
from flexmodel.time import Duration
from flexmodel.values import Fixed, Segment, Segments, SensorReference
from plants import Json, Plant

SEVEN = datetime(2026, 3, 2, 6, tzinfo=UTC)
NIGHT = {"start": "2026-03-02T07:00:00+01:00", "end": "2026-03-02T13:00:00+01:00"}


def value(context: ParseContext, field: str, given: object) -> object:
    return getattr(FlexModelEntry.parse({field: given}, context), field.replace("-", "_"))


def errors_of(context: ParseContext, config: Json, model: type[FlexModelEntry | ProcessEntry] = FlexModelEntry) -> Json:
    with pytest.raises(FieldError) as raised:
        model.parse(config, context)
    return raised.value.by_field


def test_quantities_become_megawatts_and_megawatt_hours(context: ParseContext) -> None:
    assert value(context, "power-capacity", "22 kVA") == Fixed(0.022)
    assert value(context, "soc-max", "90 kWh") == Fixed(0.09)
    assert value(context, "charging-efficiency", "300.0 %") == Fixed(3.0)
    assert value(context, "charging-efficiency", 0.9) == Fixed(0.9)
    assert value(context, "roundtrip-efficiency", 0.85) == Fixed(0.85)


def test_bare_numbers_of_energy_are_in_the_unit_that_goes_with_the_sensor(context: ParseContext) -> None:
    assert value(replace(context, energy_unit="kWh"), "soc-at-start", 8.35) == Fixed(0.00835)
    assert value(
        replace(context, energy_unit="MWh"), "soc-targets", [{"datetime": "2026-03-02T07:00+01:00", "value": 2}]
    ) == (Segments((Segment(SEVEN, SEVEN, 2.0),)))


def test_sensors(context: ParseContext) -> None:
    assert value(context, "production-capacity", {"sensor": 41}) == SensorReference(41)
    reference = {
        "sensor": 41,
        "source-types": ["forecaster"],
        "exclude-source-types": ["scheduler"],
        "sources": [3],
        "source-account": [1, 2],
        "default": "2 kW",
    }
    assert value(context, "production-capacity", reference) == SensorReference(
        41, ("forecaster",), ("scheduler",), (3,), (1, 2), 0.002
    )
    assert value(context, "production-capacity", {"sensor": 41, "source": 3}) == SensorReference(41, sources=(3,))
    assert value(context, "soc-min", {"sensor": 31}) == SensorReference(31)
    assert value(context, "power-capacity", {"sensor": 25}) == SensorReference(25)


@pytest.mark.parametrize(
    ("item", "start", "end"),
    [
        (NIGHT, 0, 6),
        ({"start": NIGHT["start"], "duration": "PT6H"}, 0, 6),
        ({"end": NIGHT["end"], "duration": "PT6H"}, 0, 6),
        ({"datetime": NIGHT["start"]}, 0, 0),
        ({"start": NIGHT["start"], "duration": "P1D"}, 0, 24),
    ],
)
def test_values_over_time(context: ParseContext, item: dict[str, str], start: int, end: int) -> None:
    segments = value(context, "consumption-capacity", [{**item, "value": "0 kW"}])
    assert isinstance(segments, Segments)
    [segment] = segments.items
    assert (segment.start, segment.end) == (SEVEN + timedelta(hours=start), SEVEN + timedelta(hours=end))


def test_months_are_resolved_where_the_sensor_is(context: ParseContext) -> None:
    march = {"start": "2026-03-01T00:00:00+01:00", "duration": "P1M", "value": "1 kW"}
    segments = value(context, "consumption-capacity", [march])
    assert isinstance(segments, Segments)
    [segment] = segments.items
    assert segment.end == datetime(2026, 3, 31, 22, tzinfo=UTC)


def test_components(context: ParseContext) -> None:
    assert value(context, "soc-usage", ["1 kW", {"sensor": 24}, [{**NIGHT, "value": "7.5 kW"}]]) == (
        Fixed(0.001),
        SensorReference(24),
        Segments((Segment(SEVEN, SEVEN + timedelta(hours=6), 0.0075),)),
    )


def test_operation_modes_become_signed_bands(context: ParseContext) -> None:
    modes = [
        {"consumption-range": ["0 W", "0 W"]},
        {"consumption-range": ["6 kW", 0.011]},
        {"production-range": ["1 kW", "2 kW"]},
        {"production-range": ["0 kW", "3 kW"], "consumption-range": ["0 kW", "4 kW"]},
    ]
    assert value(context, "operation-modes", modes) == ((0, 0), (0.006, 0.011), (-0.002, -0.001), (-0.003, 0.004))


@pytest.mark.parametrize(
    ("field", "given", "problem"),
    [
        ("power-capacity", 20, "Give its unit"),
        ("power-capacity", True, "Not a valid quantity"),
        ("power-capacity", {"sensor": 63}, "Cannot convert '°C', the unit of sensor 63, to 'MW'."),
        ("power-capacity", {"sensor": 31}, "Cannot convert 'kWh'"),
        ("power-capacity", {"sensor": 999}, "No sensor found with ID 999."),
        ("power-capacity", {"sensor": "30"}, "Not a valid integer."),
        ("power-capacity", None, "Field may not be null."),
        ("power-capacity", [], "Shorter than minimum length 1."),
        ("soc-max", [{"datetime": "2026-03-02T07:00+01:00", "value": 2}], "Values over time cannot be used here."),
        ("roundtrip-efficiency", {"sensor": 41}, "A sensor cannot be used here."),
        ("roundtrip-efficiency", "0%", "Must be greater than 0 %"),
        ("discharging-efficiency", "0%", "Must be greater than 0 %."),
        ("storage-efficiency", "-1%", "Must be greater than or equal to 0 %."),
        ("soc-minima", "-1 kWh", "Must be greater than or equal to 0 MWh."),
        ("soc-gain", [], "Shorter than minimum length 1."),
        ("soc-gain", "1 kW", "Not a valid list."),
        ("soc-unit", "MWH", "Must be one of: kWh, MWh."),
        ("state-of-charge", "20 kWh", "Give a sensor"),
        ("state-of-charge", {"sensor": 30}, "needs an instantaneous sensor"),
        ("commodity", " ", "Must not be blank."),
        ("commodity", 5, "Not a valid string."),
        ("coupling-coefficient", 0, "Must be greater than 0."),
        ("coupling-coefficient", "1", "Not a valid number."),
        ("coupling-coefficient", float("nan"), "Not a valid number."),
        ("soc-max", float("nan"), "Cannot convert value"),
        ("group", {}, "Give either an asset or a sensor."),
        ("group", {"asset": 7, "sensor": 70}, "Give either an asset or a sensor."),
        ("group", {"sensor": 31}, "must have a unit of power"),
        ("group", {"asset": 99}, "No asset found with ID 99."),
        ("prefer-charging-sooner", "yes", "Not a valid boolean."),
        ("operation-modes", [], "Shorter than minimum length 1."),
        ("consumption", {"sensor": 31}, "It must have a unit of power"),
        ("production", {"sensor": 25}, "It must have a unit of power"),
        ("inflexible-production", {"sensor": 25}, "listed as production"),
        ("inflexible-consumption", {"sensor": 63}, "It must have a unit of power or energy."),
    ],
)
def test_invalid_values(context: ParseContext, field: str, given: object, problem: str) -> None:
    problems = errors_of(context, {field: given})
    assert list(problems) == [field]
    assert problem in problems[field][0]


@pytest.mark.parametrize(
    ("item", "problems"),
    [
        ({}, {"value": ["Missing data for required field."]}),
        ({"value": "1 kW"}, {"_schema": ["Give either `datetime`, or two of `start`, `end` and `duration`."]}),
        (
            {"value": "1 kW", "start": NIGHT["start"]},
            {"_schema": ["Give either `datetime`, or two of `start`, `end` and `duration`."]},
        ),
        (
            {"value": "1 kW", **NIGHT, "duration": "PT1H"},
            {"_schema": ["Give either `datetime`, or two of `start`, `end` and `duration`."]},
        ),
        ({"value": "1 kW", "start": NIGHT["end"], "end": NIGHT["start"]}, {"end": ["Must not be before the start."]}),
        ({"value": "1 kW", "start": NIGHT["end"], "duration": "-PT1H"}, {"duration": ["Must not be negative."]}),
        ({"value": "1 kWh", **NIGHT}, {"value": ["Cannot convert value `1 kWh` to 'MW'"]}),
        ({"value": "1 kW", **NIGHT, "unit": "kW"}, {"unit": ["Unknown field."]}),
        ("1 kW", ["Not a valid mapping type."]),
    ],
)
def test_invalid_values_over_time(context: ParseContext, item: object, problems: object) -> None:
    good = {**NIGHT, "value": "1 kW"}
    assert errors_of(context, {"consumption-capacity": [good, item]}) == {"consumption-capacity": {"1": problems}}


@pytest.mark.parametrize(
    ("mode", "problems"),
    [
        ({}, {"_schema": ["Give a `consumption-range`, a `production-range` or both."]}),
        (
            {"consumption-range": ["2 kW", "1 kW"]},
            {"consumption-range": ["The least power must not be above the most."]},
        ),
        (
            {"consumption-range": ["1 kW"]},
            {"consumption-range": ["Give the least and the most power, like ['6 kW', '11 kW']."]},
        ),
        (
            {"consumption-range": ["-1 kW", "1 kW"]},
            {"consumption-range": {"0": ["Must be greater than or equal to 0 MW."]}},
        ),
        (
            {"consumption-range": ["1 kW", "2 kW"], "production-range": ["0 kW", "2 kW"]},
            {"_schema": ["A mode with both ranges runs through zero: both must start at 0."]},
        ),
    ],
)
def test_invalid_operation_modes(context: ParseContext, mode: Json, problems: object) -> None:
    assert errors_of(context, {"operation-modes": [mode]}) == {"operation-modes": {"0": problems}}


def test_an_inflexible_device_has_few_fields(context: ParseContext) -> None:
    entry = {"inflexible-consumption": {"sensor": 24}, "commodity": "electricity", "sensor": 30}
    assert FlexModelEntry.parse(entry, context).inflexible == (SensorReference(24), 1)
    assert errors_of(context, {**entry, "soc-max": "1 kWh"}) == {
        "soc-max": ["A device that is not planned has no such field."]
    }
    assert list(errors_of(context, {**entry, "inflexible-production": {"sensor": 41}})) == ["inflexible-production"]


def test_output_sensors_agree_with_their_attribute(plant: Plant) -> None:
    production = ParseContext(plant(sensor_attributes={30: {"consumption_is_positive": False}}))
    assert "must be true" in errors_of(production, {"consumption": {"sensor": 30}})["consumption"][0]
    assert FlexModelEntry.parse({"production": {"sensor": 30}}, production).production == 30


@pytest.mark.parametrize(("name", "number"), [("process-type", 1), ("process_type", 1)])
def test_a_process_with_hyphens_or_underscores(context: ParseContext, name: str, number: int) -> None:
    entry = ProcessEntry.parse(
        {
            "sensor": 30,
            "duration": "PT4H",
            "power": "15kW",
            name: "SHIFTABLE",
            name.replace("process", "optimization").replace("type", "direction"): "MAX",
            name.replace("process", "time").replace("type", "restrictions"): [{**NIGHT}],
        },
        context,
    )
    assert entry.duration == Duration(rest=timedelta(hours=4))
    assert (entry.process_type, entry.optimization_direction) == ("SHIFTABLE", "MAX")
    assert entry.time_restrictions == ((SEVEN, SEVEN + timedelta(hours=6)),)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"duration": "x"}, "duration"),
        ({"duration": "PT0H"}, "duration"),
        ({"duration": "-PT4H"}, "duration"),
        ({"power": "15 kWh"}, "power"),
        ({"power": True}, "power"),
        ({"power": float("inf")}, "power"),
        ({"process-type": "shiftable"}, "process-type"),
        ({"optimization-sense": "BEST"}, "optimization-sense"),
        ({"time-restrictions": [{"start": NIGHT["start"]}]}, "time-restrictions"),
        ({"soc-max": "1 kWh"}, "soc-max"),
        ({"sensor": None}, "sensor"),
    ],
)
def test_invalid_process(context: ParseContext, change: Json, field: str) -> None:
    problems = errors_of(context, {"sensor": 30, "duration": "PT4H", "power": 15, **change}, ProcessEntry)
    assert list(problems) == [field]


def test_a_bare_power_needs_a_sensor(context: ParseContext) -> None:
    assert list(errors_of(context, {"duration": "PT4H", "power": 15}, ProcessEntry)) == ["power"]


@pytest.mark.parametrize("model", [FlexModelEntry, ProcessEntry])
def test_the_json_schema_names_all_fields(model: type[FlexModelEntry | ProcessEntry]) -> None:
    schema = model.model_json_schema(by_alias=True)
    assert schema["additionalProperties"] is False
    assert "sensor" in schema["properties"]
    assert not any("_" in name for name in schema["properties"])
    assert all("description" in field for field in schema["properties"].values())
