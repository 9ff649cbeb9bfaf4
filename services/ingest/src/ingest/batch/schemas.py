"""Wire model of a posted batch: a list of series, with validation errors by position of the item.

Items with the same description (window, unit, belief time) are parsed together, because those of a fleet are all alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import Annotated, Any

import numpy as np
import orjson
from flexmodel.errors import Invalid
from flexserve.validation_messages import MISSING_FIELD, NULL_FIELD
from flexstore.series import LARGEST_VALUE
from pydantic import PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from ingest.data.resampling import Values, schema_error
from ingest.data.schemas import (
    MAX_LISTED_ERRORS,
    VALUE_TOO_LARGE,
    FieldMessages,
    SeriesHeader,
    field_error,
    parse_values,
    to_invalid,
    value_errors,
)

MAX_ITEMS = 10_000
MAX_PROBABILITIES = 100
LARGEST_ID = 2**31 - 1
Probabilities = tuple[float, ...] | None
"""Cumulative probabilities of several values per event; None if each event has one value."""

ItemErrors = dict[int, dict[str, FieldMessages]]
"""Errors by position of the item and by field."""


def parse_probabilities(value: object) -> tuple[float, ...]:
    """Parse cumulative probabilities, each of the event's value being at most the given one."""
    if not isinstance(value, list) or not value or {type(item) for item in value} - {int, float}:
        raise field_error(["Send a list of numbers, like [0.1, 0.5, 0.9]."])
    if len(value) > MAX_PROBABILITIES:
        raise field_error([f"At most {MAX_PROBABILITIES} can be told apart."])
    stored = np.array(value, dtype=np.float32)
    if stored[0] < 0 or stored[-1] > 1 or (np.diff(stored) <= 0).any():
        raise field_error(["Must rise from one to the next, from 0 at the least to 1 at the most."])
    return tuple(value)


class BatchHeader(SeriesHeader):
    """Description of an item's values, shared by all items of a group."""

    probabilities: Annotated[tuple[float, ...], PlainValidator(parse_probabilities)] | None = None


@dataclass(slots=True)
class ItemGroup:
    """Items with the same description and number of values. The axes of `values` are item, probability and time."""

    header: BatchHeader
    positions: list[int]
    sensors: list[int]
    values: Values

    def subset(self, indices: list[int]) -> "ItemGroup":
        """Return some of the items, by their indices in this group."""
        if len(indices) == len(self.positions):
            return self
        return ItemGroup(
            self.header,
            [self.positions[index] for index in indices],
            [self.sensors[index] for index in indices],
            self.values[indices],
        )


@dataclass(slots=True)
class Batch:
    """Parsed batch, with the errors of items that could not be parsed."""

    item_count: int
    groups: list[ItemGroup] = field(default_factory=list)
    errors: ItemErrors = field(default_factory=dict)


def parse_batch(body: bytes) -> Batch:
    """Parse a batch. Raises `Invalid` if the body is no list of acceptable length; errors of items are in the batch."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise schema_error(f"The message is not valid JSON: {error}.") from error
    if not isinstance(message, list) or not message:
        raise schema_error("Send a JSON array with one item per sensor.")
    if len(message) > MAX_ITEMS:
        raise schema_error(f"Has {len(message)} items; at most {MAX_ITEMS} can be posted at once.")
    batch = Batch(len(message))
    for header, positions in group_by_header(message, batch.errors):
        for group in group_by_value_count(message, positions):
            good = group
            values = parse_group_values([message[position]["values"] for position in group], header.probabilities)
            if values is None:
                good, values = parse_values_singly(message, group, header.probabilities, batch.errors)
            if good:
                sensors = [message[position]["sensor"] for position in good]
                batch.groups.append(ItemGroup(header, good, sensors, values))
    return batch


def group_by_header(message: list[Any], errors: ItemErrors) -> Iterator[tuple[BatchHeader, list[int]]]:
    """Yield each description with the positions of its items. Items that cannot be parsed are added to the errors."""
    positions: dict[bytes, list[int]] = {}
    for number, item in enumerate(message):
        if not isinstance(item, dict):
            errors[number] = {"_schema": ["Send a JSON object with sensor, start, duration, values and unit."]}
            continue
        found = item_errors(item)
        if found:
            errors[number] = found
        shared = {key: value for key, value in item.items() if key not in ("sensor", "values")}
        positions.setdefault(orjson.dumps(shared, option=orjson.OPT_SORT_KEYS), []).append(number)
    for header, numbers in positions.items():
        try:
            yield BatchHeader.model_validate(orjson.loads(header)), [n for n in numbers if n not in errors]
        except ValidationError as error:
            for number in numbers:
                errors[number] = errors.get(number, {}) | dict(to_invalid(error).fields)


def item_errors(item: dict[str, object]) -> dict[str, FieldMessages]:
    """Return the errors of an item's own fields: its sensor, and whether there are values."""
    errors: dict[str, FieldMessages] = {name: [MISSING_FIELD] for name in ("sensor", "values") if name not in item}
    sensor = item.get("sensor", 1)
    if type(sensor) is not int or not 0 < sensor <= LARGEST_ID:
        errors["sensor"] = ["Not the id of a sensor."]
    if item.get("values", ...) is None:
        errors["values"] = [NULL_FIELD]
    return errors


def group_by_value_count(message: list[Any], numbers: list[int]) -> Iterator[list[int]]:
    """Yield the positions of items with the same number of values."""
    by_count: dict[int, list[int]] = {}
    for number in numbers:
        values = message[number]["values"]
        by_count.setdefault(len(values) if isinstance(values, list) else 1, []).append(number)
    yield from by_count.values()


def parse_group_values(listed: list[Any], probabilities: Probabilities) -> Values | None:
    """Parse the values of items with the same number of them; None if any item has an error."""
    rows = [item if isinstance(item, list) else [item] for item in listed]
    if not rows[0]:
        return None
    spread = 1
    if probabilities is not None:
        spread = len(probabilities)
        missing = [None] * spread
        events = [missing if event is None else event for event in chain.from_iterable(rows)]
        if any(not isinstance(event, list) or len(event) != spread for event in events):
            return None
        rows = events
    if set(map(type, chain.from_iterable(rows))) - {int, float, type(None)}:
        return None
    try:
        array = np.array(rows, dtype=np.float64).reshape(len(listed), -1, spread)
    except OverflowError:
        return None
    missing_values = np.isnan(array)
    too_large = np.abs(array) > LARGEST_VALUE
    if (
        too_large.any()
        or (missing_values.any(axis=-1) != missing_values.all(axis=-1)).any()
        or (np.diff(array, axis=-1) < 0).any()
    ):
        return None
    return array.transpose(0, 2, 1)


def parse_values_singly(
    message: list[Any], positions: list[int], probabilities: Probabilities, errors: ItemErrors
) -> tuple[list[int], Values]:
    """Parse the values of each item by itself.

    Returns:
        The positions and values of the good items. The others are added to the errors.
    """
    good: dict[int, Values] = {}
    for position in positions:
        try:
            good[position] = parse_item_values(message[position]["values"], probabilities)
        except PydanticCustomError as error:
            errors[position] = {"values": (error.context or {})["messages"]}
    return list(good), np.concatenate(list(good.values())) if good else np.empty((0, 1, 0))


def parse_item_values(values: object, probabilities: Probabilities) -> Values:
    if probabilities is None:
        return parse_values(values).reshape(1, 1, -1)
    if not isinstance(values, list) or not values:
        raise field_error(["Send a list with one item per event: a list of values, one per probability, or null."])
    messages = ((str(index), spread_errors(event, probabilities)) for index, event in enumerate(values))
    errors = dict(islice(((index, found) for index, found in messages if found), MAX_LISTED_ERRORS))
    if errors:
        raise field_error(errors)
    array = parse_group_values([values], probabilities)
    if array is None:
        raise field_error([VALUE_TOO_LARGE])
    return array


def spread_errors(event: object, probabilities: tuple[float, ...]) -> list[str] | dict[str, list[str]] | None:
    """Return the errors of the values of one event."""
    if event is None:
        return None
    if not isinstance(event, list) or len(event) != len(probabilities):
        return [f"Send {len(probabilities)} values, one per probability, or null where nothing is known."]
    if None in event:
        return ["A spread is known as a whole or not at all: send all values of the event, or null in their place."]
    errors = value_errors(event)
    if not errors and any(later < earlier for earlier, later in pairwise(event)):
        return ["Values must not fall where the probability rises. Sort them."]
    return errors


def too_many_events(events: int, max_events: int) -> Invalid:
    """Build the error of a batch with too many events."""
    return schema_error(f"The items fill {events} events together; at most {max_events} can be posted at once.")
