"""Storage of uploaded files in the database, from their acknowledgement until a worker has stored their values."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from tempfile import TemporaryFile
from typing import Any
from uuid import UUID

from flexserve import tracing
from flexstore.store import Connection
from flexwork import jobs
from flexwork.contracts import Queue
from flexwork.jobs import Job

from ingest.files.schemas import UploadedFile, UploadOptions
from ingest.files.sensor_lookup import UploadSender

CHUNK_BYTES = 1 << 20

INSERT_UPLOAD = "insert into upload (job_id) values ($1)"
INSERT_CHUNK = "insert into upload_chunk (job_id, file, position, content) values ($1, $2, $3, $4)"
SELECT_CHUNKS = "select content from upload_chunk where job_id = $1 and file = $2 order by position"
UPDATE_PROGRESS = "update upload set rows_total = $2, rows_read = $3, rows_stored = $4 where job_id = $1"
DELETE_CHUNKS = "delete from upload_chunk where job_id = $1"


async def store_job(
    con: Connection, sender: UploadSender, options: UploadOptions, files: Sequence[UploadedFile]
) -> UUID:
    """Create a job for an upload and store its files, in the caller's transaction. Returns the job's id."""
    accounts = (
        None if sender.accounts is None else sorted(sender.accounts, key=lambda account: (account is not None, account))
    )
    request = {
        "upload": options_to_json(options) | {"accounts": accounts, "user": sender.user_id},
        "files": [{"name": file.name, "size": file.size} for file in files],
    }
    job_id = await jobs.create(
        con,
        queue=Queue.UPLOAD,
        request=request,
        account_id=await con.fetchval("select account_id from users where id = $1", sender.user_id),
        user_id=sender.user_id,
        sensor_id=options.sensor_id,
        trace_context=tracing.carrier(),
    )
    await con.execute(INSERT_UPLOAD, job_id)
    for number, file in enumerate(files):
        file.content.seek(0)
        position = 0
        while content := file.content.read(CHUNK_BYTES):
            await con.execute(INSERT_CHUNK, job_id, number, position, content)
            position += 1
    return job_id


def options_to_json(options: UploadOptions) -> dict[str, object]:
    """Return the options as a job stores them."""
    fields = asdict(options)
    return {"sensor": fields.pop("sensor_id")} | fields


def parse_request(request: Mapping[str, Any]) -> tuple[UploadSender, UploadOptions]:
    """Parse a job's request into the sender and the options of the upload."""
    upload = dict(request["upload"])
    accounts, user = upload.pop("accounts"), upload.pop("user")
    return UploadSender(user, None if accounts is None else frozenset(accounts)), UploadOptions(
        sensor_id=upload.pop("sensor"), **upload
    )


@asynccontextmanager
async def open_files(con: Connection, job: Job) -> AsyncIterator[list[UploadedFile]]:
    """Copy the files of an upload to disk for the duration of the block. Needs a transaction."""
    files: list[UploadedFile] = []
    try:
        for number, described in enumerate(job.request["files"]):
            content = TemporaryFile()  # noqa: SIM115 - closed below
            files.append(UploadedFile(described["name"], content, described["size"]))
            async for chunk in con.cursor(SELECT_CHUNKS, job.id, number, prefetch=4):
                content.write(chunk["content"])
            content.seek(0)
        yield files
    finally:
        for file in files:
            file.content.close()


async def record_progress(con: Connection, job: Job, total: int | None, read: int, stored: int) -> None:
    """Record how many rows of an upload there are, have been read and have been stored."""
    await con.execute(UPDATE_PROGRESS, job.id, total, read, stored)


async def delete_files(con: Connection, job: Job, _reason: str = "") -> None:
    """Delete the files of a finished job."""
    await con.execute(DELETE_CHUNKS, job.id)
