"""Stores one upload as a worker does, in a process that can be killed, and prints how many megabytes it took."""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from flexstore import running
from flexstore.store import Store
from ingest.data.repository import UserSources
from ingest.files.service import Uploading, limits_of
from ingest.files.tasks import forget, make_handler
from ingest.settings import IngestSettings
from ingest.storing import Storage


async def work(url: str, job: str) -> None:
    store = await Store.connect(url)
    handler = make_handler(Uploading(Storage(), UserSources(), limits_of(IngestSettings())))
    await running.run(store, UUID(job), handler, on_failure=forget)
    await store.close()


asyncio.run(work(*sys.argv[1:]))
[peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
print(int(peak) // 1024)
