"""The upload jobs: store the values of an upload's files in the transaction that finishes its job."""

import asyncio
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

from flexstore.store import Connection, Store
from flexwork import activities, job_runner
from flexwork.activities import ActivityType
from flexwork.job_runner import Outcome
from flexwork.jobs import Job

from ingest.data.repository import UserSources
from ingest.files import repository
from ingest.files.problems import room_on_disk
from ingest.files.service import File, Progress, Uploading, limits_of
from ingest.settings import IngestSettings
from ingest.storing import Storage

TELL_SECONDS = 0.5


async def run_job(store: Store, settings: IngestSettings, job_id: UUID) -> None:
    """Do a job in this process."""
    await job_runner.run(store, job_id, upload_handler(settings), on_failure=forget)


def upload_handler(settings: IngestSettings) -> job_runner.Handler:
    """Return the handler of upload jobs."""
    return make_handler(Uploading(Storage(), UserSources(), limits_of(settings)))


def make_handler(uploading: Uploading) -> job_runner.Handler:
    """Return the handler that stores uploads."""

    async def handle(job: Job, store: Store) -> Outcome:
        source = await uploading.source_of(store, repository.understood(job.request)[0].user)
        return Outcome(result={}, save=partial(_save, job=job, store=store, uploading=uploading, source=source))

    return handle


async def _save(con: Connection, *, job: Job, store: Store, uploading: Uploading, source: int) -> dict[str, Any]:
    feeder, terms = repository.understood(job.request)
    with room_on_disk():
        async with repository.kept_files(con, job) as files:
            progress = _Told(store, job, await asyncio.to_thread(lines_in, files))
            report = await uploading.take(
                con, feeder, terms, files, source=source, progress=progress, sent_at=job.created_at
            )
    await forget(con, job)
    return report.as_json()


async def forget(con: Connection, job: Job, _reason: str = "") -> None:
    """Delete the files of a job that has ended."""
    await con.execute(repository.FORGET, job.id)


def lines_in(files: Sequence[File]) -> int | None:
    """How many rows there will be to read at most; None where only reading tells."""
    count = 0
    for file in files:
        if file.is_packed():
            return None
        file.content.seek(0)
        while block := file.content.read(1 << 20):
            count += block.count(b"\n")
    return count


class _Told(Progress):
    """Writes how far an upload is where others can read it, outside of the transaction that stores it."""

    def __init__(self, store: Store, job: Job, total: int | None) -> None:
        self._store = store
        self._job = job
        self._total = total
        self._read = self._stored = 0
        self._again_at = 0.0

    async def read(self, rows: int, values: int) -> None:
        self._read += rows
        await self._tell()

    async def stored(self, rows: int) -> None:
        self._stored += rows
        await self._tell()

    async def _tell(self) -> None:
        if monotonic() < self._again_at:
            return
        self._again_at = monotonic() + TELL_SECONDS
        job, rows = self._job, {"rows-total": self._total, "rows-read": self._read, "rows-stored": self._stored}
        async with self._store.connection() as con:
            await con.execute(repository.PROGRESS, job.id, *rows.values())
            about = {"job": str(job.id), "queue": job.queue, "asset": job.asset_id, "sensor": job.sensor_id}
            await activities.record(con, job.account_id, ActivityType.JOB_PROGRESS, about | rows, job.trace_context)
