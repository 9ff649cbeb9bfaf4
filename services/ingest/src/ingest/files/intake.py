"""What becomes of an upload: stored at once, or kept and made a job when that takes long."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from flexstore.store import Store

from ingest.files import repository
from ingest.files.report import Report
from ingest.files.sensors import Feeder
from ingest.files.service import File, Progress, Terms, Uploading

VALUES_AT_ONCE = 300_000
"""More rows or values than these become a job, however small the file that holds them."""
UPLOADS_AT_ONCE = 2
"""While so many are being stored, others become jobs: each takes 30 MB of memory and a connection to the database."""


@dataclass(frozen=True, slots=True)
class Done:
    """The report of what was stored, or the job that will store it."""

    report: Report | None = None
    job: UUID | None = None


class TakesLong(Exception):  # noqa: N818 - it says what it is
    """The sender should not wait for this."""


class Intake:
    """Takes uploads. When it returns, the values are stored, or the files are kept for a worker."""

    def __init__(self, store: Store, uploading: Uploading, bytes_at_once: int) -> None:
        self.store = store
        self.uploading = uploading
        self.bytes_at_once = bytes_at_once
        self._room = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def take(self, feeder: Feeder, terms: Terms, files: Sequence[File]) -> Done:
        if sum(file.size for file in files) <= self.bytes_at_once and not self._room.locked():
            async with self._room:
                report = await self._store(feeder, terms, files)
            if report is not None:
                return Done(report)
        async with self.store.transaction() as con:
            return Done(job=await repository.keep(con, feeder, terms, files))

    async def _store(self, feeder: Feeder, terms: Terms, files: Sequence[File]) -> Report | None:
        """Store the files now; None if that takes long."""
        source = await self.uploading.source_of(self.store, feeder.user)
        progress = _Impatient(self.bytes_at_once)
        try:
            async with self.store.transaction() as con:
                return await self.uploading.take(
                    con, feeder, terms, files, source=source, progress=progress, sent_at=datetime.now(UTC)
                )
        except TakesLong:
            return None


class _Impatient(Progress):
    """Gives up when there is more than can be stored while someone waits."""

    def __init__(self, bytes_at_once: int) -> None:
        self._bytes_left = bytes_at_once
        self._left = VALUES_AT_ONCE

    def unpacked(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise TakesLong

    async def read(self, rows: int, values: int) -> None:
        self._left -= max(rows, values)
        if self._left < 0:
            raise TakesLong
