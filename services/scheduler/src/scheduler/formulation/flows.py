"""Flows."""

import numpy as np
from flexmodel.problem import Problem

from scheduler.formulation.builder import Builder
from scheduler.formulation.power import Power


def add_coupling(builder: Builder, problem: Problem, power: Power) -> None:
    """Rows (ports but the first, steps) for each converter."""
    for coupling in problem.couplings:
        first, others = coupling.devices[:1], coupling.devices[1:]
        own, share = coupling.coefficients[0], coupling.coefficients[1:, None]
        known = share * power.fixed[first] - own * power.fixed[others]
        rows = builder.rows(f"coupling.{coupling.name}", known == known, known, known)
        power.put(builder, rows, others, own)
        power.put(builder, rows, first, -share)


def add_nodes(builder: Builder, problem: Problem, power: Power) -> None:
    """A row (nodes, steps) for each node and step."""
    for node in problem.nodes:
        known = -power.fixed[node.devices].sum(axis=0)
        rows = builder.rows(f"node.{node.commodity}", np.ones(known.shape, dtype=bool), known, known)
        power.put(builder, rows[None, :], node.devices)
