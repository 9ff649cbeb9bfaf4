"""Scheduling cases as files, played in memory or through a real database."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flexmodel.problem import Array
from flexmodel.quantities import convert
from flexmodel.time import Instants, instant, parse_fixed_duration, parse_moment, steps
from flexmodel.tree import AssetTree, TreeAsset, TreeSensor
from flexstore import series, sources
from flexstore.series import BeliefBatch, SeriesQuery
from flexstore.store import Store

LISTS_OF_SENSORS = ("sensors", "inflexible-device-sensors")
SINGLE_SENSORS = ("sensor", "consumption-price-sensor", "production-price-sensor")
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Posted:
    """Values as a source recorded them, in the sensor's unit."""

    starts: Instants
    values: Array
    recorded: datetime
    source: str
    source_type: str


class Case:
    """One file. Assets and sensors get numbers in the order in which they stand there, unless others are given."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.document: dict[str, Any] = json.loads(path.read_text())
        self.assets = {name: number for number, name in enumerate(self.document["assets"], start=1)}
        self.sensors = {name: number for number, name in enumerate(self.document["sensors"], start=101)}

    @property
    def expect(self) -> dict[str, Any]:
        expect: dict[str, Any] = self.document["expect"]
        return expect

    @property
    def start(self) -> datetime:
        return parse_moment(self.document["trigger"]["start"])

    @property
    def sensor_id(self) -> int | None:
        name = self.document["trigger"].get("sensor")
        return None if name is None else self.sensors[name]

    @property
    def asset_id(self) -> int:
        trigger = self.document["trigger"]
        return self.assets[
            trigger["asset"] if "asset" in trigger else self.document["sensors"][trigger["sensor"]]["asset"]
        ]

    @property
    def message(self) -> dict[str, Any]:
        """The trigger's body."""
        body = {key: value for key, value in self.document["trigger"].items() if key not in ("asset", "sensor")}
        numbered: dict[str, Any] = self.numbered(body)
        return numbered

    def numbered(self, node: Any) -> Any:
        """Ids for names, however deep."""
        if isinstance(node, Mapping):
            return {key: self._numbered(key, value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.numbered(item) for item in node]
        return node

    def _numbered(self, key: str, value: Any) -> Any:
        if key in SINGLE_SENSORS and isinstance(value, str):
            return self.sensors[value]
        if key in LISTS_OF_SENSORS and isinstance(value, list):
            return [self.sensors[name] for name in value]
        if key == "asset" and isinstance(value, str):
            return self.assets[value]
        return self.numbered(value)

    @property
    def tree(self) -> AssetTree:
        assets = {
            number: TreeAsset(
                number,
                name,
                self.assets.get(asset.get("parent")),
                1,
                asset["type"],
                asset.get("attributes", {}),
                self.numbered(asset.get("flex-model", {})),
                self.numbered(asset.get("flex-context", {})),
            )
            for (name, number), asset in zip(self.assets.items(), self.document["assets"].values(), strict=True)
        }
        sensors = {
            number: TreeSensor(
                number,
                name,
                self.assets[sensor["asset"]],
                1,
                sensor["unit"],
                parse_fixed_duration(sensor["resolution"]),
                sensor.get("timezone", self.timezone),
                sensor.get("attributes", {}),
            )
            for (name, number), sensor in zip(self.sensors.items(), self.document["sensors"].values(), strict=True)
        }
        return AssetTree(self.asset_id, assets, sensors)

    @property
    def timezone(self) -> str:
        hours = round((self.start.utcoffset() or timedelta(0)) / timedelta(hours=1))
        return f"Etc/GMT{-hours:+d}" if hours else "UTC"

    @cached_property
    def posted(self) -> dict[str, list[Posted]]:
        """What is known, by name of the sensor."""
        return {
            name: [self._posted(sensor, entry) for entry in sensor.get("data", [])]
            for name, sensor in self.document["sensors"].items()
        }

    def _posted(self, sensor: Mapping[str, Any], entry: Mapping[str, Any]) -> Posted:
        own = parse_fixed_duration(sensor["resolution"])
        apart = parse_fixed_duration(entry["resolution"]) if "resolution" in entry else own
        given = np.array(unpacked(entry["values"]), dtype=np.float64)
        given = convert(given, entry.get("unit", sensor["unit"]), sensor["unit"], apart or None)
        repeats = apart // own if own and apart > own else 1
        starts = steps(parse_moment(entry["start"]), apart / repeats, len(given) * repeats)
        values = np.repeat(given, repeats)
        known = ~np.isnan(values)
        recorded = parse_moment(entry["recorded"]) if "recorded" in entry else self.start - DAY
        return Posted(
            starts[known], values[known], recorded, entry.get("source", "test"), entry.get("source-type", "script")
        )

    def read(self, query: SeriesQuery) -> tuple[Instants, Array]:
        """What the store would answer: of every event the latest belief of the sources asked for."""
        name = next(name for name, number in self.sensors.items() if number == query.sensor_id)
        latest: dict[np.datetime64, float] = {}
        for entry in sorted(self.posted[name], key=lambda entry: entry.recorded):
            if query.types is not None and entry.source_type not in query.types:
                continue
            if query.excluded_types is not None and entry.source_type in query.excluded_types:
                continue
            if query.prior is not None and entry.recorded > query.prior:
                continue
            latest |= dict(zip(entry.starts, entry.values, strict=True))
        before = instant(query.start - (query.resolution or timedelta(microseconds=1)))
        kept = sorted(event for event in latest if before < event < instant(query.end))
        return np.array(kept, "datetime64[us]"), np.array([latest[event] for event in kept], dtype=np.float64)


def unpacked(values: list[Any]) -> list[float]:
    """`[12, 3]` stands for 12 three times, `null` for no value."""
    every: list[float] = []
    for value in values:
        every += [value[0]] * value[1] if isinstance(value, list) else [np.nan if value is None else value]
    return [np.nan if value is None else float(value) for value in every]


@pytest.fixture
def case() -> Callable[[Path], Case]:
    """Opens a case."""
    return Case


@pytest.fixture
def unpack() -> Callable[[list[Any]], list[float]]:
    return unpacked


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.connect(database_url)
    yield store
    await store.close()


@pytest.fixture
def plant(store: Store) -> Callable[[Case], Awaitable[None]]:
    """Puts a case into the database; from then on the case uses the ids that things have there."""

    async def put(one: Case) -> None:
        async with store.transaction() as con:
            account = await con.fetchval("insert into account (name) values ($1) returning id", one.name)
            for name, asset in one.document["assets"].items():
                one.assets[name] = await con.fetchval(
                    "insert into asset (name, account_id, parent_asset_id, attributes, asset_type_id)"
                    " values ($1, $2, $3, $4, (select id from asset_type order by id limit 1)) returning id",
                    name, account, one.assets.get(asset.get("parent")), asset.get("attributes", {}),
                )  # fmt: skip
            for name, sensor in one.document["sensors"].items():
                one.sensors[name] = await con.fetchval(
                    "insert into sensor (asset_id, name, unit, event_resolution, timezone, attributes)"
                    " values ($1, $2, $3, $4, $5, $6) returning id",
                    one.assets[sensor["asset"]], name, sensor["unit"], parse_fixed_duration(sensor["resolution"]),
                    sensor.get("timezone", one.timezone), sensor.get("attributes", {}),
                )  # fmt: skip
            for name, asset in one.document["assets"].items():
                model, context = (one.numbered(asset.get(key, {})) for key in ("flex-model", "flex-context"))
                await con.execute(
                    "update asset set flex_model = $2, flex_context = $3 where id = $1",
                    one.assets[name],
                    model,
                    context,
                )
            for name, entries in one.posted.items():
                for entry in entries:
                    source = await sources.ensure(con, entry.source, entry.source_type)
                    recorded = instant(entry.recorded)
                    await series.write_beliefs(
                        con, BeliefBatch(one.sensors[name], entry.starts, recorded, entry.values, source)
                    )

    return put
