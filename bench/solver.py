"""Times formulating, solving and reading out by size, against the bare solver on the same matrices.

    python bench/solver.py [--sizes 1x96,10x96] [--repeat 5] [--json FILE]

The instances mix 40 % batteries, 40 % cars that only charge and 20 % curtailable panels (a single device is a
battery), with a load, site limits, a feed-in price of 0.6 times the price less 2, a peak price, self-discharge,
minima and targets.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from flexmodel.problem import Array, Devices, Index, Problem, Site, Stocks, Window
from scheduler.formulation.model import formulate
from scheduler.solving import engine, readout
from scheduler.solving.search import SolverOptions, find_optimum

WIDTH = 13
SIZES = ("1x96", "1x288", "1x672", "10x96", "100x96", "1000x96", "10000x96-free")


def read(size: str) -> tuple[int, int, bool]:
    """`100x96` is 100 devices and 96 steps; `-free` leaves out all that they share."""
    count, steps = size.removesuffix("-free").split("x")
    return int(count), int(steps), size.endswith("-free")


def mix(count: int, steps: int, seed: int = 1, free: bool = False) -> Problem:
    """A site with `count` flexible devices and a load."""
    random = np.random.default_rng(seed)
    hours = np.arange(steps) / 4
    day = np.sin((hours - 9) / 24 * 2 * np.pi)
    price = 60 + 25 * np.sin((hours - 14) / 12 * 2 * np.pi) + random.normal(0, 6, steps)
    sun = np.maximum(day, 0)
    kinds = np.array(["battery"]) if count == 1 else np.repeat(["battery", "car", "panels"], _shares(count))
    stocked = np.flatnonzero(kinds != "panels")
    size = random.uniform(0.5, 1.5, count)
    battery, panels = kinds == "battery", kinds == "panels"
    low = np.where(battery, -size, 0.0)[:, None] * np.ones(steps) - (panels * size)[:, None] * sun
    high = np.where(panels, 0.0, size)[:, None] * np.ones(steps)
    load = count * 0.3 * (1 + 0.5 * day) + random.normal(0, 0.01, steps)
    return Problem(
        window=Window(datetime(2026, 1, 13, tzinfo=UTC), timedelta(minutes=15), steps),
        currency="EUR",
        devices=_devices(np.vstack([low, load]), np.vstack([high, load]), stocked, steps),
        stocks=_stocks(size[stocked], price, random),
        sites=(_free_site if free else _site)(np.arange(count + 1), price, count),
    )


def _shares(count: int) -> list[int]:
    batteries, cars = round(0.4 * count), round(0.4 * count)
    return [batteries, cars, count - batteries - cars]


def _devices(
    low: Array, high: Array, stocked: np.ndarray[tuple[int], np.dtype[np.signedinteger]], steps: int
) -> Devices:
    count = len(low)
    stock = np.full(count, -1)
    stock[stocked] = np.arange(len(stocked))
    efficiency, none = np.full((count, steps), 0.95), np.full((count, steps), np.nan)
    return Devices(
        labels=tuple(f"device {number}" for number in range(count)),
        commodity=("electricity",) * count,
        power_min=low,
        power_max=high,
        flexible=np.arange(count) < count - 1,
        stock=stock,
        charging_efficiency=efficiency,
        discharging_efficiency=efficiency,
        consumption_cap=none,
        production_cap=none,
        consumption_breach_price=none,
        production_breach_price=none,
    )


def _stocks(size: Array, price: Array, random: np.random.Generator) -> Stocks:
    count, steps = len(size), len(price)
    none, flat = np.full((count, steps), np.nan), np.ones((count, steps))
    minima, targets = none.copy(), none.copy()
    for stock in range(count):
        at = int(random.integers(steps // 3, steps // 2))
        minima[stock, at : at + 8] = 1.2 * size[stock]
        targets[stock, int(random.integers(steps // 2 + 9, steps))] = 2.5 * size[stock]
    weight = 1e-4 * float(np.ptp(price)) / steps
    return Stocks(
        labels=tuple(f"stock {number}" for number in range(count)),
        first_device=np.arange(count),
        initial=size * 1.0,
        soc_min=size * 0.2,
        soc_max=size * 4.0,
        hard_minima=none,
        hard_maxima=none,
        hard_targets=none,
        minima=minima,
        maxima=none,
        targets=targets,
        minima_breach_price=1e6 * flat,
        maxima_breach_price=1e6 * flat,
        storage_efficiency=0.9995 * flat,
        gain=0.0 * flat,
        tie_break_price=np.linspace(weight, 0, steps) * 4 * flat,
    )


def _free_site(devices: Index, price: Array, count: int) -> tuple[Site]:
    """No limit, and one price for both directions."""
    none = np.full(len(price), np.nan)
    return (Site("electricity", devices, price, price, power_max=none, power_min=none),)


def _site(devices: Index, price: Array, count: int) -> tuple[Site]:
    flat = np.ones(len(price))
    site = Site(
        commodity="electricity",
        devices=devices,
        consumption_price=price,
        production_price=0.6 * price - 2,
        power_max=flat * count * 1.1,
        power_min=-flat * count * 0.9,
        consumption_cap=flat * count * 0.8,
        production_cap=flat * count * 0.5,
        consumption_breach_price=1e7 * flat,
        production_breach_price=1e7 * flat,
        peak_consumption=flat * count * 0.35,
        peak_consumption_price=260.0 * flat,
    )
    return (site,)


def measure(size: str, repeat: int) -> dict[str, Any]:
    """Median milliseconds of each part."""
    count, steps, free = read(size)
    problem = mix(count, steps, free=free)
    model = formulate(problem)
    outcome = find_optimum(model, SolverOptions())
    schedule = readout.build_schedule(model, outcome)
    parts: dict[str, Callable[[], object]] = {
        "formulate": lambda: formulate(problem),
        "solve": lambda: find_optimum(model, SolverOptions()),
        "read out": lambda: readout.build_schedule(model, outcome),
        "bare HiGHS": lambda: engine.solve_without_duals("highs_lp", model.program),
    }
    if free:
        del parts["bare HiGHS"]  # it takes minutes
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repeat):  # interleaved, so that a busy moment hits all parts alike
        for name, part in parts.items():
            started = time.process_time()
            part()
            times[name].append(1e3 * (time.process_time() - started))
    found: dict[str, Any] = {name: round(statistics.median(values), 2) for name, values in times.items()}
    found["total"] = round(found["formulate"] + found["solve"] + found["read out"], 2)
    found.setdefault("bare HiGHS", None)
    found["ratio"] = None if free else round(found["total"] / found["bare HiGHS"], 2)
    rows, columns = model.program.matrix.shape
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "size": size, "columns": columns, "rows": rows, **found,
        "solver": schedule.solver, "status": str(schedule.status), "gap": schedule.gap, "MB": memory,
    }  # fmt: skip


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < value < 1e-3 else f"{value:,.2f}"
    return "-" if value is None else str(value)


def main() -> None:
    """Print a table, and write the numbers when asked to."""
    arguments = argparse.ArgumentParser(description="Time the solver by size.")
    arguments.add_argument("--sizes", default=",".join(SIZES))
    arguments.add_argument("--repeat", type=int, default=5)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    results = []
    for size in chosen.sizes.split(","):
        count, steps, _ = read(size)
        results.append(measure(size, chosen.repeat if count * steps < 50_000 else 1))
        if len(results) == 1:
            print("  ".join(f"{name:>{WIDTH}}" for name in results[0]))
        print("  ".join(f"{_cell(value):>{WIDTH}}" for value in results[-1].values()), flush=True)
    print("Milliseconds of processor time (medians); total = formulate + solve + read out; ratio = total / bare HiGHS.")
    if chosen.json:
        machine = {
            "machine": platform.platform(),
            "python": sys.version.split()[0],
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
        }
        chosen.json.write_text(json.dumps({**machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
