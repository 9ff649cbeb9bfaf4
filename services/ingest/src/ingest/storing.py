"""Writing beliefs, and telling the webhooks that asked to be told."""

from time import monotonic
from typing import Any

import numpy as np
from flexmodel.time import moment_of
from flexserve import tracing
from flexstore import webhooks
from flexstore.series import Beliefs, Written, write
from flexstore.store import Connection

from ingest.data.repository import Sensor

DATA_STORED = "data.stored"

REMEMBERED_SECONDS = 5.0
"""After so long, a new webhook hears of stored data. Asking each time would cost more than most posts do."""


class Storage:
    """Stores all or nothing. When it returns, the values are there for good, unless the caller's transaction fails."""

    def __init__(self) -> None:
        self._awaited: dict[int | None, tuple[float, bool]] = {}

    async def store(self, con: Connection, sensor: Sensor, beliefs: Beliefs) -> Written:
        if not await self._is_awaited(con, sensor.account):
            return await write(con, beliefs)
        async with con.transaction():
            written = await write(con, beliefs)
            if written.new or written.changed:
                told = summary(sensor, beliefs, written)
                await webhooks.announce(con, sensor.account, DATA_STORED, told, tracing.carrier())
        return written

    async def _is_awaited(self, con: Connection, account: int | None) -> bool:
        until, awaited = self._awaited.get(account, (0.0, False))
        if monotonic() >= until:
            awaited = await webhooks.is_awaited(con, account, DATA_STORED)
            self._awaited[account] = (monotonic() + REMEMBERED_SECONDS, awaited)
        return awaited


def summary(sensor: Sensor, beliefs: Beliefs, written: Written) -> dict[str, Any]:
    first, last = moment_of(np.min(beliefs.event_start)), moment_of(np.max(beliefs.event_start))
    return {
        "sensor": sensor.id,
        "start": first.isoformat(),
        "end": (last + sensor.resolution).isoformat(),
        "new": written.new,
        "changed": written.changed,
    }
