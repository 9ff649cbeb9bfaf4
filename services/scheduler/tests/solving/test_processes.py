"""Processes planned on the price alone."""

from collections.abc import Collection, Sequence
from datetime import timedelta

import numpy as np
import pytest
from flexmodel.problem import ProcessType
from scheduler.process_placement import NoRoomError, place_process, process_steps

PRICES = [10, 11, 12, 15, 18, 17, 10.5, 9, 9.5, 9, 8.5, 10, 8, 5, 4, 4, 5.5, 8, 12, 13, 14, 12.5, 10, 7]
DAY = [100] * 8 + [90] * 8 + [100] * 8


def hours(
    prices: Sequence[float], kind: str, blocked: Collection[int] = (), steps: int = 4, dearest: bool = False
) -> list[int]:
    allowed = np.ones(len(prices), dtype=bool)
    allowed[list(blocked)] = False
    return np.flatnonzero(
        place_process(np.array(prices, dtype=float), steps, ProcessType(kind), allowed, dearest=dearest)
    ).tolist()


@pytest.mark.parametrize(
    ("kind", "expected", "cost"),
    [
        ("INFLEXIBLE", [0, 1, 2, 3], 9.6),
        ("SHIFTABLE", [11, 12, 13, 14], 5.4),
        ("BREAKABLE", [13, 14, 16, 23], 4.3),
    ],
)
def test_tutorial_process(kind: str, expected: list[int], cost: float) -> None:
    found = hours(PRICES, kind, blocked=[15])
    assert found == expected
    assert sum(PRICES[hour] for hour in found) * 0.2 == pytest.approx(cost)


def test_ties_go_to_the_earliest() -> None:
    assert hours(DAY, "INFLEXIBLE") == [0, 1, 2, 3]
    assert hours(DAY, "SHIFTABLE") == [8, 9, 10, 11]
    assert hours(DAY, "SHIFTABLE", blocked=[8, 9]) == [10, 11, 12, 13]
    assert hours(DAY, "BREAKABLE", blocked=[9, 11, 13, 15]) == [8, 10, 12, 14]
    assert hours([0.1, 0.2, 0.3] * 2, "SHIFTABLE", steps=3) == [0, 1, 2]


def test_dearest() -> None:
    assert hours(PRICES, "SHIFTABLE", dearest=True, steps=2) == [4, 5]
    assert hours(PRICES, "BREAKABLE", dearest=True, steps=3) == [3, 4, 5]


def test_whole_window_and_no_room() -> None:
    assert hours([1, 2, 3], "SHIFTABLE", steps=3) == [0, 1, 2]
    for kind in ProcessType:
        with pytest.raises(NoRoomError, match="needs 3 steps"):
            hours([1, 2, 3], kind, steps=3, blocked=[1])
    with pytest.raises(NoRoomError, match="no unbroken run"):
        hours(range(6), "SHIFTABLE", steps=3, blocked=[2, 5])


def test_duration_is_rounded_up_and_cut_to_the_window() -> None:
    quarter = timedelta(minutes=15)
    assert process_steps(timedelta(minutes=31), quarter, 96) == 3
    assert process_steps(timedelta(hours=48), quarter, 96) == 96
