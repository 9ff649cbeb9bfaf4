"""Handling of uploads: a small one is stored within the request, a large one becomes a job."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from flexstore.store import Store

from ingest.files import repository
from ingest.files.report import UploadReport
from ingest.files.schemas import UploadedFile, UploadOptions
from ingest.files.sensor_lookup import UploadSender
from ingest.files.upload_writer import UploadProgress, UploadWriter

MAX_VALUES_IN_REQUEST = 300_000
"""More rows or values than this become a job, however small the file."""
MAX_CONCURRENT_UPLOADS = 2
"""Uploads stored within requests at a time; each takes 30 MB of memory and a connection. Others become jobs."""


@dataclass(frozen=True, slots=True)
class UploadResult:
    """Report of a stored upload, or the id of the job that will store it."""

    report: UploadReport | None = None
    job: UUID | None = None


class TooLargeForRequest(Exception):  # noqa: N818 - not an error: a signal to make the upload a job
    """An upload that is too large to store while the sender waits."""


class UploadHandler:
    """Stores uploads, or stores their files for a worker."""

    def __init__(self, store: Store, writer: UploadWriter, max_bytes: int) -> None:
        self.store = store
        self.writer = writer
        self.max_bytes = max_bytes
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_UPLOADS)

    async def store_or_queue(
        self, sender: UploadSender, options: UploadOptions, files: Sequence[UploadedFile]
    ) -> UploadResult:
        """Store the values now, or store the files and create a job."""
        if sum(file.size for file in files) <= self.max_bytes and not self._slots.locked():
            async with self._slots:
                report = await self._store_now(sender, options, files)
            if report is not None:
                return UploadResult(report)
        async with self.store.transaction() as con:
            return UploadResult(job=await repository.store_job(con, sender, options, files))

    async def _store_now(
        self, sender: UploadSender, options: UploadOptions, files: Sequence[UploadedFile]
    ) -> UploadReport | None:
        """Store the values within the request; None if there are too many."""
        source = await self.writer.load_source_id(self.store, sender.user_id)
        progress = _RequestBudget(self.max_bytes)
        try:
            async with self.store.transaction() as con:
                return await self.writer.write(
                    con, sender, options, files, source=source, progress=progress, sent_at=datetime.now(UTC)
                )
        except TooLargeForRequest:
            return None


class _RequestBudget(UploadProgress):
    """Raises `TooLargeForRequest` when there is more than can be stored within a request."""

    def __init__(self, max_bytes: int) -> None:
        self._bytes_left = max_bytes
        self._values_left = MAX_VALUES_IN_REQUEST

    def on_size_known(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise TooLargeForRequest

    async def on_rows_read(self, rows: int, values: int) -> None:
        self._values_left -= max(rows, values)
        if self._values_left < 0:
            raise TooLargeForRequest
