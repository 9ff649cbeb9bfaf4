"""Accepting a trigger: validation, permissions, and one job per equal request."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from flexmodel.errors import Forbidden, NotFound
from flexmodel.parse_trigger import parse_trigger
from flexmodel.problem import Window
from flexmodel.references import referenced_sensors
from flexmodel.tree import AssetTree
from flexmodel.trigger import StateReference
from flexserve import tracing
from flexstore import series
from flexstore.series import SeriesQuery
from flexstore.store import Connection
from flexwork import jobs
from flexwork.contracts import Queue

from flexcore.assets.tree import load_tree
from flexcore.permissions.identity import Identity
from flexcore.permissions.resources import check_feedable, visible_accounts
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
    inputs, outputs, states = trigger.referenced_sensors(), trigger.output_sensors(), trigger.state_references()
    await check_filters(con, request.message)
    if caller is not None:
        await check_feedable(con, caller, sorted(outputs))
    data = await _fingerprint(con, _window_of_data(inputs, tree, trigger.window), inputs, outputs)
    initial = await _initial_states(con, states, trigger.window, trigger.prior)
    return _request_hash(request, tree, inputs | outputs, [data, initial])


async def submit(con: Connection, request: ScheduleRequest, request_hash: str, caller: Identity | None) -> UUID:
    """Return the id of the job for a validated trigger: an equal one of the last hour, or a new one."""
    account_id = request.account_id or (None if caller is None else caller.account_id)
    if not request.forces_new_job:
        equal = await jobs.find_equal(con, request_hash, account_id, within=EQUAL_JOB_WITHIN)
        if equal is not None and await _is_still_stored(con, equal.id):
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
    visible = await visible_accounts(con, caller)
    if visible is None:
        return
    configured = [(asset.flex_model, asset.flex_context) for asset in tree.assets.values()]
    for sensor_id in referenced_sensors(request.message) | referenced_sensors(configured):
        sensor = tree.sensors.get(sensor_id)
        if sensor is not None and sensor.account_id is not None and sensor.account_id not in visible:
            raise Forbidden(f"You may not read sensor {sensor_id}.")


def _window_of_data(inputs: Collection[int], tree: AssetTree, window: Window) -> tuple[datetime, datetime]:
    """Return the period whose data the schedule may read."""
    longest = max((tree.sensors[sensor].resolution for sensor in inputs), default=timedelta(0))
    return window.start - LOOK_BACK - longest, window.end + longest


def _request_hash(request: ScheduleRequest, tree: AssetTree, sensor_ids: set[int], data: Sequence[object]) -> str:
    """Return a hash of the message, the configuration, and the data that the schedule will read."""
    configuration = [
        [asset.id, asset.parent_id, asset.attributes, asset.flex_model, asset.flex_context]
        for asset in tree.assets.values()
    ]
    sensors = [
        [sensor.id, sensor.unit, sensor.resolution.total_seconds(), sensor.timezone, sensor.attributes]
        for sensor in (tree.sensors[id] for id in sorted(sensor_ids))
    ]
    state = [request.job_request, configuration, sensors, *data]
    return hashlib.sha256(orjson.dumps(state, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)).hexdigest()


async def _initial_states(
    con: Connection, states: Iterable[StateReference], window: Window, prior: datetime | None
) -> list[str | None]:
    """Return the states of charge at the start, which count even if an earlier schedule foresaw them."""
    references = sorted(states, key=lambda reference: reference.sensor)
    loaded = await series.load_series(
        con,
        [
            SeriesQuery(
                reference.sensor,
                window.start - reference.within,
                window.start + reference.within + window.resolution,
                prior=prior,
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


async def _fingerprint(
    con: Connection, period: tuple[datetime, datetime], sensor_ids: Collection[int], outputs: Collection[int]
) -> list[list[int | str]]:
    """Return a number per sensor that changes with its data in the period.

    Values that schedulers stored on outputs of the schedule itself do not count: no two schedules would be equal.
    """
    rows = await con.fetch(
        """select b.sensor_id, count(*), sum(hash_record_extended(
                      row(b.event_start, b.belief_time, b.source_id, b.cumulative_probability, b.event_value), 0))::text
           from belief b join source s on s.id = b.source_id
           where b.sensor_id = any($1::int[]) and b.event_start >= $3 and b.event_start < $4
             and not (s.type = 'scheduler' and b.sensor_id = any($2::int[]))
           group by b.sensor_id order by b.sensor_id""",
        sorted(sensor_ids), sorted(outputs), *period,
    )  # fmt: skip
    return [list(row) for row in rows]


async def _is_still_stored(con: Connection, job_id: UUID) -> bool:
    """Return whether sensors still have all values that a job scheduled: data may have been deleted since."""
    gone = await con.fetchval(
        """select exists (
               select from schedule made, unnest(made.event_values) with ordinality as step (value, number)
               where made.job_id = $1 and step.value is not null and step.value <> 'NaN' and not exists (
                   select from belief b join source s on s.id = b.source_id and s.type = 'scheduler'
                   where b.sensor_id = made.sensor_id
                     and b.event_start = made.start + (step.number - 1) * made.resolution
               )
           )""",
        job_id,
    )
    return not gone
