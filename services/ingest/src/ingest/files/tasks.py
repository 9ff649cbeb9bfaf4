"""Upload jobs: store the values of an upload, in the transaction that finishes its job."""

import asyncio
from collections.abc import Sequence
from functools import partial
from time import monotonic
from uuid import UUID

from flexstore.store import Connection, Store
from flexwork import activities, job_runner
from flexwork.activities import ActivityType
from flexwork.job_runner import Outcome
from flexwork.jobs import Job

from ingest.belief_writer import BeliefWriter
from ingest.data.repository import UserSources
from ingest.files import repository
from ingest.files.errors import disk_full_as_unavailable
from ingest.files.schemas import UploadedFile
from ingest.files.upload_writer import UploadProgress, UploadWriter, file_limits
from ingest.settings import IngestSettings

PROGRESS_SECONDS = 0.5
"""Shortest time between two records of the progress."""


async def run_job(store: Store, settings: IngestSettings, job_id: UUID) -> None:
    """Run a job in this process."""
    await job_runner.run(store, job_id, upload_handler(settings), on_failure=repository.delete_files)


def upload_handler(settings: IngestSettings) -> job_runner.Handler:
    """Return the handler of upload jobs."""
    return make_job_handler(UploadWriter(BeliefWriter(), UserSources(), file_limits(settings)))


def make_job_handler(writer: UploadWriter) -> job_runner.Handler:
    """Return the handler that stores the uploads of claimed jobs."""

    async def handle(job: Job, store: Store) -> Outcome:
        source = await writer.load_source_id(store, repository.parse_request(job.request)[0].user_id)
        return Outcome(result={}, save=partial(_save, job=job, store=store, writer=writer, source=source))

    return handle


async def _save(con: Connection, *, job: Job, store: Store, writer: UploadWriter, source: int) -> dict[str, object]:
    sender, options = repository.parse_request(job.request)
    with disk_full_as_unavailable():
        async with repository.open_files(con, job) as files:
            progress = _RecordedProgress(store, job, await asyncio.to_thread(count_lines, files))
            report = await writer.write(
                con, sender, options, files, source=source, progress=progress, sent_at=job.created_at
            )
    await repository.delete_files(con, job)
    return report.to_json()


def count_lines(files: Sequence[UploadedFile]) -> int | None:
    """Return the number of lines; None for compressed files."""
    count = 0
    for file in files:
        if file.is_compressed():
            return None
        file.content.seek(0)
        while block := file.content.read(1 << 20):
            count += block.count(b"\n")
    return count


class _RecordedProgress(UploadProgress):
    """Records the progress of an upload, outside of the transaction that stores it."""

    def __init__(self, store: Store, job: Job, total: int | None) -> None:
        self._store = store
        self._job = job
        self._total = total
        self._read = self._stored = 0
        self._next_record = 0.0

    async def on_rows_read(self, rows: int, values: int) -> None:
        self._read += rows
        await self._record()

    async def on_events_stored(self, rows: int) -> None:
        self._stored += rows
        await self._record()

    async def _record(self) -> None:
        if monotonic() < self._next_record:
            return
        self._next_record = monotonic() + PROGRESS_SECONDS
        job, rows = self._job, {"rows-total": self._total, "rows-read": self._read, "rows-stored": self._stored}
        async with self._store.connection() as con:
            await repository.record_progress(con, job, self._total, self._read, self._stored)
            fields = {"job": str(job.id), "queue": job.queue, "asset": job.asset_id, "sensor": job.sensor_id}
            await activities.record(con, job.account_id, ActivityType.JOB_PROGRESS, fields | rows, job.trace_context)
