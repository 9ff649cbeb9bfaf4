"""Worker of upload jobs: uploads that are too large to be stored within a request."""

from contextlib import AbstractContextManager

from flexwork import worker_host
from flexwork.contracts import JobMessage, Queue
from flexwork.worker import Worker
from flexwork.worker_host import WorkerHost

from ingest.files import repository
from ingest.files.subprocess_worker import store_in_subprocess
from ingest.files.tasks import upload_handler
from ingest.settings import IngestSettings

SERVICE = "uploads"


def run(settings: IngestSettings) -> int:
    """Run as a worker process until SIGTERM or SIGINT. Returns the exit code."""

    async def set_up(host: WorkerHost) -> None:
        await host.open_store()
        host.add_jobs(Queue.UPLOAD, upload_handler(settings), on_failure=repository.delete_files)

    return worker_host.run(settings, SERVICE, set_up, concurrency=settings.upload_concurrency)


def running_in_threads(settings: IngestSettings) -> AbstractContextManager[Worker]:
    """Run in threads of this process until the block ends. Each job has a subprocess, which frees its memory."""

    async def store(message: JobMessage) -> None:
        await store_in_subprocess(settings, message.job)

    async def set_up(host: WorkerHost) -> None:
        host.add_task(Queue.UPLOAD, JobMessage, store)

    return worker_host.running_in_threads(settings, SERVICE, set_up, concurrency=settings.upload_concurrency)
