"""Converters: the ports of one converter keep a fixed proportion.

P_{d,j} · γ_0 = P_{0,j} · γ_d      for every port d other than the first, γ > 0 consuming, γ < 0 producing
"""

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
