"""The whole formulation of a problem."""

from dataclasses import dataclass

from flexmodel.problem import Problem

from scheduler.formulation import ledger
from scheduler.formulation.bands import add_bands
from scheduler.formulation.builder import Builder, Program
from scheduler.formulation.coupling import add_coupling
from scheduler.formulation.ledger import Ledger
from scheduler.formulation.net import Net, add_net
from scheduler.formulation.nodes import add_nodes
from scheduler.formulation.power import Power, add_power
from scheduler.formulation.starts import add_starts
from scheduler.formulation.storage import Storage, add_storage


@dataclass(frozen=True, slots=True)
class Model:
    """The matrices and what their columns and rows mean."""

    problem: Problem
    ledger: Ledger
    program: Program
    power: Power
    storage: Storage
    net: Net


def formulate(problem: Problem) -> Model:
    """Every constraint and price of the problem."""
    book = ledger.read(problem)
    builder = Builder()
    power = add_power(builder, problem.devices)
    storage = add_storage(builder, problem, power, book.terms)
    net = add_net(builder, book.aggregates, power, book.terms)
    add_coupling(builder, problem, power)
    add_nodes(builder, problem, power)
    add_bands(builder, problem, power)
    add_starts(builder, problem, power)
    return Model(problem, book, builder.build(), power, storage, net)
