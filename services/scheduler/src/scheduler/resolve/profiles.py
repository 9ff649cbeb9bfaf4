"""Quantities as arrays over the planning window: fixed ones, segments and sensors, converted to a unit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from flexmodel.errors import FlexmeshError, Invalid
from flexmodel.problem import Array, Window
from flexmodel.quantities import QuantityError, convert, is_ratio
from flexmodel.series import (
    LONGEST_HOLD,
    Gap,
    MissingData,
    Overlap,
    hold_last,
    segments_to_instants,
    segments_to_steps,
    to_instants,
    to_steps,
)
from flexmodel.trigger import Price
from flexmodel.values import Fixed, Segments, SensorReference, VariableQuantity

from scheduler.resolve.series import LoadedSeries, SensorSeries


class UnknownPricesError(FlexmeshError):
    """Prices are missing for too long to assume any."""


GAPS_NAMED = 3
"""Number of gaps in one price that get a warning each."""


@dataclass(frozen=True, slots=True)
class SensorUse:
    """A unit and grid in which a sensor's values are needed."""

    reference: SensorReference
    unit: str
    grid: str
    scale: float = 1.0


class Profiles:
    """Converts quantities to arrays over one window. Unknown values are NaN; `warnings` says what was filled in."""

    def __init__(self, window: Window, series: LoadedSeries) -> None:
        self.window = window
        self.warnings: list[str] = []
        self._series = series
        self._computed: dict[SensorUse, Array] = {}

    def steps(self, quantity: VariableQuantity | None, unit: str, overlap: Overlap = "first") -> Array:
        """Return one value per step."""
        match quantity:
            case Segments():
                return segments_to_steps(quantity, self.window, overlap)
            case SensorReference():
                return self._sensor(
                    SensorUse(quantity, unit, "steps"), lambda e, v: to_steps(e.starts, v, e.resolution, self.window)
                )
        return self._constant(quantity)

    def instants(
        self, quantity: VariableQuantity | None, overlap: Overlap = "first", percent_of: float | None = None
    ) -> Array:
        """Return one value per end of step, in MWh. Values in % are converted with the energy at 100 %."""
        match quantity:
            case Segments():
                return segments_to_instants(quantity, self.window, overlap)
            case SensorReference():
                in_percent = percent_of is not None and is_ratio(self._series.of(quantity).unit)
                share = percent_of if in_percent and percent_of is not None else 1.0
                use = SensorUse(quantity, "" if in_percent else "MWh", f"instants-{overlap}", share)
                return self._sensor(use, lambda e, v: to_instants(e.starts, v, e.resolution, self.window, overlap))
        return self._constant(quantity)

    def steps_or_default(self, quantity: VariableQuantity | None, unit: str, otherwise: float, what: str) -> Array:
        """Return one value per step, with a default for the steps where none is known."""
        values = self.steps(quantity, unit)
        self._warn_missing(quantity, values, what, f"{otherwise:g} was used there")
        return np.where(np.isnan(values), otherwise, values)

    def limit(self, quantity: VariableQuantity | None, what: str) -> Array:
        """Return a capacity in MW, never negative: the strictest of several, NaN where there is none."""
        values = np.maximum(self.steps(quantity, "MW", "min"), 0.0)
        self._warn_missing(quantity, values, what, "it sets no limit of its own there")
        return values

    def penalty(self, price: VariableQuantity | None, unit: str, what: str) -> Array | None:
        """Return the price of breaking a limit per step, never negative; None if the limit is hard.

        The first and the last price of a list hold to the ends of the window.
        """
        if price is None:
            return None
        if isinstance(price, Segments):
            return np.maximum(np.nan_to_num(_to_edges(segments_to_steps(price, self.window))), 0.0)
        return np.maximum(self.steps_or_default(price, unit, 0.0, what), 0.0)

    def penalty_at_ends(self, price: VariableQuantity | None, unit: str, what: str) -> Array | None:
        """Return the same for a state of charge: the price from the end of a step on, else the one before."""
        own = self.penalty(price, unit, what)
        if own is None or isinstance(price, Fixed):
            return own
        window = self.window
        later = Profiles(Window(window.start + window.resolution, window.resolution, window.steps), self._series)
        then = later.steps(price, unit)
        return np.where(np.isnan(then), own, np.maximum(then, 0.0))

    def price(self, quantity: VariableQuantity, unit: str, field: str) -> Array:
        """Return one price per step. A gap holds the last known price for at most a day; a longer one is an error."""
        match quantity:
            case Segments():
                return self._price_segments(quantity, field)
            case SensorReference(default=None):
                return self._held(self._with_lead(quantity, unit), self._lead, field, f"sensor {quantity.sensor}")
        return self.steps(quantity, unit)

    def price_per_step(self, price: Price | None, currency: str, name: str) -> Array:
        """Return currency per MW and step. A missing price is zero; a price per MW is charged at every step."""
        if price is None:
            return np.zeros(self.window.steps)
        values = self.steps_or_default(price.quantity, f"{currency}/{price.per}", 0.0, name)
        return values * self.window.hours if price.per == "MWh" else values

    @property
    def _lead(self) -> int:
        """Number of steps before the window from which the last known price may come."""
        return LONGEST_HOLD // self.window.resolution

    def _with_lead(self, reference: SensorReference, unit: str) -> Array:
        """Return one value per step of the window and of the day before it."""
        lead, window = self._lead, self.window
        longer = Window(window.start - lead * window.resolution, window.resolution, window.steps + lead)
        return self._sensor(
            SensorUse(reference, unit, "lead"), lambda e, v: to_steps(e.starts, v, e.resolution, longer)
        )

    def _price_segments(self, segments: Segments, field: str) -> Array:
        """Fill the steps before the first segment with its price: no other source is known."""
        values = segments_to_steps(segments, self.window)
        known = np.flatnonzero(~np.isnan(values))
        first = int(known[0]) if len(known) else 0
        if 0 < first <= self._lead:
            self._warn_gap(
                field,
                "first",
                Gap(self.window.start, self.window.start + first * self.window.resolution, values[first]),
            )
            values = np.concatenate([np.full(first, values[first]), values[first:]])
        return self._held(values, 0, field, "segments")

    def _held(self, values: Array, lead: int, field: str, origin: str) -> Array:
        try:
            held = hold_last(values, self.window, lead)
        except MissingData as missing:
            raise UnknownPricesError(
                f"Prices unknown for planning window. ({origin}). {field} has no values from "
                f"{missing.start.isoformat()} to {missing.end.isoformat()}, and a known price holds for at most a day. "
                "Post the missing prices, or give a default."
            ) from missing
        for gap in held.gaps[:GAPS_NAMED]:
            self._warn_gap(field, "last", gap)
        if len(held.gaps) > GAPS_NAMED:
            self.warnings.append(f"{field} has {len(held.gaps) - GAPS_NAMED} more gaps, filled in the same way.")
        return held.values

    def _warn_gap(self, field: str, which: str, gap: Gap) -> None:
        self.warnings.append(
            f"{field} has no values from {gap.start.isoformat()} to {gap.end.isoformat()}: "
            f"used the {which} known one, {gap.value:g}."
        )

    def _warn_missing(self, quantity: VariableQuantity | None, values: Array, what: str, instead: str) -> None:
        """Warn about a sensor without values; segments and absent quantities leave some steps open on purpose."""
        missing = int(np.isnan(values).sum()) if isinstance(quantity, SensorReference) else 0
        if isinstance(quantity, SensorReference) and missing:
            steps = "any step" if missing == len(values) else f"{missing} of {len(values)} steps"
            self.warnings.append(f"{what} (sensor {quantity.sensor}) has no value for {steps}: {instead}.")

    def _sensor(self, use: "SensorUse", onto: Callable[[SensorSeries, Array], Array]) -> Array:
        """Return a sensor's values for a use, computed once."""
        if use not in self._computed:
            events = self._series.of(use.reference)
            try:
                values = convert(events.values, events.unit, use.unit, events.resolution or None) * use.scale
            except QuantityError as error:
                raise Invalid({f"sensor {use.reference.sensor}": [str(error)]}) from error
            default = use.reference.default
            values = onto(events, values)
            self._computed[use] = values if default is None else np.where(np.isnan(values), default, values)
        return self._computed[use]

    def _constant(self, quantity: Fixed | None) -> Array:
        return np.full(self.window.steps, np.nan if quantity is None else quantity.value)


def _to_edges(values: Array) -> Array:
    """Extend the first known value to the start, and the last one to the end."""
    known = np.flatnonzero(~np.isnan(values))
    if len(known):
        values[: known[0]], values[known[-1] :] = values[known[0]], values[known[-1]]
    return values
