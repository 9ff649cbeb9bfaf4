"""The scheduler's worker: takes jobs from the broker until it is told to stop."""

import asyncio

from flexmodel.parse_trigger import parse_trigger
from flexmodel.tree import AssetTree, TreeAsset
from flexserve.health import Check
from flexstore.store import Store
from flexwork.broker import celery_app
from flexwork.event_loop import BackgroundLoop
from flexwork.worker import Worker

from scheduler.app import SERVICE, create_app
from scheduler.planning import plan
from scheduler.resolve.series import LoadedSeries
from scheduler.settings import SchedulerSettings
from scheduler.solving.search import SolverOptions
from scheduler.tasks import QUEUE, make_tasks


def run(settings: SchedulerSettings) -> int:
    """Work until SIGTERM or SIGINT; returns the exit code. Health and metrics are served meanwhile."""
    loop = BackgroundLoop().start()
    store = loop.call(
        Store.connect(
            settings.database_url,
            max_size=settings.database_connections,
            application=f"flexmesh {SERVICE}",
            wait=False,
        )
    )
    app = celery_app(settings, SERVICE)
    make_tasks(app, store, loop, settings)
    worker = Worker(app, queues=[QUEUE], concurrency=settings.worker_concurrency, loop=loop)
    checks = [
        Check("database", lambda: store.check(settings.readiness_timeout)),
        Check("broker", worker.check),
    ]
    loop.spawn(asyncio.to_thread(warm_up))
    return worker.run(settings, create_app(settings, checks))


def warm_up() -> None:
    """Plan something small, so that the first job need not wait until units, models and the solver are loaded."""
    tree = AssetTree(1, {1: TreeAsset(1, "site", None, None, "building")}, {})
    message = {
        "start": "2026-01-01T00:00:00Z",
        "duration": "PT1H",
        "flex-model": [{"asset": 1, "power-capacity": "1 kW", "soc-at-start": "1 kWh", "soc-max": "2 kWh"}],
        "flex-context": {"consumption-price": "1 EUR/kWh"},
    }
    plan(parse_trigger(message, tree), tree, LoadedSeries({}), SolverOptions())
