"""Uploads that are too large to be stored within a request."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from errno import ENOSPC
from io import BytesIO
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import polars as pl
import psutil
import pytest
from flexwork import job_runner, jobs
from flexwork.jobs import Job
from ingest.belief_writer import BeliefWriter
from ingest.data.repository import UserSources
from ingest.files import file_formats, repository, subprocess_worker
from ingest.files.repository import delete_files
from ingest.files.subprocess_worker import store_in_subprocess
from ingest.files.tasks import make_job_handler
from ingest.files.upload_writer import UploadWriter, file_limits
from ingest.settings import IngestSettings
from ingest_service import Service

type RunJob = Callable[..., Awaitable[Job]]
type CountParts = Callable[[], Awaitable[int]]

START = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROWS = 60_000
"""More than a megabyte, the limit of these tests' service for storage within a request."""
MEMORY_MB = 250
APART = [sys.executable, "-m", subprocess_worker.__name__]


def environment(database_url: str) -> dict[str, str]:
    return os.environ | {"FLEXMESH_DATABASE_URL": database_url}


def minutes(rows: int, *more: str) -> str:
    times = pl.datetime_range(START, START + (rows - 1) * MINUTE, MINUTE, eager=True)
    table = pl.DataFrame(
        {"event_start": times.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), "event_value": pl.int_range(rows, eager=True)}
    )
    return table.write_csv() + "".join(f"{row}\n" for row in more)


@pytest.fixture
def uploading() -> UploadWriter:
    return UploadWriter(BeliefWriter(), UserSources(), file_limits(IngestSettings()))


async def load_job(service: Service, job: str) -> Job:
    async with service.store.connection() as con:
        loaded = await jobs.get(con, UUID(job))
    assert loaded is not None
    return loaded


def result_of(job: Job) -> dict[str, Any]:
    assert job.result is not None
    return job.result


@pytest.fixture
def work(service: Service, uploading: UploadWriter) -> RunJob:
    """Run a job as a worker does."""

    async def run(job: str, lease: float = 15.0) -> Job:
        await job_runner.run(
            service.store, UUID(job), make_job_handler(uploading), on_failure=delete_files, lease=lease
        )
        return await load_job(service, job)

    return run


@pytest.fixture
def left(service: Service) -> CountParts:
    """Return the number of stored parts of files."""

    async def count() -> int:
        async with service.store.connection() as con:
            number: int = await con.fetchval("select count(*) from upload_chunk")
        return number

    return count


async def accepted(service: Service, sensor: int, text: str, **fields: str) -> str:
    answer = await service.upload(sensor, ("large.csv", text), **fields)
    assert answer.status_code == 202, answer.text
    job: str = answer.json()["job"]
    return job


async def test_a_large_file_is_kept_when_it_is_acknowledged_and_stored_by_a_worker(
    service: Service, work: RunJob, left: CountParts
) -> None:
    sensor = await service.add_sensor("kW", 1)
    job = await accepted(service, sensor, minutes(ROWS), belief_time_measured_instantly="on", unit="MW")
    assert await left() > 1
    async with service.store.connection() as con:
        [message] = await con.fetch("select topic, payload from outbox")
        [row] = await con.fetch("select sensor_id, account_id, user_id from job")
    assert (message["topic"], message["payload"]) == ("task:ingest", {"job": job})
    assert tuple(row) == (sensor, service.account, service.user)
    assert await service.rows(sensor) == []
    done = await work(job)
    assert done.status == "FINISHED"
    result = result_of(done)
    assert (result["rows"], result["new"], result["refused"]) == (ROWS, ROWS, 0)
    assert done.started_at is not None
    assert done.ended_at is not None
    assert done.ended_at > done.started_at
    values = await service.values(sensor)
    assert values == {START + n * MINUTE: 1000.0 * n for n in range(ROWS)}
    assert await left() == 0
    assert (await work(job)).attempts == 1


async def test_a_large_file_with_bad_rows_is_refused_with_their_numbers(
    service: Service, work: RunJob, left: CountParts
) -> None:
    sensor = await service.add_sensor("kW", 1)
    job = await accepted(service, sensor, minutes(ROWS, "2030-01-01T00:00Z,much", "never,1"))
    failed = await work(job)
    assert failed.status == "FAILED"
    assert failed.error is not None
    assert failed.error.startswith(f"Nothing was stored. large.csv: row {ROWS + 2}: 'much' is not a number")
    assert f"row {ROWS + 3}: 'never'" in failed.error
    assert await service.rows(sensor) == []
    assert await left() == 0


async def test_a_full_disk_is_not_the_fault_of_a_file(
    service: Service, work: RunJob, left: CountParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accepted upload stays accepted and waits until there is room."""
    full = OSError(ENOSPC, "No space left on device")
    sensor = await service.add_sensor("kW", 1)
    job = await accepted(service, sensor, minutes(ROWS))
    with monkeypatch.context() as patch:
        patch.setattr(job_runner, "OUTCOME_RETRY_SECONDS", 0.0)
        patch.setattr(repository, "TemporaryFile", Mock(return_value=Mock(write=Mock(side_effect=full))))
        assert (await work(job)).status == "QUEUED"
    assert await left() > 1
    packed = BytesIO()
    pl.DataFrame({"start": [START], "value": [1]}).write_parquet(packed)
    monkeypatch.setattr(file_formats, "convert_to_csv", Mock(side_effect=full))
    answer = await service.upload(sensor, ("up.parquet", packed.getvalue()))
    assert answer.status_code == 503
    assert "no room for files on disk" in answer.text


@pytest.mark.parametrize(("code", "status"), [(-signal.SIGTERM, 503), (-signal.SIGKILL, 422), (4, 503)])
async def test_why_the_reading_of_a_workbook_ended_decides_who_is_to_blame(
    service: Service, monkeypatch: pytest.MonkeyPatch, code: int, status: int
) -> None:
    sensor = await service.add_sensor("kW", 1)
    monkeypatch.setattr("ingest.files.file_formats.subprocess.run", Mock(return_value=Mock(returncode=code)))
    assert (await service.upload(sensor, ("up.xlsx", b"PK\x03\x04"))).status_code == status


async def test_or_stored_without_them(service: Service, work: RunJob) -> None:
    sensor = await service.add_sensor("kW", 1)
    job = await accepted(
        service, sensor, minutes(ROWS, "2030-01-01T00:00Z,much", "2024-01-01T00:00Z,9"), partial="true"
    )
    report = result_of(await work(job))
    assert (report["rows"], report["new"], report["refused"]) == (ROWS, ROWS, 2)
    [file] = report["files"]
    assert file["problems"] == [
        f"row {ROWS + 2}: 'much' is not a number, such as 12.5.",
        f"row {ROWS + 3}: another value for the same time as in row 2.",
    ]


async def test_a_small_file_with_many_rows_is_a_job_too(service: Service) -> None:
    sensor = await service.add_sensor("kW", 1)
    packed = BytesIO()
    pl.read_csv(minutes(310_000).encode()).with_columns(pl.lit(1).alias("event_value")).write_parquet(packed)
    answer = await service.upload(sensor, ("small.parquet", packed.getvalue()))
    assert len(packed.getvalue()) < 5_000_000
    assert answer.status_code == 202
    assert await service.rows(sensor) == []


async def test_rows_in_any_order_and_from_one_part_of_a_file_to_the_next(service: Service, work: RunJob) -> None:
    """Means of three rows each, also across the parts in which a file is read and stored."""
    sensor = await service.add_sensor("kW", 3)
    head, *rows = minutes(ROWS - ROWS % 3).splitlines()
    shuffled = pl.Series(rows).sample(fraction=1, shuffle=True, seed=1).to_list()
    job = await accepted(service, sensor, "\n".join([head, *shuffled]))
    assert result_of(await work(job))["new"] == ROWS // 3
    values = await service.values(sensor)
    assert values == {START + 3 * n * MINUTE: 3.0 * n + 1 for n in range(ROWS // 3)}


async def test_a_worker_that_is_killed_half_way_loses_and_doubles_nothing(
    service: Service, work: RunJob, left: CountParts, database_url: str
) -> None:
    sensor = await service.add_sensor("kW", 1)
    job = await accepted(service, sensor, minutes(150_000))
    worker = subprocess.Popen([*APART, job], env=environment(database_url))  # noqa: ASYNC220 - starts at once
    try:
        async with asyncio.timeout(30), service.store.connection() as con:
            while not await con.fetchval("select rows_stored from upload"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    assert await service.rows(sensor) == []
    async with asyncio.timeout(30):
        # The database notices at the end of a statement that nobody is there any more.
        while (done := await work(job, lease=0.0)).status != "FINISHED":  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.05)
    assert (done.status, done.attempts) == ("FINISHED", 2)
    assert len(await service.rows(sensor)) == 150_000
    assert await left() == 0


async def stop_half_way(service: Service, job: str, storing: "asyncio.Task[Any]") -> None:
    """Stop the storage of an upload once it has begun to read. The job must be released."""
    async with asyncio.timeout(30), service.store.connection() as con:
        while not await con.fetchval("select rows_read from upload"):  # noqa: ASYNC110 - others write it
            await asyncio.sleep(0.01)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    assert (await load_job(service, job)).status == "QUEUED"


async def test_a_worker_that_is_stopped_half_way_gives_the_job_back(
    service: Service, work: RunJob, left: CountParts, uploading: UploadWriter
) -> None:
    sensor = await service.add_sensor("kW", 1)
    job = await accepted(service, sensor, minutes(150_000))
    working = asyncio.create_task(
        job_runner.run(service.store, UUID(job), make_job_handler(uploading), on_failure=delete_files)
    )
    await stop_half_way(service, job, working)
    assert await service.rows(sensor) == []
    assert await left() > 1
    assert result_of(await work(job))["new"] == 150_000


async def test_a_process_for_one_upload_takes_little_memory_and_gives_it_back(
    service: Service, database_url: str
) -> None:
    """The memory of the subprocess is freed, unlike that of the platform in one process."""
    sensor = await service.add_sensor("kW", 1)
    job = await accepted(service, sensor, minutes(400_000), belief_time_measured_instantly="on")
    worker = subprocess.Popen([*APART, job], env=environment(database_url))  # noqa: ASYNC220 - starts at once
    most = 0
    while worker.poll() is None:
        most = max(most, psutil.Process(worker.pid).memory_info().rss)
        await asyncio.sleep(0.05)
    assert worker.returncode == 0
    assert 0 < most < MEMORY_MB * 2**20
    assert result_of(await load_job(service, job))["new"] == 400_000


async def test_a_process_for_one_upload_that_is_to_end_gives_the_job_back(service: Service, database_url: str) -> None:
    sensor = await service.add_sensor("kW", 1)
    job = await accepted(service, sensor, minutes(150_000))
    settings = IngestSettings(database_url=database_url)
    storing = asyncio.create_task(store_in_subprocess(settings, UUID(job)))
    await stop_half_way(service, job, storing)
    await store_in_subprocess(settings, UUID(job))
    assert result_of(await load_job(service, job))["new"] == 150_000
