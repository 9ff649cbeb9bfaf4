"""Stocks: the state at the start, limits, storage efficiency, gains and usage, and the tie-break."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.problem import Array, Devices, Site, Stocks, Window
from flexmodel.quantities import convert, is_ratio
from flexmodel.time import format_duration, moment_of
from flexmodel.trigger import ELECTRICITY, StateReference, Stock, Trigger
from flexmodel.values import Fixed, VariableQuantity

from scheduler.resolve.profiles import Profiles
from scheduler.resolve.series import InitialState, LoadedSeries, SensorSeries, UnknownStateError
from scheduler.resolve.soc_requirements import SocRequirements, resolve_requirements


def initial_state(stock: Stock, window: Window, series: LoadedSeries) -> InitialState:
    """Return the state of charge to start from, given or the nearest one measured, and the moment of it."""
    if isinstance(stock.initial, Fixed):
        return InitialState(window.start, stock.initial.value)
    events = series.of(stock.initial)
    nearest = stock.initial.nearest(events.starts, events.values, window.start)
    if nearest is None:
        raise _unknown_state(stock, stock.initial, window)
    return InitialState(moment_of(events.starts[nearest]), float(_to_energy(events, stock)[nearest]))


def _to_energy(events: SensorSeries, stock: Stock) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return a state-of-charge series in MWh; values in % need the energy at 100 %."""
    if not is_ratio(events.unit):
        return convert(events.values, events.unit, "MWh")
    if stock.percent_of is None:
        raise Invalid(
            {"soc-max": [f"{stock.label}: give soc-max, so that a state of charge in {events.unit} can be converted."]}
        )
    return convert(events.values, events.unit, "") * stock.percent_of


def _unknown_state(stock: Stock, reference: StateReference, window: Window) -> UnknownStateError:
    return UnknownStateError(
        f"No recent state-of-charge value of {stock.label}: sensor {reference.sensor} has none within "
        f"{format_duration(reference.within)} of {window.start.isoformat()}. Post one, or give soc-at-start."
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """One stock."""

    initial: float
    soc_min: float
    soc_max: float
    varying_min: Array
    varying_max: Array
    requirements: SocRequirements
    minima_price: Array | None
    maxima_price: Array | None
    targets_soft: bool
    storage_efficiency: Array
    gain: Array
    tie_break_price: Array


def resolve_stocks(
    trigger: Trigger, profiles: Profiles, series: LoadedSeries, devices: Devices, tie_break_weight: float
) -> tuple[Stocks, tuple[SocRequirements, ...]]:
    """Return all stocks, and the requirements on each. `tie_break_weight` is the weight at the first step."""
    steps = trigger.window.steps
    none = np.full(steps, np.nan)
    rows = [_row(stock, trigger, profiles, series, devices, tie_break_weight) for stock in trigger.stocks]

    def table(of: Callable[[_Row], Array]) -> Array:
        return np.array([of(row) for row in rows], dtype=np.float64).reshape(len(rows), steps)

    def column(of: Callable[[_Row], float]) -> Array:
        return np.array([of(row) for row in rows], dtype=np.float64)

    resolved = Stocks(
        labels=tuple(stock.label for stock in trigger.stocks),
        first_device=np.array([stock.devices[0] for stock in trigger.stocks], dtype=np.int64),
        initial=column(lambda row: row.initial),
        soc_min=column(lambda row: row.soc_min),
        soc_max=column(lambda row: row.soc_max),
        hard_minima=table(
            lambda row: (
                np.fmax(row.requirements.minima, row.varying_min) if row.minima_price is None else row.varying_min
            )
        ),
        hard_maxima=table(
            lambda row: (
                np.fmin(row.requirements.maxima, row.varying_max) if row.maxima_price is None else row.varying_max
            )
        ),
        hard_targets=table(lambda row: none if row.targets_soft else row.requirements.targets),
        minima=table(lambda row: none if row.minima_price is None else row.requirements.minima),
        maxima=table(lambda row: none if row.maxima_price is None else row.requirements.maxima),
        targets=table(lambda row: row.requirements.targets if row.targets_soft else none),
        minima_breach_price=table(lambda row: np.zeros(steps) if row.minima_price is None else row.minima_price),
        maxima_breach_price=table(lambda row: np.zeros(steps) if row.maxima_price is None else row.maxima_price),
        storage_efficiency=table(lambda row: row.storage_efficiency),
        gain=table(lambda row: row.gain),
        tie_break_price=table(lambda row: row.tie_break_price),
    )
    return resolved, tuple(row.requirements for row in rows)


def _row(
    stock: Stock,
    trigger: Trigger,
    profiles: Profiles,
    series: LoadedSeries,
    devices: Devices,
    tie_break_weight: float,
) -> _Row:
    per_energy = f"{trigger.currency}/MWh"
    soc_min, varying_min = _bound(stock, "soc-min", stock.soc_min, profiles, np.min)
    soc_max, varying_max = _bound(stock, "soc-max", stock.soc_max, profiles, np.max)
    state = initial_state(stock, trigger.window, series)
    return _Row(
        initial=state.energy,
        soc_min=soc_min,
        soc_max=soc_max,
        varying_min=varying_min,
        varying_max=varying_max,
        requirements=resolve_requirements(stock, state, profiles, devices, soc_min, soc_max),
        minima_price=profiles.penalty_at_ends(stock.minima_breach_price, per_energy, "soc-minima-breach-price"),
        maxima_price=profiles.penalty_at_ends(stock.maxima_breach_price, per_energy, "soc-maxima-breach-price"),
        targets_soft=stock.targets_soft,
        storage_efficiency=_storage_efficiency(stock, profiles),
        gain=_total(stock.soc_gain, f"soc-gain of {stock.label}", profiles)
        - _total(stock.soc_usage, f"soc-usage of {stock.label}", profiles),
        tie_break_price=_tie_break_price(stock, soc_max, profiles, tie_break_weight),
    )


def _bound(
    stock: Stock, field: str, quantity: VariableQuantity | None, profiles: Profiles, widest: Callable[[Array], float]
) -> tuple[float, Array]:
    """Return a hard limit: its constant value, and its course where it varies."""
    if quantity is None or isinstance(quantity, Fixed):
        return np.nan if quantity is None else quantity.value, np.full(profiles.window.steps, np.nan)
    course = profiles.instants(quantity, "first", stock.percent_of)
    known = np.flatnonzero(~np.isnan(course))
    if not len(known):
        raise Invalid(
            {field: [f"{stock.label}: no value is known in the planning window. Post one, or give a fixed quantity."]}
        )
    latest = np.searchsorted(known, np.arange(len(course)), side="right") - 1
    course = course[known[np.maximum(latest, 0)]]
    return float(widest(course)), course


def _storage_efficiency(stock: Stock, profiles: Profiles) -> Array:
    """Return the fraction kept over one step: that of the efficiency's own period, to the power of the ratio."""
    if stock.storage_efficiency is None:
        return np.ones(profiles.window.steps)
    kept = np.clip(
        profiles.steps_or_default(stock.storage_efficiency, "", 1.0, f"storage-efficiency of {stock.label}"), 0.0, 1.0
    )
    period = stock.efficiency_resolution or profiles.window.resolution
    factor: Array = kept ** (profiles.window.resolution / period)
    return factor


def _total(components: Sequence[VariableQuantity], what: str, profiles: Profiles) -> Array:
    """Return the sum of all components in MW."""
    return sum(
        (profiles.steps_or_default(component, "MW", 0.0, what) for component in components),
        np.zeros(profiles.window.steps),
    )


def _tie_break_price(stock: Stock, soc_max: float, profiles: Profiles, tie_break_weight: float) -> Array:
    """Return the price per MWh missing to full: falling to zero if curtailing later is preferred, else constant."""
    steps = profiles.window.steps
    if not stock.prefer_charging_sooner or np.isnan(soc_max):
        return np.zeros(steps)
    last = 0.0 if stock.prefer_curtailing_later else tie_break_weight
    return np.linspace(tie_break_weight, last, steps) / profiles.window.hours


def leading_price(sites: Sequence[Site]) -> Array | None:
    """Return the consumption price that scales the tie-break: that of electricity, else of the first commodity."""
    return next(
        (site.consumption_price for site in sorted(sites, key=lambda site: site.commodity != ELECTRICITY)), None
    )


def tie_break_weight(prices: Array | None, steps: int) -> float:
    """Return a ten-thousandth of the prices' spread, divided over the steps."""
    spread = 0.0 if prices is None else float(prices.max() - prices.min())
    return 1e-4 * (spread if spread > 0 else 1.0) / steps
