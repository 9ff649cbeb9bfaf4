"""Plays every file in `cases/`: from the trigger's message to the stored values, with the series held in memory."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flexmodel.errors import FlexmeshError, Invalid
from flexmodel.parse_trigger import parse_trigger
from flexmodel.problem import Array
from flexmodel.quantities import convert
from flexmodel.time import moment_of, parse_fixed_duration, parse_moment, steps
from flexmodel.tree import AssetTree
from flexmodel.trigger import Trigger
from scheduler.planning import Plan, plan
from scheduler.resolve.outputs import OutputSeries
from scheduler.resolve.series import LoadedSeries, sensor_series, series_queries, series_references
from scheduler.solving.search import SolverOptions
from scheduling_cases import Case, Unpack

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))
NOW = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(params=CASES, ids=lambda path: path.stem)
def played(request: pytest.FixtureRequest, case: Callable[[Path], Case]) -> Case:
    return case(request.param)


def load_case_series(case_file: Case, trigger: Trigger, tree: AssetTree) -> LoadedSeries:
    expected = series_references(trigger)
    actual = [case_file.read(query) for query in series_queries(trigger, expected, tree, trigger.prior or NOW)]
    return LoadedSeries({key: sensor_series(key, tree, *series) for key, series in zip(expected, actual, strict=True)})


def play(case_file: Case) -> Plan:
    tree = case_file.tree
    trigger = parse_trigger(case_file.message, tree, sensor_id=case_file.sensor_id)
    return plan(trigger, tree, load_case_series(case_file, trigger, tree), SolverOptions())


def test_case(played: Case, unpack: Unpack) -> None:
    expect = played.expect
    if "refused" in expect:
        with pytest.raises(Invalid) as refusal:
            play(played)
        assert_contains(played.numbered(expect["refused"]), refusal.value.fields)
        return
    if "failed" in expect:
        with pytest.raises(FlexmeshError) as failure:
            play(played)
        for text in expect["failed"]:
            assert text in failure.value.message
        return
    plan_of_case = play(played)
    values = {
        name: case_file
        for case_file in plan_of_case.outputs
        for name, number in played.sensors.items()
        if number == case_file.sensor
    }
    check_costs(expect, plan_of_case.costs)
    check_schedules(expect, values, unpack)
    check_result(expect, played, plan_of_case.result)
    for text in expect.get("warnings", []):
        assert any(text in warning for warning in plan_of_case.warnings), plan_of_case.warnings


def check_costs(expect: Mapping[str, Any], costs: Mapping[str, float]) -> None:
    if "costs" in expect:
        assert set(costs) == set(expect["costs"])
    for name, cost in {**expect.get("costs", {}), **expect.get("some-costs", {})}.items():
        assert costs[name] == pytest.approx(cost, rel=1e-6, abs=1e-7), name
    if "total" in expect:
        assert sum(costs.values()) == pytest.approx(expect["total"], rel=1e-6, abs=1e-7)


def check_schedules(expect: Mapping[str, Any], values: Mapping[str, OutputSeries], unpack: Unpack) -> None:
    for name, expected in expect.get("schedules", {}).items():
        assert values[name].start == parse_moment(expected["start"])
        assert values[name].resolution == parse_fixed_duration(expected["resolution"])
        np.testing.assert_allclose(
            as_read(values[name], expected["unit"]), unpack(expected["values"]), rtol=0, atol=1e-5
        )
    for expected in expect.get("sums", []):
        total = sum(as_read(values[name], expected["unit"]) for name in expected["sensors"])
        np.testing.assert_allclose(total, unpack(expected["values"]), rtol=0, atol=1e-5)
    for name, points in expect.get("at", {}).items():
        case_file = values[name]
        moments = [moment_of(start) for start in steps(case_file.start, case_file.resolution, len(case_file.values))]
        known = dict(zip(moments, as_read(case_file, case_file.unit), strict=True))
        for moment, value in points.items():
            assert known[parse_moment(moment)] == pytest.approx(value, abs=1e-5), (name, moment)


def as_read(case_file: OutputSeries, unit: str) -> Array:
    """As a client reads it: consumption positive."""
    return convert(
        case_file.values if case_file.consumption_positive else -case_file.values,
        case_file.unit,
        unit,
        case_file.resolution,
    )


def check_result(expect: Mapping[str, Any], case_file: Case, result: Mapping[str, Any]) -> None:
    for key in ("resolved", "unresolved"):
        if key in expect:
            expected = [case_file.numbered(entry) for entry in expect[key]]
            assert flat(result[key]) == pytest.approx(flat(expected), abs=0.0011)


def flat(entries: list[dict[str, Any]]) -> dict[tuple[str, ...], float]:
    """kWh by asset, field, instant and kind. They are rounded to watt hours, so the last digit may differ."""
    return {
        (str(entry["asset"]), field, item["datetime"], kind): float(text.removesuffix(" kWh"))
        for entry in entries
        for field, items in entry.items()
        if field != "asset"
        for item in items
        for kind, text in item.items()
        if kind != "datetime"
    }


def assert_contains(expected: object, actual: object) -> None:
    """Every text wanted is part of what is found at the same place."""
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            assert isinstance(actual, Mapping)
            assert key in actual, (key, actual)
            assert_contains(value, actual[key])
    elif isinstance(expected, list):
        assert isinstance(actual, Iterable)
        for text in expected:
            assert any(text in sentence for sentence in actual), (text, actual)
    else:
        assert str(expected) in str(actual)


@pytest.mark.parametrize("name", ["g04-toy-solar-and-battery", "r10-pv-curtailment-battery-load", "r28b-hems-house"])
def test_units_of_sensors_do_not_matter(name: str, case: Callable[[Path], Case]) -> None:
    plain, scaled = (case(CASES[0].with_name(f"{name}.json")) for _ in range(2))
    for sensor in scaled.document["sensors"].values():
        old = sensor["unit"]
        sensor["unit"] = {"kW": "W", "EUR/MWh": "cEUR/kWh", "kWh": "MWh"}.get(old, old)
        for entry in sensor.get("data", []):
            entry["unit"] = entry.get("unit", old)
    case_file, other = play(plain), play(scaled)
    assert dict(other.costs) == pytest.approx(dict(case_file.costs), rel=1e-6, abs=1e-9)
    assert [output.unit for output in other.outputs] != [output.unit for output in case_file.outputs]
    for left, right in zip(case_file.outputs, other.outputs, strict=True):
        np.testing.assert_allclose(convert(right.values, right.unit, left.unit), left.values, rtol=0, atol=2e-3)
