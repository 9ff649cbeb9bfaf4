"""Posts of series of many sensors: authorised item by item, and passed on to the ingest service."""

from collections.abc import Mapping
from typing import Any

import orjson
from flexmodel.errors import Invalid
from flexwork.contracts import BATCH_PATH

from api_gateway.auth.several import SensorAuthorizer
from api_gateway.gateway import Gateway

MOST_ITEMS = 10_000
Refusals = dict[int, Any]
"""The errors of items, by their position."""


async def store_batch(gateway: Gateway, feeders: SensorAuthorizer, message: object, *, partial: bool) -> dict[str, Any]:
    """Store the items, and return the counts. One that is refused keeps back all, unless `partial` is set."""
    if not isinstance(message, list) or not message:
        raise Invalid({"_schema": ["Send a JSON array with one item per sensor."]})
    if len(message) > MOST_ITEMS:
        raise Invalid({"_schema": [f"Has {len(message)} items; at most {MOST_ITEMS} can be posted at once."]})
    sensors = await feeders.find({id for item in message if (id := sensor_of(item)) is not None})
    refused: Refusals = {
        number: {"sensor": [sentence]}
        for number, item in enumerate(message)
        if (sentence := sensors.refusal_of(sensor_of(item)))
    }
    if refused and (not partial or len(refused) == len(message)):
        raise sensors.refusal(by_position(refused))
    kept = [number for number in range(len(message)) if number not in refused]
    try:
        answer = await gateway.ingest.post(
            f"{BATCH_PATH}?partial={str(partial).lower()}",
            user=feeders.caller.user_id,
            account=feeders.caller.account_id,
            # Not the received body, so that the posted items are exactly those that were authorised.
            content=orjson.dumps([message[number] for number in kept]),
            headers={"Content-Type": "application/json"},
        )
    except Invalid as invalid:
        raise Invalid(by_position(refused | restore_positions(invalid.fields, kept))) from invalid
    done = answer.json()
    refused |= restore_positions(done["refused"], kept)
    return {"message": "Sensor data has been stored.", **done, "refused": by_position(refused)}


def sensor_of(item: object) -> int | None:
    """Return the sensor of an item, or None if it is invalid, which the ingest service reports."""
    id = item.get("sensor") if isinstance(item, dict) else None
    return id if type(id) is int else None


def restore_positions(fields: Mapping[str, Any], kept: list[int]) -> dict[Any, Any]:
    """Return errors by the position in the received message, not in the one passed on."""
    return {kept[int(key)] if str(key).isdecimal() else key: errors for key, errors in fields.items()}


def by_position(refused: dict[Any, Any]) -> dict[str, Any]:
    return {str(key): refused[key] for key in sorted(refused, key=lambda key: (isinstance(key, str), key))}
