"""A home is planned hour after hour, as in the example of an energy management system that comes with the real client.

A community has a house with a roof, a battery, two charge points and a heat pump with a buffer of hot water. It is set
up and its data are uploaded through the client. Then every four hours the next day is planned, the plan is carried out
until the next one, and what was measured is posted.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from flexmeasures_client import FlexMeasuresClient
from platforms import EMAIL, PASSWORD, Platform

# Far ahead, so that whatever is posted now was known when the plans are made.
START = datetime.fromisoformat("2040-01-16T00:00:00+01:00")
STEP, HORIZON, QUARTER = timedelta(hours=4), timedelta(days=1), timedelta(minutes=15)
QUARTERS = 96
LEAVES, RETURNS = START.replace(hour=7), START.replace(hour=13)
ZONE = "Europe/Amsterdam"
CARS = ("car 1", "car 2")
DEVICES = ("roof", "battery", "car 1", "car 2", "heat pump")
STORES = ("battery", "car 1", "car 2", "heat pump")


@dataclass
class Home:
    """The house, with the ids of its sensors by asset and name, and how full its stores are in kWh."""

    client: FlexMeasuresClient
    folder: Path
    account: int
    name: str
    assets: dict[str, int] = field(default_factory=dict)
    sensors: dict[str, int] = field(default_factory=dict)
    filled: dict[str, float] = field(
        default_factory=lambda: {"battery": 8.0, "car 1": 12.0, "car 2": 12.0, "heat pump": 3.0}
    )

    async def add_asset(self, name: str, kind: int, parent: str | None = None) -> None:
        place = {"latitude": 52.37, "longitude": 4.9, "account_id": self.account, "generic_asset_type_id": kind}
        above = self.assets.get(parent or "")
        self.assets[name] = (
            await self.client.add_asset(name=f"{name} of {self.name}", parent_asset_id=above, **place)
        )["id"]

    async def add_sensor(self, asset: str, name: str, unit: str, resolution: str = "PT15M") -> None:
        made = await self.client.add_sensor(
            name, resolution, unit, self.assets[asset], ZONE, {"consumption_is_positive": True}
        )
        self.sensors[f"{asset}/{name}"] = made["id"]

    def ref(self, sensor: str) -> dict[str, int]:
        return {"sensor": self.sensors[sensor]}

    async def upload(self, sensor: str, values: Iterable[float], step: timedelta = QUARTER) -> None:
        """Two days of values in a file."""
        rows = [f"{(START + index * step).isoformat()},{value}" for index, value in enumerate(values)]
        file = self.folder / f"{sensor.replace('/', '-')}.csv"
        file.write_text("\n".join(["event_start,event_value", *rows]))
        await self.client.post_sensor_data(self.sensors[sensor], file_path=str(file))


pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture
async def home(served: Platform, tmp_path: Path) -> AsyncIterator[Home]:
    client = FlexMeasuresClient(
        host=f"{served.host}:{served.port}", email=EMAIL, password=PASSWORD, request_retry_interval=0.05
    )
    account = await client.get_account()
    assert account is not None
    home = Home(client, tmp_path, account["id"], f"house {uuid4().hex[:8]}")
    await set_up(home)
    await fill_in(home)
    yield home
    await client.close()


async def set_up(home: Home) -> None:
    """The assets, their sensors, what is known of the devices, and the limits and prices around them."""
    await home.add_asset("market", 8)
    await home.add_sensor("market", "price", "EUR/kWh", "PT1H")
    await home.add_asset("community", 6)
    await home.add_sensor("community", "capacity", "kW")
    await home.client.update_asset(
        home.assets["community"], {"flex_context": {"site-power-capacity": home.ref("community/capacity")}}
    )
    await home.add_asset("house", 6, "community")
    for name in ("consumption", "aggregate"):
        await home.add_sensor("house", name, "kW")
    for name in ("most consumption", "most production"):
        await home.add_sensor("house", name, "kW", "PT1H")
    await home.add_sensor("house", "peak price", "EUR/kW")
    await home.add_sensor("house", "daily costs", "EUR", "P1D")
    await home.add_asset("roof", 1, "house")
    for name in ("available", "power"):
        await home.add_sensor("roof", name, "kW")
    for device in STORES:
        await home.add_asset(device, 4 if device in CARS else 5, "house")
        await home.add_sensor(device, "power", "kW")
        await home.add_sensor(device, "state of charge", "kWh", "PT0M")
    await home.add_sensor("heat pump", "heat demand", "kW")
    await describe(home)


async def describe(home: Home) -> None:
    models: dict[str, dict[str, Any]] = {
        "battery": {"soc-max": "15 kWh", "soc-min": "2.5 kWh", "roundtrip-efficiency": 0.85, "power-capacity": "5.0kW"},
        "heat pump": {
            "soc-max": "15.0 kWh",
            "soc-min": "0.0 kWh",
            "soc-usage": [home.ref("heat pump/heat demand")],
            "charging-efficiency": "300.0 %",
            "storage-efficiency": "99.3 %",
            "consumption-capacity": "5 kW",
            "production-capacity": "0 kW",
            "power-capacity": "5.0kW",
        },
    }
    charging = {"soc-max": "60.0 kWh", "soc-min": "12.0 kWh", "roundtrip-efficiency": 0.85, "power-capacity": "11.0kW"}
    models |= {car: charging | {"production-capacity": "0kW"} for car in CARS}
    for device, model in models.items():
        whole = model | {"state-of-charge": home.ref(f"{device}/state of charge")}
        await home.client.update_asset(home.assets[device], {"flex_model": whole, "attributes": {"kept by": "us"}})
    context = {
        "consumption-price": home.ref("market/price"),
        "site-consumption-capacity": home.ref("house/most consumption"),
        "site-production-capacity": home.ref("house/most production"),
        "site-power-capacity": "20 kVA",
        "site-peak-consumption-price": home.ref("house/peak price"),
        "site-peak-consumption": "(30/2 - 1) kW",
        "relax-soc-constraints": True,
        "relax-site-capacity-constraints": True,
        "inflexible-device-sensors": [home.sensors["house/consumption"]],
        "aggregate-power": home.ref("house/aggregate"),
    }
    shown = [{"title": "Power", "sensors": [home.sensors[f"{device}/power"] for device in DEVICES]}]
    kpis = [{"title": "Daily costs", "sensor": home.sensors["house/daily costs"], "function": "sum"}]
    await home.client.update_asset(
        home.assets["house"],
        {"flex_context": context, "sensors_to_show": shown, "sensors_to_show_as_kpis": kpis},
    )


HOURS = np.arange(48) % 24
PRICES = np.where((HOURS >= 1) & (HOURS < 6), 0.05, np.where((HOURS >= 17) & (HOURS < 21), 0.45, 0.2))
SUN = np.round(np.maximum(0, 25 * np.sin((np.arange(192) % 96 - 30) / 40 * np.pi)) * (np.arange(192) % 96 < 70), 3)
DEMAND = np.full(192, 1.2)
OWN_USE = np.full(192, 0.5)


async def fill_in(home: Home) -> None:
    """Prices, limits, sunshine, and what the people in the house will use."""
    hour = timedelta(hours=1)
    await home.upload("market/price", PRICES, hour)
    await home.upload("house/most consumption", np.full(48, 17.25), hour)
    await home.upload("house/most production", np.zeros(48), hour)
    await home.upload("house/peak price", np.full(192, 0.1))
    await home.upload("community/capacity", np.full(192, 30))
    await home.upload("house/consumption", OWN_USE)
    await home.upload("roof/available", SUN)
    await home.upload("heat pump/heat demand", DEMAND)


def devices_at(home: Home, now: datetime) -> list[dict[str, Any]]:
    """Fields that are only known when the plan is made."""
    entries: list[dict[str, Any]] = [
        {
            "sensor": home.sensors["roof/power"],
            "power-capacity": "30 kW",
            "consumption-capacity": "0 kW",
            "production-capacity": home.ref("roof/available"),
        }
    ]
    entries += [{"sensor": home.sensors[f"{store}/power"], "soc-at-start": home.filled[store]} for store in STORES]
    if now < LEAVES:
        away = {"start": LEAVES.isoformat(), "end": RETURNS.isoformat()}
        entries[2] |= {
            "soc-minima": [{"datetime": LEAVES.isoformat(), "value": "48.0 kWh"}],
            "consumption-capacity": [{**away, "value": "0 kW"}],
            "soc-usage": [[{**away, "value": "4 kW"}]],
        }
    entries[3]["soc-minima"] = [{"datetime": START.replace(hour=23, minute=45).isoformat(), "value": "24.0 kWh"}]
    return entries


async def plan(home: Home, now: datetime) -> dict[str, np.ndarray]:
    """The next day: power per device and for the house, in kW, and how full each store will be, in kWh."""
    job = await home.client.trigger_schedule(
        start=now, duration=HORIZON, flex_model=devices_at(home, now), asset_id=home.assets["house"], prior=now
    )
    wanted = {device: f"{device}/power" for device in DEVICES} | {"house": "house/aggregate"}
    wanted |= {f"{device} filled": f"{device}/state of charge" for device in STORES}
    found = {}
    for name, sensor in wanted.items():
        schedule = await home.client.get_schedule(home.sensors[sensor], job, duration=HORIZON)
        assert schedule["scheduler_info"]["scheduler"] == "StorageScheduler"
        found[name] = np.array(schedule["values"])
        assert len(found[name]) == QUARTERS + name.endswith("filled")
    return found


def check(planned: dict[str, np.ndarray], now: datetime) -> None:
    """Assert that the plan respects physics and the limits."""
    first = (now - START) // QUARTER
    window = slice(first, first + QUARTERS)
    house = OWN_USE[window] + sum(planned[device] for device in DEVICES)
    assert planned["house"] == pytest.approx(house, abs=1e-4)
    assert house.max() <= 17.25 + 1e-4
    assert house.min() >= -1e-4, "nothing may be fed in"
    assert np.all(-planned["roof"] <= SUN[window] + 1e-4)
    assert np.all(planned["roof"] <= 1e-6)
    for car in CARS:
        assert np.all((planned[car] >= -1e-6) & (planned[car] <= 11 + 1e-6))
    heat = planned["heat pump filled"]
    kept = heat[:-1] * 0.993 - DEMAND[window] / 4
    assert heat[1:] == pytest.approx(kept + planned["heat pump"] * 3 / 4, abs=0.02), "all heat is accounted for"
    assert heat.min() >= -1e-4
    assert heat.max() <= 15 + 1e-4


async def carry_out(home: Home, planned: dict[str, np.ndarray], now: datetime) -> None:
    """Do the first hours of the plan and post what was measured."""
    steps = STEP // QUARTER
    terms = {"start": now, "duration": STEP, "prior": now + STEP}
    for device in DEVICES:
        values = planned[device][:steps]
        measured = -values if device == "roof" else values
        await home.client.post_sensor_data(
            home.sensors[f"{device}/power"], values=measured.tolist(), unit="kW", **terms
        )
    for device in STORES:
        filled = planned[f"{device} filled"]
        await home.client.post_sensor_data(
            home.sensors[f"{device}/state of charge"], values=filled[:steps].tolist(), unit="kWh", **terms
        )
        home.filled[device] = float(filled[steps])


async def test_a_home_is_planned_hour_after_hour(home: Home) -> None:
    plans = []
    for step in range(4):
        now = START + step * STEP
        planned = await plan(home, now)
        check(planned, now)
        await carry_out(home, planned, now)
        plans.append(planned)
    first, last = plans[0], plans[-1]
    leaves, returns = (LEAVES - START) // QUARTER, (RETURNS - START) // QUARTER
    assert first["car 1 filled"][leaves] >= 48 - 1e-3
    assert np.all(first["car 1"][leaves:returns] == 0)
    assert first["car 2 filled"][95] >= 24 - 1e-3
    # At noon the roof makes more than the house can take and is held back; in the dear evening the battery helps out.
    assert SUN[:QUARTERS].sum() > -first["roof"].sum() + 1
    evening = slice(68 - 48, 84 - 48)
    assert last["battery"][evening].sum() < 0
    # Whatever the order of plans, each goes on where the one before it was left.
    for before, after in pairwise(plans):
        for device in STORES:
            assert after[f"{device} filled"][0] == pytest.approx(before[f"{device} filled"][16], abs=1e-4)


async def test_what_was_measured_can_be_seen(home: Home) -> None:
    planned = await plan(home, START)
    await carry_out(home, planned, START)
    window = {"start": START, "duration": STEP, "resolution": QUARTER}
    measured = await home.client.get_sensor_data(
        home.sensors["battery/power"], unit="kW", **window, prior=(START + STEP).isoformat()
    )
    assert measured["values"] == pytest.approx(planned["battery"][:16], abs=1e-6)
    period = f"start={START:%Y-%m-%dT%H:%M:%S}%2B01:00&duration=PT4H"
    path = f"assets/{home.assets['house']}"
    data, _ = await home.client.request(f"{path}/chart_data?{period}", method="GET")
    assert {row["sensor"]["name"] for row in data} == {"power"}
    assert {row["source"]["type"] for row in data} == {"scheduler", "other"}
    chart, _ = await home.client.request(f"{path}/chart?{period}", method="GET")
    assert [graph["title"] for graph in chart["vconcat"]] == ["Power"]
    daily = [home.sensors["house/daily costs"], START, timedelta(days=1), [3.5], "EUR"]
    await home.client.post_sensor_data(daily[0], start=daily[1], duration=daily[2], values=daily[3], unit=daily[4])
    end = period.replace("duration=PT4H", f"end={START + timedelta(days=1):%Y-%m-%dT%H:%M:%S}%2B01:00")
    kpis, _ = await home.client.request(f"{path}/kpis?{end}", method="GET")
    assert [(kpi["title"], kpi["downsample_value"]) for kpi in kpis["data"]] == [("Daily costs", 3.5)]
