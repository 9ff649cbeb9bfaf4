"""A posted list of series, one per item: what its items say, and what is wrong with them by position.

Items that say the same of their values (window, unit, time of belief) are read together: a fleet's items are all alike.
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

from ingest.data.rules import Values, refuse
from ingest.data.schemas import MANY, TOO_LARGE, Head, problem, read_values, wrong_fields, wrong_items

MOST_ITEMS = 10_000
MOST_PROBABILITIES = 100
LARGEST_ID = 2**31 - 1
Probabilities = tuple[float, ...] | None
"""Those of a spread of values; none: of each event one value."""

Problems = dict[int, dict[str, Any]]
"""What is wrong, by the position of the item and by field."""


def read_probabilities(value: Any) -> tuple[float, ...]:
    """Cumulative probabilities: how likely it is that the value of an event is at most the one that is given."""
    if not isinstance(value, list) or not value or {type(item) for item in value} - {int, float}:
        raise problem(["Send a list of numbers, like [0.1, 0.5, 0.9]."])
    if len(value) > MOST_PROBABILITIES:
        raise problem([f"At most {MOST_PROBABILITIES} can be told apart."])
    kept = np.array(value, dtype=np.float32)
    if kept[0] < 0 or kept[-1] > 1 or (np.diff(kept) <= 0).any():
        raise problem(["Must rise from one to the next, from 0 at the least to 1 at the most."])
    return tuple(value)


class BatchHead(Head):
    """What an item says of its values."""

    probabilities: Annotated[tuple[float, ...], PlainValidator(read_probabilities)] | None = None


@dataclass(slots=True)
class Alike:
    """Items whose values are as many and about the same: `values` has an axis for items, one for probabilities, and
    one for time."""

    head: BatchHead
    numbers: list[int]
    sensors: list[int]
    values: Values

    def part(self, places: list[int]) -> "Alike":
        """Some of the items, by their places in this group."""
        if len(places) == len(self.numbers):
            return self
        return Alike(
            self.head,
            [self.numbers[place] for place in places],
            [self.sensors[place] for place in places],
            self.values[places],
        )


@dataclass(slots=True)
class Batch:
    """A message, read."""

    items: int
    groups: list[Alike] = field(default_factory=list)
    problems: Problems = field(default_factory=dict)


def read_batch(body: bytes) -> Batch:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise refuse(f"The message is not valid JSON: {error}.") from error
    if not isinstance(message, list) or not message:
        raise refuse("Send a JSON array with one item per sensor.")
    if len(message) > MOST_ITEMS:
        raise refuse(f"Has {len(message)} items; at most {MOST_ITEMS} can be posted at once.")
    batch = Batch(len(message))
    for head, numbers in by_head(message, batch.problems):
        for places in by_count(message, numbers):
            values = read_alike([message[number]["values"] for number in places], head.probabilities)
            if values is None:
                places, values = one_by_one(message, places, head.probabilities, batch.problems)
            if places:
                sensors = [message[number]["sensor"] for number in places]
                batch.groups.append(Alike(head, places, sensors, values))
    return batch


def by_head(message: list[Any], problems: Problems) -> Iterator[tuple[BatchHead, list[int]]]:
    """The positions of the items that say the same of their values; those that cannot be read are problems."""
    alike: dict[bytes, list[int]] = {}
    for number, item in enumerate(message):
        if not isinstance(item, dict):
            problems[number] = {"_schema": ["Send a JSON object with sensor, start, duration, values and unit."]}
            continue
        wrong = wrong_own_fields(item)
        if wrong:
            problems[number] = wrong
        shared = {key: value for key, value in item.items() if key not in ("sensor", "values")}
        alike.setdefault(orjson.dumps(shared, option=orjson.OPT_SORT_KEYS), []).append(number)
    for said, numbers in alike.items():
        try:
            yield BatchHead.model_validate(orjson.loads(said)), [n for n in numbers if n not in problems]
        except ValidationError as error:
            for number in numbers:
                problems[number] = problems.get(number, {}) | dict(wrong_fields(error).fields)


def wrong_own_fields(item: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with what an item does not share: the sensor, and that there are values."""
    wrong = {name: [MISSING_FIELD] for name in ("sensor", "values") if name not in item}
    sensor = item.get("sensor", 1)
    if type(sensor) is not int or not 0 < sensor <= LARGEST_ID:
        wrong["sensor"] = ["Not the id of a sensor."]
    if item.get("values", ...) is None:
        wrong["values"] = [NULL_FIELD]
    return wrong


def by_count(message: list[Any], numbers: list[int]) -> Iterator[list[int]]:
    """Those that have as many values."""
    alike: dict[int, list[int]] = {}
    for number in numbers:
        values = message[number]["values"]
        alike.setdefault(len(values) if isinstance(values, list) else 1, []).append(number)
    yield from alike.values()


def read_alike(listed: list[Any], probabilities: Probabilities) -> Values | None:
    """The values of items that have as many; nothing if something is wrong with any of them."""
    rows = [one if isinstance(one, list) else [one] for one in listed]
    if not rows[0]:
        return None
    spread = 1
    if probabilities is not None:
        spread = len(probabilities)
        hole = [None] * spread
        events = [hole if event is None else event for event in chain.from_iterable(rows)]
        if any(not isinstance(event, list) or len(event) != spread for event in events):
            return None
        rows = events
    if set(map(type, chain.from_iterable(rows))) - {int, float, type(None)}:
        return None
    try:
        array = np.array(rows, dtype=np.float64).reshape(len(listed), -1, spread)
    except OverflowError:
        return None
    holes = np.isnan(array)
    too_large = np.abs(array) > LARGEST_VALUE
    if too_large.any() or (holes.any(axis=-1) != holes.all(axis=-1)).any() or (np.diff(array, axis=-1) < 0).any():
        return None
    return array.transpose(0, 2, 1)


def one_by_one(
    message: list[Any], numbers: list[int], probabilities: Probabilities, problems: Problems
) -> tuple[list[int], Values]:
    """The items whose values can be read, and these; the others are problems."""
    good: dict[int, Values] = {}
    for number in numbers:
        try:
            good[number] = read_one(message[number]["values"], probabilities)
        except PydanticCustomError as error:
            problems[number] = {"values": (error.context or {})["problem"]}
    return list(good), np.concatenate(list(good.values())) if good else np.empty((0, 1, 0))


def read_one(values: Any, probabilities: Probabilities) -> Values:
    if probabilities is None:
        return read_values(values).reshape(1, 1, -1)
    if not isinstance(values, list) or not values:
        raise problem(["Send a list with one item per event: a list of values, one per probability, or null."])
    said = ((str(place), wrong_spread(event, probabilities)) for place, event in enumerate(values))
    wrong = dict(islice(((place, sentences) for place, sentences in said if sentences), MANY))
    if wrong:
        raise problem(wrong)
    read = read_alike([values], probabilities)
    if read is None:
        raise problem([TOO_LARGE])
    return read


def wrong_spread(event: Any, probabilities: tuple[float, ...]) -> Any:
    """What is wrong with the values of one event."""
    if event is None:
        return None
    if not isinstance(event, list) or len(event) != len(probabilities):
        return [f"Send {len(probabilities)} values, one per probability, or null where nothing is known."]
    if None in event:
        return ["A spread is known as a whole or not at all: send all values of the event, or null in their place."]
    wrong = wrong_items(event)
    if not wrong and any(later < earlier for earlier, later in pairwise(event)):
        return ["Values must not fall where the probability rises. Sort them."]
    return wrong


def too_much(events: int, most: int) -> Invalid:
    return refuse(f"The items fill {events} events together; at most {most} can be posted at once.")
