"""Devices planned one after the other: what each turn sees of the others, and what cannot be planned so."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from flexmodel.errors import Invalid
from flexmodel.problem import Window
from flexmodel.tree import AssetTree, TreeAsset, TreeSensor
from flexmodel.trigger import (
    Commitment,
    Coupling,
    Device,
    Group,
    Inflexible,
    Node,
    Price,
    Site,
    Stock,
    Trigger,
)
from flexmodel.values import Fixed, Segment, Segments, SensorReference
from scheduler.planning import Plan, check_sequential, device_turn, plan
from scheduler.resolve.series import LoadedSeries, SensorSeries
from scheduler.solving.search import SolverOptions

START = datetime(2026, 1, 13, tzinfo=UTC)
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
WINDOW = Window(START, QUARTER, 16)
LOAD = SensorReference(9)


def device(number: int, power_capacity: Fixed | None = None, stock: int | None = None) -> Device:
    return Device(f"device {number}", 1, number, "electricity", stock, power_capacity=power_capacity)


def tree() -> AssetTree:
    sensors = {
        number: TreeSensor(number, "", 1, None, "MW", resolution)
        for number, resolution in {5: QUARTER, 6: HOUR, 9: HOUR}.items()
    }
    return AssetTree(1, {1: TreeAsset(1, "site", None, None, "building")}, sensors)


@pytest.fixture
def trigger() -> Callable[..., Trigger]:
    def make(**given: object) -> Trigger:
        fields: dict[str, Any] = {
            "asset_id": 1,
            "window": WINDOW,
            "requested_end": WINDOW.end,
            "prior": None,
            "sequential": True,
            "currency": "EUR",
            "devices": (device(5, power_capacity=Fixed(1.0), stock=0), device(6, power_capacity=Fixed(1.0), stock=1)),
            "inflexible": (Inflexible("load", LOAD, 1, "electricity"),),
            "stocks": tuple(
                Stock(f"stock {number}", 1, (number,), Fixed(0.0), soc_min=Fixed(0.0), soc_max=Fixed(2.0))
                for number in range(2)
            ),
            "sites": (Site("electricity", Fixed(10.0), power_capacity=Fixed(1.5)),),
            **given,
        }
        return Trigger(**fields)

    return make


def play(trigger: Trigger) -> Plan:
    starts = np.arange(4) * np.timedelta64(1, "h") + np.datetime64("2026-01-13T00:00", "us")
    return plan(
        trigger, tree(), LoadedSeries({LOAD: SensorSeries("MW", HOUR, starts, np.full(4, 0.1))}), SolverOptions()
    )


def test_each_turn_has_its_own_steps_and_only_its_own_target_makes_it_longer(trigger: Callable[..., Trigger]) -> None:
    late = START + timedelta(hours=6)
    target = Stock("car", 1, (1,), Fixed(0.0), soc_targets=Segments((Segment(late, late, 1.0),)))
    whole = trigger(window=Window(START, QUARTER, 24))
    whole = trigger(window=Window(START, QUARTER, 24), stocks=(whole.stocks[0], target))
    first, second = device_turn(whole, 0, [], tree()), device_turn(whole, 1, [], tree())
    assert first.window == WINDOW
    assert second.window == Window(START, HOUR, 6)
    assert second.stocks[0].devices == (0,)


def test_members_are_renumbered_and_those_to_come_are_left_out(trigger: Callable[..., Trigger]) -> None:
    group = Group("asset:1", (0, 1), Fixed(1.0), None, None, 1e7)
    later = Group("asset:2", (1,), Fixed(1.0), None, None, 1e7)
    contract = Commitment("contract", "electricity", (0, 1, 2), Fixed(0.0), Price(Fixed(1.0), "MWh"), None)
    alone = device_turn(trigger(groups=(group, later), commitments=(contract,)), 0, [], tree())
    assert [group.members for group in alone.groups] == [(0,)]
    assert [commitment.members for commitment in alone.commitments] == [(0, 1)]


def test_the_second_device_gets_the_rest_of_the_first(trigger: Callable[..., Trigger]) -> None:
    one_price = Segments((Segment(START, START + HOUR, 10.0), Segment(START + HOUR, WINDOW.end, 100.0)))
    context = Site("electricity", one_price, power_capacity=Fixed(1.5), aggregate_power=9)
    result = play(trigger(sites=(context,)))
    power = {output.sensor: -output.values for output in result.outputs}
    assert len(power[5]) == 16
    assert len(power[6]) == 4
    np.testing.assert_allclose(power[5][:4], 1.0)
    np.testing.assert_allclose(power[6][0], 0.4)
    total = power[5].reshape(4, 4).mean(axis=1) + power[6] + 0.1
    np.testing.assert_allclose(power[9], total, atol=1e-6)
    assert result.result["num-beliefs"] == sum(len(output.values) for output in result.outputs)
    assert {"prefer a full storage 0 sooner", "prefer a full storage 1 sooner"} <= set(result.costs)
    assert result.costs["electricity net energy"] == pytest.approx(1.5 * 10 + (total[1:] * 100).sum())
    assert len(result.explanation["turns"]) == 2


@pytest.mark.parametrize(
    "given",
    [
        {"stocks": (Stock("buffer", 1, (0, 1), Fixed(0.0)),)},
        {"couplings": (Coupling("plant", (0, 1), (1.0, -0.5)),)},
        {"nodes": (Node("heat"),)},
    ],
)
def test_devices_that_belong_together_are_refused(trigger: Callable[..., Trigger], given: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="planned together"):
        check_sequential(trigger(**given))
