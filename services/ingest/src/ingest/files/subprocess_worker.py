"""Storage of an upload in a subprocess, so that its memory is freed when it ends. Used by the one-process platform."""

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
MAX_CONNECTIONS = 3
"""One stores the values; the others record progress and extend the claim."""
LEAVE_SECONDS = 4.0
"""Longest wait for threads at the end."""

log = logs.get(__name__)


async def store_in_subprocess(settings: IngestSettings, job: UUID) -> None:
    """Run the job in a subprocess, which releases the job when this is cancelled."""
    environment = os.environ | {variable("database_url"): settings.database_url}
    # In its own session, the subprocess does not receive Ctrl-C from the terminal.
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
    if code:  # the job is queued again when its claim expires
        log.error("the process that stored an upload has died", job=str(job), code=code)


def main() -> int:
    """Run the job named by the argument. Returns the exit code."""
    settings = load(IngestSettings)
    start_logs(settings, SERVICE)
    loop = BackgroundLoop().start()
    signal.signal(signal.SIGTERM, lambda *_: loop.cancel())
    with suppress(CancelledError):
        loop.call(store_in_this_process(settings, UUID(sys.argv[1])))
    if not loop.stop(LEAVE_SECONDS):
        os._exit(0)  # Python would wait for a thread that still computes; the job is released already
    return 0


async def store_in_this_process(settings: IngestSettings, job: UUID) -> None:
    """Run the job in this process."""
    store = await Store.connect(settings.database_url, max_size=MAX_CONNECTIONS, application=f"flexmesh {SERVICE}")
    try:
        await run_job(store, settings, job)
    finally:
        await store.close()


if __name__ == "__main__":
    sys.exit(main())
