"""An upload stored by a process of its own, whose memory goes with it: the platform of one process stays small."""

import asyncio
import os
import signal
import sys
from concurrent.futures import CancelledError
from contextlib import suppress
from uuid import UUID

from flexserve import logs
from flexserve.app import start_logs
from flexserve.settings import load, variable
from flexstore.store import Store
from flexwork.event_loop import BackgroundLoop

from ingest.files.tasks import run_job
from ingest.settings import IngestSettings

SERVICE = "upload"
CONNECTIONS = 3
"""One stores the values; others tell how far it is and that this process is alive."""
LEAVE_SECONDS = 4.0

log = logs.get(__name__)


async def store_apart(settings: IngestSettings, job: UUID) -> None:
    """Have the job done by another process, which gives it back when this is cancelled."""
    environment = os.environ | {variable("database_url"): settings.database_url}
    # In a session of its own, Ctrl-C in a terminal reaches only us.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, str(job), env=environment, start_new_session=True
    )
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if code:  # the job is put back when there is no sign of life any more
        log.error("the process that stored an upload has died", job=str(job), code=code)


def main() -> int:
    settings = load(IngestSettings)
    start_logs(settings, SERVICE)
    loop = BackgroundLoop().start()
    signal.signal(signal.SIGTERM, lambda *_: loop.cancel())
    with suppress(CancelledError):
        loop.call(store_here(settings, UUID(sys.argv[1])))
    if not loop.stop(LEAVE_SECONDS):
        os._exit(0)  # a thread still computes, and Python would wait for it; the job is given back already
    return 0


async def store_here(settings: IngestSettings, job: UUID) -> None:
    store = await Store.connect(settings.database_url, max_size=CONNECTIONS, application=f"flexmesh {SERVICE}")
    try:
        await run_job(store, settings, job)
    finally:
        await store.close()


if __name__ == "__main__":
    sys.exit(main())
