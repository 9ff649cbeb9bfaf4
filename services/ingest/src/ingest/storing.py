"""Writing beliefs, and telling those who follow a sensor's data."""

from collections.abc import Sequence
from time import monotonic
from typing import Any

import numpy as np
from flexmodel.time import moment_of
from flexserve import tracing
from flexstore.series import BeliefBatch, WriteCounts, write_beliefs
from flexstore.store import Connection
from flexwork import activities
from flexwork.activities import AUDIENCE_CACHE_TIME, ActivityType

from ingest.data.repository import Sensor

NOTIFIED_SECONDS = 0.2
"""Stored data are passed on at once no more often than this; who has just been told looks again soon."""


class Storage:
    """Stores all or nothing. When it returns, the values are there for good, unless the caller's transaction fails."""

    def __init__(self) -> None:
        self._awaited: dict[int | None, tuple[float, bool]] = {}
        self._notified = 0.0

    async def store(self, con: Connection, sensor: Sensor, beliefs: BeliefBatch) -> WriteCounts:
        if await self._is_awaited(con, sensor.account):
            async with con.transaction():
                written = await write_beliefs(con, beliefs)
                await self._tell(con, [sensor], beliefs, written)
            return written
        written = await write_beliefs(con, beliefs)
        if await self._is_awaited(con, sensor.account):  # it took so long that somebody came meanwhile
            await self._tell(con, [sensor], beliefs, written)
        return written

    async def store_together(
        self, con: Connection, parts: Sequence[tuple[Sequence[Sensor], BeliefBatch]]
    ) -> WriteCounts:
        """Beliefs about many sensors: each part is about sensors of one account, which are named with it."""
        total = WriteCounts()
        async with con.transaction():
            for sensors, beliefs in parts:
                written = await write_beliefs(con, beliefs)
                if await self._is_awaited(con, sensors[0].account):
                    await self._tell(con, sensors, beliefs, written)
                total += written
        return total

    async def _tell(
        self, con: Connection, sensors: Sequence[Sensor], beliefs: BeliefBatch, written: WriteCounts
    ) -> None:
        if written.new or written.changed:
            at_once = monotonic() >= self._notified + NOTIFIED_SECONDS
            if at_once:
                self._notified = monotonic()
            data = summary(sensors, beliefs, written)
            await activities.record(
                con, sensors[0].account, ActivityType.DATA_STORED, data, tracing.carrier(), at_once=at_once
            )

    async def _is_awaited(self, con: Connection, account: int | None) -> bool:
        """Whether anyone is to be told. Remembered for a while, because asking each time would cost more than most
        posts do."""
        until, awaited = self._awaited.get(account, (0.0, False))
        if monotonic() >= until:
            asked = monotonic()
            awaited = await activities.has_audience(con, account, ActivityType.DATA_STORED)
            self._awaited[account] = (asked + AUDIENCE_CACHE_TIME.total_seconds(), awaited)
        return awaited


def summary(sensors: Sequence[Sensor], beliefs: BeliefBatch, written: WriteCounts) -> dict[str, Any]:
    first, last = moment_of(np.min(beliefs.event_start)), moment_of(np.max(beliefs.event_start))
    ids = [sensor.id for sensor in sensors]
    return {
        **({"sensor": ids[0]} if len(ids) == 1 else {"sensors": ids}),
        "start": first.isoformat(),
        "end": (last + max(sensor.resolution for sensor in sensors)).isoformat(),
        "new": written.new,
        "changed": written.changed,
    }
