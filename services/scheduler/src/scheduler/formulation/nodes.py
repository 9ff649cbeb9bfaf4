"""Commodities without grid connection: what is produced is consumed, at every step.

Σ_{d∈node} P_{d,j} = 0
"""

import numpy as np
from flexmodel.problem import Problem

from scheduler.formulation.builder import Builder
from scheduler.formulation.power import Power


def add_nodes(builder: Builder, problem: Problem, power: Power) -> None:
    """A row (nodes, steps) for each node and step."""
    for node in problem.nodes:
        known = -power.fixed[node.devices].sum(axis=0)
        rows = builder.rows(f"node.{node.commodity}", np.ones(known.shape, dtype=bool), known, known)
        power.put(builder, rows[None, :], node.devices)
