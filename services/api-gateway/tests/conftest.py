"""Fixtures of the tests of the gateway: a gateway on a fresh database, people with roles, and beliefs."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from flexstore import sources
from flexstore.series import BeliefBatch, to_datetime64, write_beliefs
from gateway_house import ROLES, START, AddBeliefs, AddSite, House, OpenHouse, Person, TenancyRule, World, open_gateway


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with open_gateway(database_url) as house:
        yield house


@pytest.fixture
def open_house(database_url: str) -> OpenHouse:
    """Open a gateway with other settings."""
    return lambda **changes: open_gateway(database_url, **changes)


@pytest.fixture
async def toy(house: House) -> Person:
    """The administrator of an account, as in the tutorials."""
    return await house.person("toy-user", await house.account("Toy Account"), "account-admin")


@pytest.fixture
def add_site(toy: Person) -> AddSite:
    """Add a building with a price sensor and a battery with a power sensor. Returns their ids in this order."""

    async def add(name: str = "site") -> tuple[int, int, int, int]:
        building = await toy.post("/assets", {"name": name, "generic_asset_type_id": 6})
        price = {"name": "price", "unit": "EUR/MWh", "event_resolution": "PT1H", "generic_asset_id": building["id"]}
        battery = {"name": "battery", "generic_asset_type_id": 5, "parent_asset_id": building["id"]}
        made = await toy.post("/sensors", price), await toy.post("/assets", battery)
        power = {"name": "power", "unit": "kW", "event_resolution": "PT15M", "generic_asset_id": made[1]["id"]}
        return building["id"], made[0]["id"], made[1]["id"], (await toy.post("/sensors", power))["id"]

    return add


@pytest.fixture
def know(house: House) -> AddBeliefs:
    """Let a source believe values of a sensor from the start on."""

    async def believe(
        sensor: int,
        values: list[float],
        minutes: int,
        *,
        at: datetime = START,
        source: str = "meter",
        kind: str = "user",
    ) -> int:
        starts = np.datetime64(START.replace(tzinfo=None), "us") + np.arange(len(values)) * np.timedelta64(minutes, "m")
        async with house.store.transaction() as con:
            source_id: int = await sources.ensure(con, source, kind)
            await write_beliefs(con, BeliefBatch(sensor, starts, to_datetime64(at), np.array(values), source_id))
        return source_id

    return believe


@pytest.fixture(scope="session")
def table() -> list[TenancyRule]:
    lines = (Path(__file__).parent / "tenancy.txt").read_text().splitlines()
    return [TenancyRule.of(line) for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture
async def world(house: House) -> AsyncIterator[World]:
    own, platform = await house.account("own"), await house.account("platform")
    accounts: dict[str, int | None] = {
        "own": own, "client": await house.account("client", own), "foreign": await house.account("foreign"),
        "public": None,
    }  # fmt: skip
    people = {letter: await house.person(letter, own, *([role] if role else [])) for letter, role in ROLES.items()}
    people["A"] = await house.person("A", platform, "admin")
    people["R"] = await house.person("R", platform, "admin-reader")
    house.ingest.answer = (200, {"message": "Sensor data has been stored.", "status": "PROCESSED", "refused": {}})
    yield World(house, people, accounts)
