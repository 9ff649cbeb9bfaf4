"""Files that wait for a worker: kept in the database from the moment they are acknowledged until they are stored."""

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

from ingest.files.sensors import Feeder
from ingest.files.service import File, Terms

CHUNK = 1 << 20

ADD = "insert into upload (job_id) values ($1)"
ADD_CHUNK = "insert into upload_chunk (job_id, file, position, content) values ($1, $2, $3, $4)"
CHUNKS = "select content from upload_chunk where job_id = $1 and file = $2 order by position"
PROGRESS = "update upload set rows_total = $2, rows_read = $3, rows_stored = $4 where job_id = $1"
FORGET = "delete from upload_chunk where job_id = $1"


async def keep(con: Connection, feeder: Feeder, terms: Terms, files: Sequence[File]) -> UUID:
    """Make a job of an upload and keep its files, in the caller's transaction."""
    accounts = None if feeder.accounts is None else sorted(feeder.accounts, key=lambda one: (one is not None, one))
    request = {
        "upload": asdict(terms) | {"accounts": accounts, "user": feeder.user},
        "files": [{"name": file.name, "size": file.size} for file in files],
    }
    job_id = await jobs.create(
        con,
        queue=Queue.UPLOAD,
        request=request,
        account_id=await con.fetchval("select account_id from users where id = $1", feeder.user),
        user_id=feeder.user,
        sensor_id=terms.sensor,
        trace_context=tracing.carrier(),
    )
    await con.execute(ADD, job_id)
    for number, file in enumerate(files):
        file.content.seek(0)
        position = 0
        while content := file.content.read(CHUNK):
            await con.execute(ADD_CHUNK, job_id, number, position, content)
            position += 1
    return job_id


def understood(request: Mapping[str, Any]) -> tuple[Feeder, Terms]:
    """From whom an upload that waits is, and how it is to be read."""
    asked = dict(request["upload"])
    accounts, user = asked.pop("accounts"), asked.pop("user")
    return Feeder(user, None if accounts is None else frozenset(accounts)), Terms(**asked)


@asynccontextmanager
async def kept_files(con: Connection, job: Job) -> AsyncIterator[list[File]]:
    """The files of an upload, on disk for as long as they are needed. Needs a transaction."""
    files: list[File] = []
    try:
        for number, told in enumerate(job.request["files"]):
            content = TemporaryFile()  # noqa: SIM115 - closed below
            files.append(File(told["name"], content, told["size"]))
            async for chunk in con.cursor(CHUNKS, job.id, number, prefetch=4):
                content.write(chunk["content"])
            content.seek(0)
        yield files
    finally:
        for file in files:
            file.content.close()
