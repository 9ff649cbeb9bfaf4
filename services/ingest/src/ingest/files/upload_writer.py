"""Storage of the values of uploaded files: all of them, or none with the reasons by row."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl
from flexmodel.time import instant
from flexstore import audit_log, sources
from flexstore.series import BeliefBatch
from flexstore.store import Connection, Store

from ingest.belief_writer import BeliefWriter
from ingest.data.repository import Sensor, UserSources
from ingest.data.units import accepts_unit
from ingest.files import column_layout
from ingest.files.column_layout import ColumnLayout
from ingest.files.csv_reader import read_tables
from ingest.files.errors import FileError
from ingest.files.file_formats import FileLimits
from ingest.files.report import FileReport, UploadReport, refused_files
from ingest.files.schemas import UploadedFile, UploadOptions
from ingest.files.sensor_lookup import SensorLookup, UploadSender
from ingest.files.staging import Staging, iterate_in_thread
from ingest.settings import IngestSettings

SOURCE_TYPE = "upload"
"""Type of a data source that a file names."""
MAX_SOURCES = 100
MAX_ERRORS_READ = 1_000
"""A file that is refused anyway is not read further after this many errors."""
SENSORS_FOR_AUDIT = """
select sensor.id, sensor.name, sensor.asset_id, asset.account_id
from sensor join asset on asset.id = sensor.asset_id where sensor.id = any($1::int[]) order by sensor.id
"""


class UploadProgress:
    """Callbacks with the progress of an upload."""

    def on_size_known(self, size: int) -> None:
        """Called with the number of bytes of a file as text."""

    async def on_rows_read(self, rows: int, values: int) -> None:
        """Called with the numbers of additional rows and values read."""

    async def on_events_stored(self, rows: int) -> None:
        """Called with the number of additional events stored. They are discarded if the upload fails."""


def file_limits(settings: IngestSettings) -> FileLimits:
    """Return the limits of files in the settings."""
    return FileLimits(settings.upload_max_rows, settings.upload_max_bytes, settings.upload_max_unpacked_bytes)


class UploadWriter:
    """Writes the values of uploads, in the caller's transaction."""

    def __init__(self, writer: BeliefWriter, sources: UserSources, limits: FileLimits) -> None:
        self.writer = writer
        self.limits = limits
        self._sources = sources

    async def load_source_id(self, store: Store, user: int) -> int:
        """Return the source of a user. It is created if needed, and stays if the upload fails."""
        async with store.connection() as con:
            return await self._sources.load_source_id(con, user)

    async def write(
        self,
        con: Connection,
        sender: UploadSender,
        options: UploadOptions,
        files: Sequence[UploadedFile],
        *,
        source: int,
        progress: UploadProgress,
        sent_at: datetime,
    ) -> UploadReport:
        """Write the values of the files.

        Args:
            con: A connection in a transaction.
            sender: The sender of the upload.
            options: Options for parsing the files.
            files: The files.
            source: Source of values for which the files name none.
            progress: Callbacks with the progress.
            sent_at: Belief time of values for which the files have none.

        Raises:
            Invalid: Files are refused, with the reasons by file.
        """
        sensors = SensorLookup(sender, options.unit)
        if options.sensor_id is not None:
            await sensors.set_only_sensor(con, options.sensor_id)
        named_sources = _NamedSources(sender.user_id, source)
        file_writer = _FileWriter(con, self.writer, self.limits, options, sensors, named_sources, progress, sent_at)
        errors: dict[int, list[str]] = {}
        for position, file in enumerate(files):
            try:
                report = await file_writer.write(file)
            except FileError as error:
                errors[position] = [str(error)]
                continue
            if report.refused and not options.partial:
                errors[position] = report.to_sentences()
        if errors:
            raise refused_files(errors, [file.name for file in files])
        await record_audit(con, sender.user_id, [file.name for file in files], list(file_writer.report.sensors))
        return file_writer.report


def choose_unit(named: str | None, sent: str | None, sensor: Sensor) -> str | None:
    """Return the unit of a file: that in the name of its value column, or that sent with it."""
    if named is None or named == sent:
        return sent
    if sent is not None:
        if accepts_unit(sent, named):
            raise FileError(f"The column of values is in {named} by its name, but was sent as {sent}. Leave one out.")
        return sent
    if not accepts_unit(sensor.unit, named):
        raise FileError(
            f"The column of values is in {named} by its name, which is not convertible to {sensor.unit}, the unit of "
            f"sensor {sensor.id}. If it is not, send the right one in the field unit."
        )
    return named


async def record_audit(con: Connection, user: int, files: Sequence[str], sensors: Sequence[int]) -> None:
    """Record the upload in the audit log of each sensor."""
    name = await con.fetchval("select username from users where id = $1", user)
    for sensor in await con.fetch(SENSORS_FOR_AUDIT, sensors):
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
class _NamedSources:
    """Sources that files name, which belong to the sender's account. Without a name the source is the sender."""

    user_id: int
    sender_source: int
    ids: dict[str, int] = field(default_factory=dict)

    async def ensure(self, con: Connection, names: Sequence[str]) -> None:
        """Create the sources with these names that do not exist."""
        new = [name for name in names if name not in self.ids]
        if not new:
            return
        if len(self.ids) + len(new) > MAX_SOURCES:
            raise FileError(f"More than {MAX_SOURCES} sources.")
        account = await con.fetchval("select account_id from users where id = $1", self.user_id)
        for name in sorted(new):
            self.ids[name] = await sources.ensure(con, name=name, type=SOURCE_TYPE, account_id=account)


@dataclass(slots=True)
class _FileWriter:
    """Writes the files of one upload, one after the other."""

    con: Connection
    writer: BeliefWriter
    limits: FileLimits
    options: UploadOptions
    sensors: SensorLookup
    sources: _NamedSources
    progress: UploadProgress
    sent_at: datetime
    report: UploadReport = field(default_factory=UploadReport)
    _unit: str | None = None
    """Unit of the current file; None for the sensor's."""

    async def write(self, file: UploadedFile) -> FileReport:
        """Write the values of a file, unless it has errors and is not to be stored in part."""
        self._unit = self.options.unit
        report = FileReport(file.name)
        self.report.files.append(report)
        async with Staging.open(self.con) as staging:
            await self._stage(file, staging, report)
            if self.options.partial or not report.refused:
                await staging.resolve_ambiguous_times()
                await self._store(staging, report)
        return report

    async def _stage(self, file: UploadedFile, staging: Staging, report: FileReport) -> None:
        """Read the file table by table in a thread, and stage its rows."""
        tables = read_tables(
            file.content, self.limits, self._detect_layout, report.errors, on_size_known=self.progress.on_size_known
        )
        async for parser, table in iterate_in_thread(tables):
            names = parser.layout.named_sensors(table)
            unknown = await self.sensors.load_named(self.con, names)
            table = parser.layout.drop_unknown_sensors(unknown, table, report.errors)
            zone = self.options.timezone or self.sensors.common_time_zone(names.difference(unknown))
            rows = await asyncio.to_thread(parser.parse, table, zone, report.errors)
            await staging.add(rows.with_columns(sensor=self._sensor_ids()))
            if staging.count > self.limits.rows:
                raise FileError(f"There are more than {self.limits.rows} values. Split the file.")
            if report.errors.count > MAX_ERRORS_READ and not self.options.partial:
                report.stopped_early = True
                break
            await self.progress.on_rows_read(table.height, rows.height)
        report.rows = staging.count

    def _sensor_ids(self) -> pl.Expr:
        """Return the ids of the sensors that the file names, or that of the only one."""
        ids = {name: sensor.id for name, sensor in self.sensors.known.items()}
        only = ids.get(None)
        if only is not None:
            return pl.lit(only, pl.Int32)
        return pl.col("sensor").replace_strict(ids, default=None, return_dtype=pl.Int32)

    def _detect_layout(self, names: tuple[str, ...], table: pl.DataFrame) -> ColumnLayout:
        only = self.sensors.known.get(None)
        if only is None:
            return column_layout.layout_for_many_sensors(names, table)
        layout = column_layout.layout_for_one_sensor(names, table, only.name)
        self._unit = choose_unit(layout.unit, self.options.unit, only)
        return layout

    async def _store(self, staging: Staging, report: FileReport) -> None:
        """Write the staged rows as events."""
        async for sensor, events in staging.build_events(self.sensors.known.values(), self._unit, report.late_errors):
            await self.sources.ensure(self.con, events["source"].unique().drop_nulls().to_list())
            beliefs = self._build_beliefs(events, sensor)
            self.report.sensors[sensor.id] += await self.writer.write(self.con, sensor, beliefs)
            await self.progress.on_events_stored(events.height)

    def _build_beliefs(self, events: pl.DataFrame, sensor: Sensor) -> BeliefBatch:
        starts = events["start"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
        belief_times = events["belief"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
        default = (
            starts + np.timedelta64(sensor.resolution) if self.options.measured_instantly else instant(self.sent_at)
        )
        ids = events["source"].replace_strict(
            self.sources.ids, default=self.sources.sender_source, return_dtype=pl.Int64
        )
        return BeliefBatch(
            sensor=sensor.id,
            event_start=starts,
            belief_time=np.where(np.isnat(belief_times), default, belief_times),
            values=events["value"].to_numpy(),
            source=ids.to_numpy(),
            probability=events["probability"].to_numpy(),
        )
