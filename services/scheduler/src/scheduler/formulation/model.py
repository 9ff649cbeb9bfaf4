"""The complete formulation of a problem."""

from dataclasses import dataclass

from flexmodel.problem import Array, Index, Problem

from scheduler.formulation import discrete, ledger
from scheduler.formulation.builder import Builder, Program
from scheduler.formulation.ledger import Ledger
from scheduler.formulation.net import NetColumns, add_net
from scheduler.formulation.power import PowerColumns, add_couplings, add_nodes, add_power
from scheduler.formulation.stocks import StockColumns, add_stocks


@dataclass(frozen=True, slots=True)
class Model:
    """The matrices, and the meaning of their columns and rows."""

    problem: Problem
    ledger: Ledger
    program: Program
    power: PowerColumns
    stocks: StockColumns
    net: NetColumns
    modes: tuple[Index, ...]
    """Columns of operation modes, for each device that has them."""
    starts: tuple[Index, ...]
    """Columns of the processes."""

    def guess_integers(self, x: Array) -> Array:
        """Return a solution of the relaxation with plausible integers in place of the fractions."""
        guessed = x.copy()
        for modes in self.modes:
            guessed[modes[modes >= 0]] = discrete.likely_modes(modes, x)[modes >= 0]
        for process, columns in zip(self.problem.processes, self.starts, strict=True):
            guessed[columns[columns >= 0]] = discrete.cheapest_starts(process, self.problem)[columns >= 0]
        return guessed


def formulate(problem: Problem) -> Model:
    """Formulate every constraint and price of a problem."""
    book = ledger.build_ledger(problem)
    builder = Builder()
    power = add_power(builder, problem.devices)
    storage = add_stocks(builder, problem, power, book.terms)
    net = add_net(builder, book.aggregates, power, book.terms)
    add_couplings(builder, problem, power)
    add_nodes(builder, problem, power)
    modes = discrete.add_modes(builder, problem, power)
    processes = discrete.add_processes(builder, problem, power)
    return Model(problem, book, builder.build(), power, storage, net, modes, processes)
