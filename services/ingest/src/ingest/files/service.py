"""Uploaded files to stored beliefs: all of them, or none and the reasons by row."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO

import numpy as np
import polars as pl
from flexmodel.time import instant
from flexstore import audit_log, sources
from flexstore.series import BeliefBatch
from flexstore.store import Connection, Store

from ingest.data.repository import Sensor, UserSources
from ingest.data.units import accepts
from ingest.files import columns
from ingest.files.columns import Layout
from ingest.files.formats import Limits, is_packed
from ingest.files.problems import FileError
from ingest.files.reading import tables
from ingest.files.report import FileReport, Report, refusal
from ingest.files.sensors import Feeder, Sensors
from ingest.files.staging import Staging, beside
from ingest.settings import IngestSettings
from ingest.storing import Storage

SOURCE_TYPE = "upload"
"""The type of a source that only a file names."""
MOST_SOURCES = 100
ENOUGH_PROBLEMS = 1_000
"""After so many, a file that is refused anyway is read no further."""
ABOUT_SENSORS = """
select sensor.id, sensor.name, sensor.asset_id, asset.account_id
from sensor join asset on asset.id = sensor.asset_id where sensor.id = any($1::int[]) order by sensor.id
"""


class Progress:
    """Hears how far an upload is."""

    def unpacked(self, size: int) -> None:
        """A file has so many bytes once it is text."""

    async def read(self, rows: int, values: int) -> None:
        """So many more rows were read, and values in them."""

    async def stored(self, rows: int) -> None:
        """So many more events were stored, unless the upload fails."""


@dataclass(frozen=True, slots=True)
class File:
    name: str
    content: BinaryIO
    size: int

    def is_packed(self) -> bool:
        """Whether its size tells little of how much is in it."""
        self.content.seek(0)
        return is_packed(self.content.read(4))


@dataclass(frozen=True, slots=True)
class Terms:
    """How files are to be understood."""

    sensor: int | None
    """The sensor that all of it is about; None: the files name their sensors."""
    unit: str | None = None
    timezone: str | None = None
    measured_instantly: bool = False
    """Whether each value was known as soon as its event was over, rather than now."""
    partial: bool = False
    """Whether to store what can be read of files with rows that cannot."""


def limits_of(settings: IngestSettings) -> Limits:
    return Limits(settings.upload_max_rows, settings.upload_max_bytes, settings.upload_max_unpacked_bytes)


class Uploading:
    """Takes uploads, in the caller's transaction."""

    def __init__(self, storage: Storage, sources: UserSources, limits: Limits) -> None:
        self.storage = storage
        self.limits = limits
        self._sources = sources

    async def source_of(self, store: Store, user: int) -> int:
        """The source that stands for a user. It is there to stay, whatever becomes of the upload."""
        async with store.connection() as con:
            return await self._sources.of(con, user)

    async def take(
        self,
        con: Connection,
        feeder: Feeder,
        terms: Terms,
        files: Sequence[File],
        *,
        source: int,
        progress: Progress,
        sent_at: datetime,
    ) -> Report:
        """Store what is in the files; `source` stands for who sent them, unless they say whose the values are.

        Raises `Invalid` with the reasons, by file, when they are refused.
        """
        sensors = Sensors(feeder, terms.unit)
        if terms.sensor is not None:
            await sensors.only(con, terms.sensor)
        named = _Sources(feeder.user, source)
        work = _Work(con, self.storage, self.limits, terms, sensors, named, progress, sent_at)
        problems = {}
        for position, file in enumerate(files):
            try:
                report = await work.take(file)
            except FileError as error:
                problems[position] = [str(error)]
                continue
            if report.refused and not terms.partial:
                problems[position] = report.sentences()
        if problems:
            raise refusal(problems, [file.name for file in files])
        await note(con, feeder.user, [file.name for file in files], list(work.report.sensors))
        return work.report


def unit_of(named: str | None, sent: str | None, sensor: Sensor) -> str | None:
    """The unit of a file whose column of values names one, or which was sent as being in one."""
    if named is None or named == sent:
        return sent
    if sent is not None:
        if accepts(sent, named):
            raise FileError(f"The column of values is in {named} by its name, but was sent as {sent}. Leave one out.")
        return sent
    if not accepts(sensor.unit, named):
        raise FileError(
            f"The column of values is in {named} by its name, which is not convertible to {sensor.unit}, the unit of "
            f"sensor {sensor.id}. If it is not, send the right one in the field unit."
        )
    return named


async def note(con: Connection, user: int, files: Sequence[str], sensors: Sequence[int]) -> None:
    """Write into the audit log whose files went where."""
    name = await con.fetchval("select username from users where id = $1", user)
    for sensor in await con.fetch(ABOUT_SENSORS, sensors):
        await audit_log.record(
            con,
            f"Data from {', '.join(files)} uploaded to sensor '{sensor['name']}': {sensor['id']}",
            active_user_id=user,
            active_user_name=name,
            account_id=sensor["account_id"],
            asset_id=sensor["asset_id"],
            sensor_id=sensor["id"],
        )


@dataclass(slots=True)
class _Sources:
    """The sources that files name, which are those of the sender's account; without a name it is the sender."""

    user: int
    otherwise: int
    ids: dict[str, int] = field(default_factory=dict)

    async def add(self, con: Connection, names: Sequence[str]) -> None:
        new = [name for name in names if name not in self.ids]
        if not new:
            return
        if len(self.ids) + len(new) > MOST_SOURCES:
            raise FileError(f"More than {MOST_SOURCES} sources.")
        account = await con.fetchval("select account_id from users where id = $1", self.user)
        for name in sorted(new):
            self.ids[name] = await sources.ensure(con, name=name, type=SOURCE_TYPE, account_id=account)


@dataclass(slots=True)
class _Work:
    """Taking one upload, a file after the other."""

    con: Connection
    storage: Storage
    limits: Limits
    terms: Terms
    sensors: Sensors
    sources: _Sources
    progress: Progress
    sent_at: datetime
    report: Report = field(default_factory=Report)
    _unit: str | None = None
    """That of the values in the file that is taken; None: the sensor's."""

    async def take(self, file: File) -> FileReport:
        self._unit = self.terms.unit
        report = FileReport(file.name)
        self.report.files.append(report)
        async with Staging.opened(self.con) as staging:
            await self._stage(file, staging, report)
            if self.terms.partial or not report.refused:
                await staging.settle()
                await self._store(staging, report)
        return report

    async def _stage(self, file: File, staging: Staging, report: FileReport) -> None:
        """Read the file, a table at a time and beside the event loop, and lay its rows by."""
        read_ones = tables(file.content, self.limits, self._lay_out, report.problems, unpacked=self.progress.unpacked)
        async for reader, table in beside(read_ones):
            names = reader.layout.named_sensors(table)
            unknown = await self.sensors.find(self.con, names)
            table = reader.layout.without(unknown, table, report.problems)
            zone = self.terms.timezone or self.sensors.zone(names.difference(unknown))
            rows = await asyncio.to_thread(reader.rows, table, zone, report.problems)
            await staging.add(rows.with_columns(sensor=self._sensor_ids()))
            if staging.count > self.limits.rows:
                raise FileError(f"There are more than {self.limits.rows} values. Split the file.")
            if report.problems.count > ENOUGH_PROBLEMS and not self.terms.partial:
                report.stopped = True
                break
            await self.progress.read(table.height, rows.height)
        report.rows = staging.count

    def _sensor_ids(self) -> pl.Expr:
        """The ids of the sensors that the file names, or that of the only one."""
        ids = {name: sensor.id for name, sensor in self.sensors.known.items()}
        only = ids.get(None)
        if only is not None:
            return pl.lit(only, pl.Int32)
        return pl.col("sensor").replace_strict(ids, default=None, return_dtype=pl.Int32)

    def _lay_out(self, names: tuple[str, ...], table: pl.DataFrame) -> Layout:
        only = self.sensors.known.get(None)
        if only is None:
            return columns.of_many_sensors(names, table)
        layout = columns.of_one_sensor(names, table, only.name)
        self._unit = unit_of(layout.unit, self.terms.unit, only)
        return layout

    async def _store(self, staging: Staging, report: FileReport) -> None:
        """Store the rows that were laid by as events."""
        async for sensor, events in staging.events(self.sensors.known.values(), self._unit, report.late):
            await self.sources.add(self.con, events["source"].unique().drop_nulls().to_list())
            beliefs = self._beliefs(events, sensor)
            self.report.sensors[sensor.id] += await self.storage.store(self.con, sensor, beliefs)
            await self.progress.stored(events.height)

    def _beliefs(self, events: pl.DataFrame, sensor: Sensor) -> BeliefBatch:
        starts = events["start"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
        said = events["belief"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
        instantly = self.terms.measured_instantly
        otherwise = starts + np.timedelta64(sensor.resolution) if instantly else instant(self.sent_at)
        ids = events["source"].replace_strict(self.sources.ids, default=self.sources.otherwise, return_dtype=pl.Int64)
        return BeliefBatch(
            sensor=sensor.id,
            event_start=starts,
            belief_time=np.where(np.isnat(said), otherwise, said),
            values=events["value"].to_numpy(),
            source=ids.to_numpy(),
            probability=events["probability"].to_numpy(),
        )
