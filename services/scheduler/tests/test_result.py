"""From a schedule to the values of sensors and the job's result."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from flexmodel.problem import Array, Window
from flexmodel.schedule import Marginal, Schedule, ScheduleStatus
from flexmodel.tree import AssetTree, TreeAsset, TreeSensor
from flexmodel.trigger import Device, Group, Site, Stock, Trigger
from flexmodel.values import Fixed
from scheduler.resolve.outputs import Output, PowerOutput, StateOutput, output_series, resolve_outputs
from scheduler.resolve.soc_requirements import SocRequirements, soc_report

START = datetime(2026, 1, 13, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
WINDOW = Window(START, QUARTER, 4)
NAN = np.nan


def schedule(power: list[list[float]], soc: list[list[float]] | None = None, window: Window = WINDOW) -> Schedule:
    nothing: Array = np.zeros((0, window.steps))
    return Schedule(
        window=window,
        currency="EUR",
        power=np.array(power),
        soc=np.zeros((0, window.steps + 1)) if soc is None else np.array(soc),
        costs={},
        cost=0.0,
        bound=0.0,
        gap=0.0,
        status=ScheduleStatus.OPTIMAL,
        solver="glop",
        marginal=Marginal(*([nothing] * 10)),
    )


def output(**given: object) -> PowerOutput:
    whole: dict[str, Any] = {
        "sensor": 5, "unit": "kW", "resolution": QUARTER, "timezone": "UTC", "devices": (0,), "part": "all",
        "consumption_positive": False, **given,
    }  # fmt: skip
    return PowerOutput(**whole)


def values(
    to: Output, *power: list[float], soc: list[list[float]] | None = None, window: Window = WINDOW
) -> list[float]:
    [series] = output_series(schedule(list(power), soc, window), [to])
    return [float(value) for value in series.values]


def test_power_is_production_positive_without_minus_zero() -> None:
    actual = values(output(), [0.025, -0.01, 0.0, 0.0000004567])
    assert actual == [-25.0, 10.0, 0.0, -0.000457]
    assert np.copysign(1, actual[2]) == 1


def test_consumption_positive_where_the_sensor_says_so() -> None:
    assert values(output(consumption_positive=True), [0.025, -0.01, 0, 0]) == [25, -10, 0, 0]


def test_devices_on_one_sensor_are_summed() -> None:
    assert values(output(devices=(0, 1)), [0.025, 0, 0, 0], [0.005, -0.01, 0, 0]) == [-30, 10, 0, 0]


@pytest.mark.parametrize(("part", "expected"), [("consumption", [-25, 0, 0, 0]), ("production", [0, 10, 0, 0])])
def test_parts_of_a_profile(part: str, expected: list[float]) -> None:
    assert values(output(part=part), [0.025, -0.01, 0, 0]) == expected


def test_an_energy_sensor_gets_energy_per_event() -> None:
    assert values(output(unit="kWh", consumption_positive=True), [0.02, 0.04, 0, -0.02]) == [5, 10, 0, -5]
    assert values(output(unit="kWh", resolution=HOUR, consumption_positive=True), [0.02, 0.04, 0, -0.02]) == [10]


def test_coarser_sensors_get_means_and_finer_ones_repetitions() -> None:
    assert values(output(resolution=HOUR), [0.01, 0.02, 0.03, 0.02]) == [-20]
    finer = values(output(resolution=timedelta(minutes=5)), [0.01, 0.02, 0.03, 0.02])
    assert finer == [-10] * 3 + [-20] * 3 + [-30] * 3 + [-20] * 3


def test_a_window_off_the_sensors_clock_fills_the_events_it_touches() -> None:
    window = Window(START + 2 * QUARTER, QUARTER, 4)
    [series] = output_series(schedule([[0.01, 0.03, 0.02, 0.02]], window=window), [output(resolution=HOUR)])
    assert series.start == START
    assert series.values.tolist() == [-20, -20]


def test_days_begin_at_the_sensors_midnight() -> None:
    window = Window(START - HOUR, HOUR, 24)
    daily = output(resolution=timedelta(days=1), timezone="Europe/Amsterdam")
    [series] = output_series(schedule([[0.01] * 24], window=window), [daily])
    assert (series.start, series.values.tolist()) == (START - HOUR, [-10])


def test_an_instantaneous_power_sensor_gets_a_value_per_step() -> None:
    [series] = output_series(schedule([[0.01, 0.02, 0.03, 0.02]]), [output(resolution=timedelta(0))])
    assert (series.resolution, len(series.values)) == (QUARTER, 4)


def test_states_of_charge_have_one_value_more_than_steps() -> None:
    soc = [[0.05, 0.1, 0.1, 0.05, 0.0512345678]]
    assert values(StateOutput(6, "kWh", 0, None), [0] * 4, soc=soc) == [50, 100, 100, 50, 51.234568]
    assert values(StateOutput(6, "%", 0, 0.2), [0] * 4, soc=soc) == [25, 50, 50, 25, 25.617284]


BATTERY = Stock("battery", 7, (0,), Fixed(0.0))


def requirements(
    minima: list[float] | None = None, maxima: list[float] | None = None, targets: list[float] | None = None
) -> SocRequirements:
    lower, upper, exact = (np.array(values or [NAN] * 4) for values in (minima, maxima, targets))
    return SocRequirements(lower, upper, exact, projected_minima=np.zeros(4, bool), projected_maxima=np.zeros(4, bool))


def test_missed_requirements_are_reported_with_the_violation() -> None:
    plan = schedule([[0.0] * 4], [[0.0, 0.1, 0.2, 0.3, 0.4]])
    required = requirements(minima=[NAN, 0.15, NAN, 0.66], targets=[NAN, NAN, 0.25, NAN])
    result = soc_report(plan, [BATTERY], [required])
    assert result.resolved == []
    assert result.unresolved == [
        {
            "asset": 7,
            "soc-minima": [{"datetime": "2026-01-13T01:00:00+00:00", "violation": "260.0 kWh"}],
            "soc-targets": [{"datetime": "2026-01-13T00:45:00+00:00", "violation": "50.0 kWh"}],
        }
    ]


def test_kept_requirements_are_reported_with_the_margin_except_targets() -> None:
    plan = schedule([[0.0] * 4], [[0.0, 0.1, 0.2, 0.3, 0.4]])
    required = requirements(minima=[NAN, 0.15, NAN, NAN], maxima=[0.1, NAN, NAN, NAN], targets=[NAN, NAN, 0.3, NAN])
    result = soc_report(plan, [BATTERY], [required])
    assert result.unresolved == []
    assert result.resolved == [
        {
            "asset": 7,
            "soc-minima": [{"datetime": "2026-01-13T00:30:00+00:00", "margin": "50.0 kWh"}],
            "soc-maxima": [{"datetime": "2026-01-13T00:15:00+00:00", "margin": "0.0 kWh"}],
        }
    ]


def test_a_difference_below_a_watt_hour_is_kept() -> None:
    plan = schedule([[0.0] * 4], [[0.0, 0.0, 0.0, 0.0, 0.05565]])
    result = soc_report(plan, [BATTERY], [requirements(minima=[NAN, NAN, NAN, 0.05565017591])])
    assert result.unresolved == []


def sensor(number: int, unit: str = "kW", **attributes: object) -> TreeSensor:
    return TreeSensor(number, f"sensor {number}", 1, None, unit, QUARTER, attributes=attributes)


def tree(*sensors: TreeSensor) -> AssetTree:
    site = TreeAsset(1, "site", None, None, "building")
    return AssetTree(1, {1: site}, {series.id: series for series in sensors})


def trigger(*devices: Device, sites: tuple[Site, ...] = (), groups: tuple[Group, ...] = ()) -> Trigger:
    return Trigger(1, WINDOW, WINDOW.end, None, False, "EUR", devices, (), (), sites, groups=groups)


def device(number: int | None, consumption_output: int | None = None, production_output: int | None = None) -> Device:
    return Device(
        "device",
        1,
        number,
        "electricity",
        consumption_output=consumption_output,
        production_output=production_output,
    )


def test_every_device_gets_its_schedule_and_sharers_their_sum() -> None:
    actual, warnings = resolve_outputs(
        trigger(device(5), device(6), device(5), device(None)), tree(sensor(5), sensor(6))
    )
    assert [(series.sensor, series.devices) for series in actual if isinstance(series, PowerOutput)] == [
        (5, (0, 2)),
        (6, (1,)),
    ]
    assert not warnings


def test_the_sign_follows_the_sensor_and_energy_is_never_turned() -> None:
    known = tree(sensor(5), sensor(6, consumption_is_positive=True), sensor(7, "kWh"))
    actual, _ = resolve_outputs(trigger(device(5), device(6), device(7)), known)
    assert [series.consumption_positive for series in actual if isinstance(series, PowerOutput)] == [False, True, True]


def test_one_output_sensor_gets_all_and_two_get_a_part_each() -> None:
    series = device(5, consumption_output=6)
    both = device(7, consumption_output=8, production_output=9)
    actual, _ = resolve_outputs(trigger(series, both), tree(*(sensor(number) for number in range(5, 10))))
    powers = {
        out.sensor: (out.part, out.consumption_positive, out.sets_sign)
        for out in actual
        if isinstance(out, PowerOutput)
    }
    assert powers == {
        6: ("all", True, True),
        8: ("consumption", True, True),
        9: ("production", False, True),
        5: ("all", False, False),
        7: ("all", False, False),
    }


def test_a_power_sensor_that_is_also_an_output_keeps_the_output() -> None:
    actual, warnings = resolve_outputs(trigger(device(5, consumption_output=5)), tree(sensor(5)))
    assert [(series.sensor, series.consumption_positive) for series in actual if isinstance(series, PowerOutput)] == [
        (5, True)
    ]
    assert not warnings


def test_groups_and_aggregates_are_sums_and_a_sensor_gets_one_result_only() -> None:
    group = Group("sensor:7", (0, 1), Fixed(1.0), None, None, 1e7, sensor=7)
    context = Site("electricity", Fixed(1.0), aggregate_power=8, aggregate_consumption=7)
    required = trigger(device(5), device(6), groups=(group,), sites=(context,))
    actual, warnings = resolve_outputs(required, tree(*(sensor(number) for number in range(5, 9))))
    assert [(series.sensor, series.devices) for series in actual if isinstance(series, PowerOutput)] == [
        (5, (0,)), (6, (1,)), (7, (0, 1)), (8, (0, 1)),
    ]  # fmt: skip
    assert "Sensor 7" in warnings[0]
