"""Taking on the computation of a schedule: checks, permissions, and one job for what is asked."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from flexcore.accounts import repository as accounts
from flexcore.permissions.identity import Identity
from flexcore.sensors.service import check_feedable
from flexcore.sources.filters import check_filters
from flexmodel.errors import Forbidden, NotFound
from flexmodel.parse_trigger import parse_trigger
from flexmodel.references import sensors_in
from flexmodel.tree import AssetTree
from flexmodel.trigger import Trigger
from flexserve import tracing
from flexstore import jobs, series, trees
from flexstore.series import SeriesQuery

from api_gateway.gateway import Gateway
from api_gateway.schedules import repository

QUEUE = "schedule"
FORCE = "force-new-job-creation"
OLD_FORCE = "force_new_job_creation"
"""How older clients write it when they trigger a sensor."""
REMEMBERED = timedelta(hours=1)
"""How long an identical trigger is answered with the job that is already there."""
LOOKED_BACK = timedelta(days=1)
"""How far before the window data may still matter: values are held for a day."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A schedule that was asked for: of an asset, or of one sensor on it."""

    asset_id: int
    account_id: int | None
    message: Any
    """The trigger as received."""
    sensor_id: int | None = None

    @property
    def forced(self) -> bool:
        """Whether to compute it even if that was done already."""
        return bool(self.message.get(FORCE, False))

    @property
    def request(self) -> dict[str, Any]:
        """What the worker needs to know."""
        subject = {"asset": self.asset_id} if self.sensor_id is None else {"sensor": self.sensor_id}
        return subject | {key: value for key, value in self.message.items() if key != FORCE}


def as_written_now(message: Any) -> Any:
    """The trigger with the key for forcing as it is called today."""
    if not isinstance(message, dict) or OLD_FORCE not in message:
        return message
    return {FORCE if key == OLD_FORCE else key: value for key, value in message.items()}


async def trigger(gateway: Gateway, caller: Identity, asked: Asked) -> UUID:
    """The job that computes what is asked. Raises `Invalid`, or `Forbidden` for sensors the caller may not read."""
    async with gateway.store.connection() as con:
        tree = await load_tree(con, asked)
        await check_readable(con, caller, asked, tree)
        trigger = parse_trigger(asked.message, tree, sensor_id=asked.sensor_id)
        await check_filters(con, asked.message)
        await check_feedable(con, caller, outputs_of(trigger))
        request_hash = await state_of(con, asked, tree, trigger)
    account_id = asked.account_id or caller.account_id
    async with gateway.transaction() as con:
        if not asked.forced:
            same = await jobs.find_same(con, request_hash, account_id, within=REMEMBERED)
            if same is not None and await repository.is_still_there(con, same.id):
                return same.id
        job_id = await jobs.create(
            con,
            queue=QUEUE,
            request=asked.request,
            account_id=account_id,
            user_id=caller.user_id,
            asset_id=asked.asset_id,
            sensor_id=asked.sensor_id,
            request_hash=request_hash,
            trace_context=tracing.carrier(),
        )
    gateway.work_waits()
    return job_id


async def load_tree(con: Any, asked: Asked) -> AssetTree:
    try:
        return await trees.load(con, asked.asset_id, extra_sensors=sensors_in(asked.message))
    except NotFound as error:  # deleted since permission was given
        raise Forbidden(error.message) from error


async def check_readable(con: Any, caller: Identity, asked: Asked, tree: AssetTree) -> None:
    """Every sensor that the message or the stored configuration refers to must be one that the caller may read."""
    visible = await accounts.visible(con, caller)
    if visible is None:
        return
    configured = [(asset.flex_model, asset.flex_context) for asset in tree.assets.values()]
    for sensor_id in sensors_in(asked.message) | sensors_in(configured):
        sensor = tree.sensors.get(sensor_id)
        if sensor is not None and sensor.account_id is not None and sensor.account_id not in visible:
            raise Forbidden(f"You may not read sensor {sensor_id}.")


def outputs_of(trigger: Trigger) -> list[int]:
    """The sensors on which the schedule will be stored."""
    devices = [(device.sensor, device.consumption_output, device.production_output) for device in trigger.devices]
    groups = [(group.sensor, group.consumption_output, group.production_output) for group in trigger.groups]
    sums = [(sum.aggregate_power, sum.aggregate_consumption, sum.aggregate_production) for sum in trigger.sites]
    stocks = [(stock.sensor,) for stock in trigger.stocks]
    return sorted({sensor for group in (*devices, *groups, *sums, *stocks) for sensor in group if sensor is not None})


async def state_of(con: Any, asked: Asked, tree: AssetTree, trigger: Trigger) -> str:
    """A hash of everything the schedule depends on: the message, the configuration, and the data it will read."""
    inputs, outputs = sorted(trigger.referenced_sensors()), outputs_of(trigger)
    longest = max((tree.sensors[sensor].resolution for sensor in inputs), default=timedelta(0))
    window = trigger.window
    data = await repository.fingerprint(
        con, inputs, outputs, window.start - LOOKED_BACK - longest, window.end + longest
    )
    configuration = [
        [asset.id, asset.parent_id, asset.attributes, asset.flex_model, asset.flex_context]
        for asset in tree.assets.values()
    ]
    known = [
        [sensor.id, sensor.unit, sensor.resolution.total_seconds(), sensor.timezone, sensor.attributes]
        for sensor in (tree.sensors[id] for id in sorted({*inputs, *outputs}))
    ]
    state = [asked.request, configuration, known, data, await states(con, trigger)]
    return hashlib.sha256(orjson.dumps(state, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)).hexdigest()


async def states(con: Any, trigger: Trigger) -> list[str | None]:
    """The states of charge at the start. Unlike other data they count even if an earlier schedule foresaw them."""
    readings, window = sorted(trigger.state_readings(), key=lambda reading: reading.sensor), trigger.window
    found = await series.load_series(
        con,
        [
            SeriesQuery(
                reading.sensor,
                window.start - reading.within,
                window.start + reading.within + window.resolution,
                prior=trigger.prior,
            )
            for reading in readings
        ],
    )
    nearest = [
        reading.nearest(one.event_start, one.values, window.start) for reading, one in zip(readings, found, strict=True)
    ]
    # Rounded, because the schedule itself stores them too, after a conversion of units.
    return [None if at is None else f"{one.values[at]:.9g}" for at, one in zip(nearest, found, strict=True)]
