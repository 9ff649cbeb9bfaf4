"""Entry points that run one service or worker in this process, with settings from the environment."""

# ruff: noqa: PLC0415  a process imports its own service only

from collections.abc import Callable

from flexserve import server
from flexserve.app import start_logs
from flexserve.settings import load


def gateway() -> int:
    from api_gateway.__main__ import main

    return main()


def ingest() -> int:
    from ingest.__main__ import main

    return main()


def scheduler() -> int:
    from scheduler.app import SERVICE, create_app
    from scheduler.settings import SchedulerSettings

    settings = load(SchedulerSettings)
    start_logs(settings, SERVICE)
    return server.serve(create_app(settings), settings)


def reporting() -> int:
    from reporting.__main__ import main

    return main()


def schedule_worker() -> int:
    from scheduler import worker
    from scheduler.app import SERVICE
    from scheduler.settings import SchedulerSettings

    settings = load(SchedulerSettings)
    start_logs(settings, SERVICE)
    return worker.run(settings)


def upload_worker() -> int:
    from ingest.files import worker
    from ingest.settings import IngestSettings

    settings = load(IngestSettings)
    start_logs(settings, worker.SERVICE)
    return worker.run(settings)


def connector_worker() -> int:
    from ingest.connectors import worker
    from ingest.settings import IngestSettings

    settings = load(IngestSettings)
    start_logs(settings, worker.SERVICE)
    return worker.run(settings)


SERVICES: dict[str, Callable[[], int]] = {
    "gateway": gateway,
    "ingest": ingest,
    "scheduler": scheduler,
    "reporting": reporting,
}
WORKERS: dict[str, Callable[[], int]] = {
    "schedule": schedule_worker,
    "ingest": upload_worker,
    "connector": connector_worker,
}
