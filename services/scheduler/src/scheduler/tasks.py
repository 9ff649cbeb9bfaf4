"""The schedule jobs: load the data of a job, plan, and store the schedule in one transaction."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import perf_counter

from flexcore.assets.tree import load_tree
from flexmodel.errors import NotFound
from flexmodel.parse_trigger import parse_trigger
from flexmodel.references import referenced_sensors
from flexmodel.tree import AssetTree
from flexmodel.trigger import Trigger
from flexserve import tracing
from flexstore import sources
from flexstore.store import Connection, Store
from flexwork import activities, job_runner
from flexwork.activities import ActivityType
from flexwork.contracts import Queue
from flexwork.job_runner import Outcome
from flexwork.jobs import Job
from flexwork.worker_host import WorkerHost
from prometheus_client import Counter, Histogram

from scheduler.optimize import tasks as optimize
from scheduler.planning import Plan, plan
from scheduler.repository import SocAttributes, save_plan
from scheduler.resolve.series import LoadedSeries, load_referenced_series
from scheduler.settings import SchedulerSettings
from scheduler.solving.search import SolverOptions

SOURCE_NAME, SOURCE_TYPE, SOURCE_VERSION = "Flexmesh", "scheduler", "1"

SCHEDULES = Counter("flexmesh_schedules", "Schedule jobs, by the state in which they were left.", ("state",))
PHASES = Histogram(
    "flexmesh_schedule_phase_seconds",
    "Duration of the phases of a schedule: read (database), plan (computation), save (database).",
    ("phase",),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)


def add_tasks(host: WorkerHost, settings: SchedulerSettings) -> None:
    """Consume the queue of schedule jobs."""
    host.add_jobs(Queue.SCHEDULE, make_handler(settings), on_failure=record_failure, on_end=_count)


def _count(status: str | None) -> None:
    if status is not None:
        SCHEDULES.labels(status).inc()


def make_handler(settings: SchedulerSettings) -> job_runner.Handler:
    """Return the handler of schedule jobs."""
    options = SolverOptions(seconds=settings.solve_seconds)

    async def handle(job: Job, store: Store) -> Outcome:
        if optimize.is_problem(job):
            with _phase("plan"):
                return await optimize.solve(job, settings)
        now = datetime.now(UTC)
        with _phase("read"):
            planning_input = await load_input(job, store, now)
        with _phase("plan"):
            # The solver works outside the interpreter's lock, so heartbeats and other jobs go on meanwhile.
            new_plan = await asyncio.to_thread(
                plan, planning_input.trigger, planning_input.tree, planning_input.series, options
            )
        async with store.connection() as con:
            source_id = await sources.ensure(con, SOURCE_NAME, SOURCE_TYPE, new_plan.scheduler, SOURCE_VERSION)
        return Outcome(
            result=new_plan.result,
            info={
                "scheduler_info": {"scheduler": new_plan.scheduler, "commitment_costs": new_plan.costs},
                "data_source_info": {
                    "id": source_id,
                    "name": SOURCE_NAME,
                    "type": SOURCE_TYPE,
                    "model": new_plan.scheduler,
                    "version": SOURCE_VERSION,
                },
                "warnings": new_plan.warnings,
            },
            save=partial(
                _save, job=job, planning_input=planning_input, new_plan=new_plan, source_id=source_id, now=now
            ),
        )

    return handle


@dataclass(frozen=True, slots=True)
class PlanningInput:
    """The trigger of a job, with the assets and series it refers to."""

    trigger: Trigger
    tree: AssetTree
    series: LoadedSeries
    sensor_id: int | None
    """The triggered sensor; None if an asset was triggered."""


async def load_input(job: Job, store: Store, now: datetime) -> PlanningInput:
    """Load the job's assets and sensors, merge its trigger with the stored configuration, and load all series."""
    message = dict(job.request)
    sensor_id, asset_id = message.pop("sensor", None), message.pop("asset", None)
    async with store.connection() as con:
        if asset_id is None:
            asset_id = await _asset_of(con, sensor_id)
        tree = await load_tree(con, asset_id, extra_sensors=referenced_sensors(message))
        trigger = await asyncio.to_thread(parse_trigger, message, tree, sensor_id=sensor_id)
        return PlanningInput(trigger, tree, await load_referenced_series(con, trigger, tree, now), sensor_id)


async def _asset_of(con: Connection, sensor_id: object) -> int:
    asset_id: int | None = await con.fetchval("select asset_id from sensor where id = $1", sensor_id)
    if asset_id is None:
        raise NotFound(f"Sensor {sensor_id} is no longer there.")
    return asset_id


async def _save(
    con: Connection, *, job: Job, planning_input: PlanningInput, new_plan: Plan, source_id: int, now: datetime
) -> None:
    with _phase("save"):
        belief_time = planning_input.trigger.prior or now
        attributes = _soc_attributes(planning_input, new_plan)
        await save_plan(con, job.id, new_plan, source_id, belief_time, attributes)
        data = {
            "job": str(job.id),
            "asset": planning_input.tree.asset_id,
            "sensors": [output.sensor for output in new_plan.outputs],
            "result": new_plan.result,
        }
        await activities.record(con, job.account_id, ActivityType.SCHEDULE_FINISHED, data, tracing.carrier())


async def record_failure(con: Connection, job: Job, reason: str) -> None:
    """Record the activity of a failed job, in the transaction that marks it as failed."""
    data = {"job": str(job.id), "asset": job.asset_id, "error": reason}
    await activities.record(con, job.account_id, ActivityType.SCHEDULE_FAILED, data, tracing.carrier())


def _soc_attributes(planning_input: PlanningInput, new_plan: Plan) -> SocAttributes | None:
    """Return the state of charge for the attributes of a single triggered sensor, if it has a stock."""
    if planning_input.sensor_id is None or not new_plan.initial_energy:
        return None
    asset_id = planning_input.tree.sensors[planning_input.sensor_id].asset_id
    start = planning_input.trigger.window.start
    return SocAttributes(planning_input.sensor_id, asset_id, start, new_plan.initial_energy[0])


@contextmanager
def _phase(name: str) -> Iterator[None]:
    begun = perf_counter()
    with tracing.span(name):
        yield
    PHASES.labels(name).observe(perf_counter() - begun)
