"""Uploaded files to stored beliefs: all of them, or none and the reasons by row."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from flexmodel.errors import Invalid
from flexmodel.time import instant
from flexstore import sources
from flexstore.series import Beliefs, Written
from flexstore.store import Connection, Store

from ingest.data.repository import Sensor, UserSources, find_sensor
from ingest.data.units import accepts
from ingest.files.columns import understand
from ingest.files.events import events_of
from ingest.files.formats import FileError, Limits, read
from ingest.storing import Storage

SOURCE_TYPE = "upload"
"""The type of a source that only a file names."""

MOST_SOURCES = 100


@dataclass(frozen=True, slots=True)
class File:
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """Files for one sensor, and how to read them."""

    files: Sequence[File]
    unit: str | None
    measured_instantly: bool
    """Whether each value was known as soon as its event was over, rather than now."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of an upload."""

    rows: int
    written: Written


class Uploading:
    """Takes uploads. When it returns, the values are stored."""

    def __init__(self, store: Store, storage: Storage, sources: UserSources, limits: Limits) -> None:
        self.store = store
        self.storage = storage
        self.sources = sources
        self.limits = limits

    async def take(self, sensor_id: int, user_id: int, upload: Upload) -> Taken:
        async with self.store.connection() as con:
            sensor = await find_sensor(con, sensor_id)
        # In a thread and without a connection: reading a large file takes a while.
        rows, events = await asyncio.to_thread(read_files, upload, sensor, self.limits)
        async with self.store.transaction() as con:
            source = await self.sources.of(con, user_id)
            ids = await named_sources(con, events["source"].unique().drop_nulls().to_list(), user_id)
            beliefs = beliefs_of(events, sensor, source, ids, measured_instantly=upload.measured_instantly)
            return Taken(rows, await self.storage.store(con, sensor, beliefs))


def read_files(upload: Upload, sensor: Sensor, limits: Limits) -> tuple[int, pl.DataFrame]:
    """How many rows with values there are, and the events in them."""
    if upload.unit is not None and not accepts(sensor.unit, upload.unit):
        raise Invalid({"_schema": [f"Provided unit '{upload.unit}' is not convertible to sensor unit '{sensor.unit}'"]})
    read_ones, problems = [], {}
    for position, file in enumerate(upload.files):
        try:
            read_ones.append(read_file(file.content, sensor, upload.unit, limits))
        except UnreadRows as error:
            problems[str(position)] = error.sentences
    if problems:
        raise Invalid({"uploaded-files": problems})
    return sum(rows for rows, _ in read_ones), pl.concat([events for _, events in read_ones])


class UnreadRows(Exception):  # noqa: N818 - it says what it is
    def __init__(self, sentences: list[str]) -> None:
        super().__init__(sentences[0])
        self.sentences = sentences


def read_file(content: bytes, sensor: Sensor, unit: str | None, limits: Limits) -> tuple[int, pl.DataFrame]:
    try:
        rows = understand(read(content, limits), sensor.timezone, sensor.name)
        if rows.problems:
            raise UnreadRows(rows.problems)
        return rows.frame.height, events_of(rows.frame, sensor, unit)
    except FileError as error:
        raise UnreadRows([str(error)]) from error
    except pl.exceptions.PanicException as error:  # a bug of the reader, which only this file touches
        raise UnreadRows(["The file cannot be read: it may be damaged."]) from error


async def named_sources(con: Connection, names: list[str], user_id: int) -> dict[str, int]:
    """The sources that the files name, which are those of the user's account."""
    if len(names) > MOST_SOURCES:
        raise Invalid({"uploaded-files": [f"They name {len(names)} sources; at most {MOST_SOURCES} are taken."]})
    account = await con.fetchval("select account_id from users where id = $1", user_id) if names else None
    return {name: await sources.ensure(con, name=name, type=SOURCE_TYPE, account_id=account) for name in sorted(names)}


def beliefs_of(
    events: pl.DataFrame, sensor: Sensor, source: int, ids: dict[str, int], *, measured_instantly: bool
) -> Beliefs:
    starts = events["start"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    said = events["belief"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    otherwise = starts + np.timedelta64(sensor.resolution) if measured_instantly else instant(datetime.now(UTC))
    return Beliefs(
        sensor=sensor.id,
        event_start=starts,
        belief_time=np.where(np.isnat(said), otherwise, said),
        values=events["value"].to_numpy(),
        source=events["source"].replace_strict(ids, default=source, return_dtype=pl.Int64).to_numpy(),
    )
