"""Schedules on the command line: the same job as a trigger of the API, run here or by a worker."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flexcore.schedules import triggers
from flexcore.schedules.triggers import QUEUE, ScheduleRequest
from flexmodel import quantities
from flexmodel.errors import FlexmeshError, Invalid, NotFound
from flexserve.settings import load
from flexstore.store import Connection, Store
from flexwork import job_runner, jobs
from scheduler.settings import SchedulerSettings
from scheduler.tasks import make_handler

from flexmesh.record_creation import load_row

ENDED = ("FINISHED", "FAILED", "STOPPED", "CANCELED")


@dataclass(frozen=True)
class ScheduleResult:
    """Result of a finished schedule job."""

    job: UUID
    costs: Mapping[str, float]
    currency: str
    warnings: list[str]


async def add_state_of_charge(
    con: Connection, message: Mapping[str, Any], state: str, *, asset: int | None, sensor: int | None
) -> dict[str, Any]:
    """Return the message with the state of charge at the start in the flex-model of every storage device.

    A share (50%) is relative to soc-max.
    """
    models = message.get("flex-model") or {}
    entries = [dict(model) for model in (models if isinstance(models, list) else [models])]
    found = False
    for entry in entries:
        stored = await load_flex_model(con, entry.get("asset") or asset, entry.get("sensor") or sensor)
        most = entry.get("soc-max", stored.get("soc-max"))
        if most is None and (len(entries) > 1 or state.endswith("%")):
            continue
        entry["soc-at-start"] = compute_energy(most, state) if state.endswith("%") else state
        found = True
    if not found:
        raise Invalid({"soc-at-start": [f"{state} of what? Give soc-max in the flex-model, or the energy in kWh."]})
    return {**message, "flex-model": entries if isinstance(models, list) else entries[0]}


async def load_flex_model(con: Connection, asset: int | None, sensor: int | None) -> dict[str, Any]:
    """Return the flex-model stored on the asset, or on the asset of the sensor."""
    if sensor is not None:
        asset = (await load_row(con, "sensor", sensor, "sensor"))["asset_id"]
    return {} if asset is None else dict((await load_row(con, "asset", asset, "asset"))["flex_model"])


def compute_energy(most: object, state: str) -> str:
    try:
        share, energy = quantities.parse(state, "dimensionless"), quantities.parse(str(most), "kWh")
    except quantities.QuantityError as error:
        raise Invalid({"soc-at-start": [f"{state} of soc-max {most} cannot be computed: {error}"]}) from None
    return f"{share * energy:g} kWh"


async def enqueue(con: Connection, message: Mapping[str, Any], *, asset: int | None, sensor: int | None) -> UUID:
    """Enqueue a job for the message, validated as by the API, and return its id. No permission is checked."""
    if sensor is not None:
        asset = (await load_row(con, "sensor", sensor, "sensor"))["asset_id"]
    assert asset is not None
    account: int | None = (await load_row(con, "asset", asset, "asset"))["account_id"]
    request = ScheduleRequest(asset, account, message, sensor)
    return await triggers.submit(con, request, await triggers.validate(con, request, None), None)


async def run_job_here(store: Store, job_id: UUID) -> ScheduleResult:
    """Run the job here, unless a worker of a running platform takes it first, and return its result."""
    async with store.connection() as con:
        job = await jobs.get(con, job_id)
    if job is not None and job.queue != QUEUE:
        raise FlexmeshError(f"This is a job of the queue {job.queue}: `flexmesh worker {job.queue}` does it.")
    await job_runner.run(store, job_id, make_handler(load(SchedulerSettings)))
    while True:
        async with store.connection() as con:
            job = await jobs.get(con, job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id}.")
        if job.status in ENDED:
            break
        await asyncio.sleep(0.1)
    if job.status != "FINISHED":
        raise FlexmeshError(job.error or f"The job ended as {job.status}.")
    async with store.connection() as con:
        currency: str = await con.fetchval("select document ->> 'currency' from explanation where job_id = $1", job_id)
    info = job.info.get("scheduler_info", {})
    return ScheduleResult(job_id, info.get("commitment_costs", {}), currency, list(job.info.get("warnings", ())))
