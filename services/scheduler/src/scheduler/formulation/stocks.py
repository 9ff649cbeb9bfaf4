"""Stocks of energy, with the state of charge as a variable.

    SoC_j = a_j · SoC_{j−1} + b_j · Δ · ( Σ_d [ η⁺_{d,j} · up_{d,j} − down_{d,j} / η⁻_{d,j} ] + gain_j )
    (a, b) = (ε, (ε − 1) / ln ε)         ε: the fraction kept over one step; (1, 1) when nothing is lost

b accounts for the losses on what flows in evenly during the step. Bounds: lo_j ≤ SoC_j ≤ hi_j, with

    min_j, max_j = the hard minima and maxima where given, else the constant limits, and never outside these
    lo = max(min, min(target, max)),   hi = min(max, max(target, min))      a target is bent into [min, max]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index, Problem, Stocks

from scheduler.formulation.builder import Builder
from scheduler.formulation.pieces import Pieces, add_largest_deviations, add_pieces, piecewise_cost, sort_terms
from scheduler.formulation.power import PowerColumns
from scheduler.formulation.terms import LargestTerm, StepTerm


@dataclass(frozen=True, slots=True)
class StockColumns:
    """The stocks' columns and balance rows (stocks, steps)."""

    soc: Pieces
    rows: Index
    inflow: Array
    """MWh in the stock at the end of a step per MW that flows in during it."""


def add_stocks(
    builder: Builder, problem: Problem, power: PowerColumns, terms: Sequence[StepTerm | LargestTerm]
) -> StockColumns:
    """Add columns and balance rows of all stocks."""
    stocks, devices = problem.stocks, problem.devices
    lowest, highest = hard_soc_limits(stocks)
    kept, share = decay_factors(stocks.storage_efficiency)
    inflow = share * problem.window.hours
    fixed_inflow = _fixed_inflow(problem, power)
    kinks, crests = sort_terms(terms, "stock", lowest, highest)
    cost = piecewise_cost(lowest, highest, kinks)
    everywhere = np.ones(lowest.shape, dtype=bool)
    soc = add_pieces(builder, "soc", everywhere, cost)
    known = inflow * (stocks.gain + fixed_inflow) - soc.constant
    known[:, :1] += kept[:, :1] * stocks.initial[:, None]
    known[:, 1:] += kept[:, 1:] * soc.constant[:, :-1]
    rows = builder.add_rows("soc.balance", everywhere, known, known)
    soc.add_to_rows(builder, rows, 1.0)
    soc.add_to_rows(builder, rows[:, 1:], -kept[:, 1:], steps=slice(None, -1))
    stocked = np.flatnonzero(devices.stock >= 0)
    own = devices.stock[stocked]
    builder.add_coefficients(rows[own], power.up[stocked], -inflow[own] * power.charge[stocked])
    builder.add_coefficients(rows[own], power.down[stocked], inflow[own] * power.discharge[stocked])
    add_largest_deviations(builder, "soc.largest", crests, soc)
    return StockColumns(soc, rows, inflow)


def _fixed_inflow(problem: Problem, power: PowerColumns) -> Array:
    """Return the power that devices with fixed power bring into their stocks, in MW (stocks, steps)."""
    total = np.zeros(problem.stocks.gain.shape)
    for device in np.flatnonzero((problem.devices.stock >= 0) & (power.fixed != 0).any(axis=1)):
        fixed = power.fixed[device]
        total[problem.devices.stock[device]] += fixed * np.where(
            fixed > 0, power.charge[device], power.discharge[device]
        )
    return total


def hard_soc_limits(stocks: Stocks) -> tuple[Array, Array]:
    """Return hard lower and upper bounds of the stocks (stocks, steps), infinite where there are none."""
    floor = np.where(np.isnan(stocks.soc_min), -np.inf, stocks.soc_min)[:, None]
    ceiling = np.where(np.isnan(stocks.soc_max), np.inf, stocks.soc_max)[:, None]
    low = np.clip(np.where(np.isnan(stocks.hard_minima), floor, stocks.hard_minima), floor, ceiling)
    high = np.clip(np.where(np.isnan(stocks.hard_maxima), ceiling, stocks.hard_maxima), floor, ceiling)
    target = stocks.hard_targets
    free = np.isnan(target)
    lower = np.maximum(low, np.minimum(np.where(free, -np.inf, target), high))
    upper = np.minimum(high, np.maximum(np.where(free, np.inf, target), low))
    return lower, np.maximum(upper, lower)  # they cross by rounding only, or were refused


def decay_factors(storage_efficiency: Array) -> tuple[Array, Array]:
    """Return (a, b) of the balance."""
    kept = np.clip(storage_efficiency, 0.0, 1.0)
    rate = np.log(np.maximum(kept, 1e-300))
    lossless = kept == 1
    share = np.where(lossless, 1.0, np.expm1(rate) / np.where(lossless, -1.0, rate))
    return kept, np.where(kept <= 0, 0.0, share)
