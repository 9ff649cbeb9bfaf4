"""Scheduling cases as files, played in memory or through a real database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from flexmodel.time import instant, parse_fixed_duration
from flexstore import series, sources
from flexstore.series import BeliefBatch
from flexstore.store import Store
from scheduling_cases import Case, Unpack, unpack_values


@pytest.fixture
def case() -> Callable[[Path], Case]:
    """Return the function that opens a case file."""
    return Case


@pytest.fixture
def unpack() -> Unpack:
    return unpack_values


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.connect(database_url)
    yield store
    await store.close()


@pytest.fixture
def plant(store: Store) -> Callable[[Case], Awaitable[None]]:
    """Return the function that puts a case into the database. The case uses the ids of the database from then on."""

    async def put(case_file: Case) -> None:
        async with store.transaction() as con:
            account = await con.fetchval("insert into account (name) values ($1) returning id", case_file.name)
            for name, asset in case_file.document["assets"].items():
                case_file.assets[name] = await con.fetchval(
                    "insert into asset (name, account_id, parent_asset_id, attributes, asset_type_id)"
                    " values ($1, $2, $3, $4, (select id from asset_type order by id limit 1)) returning id",
                    name, account, case_file.assets.get(asset.get("parent")), asset.get("attributes", {}),
                )  # fmt: skip
            for name, sensor in case_file.document["sensors"].items():
                case_file.sensors[name] = await con.fetchval(
                    "insert into sensor (asset_id, name, unit, event_resolution, timezone, attributes)"
                    " values ($1, $2, $3, $4, $5, $6) returning id",
                    case_file.assets[sensor["asset"]], name, sensor["unit"], parse_fixed_duration(sensor["resolution"]),
                    sensor.get("timezone", case_file.timezone), sensor.get("attributes", {}),
                )  # fmt: skip
            for name, asset in case_file.document["assets"].items():
                model, context = (case_file.numbered(asset.get(key, {})) for key in ("flex-model", "flex-context"))
                await con.execute(
                    "update asset set flex_model = $2, flex_context = $3 where id = $1",
                    case_file.assets[name],
                    model,
                    context,
                )
            for name, entries in case_file.posted.items():
                for entry in entries:
                    source = await sources.ensure(con, entry.source, entry.source_type)
                    recorded = instant(entry.recorded)
                    await series.write_beliefs(
                        con, BeliefBatch(case_file.sensors[name], entry.starts, recorded, entry.values, source)
                    )

    return put
