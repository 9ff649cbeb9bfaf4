"""What becomes of an upload: stored at once, or kept and made a job when that takes long."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from flexstore.store import Store

from ingest.files import repository
from ingest.files.report import Report
from ingest.files.sensors import Feeder
from ingest.files.service import File, Progress, Terms, Uploading

ROWS_AT_ONCE = 300_000
"""More values than these become a job, however small the file that holds them."""


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

    async def take(self, feeder: Feeder, terms: Terms, files: Sequence[File]) -> Done:
        if sum(file.size for file in files) <= self.bytes_at_once:
            source = await self.uploading.source_of(self.store, feeder.user)
            with suppress(TakesLong):
                async with self.store.transaction() as con:
                    report = await self.uploading.take(
                        con, feeder, terms, files, source=source, progress=_Impatient(), sent_at=datetime.now(UTC)
                    )
                return Done(report)
        async with self.store.transaction() as con:
            return Done(job=await repository.keep(con, feeder, terms, files))


class _Impatient(Progress):
    """Gives up when there are more rows than can be stored while someone waits."""

    def __init__(self) -> None:
        self._left = ROWS_AT_ONCE

    async def read(self, rows: int) -> None:
        self._left -= rows
        if self._left < 0:
            raise TakesLong
