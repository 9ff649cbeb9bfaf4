"""Explanations of why there is no schedule."""

from collections.abc import Mapping

import numpy as np
import pytest
from problem_draft import Draft
from scheduler.solving.infeasibility import Infeasible
from scheduler.solving.search import SolverOptions
from scheduler.solving.solve import OutOfTimeError, solve


def reason(case: Draft) -> str:
    with pytest.raises(Infeasible) as caught:
        solve(case.problem())
    return caught.value.message


def test_target_out_of_reach_of_the_charger(draft: type[Draft]) -> None:
    case = draft(24)
    case.battery(0.01, 0.4, 0, 1, stock={"hard_targets": {23: 0.9}}, label="battery 7")
    case.site(100)
    sentence = reason(case)
    assert "cannot reach 900 kWh at 2026-01-14 00:00 UTC from 400 kWh at the start: 260 kWh short" in sentence
    assert "because the consumption-capacity of battery 7 is 10 kW." in sentence


def test_only_the_smallest_violation_is_named(draft: type[Draft]) -> None:
    case = draft(24)
    case.battery(0.01, 0.4, 0, 1, stock={"hard_targets": {23: 0.9}}, label="slow")
    case.battery(1, 0.4, 0, 1, stock={"hard_targets": {23: 0.9}}, label="quick")
    case.site(100)
    sentence = reason(case)
    assert "stock 0" in sentence
    assert "stock 1" not in sentence


def test_site_limit_in_the_way(draft: type[Draft]) -> None:
    case = draft(4)
    case.battery(1, 0, 0, 2, stock={"hard_minima": {3: 1.0}})
    case.fixed(0.4)
    case.site(100, power=0.5)
    sentence = reason(case)
    assert "600 kWh short" in sentence
    assert "the site's consumption of electricity is limited to 500 kW from 2026-01-13 00:00 UTC" in sentence


def test_too_much_in_the_storage(draft: type[Draft]) -> None:
    case = draft(4)
    case.battery(0.1, 1, 0, 2, stock={"hard_maxima": {1: 0.5}})
    case.site(100)
    sentence = reason(case)
    assert "cannot come down to 500 kWh at 2026-01-13 02:00 UTC from 1 MWh at the start: 300 kWh too much" in sentence
    assert "production-capacity of device 0 is 100 kW" in sentence


def test_start_below_the_minimum(draft: type[Draft]) -> None:
    case = draft(12, minutes=5)
    case.battery(0.011, 0.010, 0.015, 0.060)
    case.site(100)
    sentence = reason(case)
    assert "cannot reach 15 kWh at 2026-01-13 00:05 UTC from 10 kWh at the start: 4.083 kWh short (and at" in sentence


def test_load_above_a_hard_cap(draft: type[Draft]) -> None:
    case = draft(4)
    case.fixed([0.1, 0.1, 0.15, 0.1])
    case.site(100, consumption=0.12, relaxed=False)
    assert "Consumption of the electricity site exceeds its limit of 120 kW by 30 kW at 2026-01-13 02:00 UTC" in reason(
        case
    )


def test_commodity_without_a_grid(draft: type[Draft]) -> None:
    case = draft(2)
    case.device(-1, 0, commodity="steam", label="boiler")
    case.fixed([0.5, 1.5], commodity="steam")
    case.node("steam")
    sentence = reason(case)
    assert "500 kW of steam is missing at 2026-01-13 01:00 UTC" in sentence


def test_operation_modes_that_cannot_meet_a_converter(draft: type[Draft]) -> None:
    case = draft(2)
    intake, output = case.device(0, 4, commodity="gas"), case.device(-1, 0)
    case.couple({intake: 1, output: -0.5})
    case.modes(intake, [3, 4])
    case.site(10)
    case.site(10, commodity="gas")
    assert "It would work without the operation modes of device 0." in reason(case)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (
            {"hard_targets": {1: 8.0}},
            "soc-targets asks for 8 MWh at 2026-01-13 02:00 UTC, which is above its soc-max of 4.5 MWh",
        ),
        (
            {"hard_minima": {1: 3.0}, "hard_maxima": {1: 2.0}},
            "soc-minima asks for 3 MWh at 2026-01-13 02:00 UTC, which is above",
        ),
        (
            {"hard_maxima": {0: 0.2}},
            "soc-maxima asks for 200 kWh at 2026-01-13 01:00 UTC, which is below its soc-min of 500 kWh",
        ),
    ],
)
def test_requirements_that_contradict_the_stock(
    draft: type[Draft], limits: Mapping[str, Mapping[int, float]], sentence: str
) -> None:
    case = draft(4)
    case.battery(2, 2.5, 0.5, 4.5, stock=limits)
    case.site(100)
    assert sentence in reason(case)


def test_modes_outside_the_limits(draft: type[Draft]) -> None:
    case = draft(3)
    device = case.device(0, [1, 0.3, 1])
    case.modes(device, [0.4, 0.5])
    case.site(1)
    assert "no operation mode between 0 kW and 300 kW, which are its limits at 2026-01-13 01:00 UTC" in reason(case)


def test_crossed_limits(draft: type[Draft]) -> None:
    case = draft(2)
    case.device(1, 0.5)
    case.site(1)
    assert "must take at least 1 MW and at most 500 kW" in reason(case)


def test_rounding_is_no_contradiction(draft: type[Draft]) -> None:
    case = draft(3)
    case.battery(0.1, 0.1, 0, 0.3 - 1e-9, stock={"hard_targets": {1: 0.3}})
    case.site([1, 2, 3])
    assert solve(case.problem()).soc[0, 2] == pytest.approx(0.3)


def test_no_time(draft: type[Draft]) -> None:
    case = draft(96, minutes=15)
    for number in range(20):
        case.battery(1, 1, 0, 3 + number, roundtrip=0.8)
    case.site(np.random.default_rng(1).normal(50, 30, 96))
    with pytest.raises(OutOfTimeError, match="within 1e-05 seconds"):
        solve(case.problem(), SolverOptions(seconds=1e-5))


def test_group_whose_fixed_member_breaks_its_cap(draft: type[Draft]) -> None:
    case = draft(2)
    case.group([case.device(-0.2, 0.2), case.fixed([0, -0.8])], power=0.5)
    case.site(10)
    assert "Production of sensor:1 exceeds its limit of 500 kW by 100 kW at 2026-01-13 01:00 UTC" in reason(case)
