"""The toy account of the tutorials, with prices for any day."""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from flexstore import series, sources
from flexstore.store import Connection

from flexmesh import record_creation

EMAIL, PASSWORD, USERNAME = "toy-user@flexmeasures.io", "toy-password", "toy-user"
ACCOUNT = "Toy Account"
ZONE = ZoneInfo("Europe/Amsterdam")
AMSTERDAM = {"latitude": 52.374, "longitude": 4.88969}
KINDS = ("battery", "process")

PRICES = (10, 11, 12, 15, 18, 17, 10.5, 9, 9.5, 9, 8.5, 10, 8, 5, 4, 4, 5.5, 8, 12, 13, 14, 12.5, 10, 7)
"""EUR/MWh, for every hour on the clock of a day."""

START, DURATION = timedelta(hours=7), timedelta(hours=12)
"""The window of the first tutorial, from midnight."""


@dataclass(frozen=True)
class Toy:
    """The ids that the tutorials use."""

    account_id: int
    price_sensor_id: int
    building_asset_id: int
    battery_asset_id: int | None = None
    battery_sensor_id: int | None = None
    solar_asset_id: int | None = None
    solar_sensor_id: int | None = None
    process_asset_id: int | None = None
    process_inflexible_sensor_id: int | None = None
    process_breakable_sensor_id: int | None = None
    process_shiftable_sensor_id: int | None = None

    def shell_variables(self) -> list[str]:
        """Return the ids as shell variables, with the names in the scripts of the tutorials."""
        return [f"FM_TOY_{name.upper()}={value}" for name, value in asdict(self).items() if value is not None]


async def ensure_toy_account(con: Connection, kind: str = "battery", name: str = ACCOUNT) -> Toy:
    """Create the missing records of the toy account. Existing ones stay unchanged."""
    account = await ensure_account(con, name)
    zone = await ensure_asset(con, None, "NL transmission zone", "transmission zone")
    prices = await ensure_sensor(con, zone, "day-ahead prices", "EUR/MWh", "PT1H")
    building = await ensure_asset(
        con,
        account,
        "toy-building",
        "building",
        flex_context={"site-power-capacity": "500 kVA", "consumption-price": {"sensor": prices}},
        **AMSTERDAM,
    )
    more = await (add_battery if kind == "battery" else add_process)(con, account, building, prices)
    return Toy(account, prices, building, **more)


async def add_battery(con: Connection, account: int, building: int, prices: int) -> dict[str, int]:
    battery = await ensure_asset(
        con,
        account,
        "toy-battery",
        "battery",
        parent_asset_id=building,
        flex_model={
            "soc-min": "50 kWh",
            "soc-max": "450 kWh",
            "power-capacity": "500 kVA",
            "roundtrip-efficiency": "90%",
        },
        **AMSTERDAM,
    )
    discharging = await ensure_sensor(con, battery, "discharging", "kW", "PT15M")
    solar = await ensure_asset(con, account, "toy-solar", "solar", parent_asset_id=building, **AMSTERDAM)
    production = await ensure_sensor(con, solar, "production", "kW", "PT15M")
    flows = {"title": "Power flows", "plots": [{"sensors": [production, discharging]}]}
    await set_graphs(con, battery, [{"title": "Prices", "plots": [{"sensor": prices}]}, flows])
    site_prices = {"asset": building, "flex-context": "consumption-price"}
    await set_graphs(con, building, [{"title": "Prices", "plots": [site_prices]}, flows])
    return {
        "battery_asset_id": battery,
        "battery_sensor_id": discharging,
        "solar_asset_id": solar,
        "solar_sensor_id": production,
    }


async def add_process(con: Connection, account: int, building: int, prices: int) -> dict[str, int]:
    context = {"consumption-price": {"sensor": prices}}
    process = await ensure_asset(
        con, account, "toy-process", "process", parent_asset_id=building, flex_context=context, **AMSTERDAM
    )
    names = ("inflexible", "breakable", "shiftable")
    sensors = {name: await ensure_sensor(con, process, f"Power ({name.title()})", "kW", "PT15M") for name in names}
    graphs = [{"title": name.title(), "plots": [{"sensor": sensor}]} for name, sensor in sensors.items()]
    await set_graphs(con, process, [{"title": "Prices", "plots": [{"sensor": prices}]}, *graphs])
    return {"process_asset_id": process, **{f"process_{name}_sensor_id": sensors[name] for name in names}}


async def ensure_account(con: Connection, name: str) -> int:
    account: int | None = await con.fetchval("select id from account where name = $1", name)
    if account is None:
        account = await record_creation.add_account(con, name, roles=(), consultancy=None, look={})
    if await con.fetchval("select id from users where lower(email) = $1", EMAIL) is None:
        await record_creation.add_user(
            con,
            account=account,
            username=USERNAME,
            email=EMAIL,
            password=PASSWORD,
            roles=["account-admin"],
            timezone=ZONE.key,
        )
    return account


async def ensure_asset(con: Connection, account: int | None, name: str, type_name: str, **values: object) -> int:
    found: int | None = await con.fetchval(
        "select id from asset where name = $1 and account_id is not distinct from $2 order by id", name, account
    )
    if found is not None:
        return found
    asset_type = await con.fetchval("select id from asset_type where name = $1", type_name)
    return await record_creation.add_asset(con, account=account, name=name, generic_asset_type_id=asset_type, **values)


async def ensure_sensor(con: Connection, asset: int, name: str, unit: str, resolution: str) -> int:
    found: int | None = await con.fetchval("select id from sensor where name = $1 and asset_id = $2", name, asset)
    if found is not None:
        return found
    return await record_creation.add_sensor(
        con, name=name, generic_asset_id=asset, unit=unit, event_resolution=resolution, timezone=ZONE.key
    )


async def set_graphs(con: Connection, asset: int, graphs: list[dict[str, Any]]) -> None:
    """Set the graphs of an asset that has none yet."""
    await con.execute("update asset set sensors_to_show = $2 where id = $1 and sensors_to_show = '[]'", asset, graphs)


def midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), ZONE)


def tomorrow(now: datetime) -> date:
    return now.astimezone(ZONE).date() + timedelta(days=1)


async def ensure_prices(con: Connection, sensor: int, day: date) -> bool:
    """Store the prices of a day that has none yet, and return True if it had none.

    Every hour has the price of its local clock time, also on days with a clock change.
    """
    start, end = midnight(day).astimezone(UTC), midnight(day + timedelta(days=1)).astimezone(UTC)
    (known,) = await series.load_series(con, [series.SeriesQuery(sensor, start, end, timedelta(hours=1))])
    if len(known):
        return False
    hours = [start + timedelta(hours=n) for n in range(round((end - start) / timedelta(hours=1)))]
    prices = np.array([PRICES[hour.astimezone(ZONE).hour] for hour in hours], dtype=float)
    user = await con.fetchrow("select id, account_id from users where lower(email) = $1", EMAIL)
    assert user is not None
    source = await sources.ensure(con, USERNAME, "user", user_id=user["id"], account_id=user["account_id"])
    starts = np.array([series.to_datetime64(hour) for hour in hours])
    await series.write_beliefs(
        con, series.BeliefBatch(sensor, starts, series.to_datetime64(datetime.now(UTC)), prices, source)
    )
    return True
