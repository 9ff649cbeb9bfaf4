"""Accepting a trigger: validation, permissions, and one job per equal request."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from flexmodel.errors import Forbidden, NotFound
from flexmodel.parse_trigger import parse_trigger
from flexmodel.references import referenced_sensors
from flexmodel.tree import AssetTree
from flexmodel.trigger import Trigger
from flexserve import tracing
from flexstore import series
from flexstore.series import SeriesQuery
from flexstore.store import Connection
from flexwork import jobs
from flexwork.contracts import Queue

from flexcore.accounts import repository as accounts
from flexcore.assets.tree import load_tree
from flexcore.permissions.identity import Identity
from flexcore.schedules import repository
from flexcore.sensors.service import check_feedable
from flexcore.sources.filters import check_filters

QUEUE = Queue.SCHEDULE
FORCE = "force-new-job-creation"
"""The key of a trigger that asks for a new job even if an equal one exists."""
EQUAL_JOB_WITHIN = timedelta(hours=1)
"""For how long an equal trigger is answered with the job that exists already."""
LOOK_BACK = timedelta(days=1)
"""The time before the window in which data may still matter: prices are held for a day."""


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """A trigger for an asset, or for one sensor on it."""

    asset_id: int
    account_id: int | None
    message: Mapping[str, Any]
    """The trigger as received."""
    sensor_id: int | None = None

    @property
    def forces_new_job(self) -> bool:
        return bool(self.message.get(FORCE, False))

    @property
    def job_request(self) -> dict[str, Any]:
        """The request as the job keeps it for the worker."""
        subject = {"asset": self.asset_id} if self.sensor_id is None else {"sensor": self.sensor_id}
        return subject | {key: value for key, value in self.message.items() if key != FORCE}


async def validate(con: Connection, request: ScheduleRequest, caller: Identity | None) -> str:
    """Check a trigger, and return a hash of everything that its schedule depends on.

    Without a caller (on the command line) no permission is asked for.

    Raises:
        Invalid: The message, or the configuration it is merged with, is wrong.
        Forbidden: The caller may not read a sensor it refers to, or not store on one of its outputs.
    """
    tree = await _load_tree(con, request)
    if caller is not None:
        await _check_readable(con, caller, request, tree)
    trigger = parse_trigger(request.message, tree, sensor_id=request.sensor_id)
    await check_filters(con, request.message)
    if caller is not None:
        await check_feedable(con, caller, sorted(trigger.output_sensors()))
    return await _request_hash(con, request, tree, trigger)


async def submit(con: Connection, request: ScheduleRequest, request_hash: str, caller: Identity | None) -> UUID:
    """Return the id of the job for a validated trigger: an equal one of the last hour, or a new one."""
    account_id = request.account_id or (None if caller is None else caller.account_id)
    if not request.forces_new_job:
        equal = await jobs.find_equal(con, request_hash, account_id, within=EQUAL_JOB_WITHIN)
        if equal is not None and await repository.is_still_stored(con, equal.id):
            return equal.id
    return await jobs.create(
        con,
        queue=QUEUE,
        request=request.job_request,
        account_id=account_id,
        user_id=None if caller is None else caller.user_id,
        asset_id=request.asset_id,
        sensor_id=request.sensor_id,
        request_hash=request_hash,
        trace_context=tracing.carrier(),
    )


async def _load_tree(con: Connection, request: ScheduleRequest) -> AssetTree:
    try:
        return await load_tree(con, request.asset_id, extra_sensors=referenced_sensors(request.message))
    except NotFound as error:  # deleted since permission was given
        raise Forbidden(error.message) from error


async def _check_readable(con: Connection, caller: Identity, request: ScheduleRequest, tree: AssetTree) -> None:
    """Refuse sensors in the message or the stored configuration that the caller may not read."""
    visible = await accounts.visible_accounts(con, caller)
    if visible is None:
        return
    configured = [(asset.flex_model, asset.flex_context) for asset in tree.assets.values()]
    for sensor_id in referenced_sensors(request.message) | referenced_sensors(configured):
        sensor = tree.sensors.get(sensor_id)
        if sensor is not None and sensor.account_id is not None and sensor.account_id not in visible:
            raise Forbidden(f"You may not read sensor {sensor_id}.")


async def _request_hash(con: Connection, request: ScheduleRequest, tree: AssetTree, trigger: Trigger) -> str:
    """Return a hash of the message, the configuration, and the data that the schedule will read."""
    inputs, outputs = sorted(trigger.referenced_sensors()), sorted(trigger.output_sensors())
    longest = max((tree.sensors[sensor].resolution for sensor in inputs), default=timedelta(0))
    window = trigger.window
    data = await repository.fingerprint(con, inputs, outputs, window.start - LOOK_BACK - longest, window.end + longest)
    configuration = [
        [asset.id, asset.parent_id, asset.attributes, asset.flex_model, asset.flex_context]
        for asset in tree.assets.values()
    ]
    sensors = [
        [sensor.id, sensor.unit, sensor.resolution.total_seconds(), sensor.timezone, sensor.attributes]
        for sensor in (tree.sensors[id] for id in sorted({*inputs, *outputs}))
    ]
    state = [request.job_request, configuration, sensors, data, await _initial_states(con, trigger)]
    return hashlib.sha256(orjson.dumps(state, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)).hexdigest()


async def _initial_states(con: Connection, trigger: Trigger) -> list[str | None]:
    """Return the states of charge at the start, which count even if an earlier schedule foresaw them."""
    references, window = sorted(trigger.state_references(), key=lambda reference: reference.sensor), trigger.window
    loaded = await series.load_series(
        con,
        [
            SeriesQuery(
                reference.sensor,
                window.start - reference.within,
                window.start + reference.within + window.resolution,
                prior=trigger.prior,
            )
            for reference in references
        ],
    )
    nearest = [
        reference.nearest(one.event_start, one.values, window.start)
        for reference, one in zip(references, loaded, strict=True)
    ]
    # Rounded, because the schedule itself stores them too, after a conversion of units.
    return [None if at is None else f"{one.values[at]:.9g}" for at, one in zip(nearest, loaded, strict=True)]
