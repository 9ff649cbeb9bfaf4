"""Each service as a process of its own, as set in the environment."""

from collections.abc import Callable

from flexserve import server
from flexserve.app import start_logs
from flexserve.settings import load


def gateway() -> int:
    from api_gateway.__main__ import main  # noqa: PLC0415 (a process loads its own service only)

    return main()


def ingest() -> int:
    from ingest.__main__ import main  # noqa: PLC0415

    return main()


def scheduler() -> int:
    from scheduler.app import SERVICE, create_app  # noqa: PLC0415
    from scheduler.settings import SchedulerSettings  # noqa: PLC0415

    settings = load(SchedulerSettings)
    start_logs(settings, SERVICE)
    return server.serve(create_app(settings), settings)


def reporting() -> int:
    from reporting.__main__ import main  # noqa: PLC0415

    return main()


def schedule_worker() -> int:
    from scheduler import worker  # noqa: PLC0415
    from scheduler.app import SERVICE  # noqa: PLC0415
    from scheduler.settings import SchedulerSettings  # noqa: PLC0415

    settings = load(SchedulerSettings)
    start_logs(settings, SERVICE)
    return worker.run(settings)


def upload_worker() -> int:
    from ingest.files import worker  # noqa: PLC0415
    from ingest.settings import IngestSettings  # noqa: PLC0415

    settings = load(IngestSettings)
    start_logs(settings, worker.SERVICE)
    return worker.run(settings)


def connector_worker() -> int:
    from ingest.connectors import worker  # noqa: PLC0415
    from ingest.settings import IngestSettings  # noqa: PLC0415

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
