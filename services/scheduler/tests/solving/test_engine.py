"""The solver's edges: size, silence, sameness, and numbers far apart."""

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import problem_draft
import pytest
from flexmodel.errors import Invalid
from flexmodel.problem import Array, Problem
from problem_draft import Draft
from scheduler.formulation.builder import Program
from scheduler.formulation.model import formulate
from scheduler.solving import engine
from scheduler.solving.engine import Solution, SolverStatus, solve_linear, solve_with
from scheduler.solving.solve import solve

PROGRAM = """
import sys; sys.path[:0] = {folders!r}
import hashlib
from problem_draft import Draft
from test_engine import fleet
from scheduler.solving.solve import solve
schedule = solve(fleet(Draft, {count}))
print(hashlib.sha256(schedule.power.tobytes() + schedule.soc.tobytes()).hexdigest(), schedule.solver)
"""


def fleet(draft: type[Draft], count: int, negative: bool = False) -> Problem:
    """Batteries of different sizes behind one cap."""
    case = draft(96, minutes=15)
    random = np.random.default_rng(7)
    price = random.normal(0 if negative else 60, 30, 96)
    for _ in range(count):
        size = random.uniform(0.5, 1.5)
        case.battery(size, size, 0.1 * size, 4 * size, roundtrip=0.9)
    case.fixed(0.2 * count)
    case.site(price, price - 5, power=0.8 * count, peak_consumption_price=100)
    return case.problem()


@pytest.mark.parametrize(("count", "solver"), [(4, "glop"), (30, "highs")])
def test_same_bytes_in_every_process(draft: type[Draft], count: int, solver: str) -> None:
    schedule = solve(fleet(draft, count))
    here = hashlib.sha256(schedule.power.tobytes() + schedule.soc.tobytes()).hexdigest()
    folders = [str(Path(__file__).parent), str(Path(problem_draft.__file__).parent)]
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(folders=folders, count=count)], capture_output=True, text=True, check=True
    )
    assert there.stdout.split() == [here, solver]


def test_solvers_agree(draft: type[Draft]) -> None:
    program = formulate(fleet(draft, 5)).program
    small, large = solve_with("glop", program), solve_with("highs_lp", program)
    assert small.objective == pytest.approx(large.objective, rel=1e-9)
    for solution in (small, large):
        assert dual_bound(program, solution.duals) == pytest.approx(solution.objective, rel=1e-7)


def dual_bound(program: Program, duals: Array) -> float:
    """Return the bound that the dual prices prove: no solution can go below it."""
    reduced = program.cost - program.matrix.T @ duals
    total = 0.0
    for price, low, high in ((reduced, program.lower, program.upper), (duals, program.row_lower, program.row_upper)):
        end = np.where(price > 0, low, high)
        total += (price * np.where(np.abs(price) > 1e-9, end, 0.0)).sum()
    return total


def test_nothing_is_printed(draft: type[Draft], capfd: pytest.CaptureFixture[str]) -> None:
    threads = [threading.Thread(target=solve, args=(fleet(draft, 25),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    print("still heard", flush=True)
    for thread in threads:
        thread.join()
    solve(fleet(draft, 2, negative=True))
    print("and afterwards", flush=True)
    assert capfd.readouterr().out == "still heard\nand afterwards\n"


def test_a_solver_that_gives_up_is_replaced(draft: type[Draft], monkeypatch: pytest.MonkeyPatch) -> None:
    program = formulate(fleet(draft, 2)).program
    given = solve_linear(program, 60).objective
    tried = []

    def failing(name: str, program: Program, seconds: float = np.inf) -> Solution:
        tried.append(name)
        return engine.NO_SOLUTION if name == "glop" else solve_with(name, program, seconds)

    monkeypatch.setattr(engine, "solve_with", failing)
    second = engine.solve_linear(program, 60)
    assert tried == ["glop", "highs_lp"]
    assert second.status is SolverStatus.OPTIMAL
    assert second.objective == pytest.approx(given)


def test_a_watt_beside_a_hundred_megawatts(draft: type[Draft]) -> None:
    """Each is planned as if it were alone, to eight digits of its own size, while a penalty of millions is paid."""
    random = np.random.default_rng(3)
    price = np.round(random.normal(60, 30, 24), 2)
    required = {95: 3.0, 20: 3.9, 19: 3.9}

    def add(case: Draft, size: float) -> None:
        minima = {step: value * size for step, value in required.items()}
        case.battery(size, 2 * size, 0.5 * size, 4 * size, roundtrip=0.9, stock={"minima": minima})

    sizes = (1e-6, 1.0, 100.0)
    together = draft(96, minutes=15)
    for size in sizes:
        add(together, size)
    together.battery(0.01, 0, 0, 10, stock={"minima": {95: 8}})
    together.site(price, power=500, consumption=400)
    schedule = solve(together.problem())
    assert schedule.costs["any soc minima"] > 1e6
    for device, size in enumerate(sizes):
        alone = draft(96, minutes=15)
        add(alone, size)
        alone.site(price)
        own = solve(alone.problem())
        assert schedule.power[device] / size == pytest.approx(own.power[0] / size, abs=1e-8)
        assert schedule.soc[device] / size == pytest.approx(own.soc[0] / size, abs=1e-8)


def test_penalties_leave_the_tie_break_intact(draft: type[Draft]) -> None:
    """A breach that cannot be avoided, at ten million per MW, beside a preference worth a millionth of a cent."""
    plans = []
    for burning in (0, 0.05):
        case = draft(96, minutes=15)
        case.battery(0.005, 0.01, 0, 0.02)
        case.fixed(burning, commodity="gas")
        case.device(0, 0.01, case.stock(0.02, 0, 0.1, minima={95: 0.04}), commodity="gas")
        case.site([10, 10.001, 9, 9])
        case.site(5, commodity="gas", consumption=0.001, breach_price=1e7)
        schedule = solve(case.problem())
        assert (schedule.costs["gas all consumption breaches"] > 1e6) == (burning > 0)
        plans.append(schedule.power[0])
    assert plans[0].any()
    assert plans[1] == pytest.approx(plans[0], abs=1e-12)


def test_nothing_to_decide(draft: type[Draft]) -> None:
    case = draft(4)
    case.fixed(1)
    case.site([10, 20, 30, 40])
    schedule = solve(case.problem())
    assert schedule.cost == pytest.approx(100)
    assert schedule.power[0] == pytest.approx([1] * 4)


def test_no_devices(draft: type[Draft]) -> None:
    schedule = solve(draft(4).problem())
    assert schedule.cost == 0
    assert schedule.costs == {}


def test_device_without_limits_is_refused(draft: type[Draft]) -> None:
    case = draft(2)
    case.device(0, np.inf, label="pump")
    case.site(1)
    with pytest.raises(Invalid, match="pump has no limit on its power"):
        solve(case.problem())


def test_layout_can_be_inspected(draft: type[Draft]) -> None:
    case = draft(4)
    case.battery(1, 1, 0, 2, roundtrip=0.9, stock={"minima": {3: 1.5}})
    case.site(10, 5)
    program = formulate(case.problem()).program
    assert {"power.up", "power.down", "soc", "net"} <= set(program.columns)
    assert program.columns["power.up"].shape == (1, 4)
    assert program.rows["soc.balance"].shape == (1, 4)
    used = np.concatenate([index[index >= 0] for index in program.columns.values()])
    assert sorted(used.tolist()) == list(range(len(program.cost)))
