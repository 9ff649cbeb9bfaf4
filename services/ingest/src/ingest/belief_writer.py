"""The writer of beliefs, which also records that data were stored for those who follow them."""

from collections.abc import Sequence
from time import monotonic

import numpy as np
from flexmodel.time import moment_of
from flexserve import tracing
from flexstore.series import BeliefBatch, WriteCounts, write_beliefs
from flexstore.store import Connection
from flexwork import activities
from flexwork.activities import AUDIENCE_CACHE_TIME, ActivityType

from ingest.data.repository import Sensor

NOTIFICATION_SECONDS = 0.2
"""Shortest time between two immediate notifications of listeners, which poll again soon after one."""


class BeliefWriter:
    """Writes beliefs, all or nothing. They are durable on return, unless the caller's transaction fails."""

    def __init__(self) -> None:
        self._audiences: dict[int | None, tuple[float, bool]] = {}
        self._last_notification = 0.0

    async def write(self, con: Connection, sensor: Sensor, beliefs: BeliefBatch) -> WriteCounts:
        """Write beliefs about one sensor."""
        if await self._has_audience(con, sensor.account):
            async with con.transaction():
                written = await write_beliefs(con, beliefs)
                await self._record_activity(con, [sensor], beliefs, written)
            return written
        written = await write_beliefs(con, beliefs)
        if await self._has_audience(con, sensor.account):  # a listener may have come during a long write
            await self._record_activity(con, [sensor], beliefs, written)
        return written

    async def write_together(
        self, con: Connection, parts: Sequence[tuple[Sequence[Sensor], BeliefBatch]]
    ) -> WriteCounts:
        """Write beliefs about many sensors. Each part has the sensors that it is about, all of one account."""
        total = WriteCounts()
        async with con.transaction():
            for sensors, beliefs in parts:
                written = await write_beliefs(con, beliefs)
                if await self._has_audience(con, sensors[0].account):
                    await self._record_activity(con, sensors, beliefs, written)
                total += written
        return total

    async def _record_activity(
        self, con: Connection, sensors: Sequence[Sensor], beliefs: BeliefBatch, written: WriteCounts
    ) -> None:
        if written.new or written.changed:
            at_once = monotonic() >= self._last_notification + NOTIFICATION_SECONDS
            if at_once:
                self._last_notification = monotonic()
            data = activity_data(sensors, beliefs, written)
            await activities.record(
                con, sensors[0].account, ActivityType.DATA_STORED, data, tracing.carrier(), at_once=at_once
            )

    async def _has_audience(self, con: Connection, account: int | None) -> bool:
        """Return whether anyone follows the data of an account.

        The result is cached, because a query each time would cost more than most posts.
        """
        until, has_audience = self._audiences.get(account, (0.0, False))
        if monotonic() >= until:
            now = monotonic()
            has_audience = await activities.has_audience(con, account, ActivityType.DATA_STORED)
            self._audiences[account] = (now + AUDIENCE_CACHE_TIME.total_seconds(), has_audience)
        return has_audience


def activity_data(sensors: Sequence[Sensor], beliefs: BeliefBatch, written: WriteCounts) -> dict[str, object]:
    """Return the data of the activity: the sensors, the window and the counts."""
    first, last = moment_of(np.min(beliefs.event_start)), moment_of(np.max(beliefs.event_start))
    ids = [sensor.id for sensor in sensors]
    return {
        **({"sensor": ids[0]} if len(ids) == 1 else {"sensors": ids}),
        "start": first.isoformat(),
        "end": (last + max(sensor.resolution for sensor in sensors)).isoformat(),
        "new": written.new,
        "changed": written.changed,
    }
