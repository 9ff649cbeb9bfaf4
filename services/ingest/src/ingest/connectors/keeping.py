"""Storing what was fetched: through the ordinary storing code, all series that fit their sensors at once."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from flexmodel.time import moment_of
from flexstore import sources
from flexstore.series import BeliefBatch, WriteCounts
from flexstore.store import Store

from ingest.connectors.equipment import Equipped
from ingest.connectors.fetched import Fetched, NotFetched
from ingest.connectors.fitting import beliefs_of
from ingest.data.repository import Sensor
from ingest.storing import Storage

type Kept = tuple[WriteCounts, datetime | None]
"""What was new, and up to when all series are known; None if one of them had nothing."""


async def keep(store: Store, storage: Storage, equipped: Equipped, fetched: Sequence[Fetched]) -> Kept:
    """Store it. Raises `NotFetched` when a series does not fit its sensor; then the others are stored."""
    usual = equipped.kind.origin(equipped.settings, equipped.row.name, equipped.row.id)
    origins = {each.origin or usual for each in fetched}
    async with store.connection() as con:
        ids = {origin: await sources.ensure(con, origin.name, origin.type, origin.model) for origin in origins}
    numbers = [ids[each.origin or usual] for each in fetched]
    beliefs, misfits = await asyncio.to_thread(by_series, equipped, fetched, numbers)
    async with store.connection() as con:
        written = await storage.store_together(con, together(equipped, beliefs))
    for misfit in misfits:
        raise misfit
    ends = [end_of(beliefs[series], equipped, series) for series in equipped.sensors if series in beliefs]
    return written, min(ends) if len(ends) == len(equipped.sensors) else None


def by_series(
    equipped: Equipped, fetched: Sequence[Fetched], numbers: Sequence[int]
) -> tuple[dict[str, BeliefBatch], list[NotFetched]]:
    """The beliefs about each sensor of which something is known, and what does not fit; `numbers` are the sources."""
    found, misfits = {}, []
    for series, sensor in equipped.sensors.items():
        own = [(each, source) for each, source in zip(fetched, numbers, strict=True) if each.series == series]
        try:
            beliefs = beliefs_of(own, sensor) if own else None
        except NotFetched as error:
            misfits.append(error)
            continue
        if beliefs is not None and len(beliefs.values):
            found[series] = beliefs
    return found, misfits


def together(equipped: Equipped, beliefs: Mapping[str, BeliefBatch]) -> list[tuple[list[Sensor], BeliefBatch]]:
    """The beliefs of each account and source in one, so that many sensors cost one write."""
    alike: dict[tuple[int | None, bytes], list[str]] = {}
    for series in sorted(beliefs, key=lambda series: equipped.sensors[series].id):
        account = equipped.sensors[series].account
        alike.setdefault((account, np.unique(beliefs[series].source).tobytes()), []).append(series)
    return [
        ([equipped.sensors[each] for each in series], joined([beliefs[each] for each in series]))
        for series in alike.values()
    ]


def joined(parts: Sequence[BeliefBatch]) -> BeliefBatch:
    """Beliefs about several sensors as one."""
    columns = [
        [
            np.broadcast_to(np.asarray(column), len(part.values))
            for column in (part.sensor, part.event_start, part.belief_time, part.values, part.source, part.probability)
        ]
        for part in parts
    ]
    return BeliefBatch(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def end_of(beliefs: BeliefBatch, equipped: Equipped, series: str) -> datetime:
    return moment_of(np.max(beliefs.event_start)) + equipped.sensors[series].resolution
