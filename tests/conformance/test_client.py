"""Every public method of the unmodified `flexmeasures-client`, asked of a running platform over HTTP."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from flexmeasures_client import FlexMeasuresClient
from flexmeasures_client.exceptions import InsufficientServerVersionError
from flexstore.store import Connection, Store
from flexwork import job_runner
from flexwork.jobs import Job
from platforms import EMAIL, PASSWORD, Platform

START = "2025-11-22T00:00:00+01:00"
DAY_BEFORE = "2025-11-21T00:00:00+01:00"
WINDOW = {"start": START, "duration": "PT4H"}
MODEL = {"soc-at-start": "2 kWh", "soc-min": "0 kWh", "soc-max": "8 kWh", "power-capacity": "4 kW"}
PLACE = {"latitude": 52.37, "longitude": 4.89}
METHODS = sorted(name for name, _ in inspect.getmembers(FlexMeasuresClient, callable) if not name.startswith("_"))
Scenario = Callable[["Client", "Site"], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


class Client:
    """The real client, and which of its methods were called from here."""

    def __init__(self, platform: Platform) -> None:
        self.real = FlexMeasuresClient(
            host=f"{platform.host}:{platform.port}",
            email=EMAIL,
            password=PASSWORD,
            request_retry_interval=0.05,
            job_polling_interval=0.05,
        )
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self.called.add(name)
        method: Callable[..., Any] = getattr(self.real, name)
        return method


@dataclass
class Site:
    """Ids of the things that scenarios use."""

    account: int
    building: int
    battery: int
    price: int
    power: int
    database_url: str
    folder: Path


def exercises(*methods: str) -> Callable[[Scenario], Scenario]:
    def register(scenario: Scenario) -> Scenario:
        SCENARIOS.update(dict.fromkeys(methods, scenario))
        return scenario

    return register


@pytest.fixture
async def client(served: Platform) -> AsyncIterator[Client]:
    client = Client(served)
    yield client
    await client.real.close()


@pytest.fixture
async def site(client: Client, module_database_url: str, tmp_path: Path) -> Site:
    real = client.real
    account = (await real.get_account() or {})["id"]
    name = uuid4().hex[:8]
    building = await real.add_asset(name=name, account_id=account, generic_asset_type_id=6, **PLACE)
    price = await real.add_sensor("price", "PT1H", "EUR/MWh", building["id"], timezone="Europe/Amsterdam")
    context = {"consumption-price": {"sensor": price["id"]}, "site-power-capacity": "10 kW"}
    await real.update_asset(building["id"], {"flex_context": context}, parse_json_fields=True)
    battery = await real.add_asset(
        name="battery",
        account_id=account,
        generic_asset_type_id=5,
        parent_asset_id=building["id"],
        flex_model={name: value for name, value in MODEL.items() if name != "soc-at-start"},
        **PLACE,
    )
    power = await real.add_sensor("power", "PT15M", "kW", battery["id"], timezone="Europe/Amsterdam")
    await real.post_sensor_data(
        price["id"], start=START, duration="PT6H", values=[10, 90, 5, 80, 20, 30], unit="EUR/MWh", prior=DAY_BEFORE
    )
    return Site(account, building["id"], battery["id"], price["id"], power["id"], module_database_url, tmp_path)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
async def test_method(method: str, client: Client, site: Site) -> None:
    assert method in SCENARIOS, f"nobody tries {method}"
    client.called.clear()
    await SCENARIOS[method](client, site)
    assert method in client.called


@exercises("get_versions", "ensure_minimum_server_version")
async def versions(client: Client, _site: Site) -> None:
    versions = await client.get_versions()
    assert versions["server_supports_api_versions"] == ["v3_0"]
    await client.ensure_minimum_server_version(versions["server_version"])
    with pytest.raises(InsufficientServerVersionError):
        await client.ensure_minimum_server_version("99.0")


@exercises("get_access_token", "get_headers", "ensure_session", "build_url", "determine_port", "close")
async def connection(client: Client, site: Site) -> None:
    client.ensure_session()
    client.real.access_token = None
    await client.get_access_token()
    assert (await client.get_headers(include_auth=True))["Authorization"] == client.real.access_token
    assert str(client.build_url("assets")) == f"http://127.0.0.1:{client.real.port}/api/v3_0/assets"
    port, client.real.port = client.real.port, None
    client.real.host = f"127.0.0.1:{port}"
    client.determine_port()
    assert client.real.port == port
    # A token that is not good any more is replaced by logging in again, without anyone noticing.
    client.real.access_token = "expired"
    assert (await client.real.get_asset(site.battery, parse_json_fields=True))["id"] == site.battery
    await client.close()
    assert client.real.session.closed


@exercises("request", "request_once")
async def requests(client: Client, site: Site) -> None:
    body, status = await client.request(f"sensors/{site.power}/stats", method="GET")
    assert (status, body["status"]) == (200, 200)
    url = client.real.build_url(f"sensors/{site.power}/status")
    headers = await client.real.get_headers(include_auth=True)
    response, *_ = await client.request_once("GET", url, headers=headers)
    assert (await response.json())["sensors_data"][0]["id"] == site.power


@exercises("get_account", "get_user")
async def people(client: Client, site: Site) -> None:
    assert await client.get_account() == await client.real.get_account()
    user = await client.get_user()
    assert (user["email"], user["account_id"]) == (EMAIL, site.account)


@exercises("get_asset_types", "get_asset", "get_assets", "add_asset", "update_asset", "delete_asset")
async def assets(client: Client, site: Site) -> None:
    types = {one["name"]: one["id"] for one in await client.get_asset_types()}
    roof = await client.add_asset(
        "roof",
        site.account,
        **PLACE,
        generic_asset_type_id=types["solar"],
        parent_asset_id=site.building,
        sensors_to_show=[{"title": "Power", "sensors": [site.power]}],
        attributes={"tilt": 30},
    )
    await client.update_asset(roof["id"], {"attributes": {"tilt": 35}, "name": "roof"})
    read = await client.get_asset(roof["id"], parse_json_fields=True)
    assert (read["attributes"], read["parent_asset_id"]) == ({"tilt": 35}, site.building)
    assert read["sensors_to_show"] == [{"title": "Power", "sensors": [site.power]}]
    chosen = {"fields": ["id", "name"], "parse_json_fields": True}
    below = await client.get_assets(root=site.building, depth=1, **chosen)
    assert {one["name"] for one in below} >= {"battery", "roof"}
    everything = await client.get_assets(
        all_accessible=True, include_public=True, sort_by="name", sort_dir="desc", **chosen
    )
    names = [one["name"].lower() for one in everything]
    assert names == sorted(names, reverse=True)
    assert (await client.get_assets(account_id=site.account, **chosen))[0].keys() == {"id", "name"}
    await client.delete_asset(roof["id"], confirm_first=False)
    with pytest.raises(ConnectionError, match="404"):
        await client.get_asset(roof["id"], parse_json_fields=True)


@exercises("get_sensors", "get_sensor", "add_sensor", "update_sensor", "delete_sensor")
async def sensors(client: Client, site: Site) -> None:
    meter = await client.add_sensor("meter", "PT5M", "kWh", site.battery, "Europe/Amsterdam", {"serial": "M-42"})
    await client.update_sensor(
        meter["id"], {"name": "main meter", "attributes": {"serial": "M-43"}}, parse_json_fields=True
    )
    read = await client.get_sensor(meter["id"], parse_json_fields=True)
    assert (read["name"], read["attributes"], read["event_resolution"]) == ("main meter", {"serial": "M-43"}, "PT5M")
    listed = await client.get_sensors(asset_id=site.building, parse_json_fields=True)
    assert {one["name"] for one in listed} == {"price", "power", "main meter"}
    await client.delete_sensor(meter["id"], confirm_first=False)
    assert meter["id"] not in {one["id"] for one in await client.get_sensors(parse_json_fields=True)}


@exercises("post_sensor_data", "post_measurements", "get_sensor_data", "delete_sensor_data")
async def data(client: Client, site: Site) -> None:
    hour = {"start": START, "duration": timedelta(hours=1), "unit": "kW"}
    await client.post_sensor_data(site.power, values=[1, 2, 3, 4], prior=DAY_BEFORE, **hour)
    read = await client.get_sensor_data(site.power, resolution="PT15M", **hour)
    assert read == {"values": [1, 2, 3, 4], "start": START, "duration": "PT1H", "unit": "kW"}
    await client.post_measurements(site.power, values=[6, 8], **hour)
    assert (await client.get_sensor_data(site.power, resolution="PT30M", **hour))["values"] == [6, 8]
    file = site.folder / "values.csv"
    file.write_text("event_start,event_value\n2025-11-22T00:00:00+01:00,500\n2025-11-22T00:15:00+01:00,1500\n")
    _, status = await client.post_sensor_data(
        site.power, file_path=str(file), unit="W", belief_time_measured_instantly=True
    )
    assert status == 200
    prior = {"prior": "2025-11-22T01:00:00+01:00"}
    stored = await client.get_sensor_data(site.power, resolution="PT15M", **hour, **prior)
    assert stored["values"] == [0.5, 1.5, 3, 4]
    until = "2025-11-22T00:30:00+01:00"
    await client.delete_sensor_data(site.power, start=START, until=until, confirm_first=False)
    assert (await client.get_sensor_data(site.power, resolution="PT15M", **hour))["values"] == [None, None, 8, 8]


@exercises("trigger_schedule", "get_schedule", "get_job_status", "wait_for_job", "trigger_and_get_schedule")
async def schedules(client: Client, site: Site) -> None:
    job = await client.trigger_schedule(sensor_id=site.power, flex_model={"soc-at-start": "2 kWh"}, **WINDOW)
    done = await client.wait_for_job(job)
    assert (done["status"], done["result"]["num-beliefs"] > 0) == ("FINISHED", True)
    assert (await client.get_job_status(job))["origin"] == "scheduling"
    schedule = await client.get_schedule(site.power, job, duration="PT4H", unit="W")
    assert (len(schedule["values"]), schedule["unit"], max(schedule["values"])) == (16, "W", 4000)
    several = {"asset_id": site.building, "flex_model": [{"sensor": site.power, **MODEL}], "prior": START}
    [forced] = await client.trigger_and_get_schedule(scheduler="StorageScheduler", **several, **WINDOW)
    assert (forced["sensor"], forced["unit"]) == (site.power, "kW")
    asset = await client.real.get_asset(site.building, parse_json_fields=True)
    assert asset["attributes"] == {"custom-scheduler": "StorageScheduler"}


@exercises("create_storage_flex_model", "create_storage_flex_context")
async def old_configurations(client: Client, site: Site) -> None:
    """Its helpers use older fields than today's, which are still accepted."""
    instants = [{"datetime": "2025-11-22T03:00:00+01:00", "value": 6}]
    model = client.create_storage_flex_model(
        "kWh", 2, soc_max=8, soc_min=1, soc_targets=instants, roundtrip_efficiency=0.9, storage_efficiency=0.99
    )
    context = client.create_storage_flex_context(site.price, site.price, [])
    schedule = await client.real.trigger_and_get_schedule(
        sensor_id=site.power, flex_model=model, flex_context=context, **WINDOW
    )
    assert schedule["scheduler_info"]["scheduler"] == "StorageScheduler"


@exercises("convert_units")
async def units(client: Client, _site: Site) -> None:
    assert client.convert_units([1, 2], "MW", "kW") == [1000, 2000]


async def compute(job: Job, _store: Store) -> job_runner.Outcome:
    async def save(con: Connection) -> None:
        await con.execute(
            """insert into schedule (job_id, sensor_id, start, resolution, unit, consumption_positive, event_values)
               values ($1, $2, ($3::text)::timestamptz, interval '15 minutes', 'kW', true, $4)""",
            job.id, job.sensor_id, job.request["start"], list(np.arange(4.0)),
        )  # fmt: skip

    return job_runner.Outcome(result={"num-beliefs": 4}, save=save)


@asynccontextmanager
async def forecaster(database_url: str) -> AsyncIterator[None]:
    """Compute requested forecasts, for tests of how clients get them."""
    store = await Store.connect(database_url)
    waiting = "select id from job where queue = 'forecast' and status = 'QUEUED'"

    async def work() -> None:
        while True:
            async with store.connection() as con:
                rows = await con.fetch(waiting)
            for row in rows:
                await job_runner.run(store, row["id"], compute)
            await asyncio.sleep(0.05)

    working = asyncio.create_task(work())
    yield
    working.cancel()
    await asyncio.wait([working])
    await store.close()


@exercises("trigger_forecast", "get_forecast", "trigger_and_get_forecast")
async def forecasts(client: Client, site: Site) -> None:
    asked: dict[str, Any] = {
        "start": START,
        "end": "2025-11-22T01:00:00+01:00",
        "train_start": "2025-10-01T00:00:00+01:00",
        "retrain_frequency": "P1D",
        "max_forecast_horizon": "PT1H",
        "forecast_frequency": "PT1H",
        "past_regressors": [site.price],
        "probabilistic": False,
    }
    job = await client.trigger_forecast(site.power, **asked)
    assert (await client.real.get_job_status(job))["status"] == "QUEUED"
    async with forecaster(site.database_url):
        forecast = await client.get_forecast(site.power, job)
        assert forecast == {"values": [0, 1, 2, 3], "start": START, "duration": "PT1H", "unit": "kW"}
        assert (await client.trigger_and_get_forecast(site.power, **asked)) == forecast


@exercises("trigger_report", "trigger_and_await_report")
async def reports(client: Client, site: Site) -> None:
    """The release whose API this is has no reports over HTTP, and the client knows that."""
    asked = {"asset_id": site.building, "reporter": "PandasReporter", "parameters": {"input": [], "output": []}}
    for report in (client.trigger_report, client.trigger_and_await_report):
        with pytest.raises(InsufficientServerVersionError):
            await report(**asked)
