"""Plays every file in `cases/`: from the trigger's message to the stored values, with the series held in memory."""

from collections.abc import Callable, Mapping
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

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))
NOW = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(params=CASES, ids=lambda path: path.stem)
def played(request: pytest.FixtureRequest, case: Callable[[Path], Any]) -> Any:
    return case(request.param)


def readings(one: Any, trigger: Trigger, tree: AssetTree) -> LoadedSeries:
    wanted = series_references(trigger)
    found = [one.read(query) for query in series_queries(trigger, wanted, tree, trigger.prior or NOW)]
    return LoadedSeries({key: sensor_series(key, tree, *series) for key, series in zip(wanted, found, strict=True)})


def play(one: Any) -> Plan:
    tree = one.tree
    trigger = parse_trigger(one.message, tree, sensor_id=one.sensor_id)
    return plan(trigger, tree, readings(one, trigger, tree), SolverOptions())


def test_case(played: Any, unpack: Callable[[list[Any]], list[float]]):
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
    made = play(played)
    values = {name: one for one in made.outputs for name, number in played.sensors.items() if number == one.sensor}
    check_costs(expect, made.costs)
    check_schedules(expect, values, unpack)
    check_result(expect, played, made.result)
    for text in expect.get("warnings", []):
        assert any(text in warning for warning in made.warnings), made.warnings


def check_costs(expect: Mapping[str, Any], costs: Mapping[str, float]) -> None:
    if "costs" in expect:
        assert set(costs) == set(expect["costs"])
    for name, cost in {**expect.get("costs", {}), **expect.get("some-costs", {})}.items():
        assert costs[name] == pytest.approx(cost, rel=1e-6, abs=1e-7), name
    if "total" in expect:
        assert sum(costs.values()) == pytest.approx(expect["total"], rel=1e-6, abs=1e-7)


def check_schedules(
    expect: Mapping[str, Any], values: Mapping[str, OutputSeries], unpack: Callable[[list[Any]], list[float]]
) -> None:
    for name, wanted in expect.get("schedules", {}).items():
        assert values[name].start == parse_moment(wanted["start"])
        assert values[name].resolution == parse_fixed_duration(wanted["resolution"])
        np.testing.assert_allclose(as_read(values[name], wanted["unit"]), unpack(wanted["values"]), rtol=0, atol=1e-5)
    for wanted in expect.get("sums", []):
        total = sum(as_read(values[name], wanted["unit"]) for name in wanted["sensors"])
        np.testing.assert_allclose(total, unpack(wanted["values"]), rtol=0, atol=1e-5)
    for name, points in expect.get("at", {}).items():
        one = values[name]
        moments = [moment_of(start) for start in steps(one.start, one.resolution, len(one.values))]
        known = dict(zip(moments, as_read(one, one.unit), strict=True))
        for moment, value in points.items():
            assert known[parse_moment(moment)] == pytest.approx(value, abs=1e-5), (name, moment)


def as_read(one: OutputSeries, unit: str) -> Array:
    """As a client reads it: consumption positive."""
    return convert(one.values if one.consumption_positive else -one.values, one.unit, unit, one.resolution)


def check_result(expect: Mapping[str, Any], one: Any, result: Mapping[str, Any]) -> None:
    for key in ("resolved", "unresolved"):
        if key in expect:
            wanted = [one.numbered(entry) for entry in expect[key]]
            assert flat(result[key]) == pytest.approx(flat(wanted), abs=0.0011)


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


def assert_contains(wanted: Any, found: Any) -> None:
    """Every text wanted is part of what is found at the same place."""
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            assert key in found, (key, found)
            assert_contains(value, found[key])
    elif isinstance(wanted, list):
        for text in wanted:
            assert any(text in sentence for sentence in found), (text, found)
    else:
        assert wanted in str(found)


@pytest.mark.parametrize("name", ["g04-toy-solar-and-battery", "r10-pv-curtailment-battery-load", "r28b-hems-house"])
def test_units_of_sensors_do_not_matter(name: str, case: Callable[[Path], Any]):
    plain, scaled = (case(CASES[0].with_name(f"{name}.json")) for _ in range(2))
    for sensor in scaled.document["sensors"].values():
        old = sensor["unit"]
        sensor["unit"] = {"kW": "W", "EUR/MWh": "cEUR/kWh", "kWh": "MWh"}.get(old, old)
        for entry in sensor.get("data", []):
            entry["unit"] = entry.get("unit", old)
    one, other = play(plain), play(scaled)
    assert dict(other.costs) == pytest.approx(dict(one.costs), rel=1e-6, abs=1e-9)
    assert [output.unit for output in other.outputs] != [output.unit for output in one.outputs]
    for left, right in zip(one.outputs, other.outputs, strict=True):
        np.testing.assert_allclose(convert(right.values, right.unit, left.unit), left.values, rtol=0, atol=2e-3)
