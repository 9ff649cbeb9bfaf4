"""The cases once more, as problems that bring everything along: they must cost the same."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flexmodel.quantities import convert
from scheduler.optimize.request import parse_request
from scheduler.optimize.response import solve_request
from scheduler.solving.search import SolverOptions
from scheduling_cases import Case, Unpack

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))


def inline(document: Mapping[str, Any], unpack: Unpack) -> dict[str, Any] | None:
    """A case as one message, or nothing if it is about what is stored: configurations, attributes, sources, outputs."""
    trigger, sensors = document["trigger"], document["sensors"]
    stored = any(asset.keys() - {"type", "parent"} for asset in document["assets"].values())
    told_apart = any(
        sensor.get("attributes") or len(sensor.get("data", [])) > 1 or {"source-type", "recorded"} & entry.keys()
        for sensor in sensors.values()
        for entry in sensor.get("data", [{}])
    )
    if stored or told_apart or trigger.keys() & {"sequential", "prior"} or not trigger.get("flex-model"):
        return None
    given = trigger["flex-model"]
    entries = given if isinstance(given, list) else [{**given, "sensor": trigger["sensor"]}]
    if any(key in entry for entry in entries for key in ("consumption", "production")):
        return None
    resolutions = [sensors[entry["sensor"]]["resolution"] for entry in entries if "sensor" in entry]
    return {
        "start": trigger["start"],
        "duration": trigger.get("duration", "PT48H"),
        "resolution": trigger.get("resolution", resolutions[0]),
        "flex-model": [renamed(entry, sensors) for entry in entries],
        "flex-context": trigger.get("flex-context", {}),
        "series": {name: series(sensor, trigger["start"], unpack) for name, sensor in sensors.items()},
    }


def renamed(entry: dict[str, Any], sensors: Mapping[str, Any]) -> dict[str, Any]:
    response = {key: value for key, value in entry.items() if key not in ("sensor", "asset")}
    if isinstance(response.get("power"), int | float):
        response["power"] = f"{response['power']} {sensors[entry['sensor']]['unit']}"
    if "group" in response:
        response["group"] = {"asset": next(iter(response["group"].values()))}
    return response | ({"name": entry["sensor"]} if "sensor" in entry else {})


def series(sensor: Mapping[str, Any], start: str, unpack: Unpack) -> dict[str, Any]:
    empty: dict[str, Any] = {"start": start, "values": []}
    entry = next(iter(sensor.get("data", [])), empty)
    values = [None if np.isnan(value) else value for value in unpack(entry["values"])]
    resolution = entry.get("resolution", sensor["resolution"])
    unit = entry.get("unit", sensor["unit"])
    return {"unit": unit, "resolution": resolution, "start": entry["start"], "values": values}


@pytest.mark.slow
def test_cases_cost_the_same(case: Callable[[Path], Case], unpack: Unpack) -> None:
    played = set()
    for path in CASES:
        document = case(path).document
        message, expect = inline(document, unpack), document["expect"]
        if message is None or expect.keys() & {"refused", "failed"}:
            continue
        response = solve_request(parse_request(message, 250_000), SolverOptions())
        expected = {**expect.get("costs", {}), **expect.get("some-costs", {})}
        costs = {name: response["costs"][name] for name in expected}
        assert costs == pytest.approx(expected, rel=1e-6, abs=1e-7), path.stem
        for name, plan in expect.get("schedules", {}).items():
            if name in response["schedules"]:
                power = convert(np.array(response["schedules"][name]["values"]), "MW", plan["unit"])
                curve = unpack(plan["values"])
                np.testing.assert_allclose(power[: len(curve)], curve, rtol=0, atol=1e-5, err_msg=path.stem)
        played.add(path.stem)
    assert {"g01-toy-battery", "g04-toy-solar-and-battery", "g06-heat-buffer-two-feeders"} <= played
    assert len(played) > 40
