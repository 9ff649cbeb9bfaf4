"""The worker of schedule jobs, as a process of its own or in threads of the one-process platform."""

import asyncio
from contextlib import AbstractContextManager

from flexmodel.parse_trigger import parse_trigger
from flexmodel.tree import AssetTree, TreeAsset
from flexwork import worker_host
from flexwork.worker import Worker
from flexwork.worker_host import WorkerHost

from scheduler.app import SERVICE, create_app
from scheduler.planning import plan
from scheduler.resolve.series import LoadedSeries
from scheduler.settings import SchedulerSettings
from scheduler.solving.search import SolverOptions
from scheduler.tasks import add_tasks


def run(settings: SchedulerSettings) -> int:
    """Be a worker process until SIGTERM or SIGINT. Returns the exit code."""

    async def set_up(host: WorkerHost) -> None:
        await host.open_store()
        add_tasks(host, settings)
        host.add_background(lambda: asyncio.to_thread(warm_up))

    return worker_host.run(settings, SERVICE, set_up, make_app=lambda checks: create_app(settings, checks))


def running_in_threads(settings: SchedulerSettings) -> AbstractContextManager[Worker]:
    """Work in threads of this process, until the block ends."""

    async def set_up(host: WorkerHost) -> None:
        await host.open_store()
        add_tasks(host, settings)

    return worker_host.running_in_threads(settings, SERVICE, set_up)


def warm_up() -> None:
    """Make a small plan, which loads units, models and the solver before the first job comes."""
    tree = AssetTree(1, {1: TreeAsset(1, "site", None, None, "building")}, {})
    message = {
        "start": "2026-01-01T00:00:00Z",
        "duration": "PT1H",
        "flex-model": [{"asset": 1, "power-capacity": "1 kW", "soc-at-start": "1 kWh", "soc-max": "2 kWh"}],
        "flex-context": {"consumption-price": "1 EUR/kWh"},
    }
    plan(parse_trigger(message, tree), tree, LoadedSeries({}), SolverOptions())
