"""Validation of what an asset displays: graphs of sensors, and figures about them."""

from collections.abc import Callable, Mapping
from typing import Any

from flexmodel.flex_context import FlexContext
from flexmodel.flex_model import FlexModelEntry
from flexmodel.process_model import ProcessEntry
from pydantic import BaseModel

from flexcore.fields import problem

FUNCTIONS = ("sum", "mean", "median", "min", "max")
"""The functions of a period's values that a figure may show."""


def keys_of(*models: type[BaseModel]) -> frozenset[str]:
    return frozenset(field.alias or name for model in models for name, field in model.model_fields.items())


CONFIGURED = {"flex-model": keys_of(FlexModelEntry, ProcessEntry), "flex-context": keys_of(FlexContext)}
"""The documents of an asset in which a plot may find its sensor, with their fields."""


def validate_graphs(entries: list[Any]) -> list[Any]:
    """Validate a list of graphs: the id of a sensor, a list of ids, or an object with a title and plots."""
    return validate_entries(entries, graph_error)


def validate_figures(entries: list[Any]) -> list[Any]:
    """Validate a list of figures: objects with a title, a sensor and a function of its values."""
    return validate_entries(entries, figure_error)


def validate_entries(entries: list[Any], wrong_in: Callable[[Any], str | None]) -> list[Any]:
    for number, entry in enumerate(entries):
        wrong = wrong_in(entry)
        if wrong:
            raise problem(f"Entry {number}: {wrong}")
    return entries


def graph_error(entry: object) -> str | None:
    """Return the error of one graph, or None."""
    if is_id(entry) or are_ids(entry):
        return None
    if not isinstance(entry, Mapping):
        return "Give the id of a sensor, a list of ids, or an object like {'title': 'Power', 'sensors': [5, 6]}."
    if not isinstance(entry.get("title"), str | None):
        return "`title` must be a string."
    plots = entry.get("plots", [])
    if not isinstance(plots, list):
        return "`plots` must be a list."
    if not entry.keys() & {"sensor", "sensors", "plots"}:
        return "Say what to draw: `sensor`, `sensors` or `plots`."
    return sensors_error(entry) or next(filter(None, map(plot_error, plots)), None)


def plot_error(plot: object) -> str | None:
    """Return the error of one plot of a graph, or None."""
    if not isinstance(plot, Mapping) or not plot.keys() & {"sensor", "sensors", "asset"}:
        return "Each plot must be an object with `sensor`, `sensors` or `asset`."
    if "asset" not in plot:
        return sensors_error(plot)
    if not is_id(plot["asset"]):
        return "`asset` must be the id of an asset."
    chosen = {part: plot[part] for part in CONFIGURED if part in plot}
    if not chosen:
        return "With `asset`, say which field of its `flex-model` or `flex-context` names the sensor."
    for part, field in chosen.items():
        if not isinstance(field, str) or field not in CONFIGURED[part]:
            return f"There is no field {field!r} in a {part}."
    return sensors_error(plot)


def figure_error(entry: object) -> str | None:
    """Return the error of one figure, or None."""
    if not isinstance(entry, Mapping) or "sensor" not in entry:
        return "Give an object like {'title': 'Energy', 'sensor': 5, 'function': 'sum'}."
    if not isinstance(entry.get("title"), str | None):
        return "`title` must be a string."
    if entry.get("function") not in (None, *FUNCTIONS):
        return f"`function` must be one of: {', '.join(FUNCTIONS)}."
    return sensors_error(entry)


def sensors_error(entry: Mapping[str, Any]) -> str | None:
    if "sensor" in entry and not is_id(entry["sensor"]):
        return "`sensor` must be the id of a sensor."
    if "sensors" in entry and not are_ids(entry["sensors"]):
        return "`sensors` must be a list of ids of sensors."
    return None


def is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def are_ids(value: object) -> bool:
    return isinstance(value, list) and all(map(is_id, value))
