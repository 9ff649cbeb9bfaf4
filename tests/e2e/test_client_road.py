"""The unmodified `flexmeasures-client` walks the whole road, on the one-process platform and on separate processes."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flexmeasures_client import FlexMeasuresClient
from platforms import Platform

START = datetime.fromisoformat("2026-11-22T07:00:00+01:00")
HOURLY_PRICES = [9, 9.5, 9, 8.5, 10, 8, 5, 4, 4, 5.5, 8, 12]
"""EUR/MWh from 07:00 to 19:00, as in the first tutorial."""
TUTORIAL_COST = -4.655136239


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[FlexMeasuresClient]:
    client = FlexMeasuresClient(
        host=f"{platform.host}:{platform.port}",
        email="toy-user@flexmeasures.io",
        password="toy-password",
        request_retry_interval=0.1,
        job_polling_interval=0.05,
    )
    yield client
    await client.close()


async def new_site(client: FlexMeasuresClient) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A building with a price sensor and a battery whose limits are stored on the asset."""
    account = await client.get_account()
    assert account is not None
    place = {"account_id": account["id"], "latitude": 52.37, "longitude": 4.89}
    building = await client.add_asset(name=f"site {uuid4().hex[:8]}", generic_asset_type_id=6, **place)
    prices = await client.add_sensor(
        name="prices", event_resolution="PT1H", unit="EUR/MWh", generic_asset_id=building["id"]
    )
    context = {"consumption-price": {"sensor": prices["id"]}, "site-power-capacity": "500 kVA"}
    await client.update_asset(asset_id=building["id"], updates={"flex_context": context}, parse_json_fields=True)
    battery = await client.add_asset(
        name="battery",
        generic_asset_type_id=5,
        parent_asset_id=building["id"],
        flex_model={
            "soc-min": "0 kWh",
            "soc-max": "450 kWh",
            "roundtrip-efficiency": "90%",
            "power-capacity": "500 kVA",
        },
        **place,
    )
    power = await client.add_sensor(
        name="power",
        event_resolution="PT15M",
        unit="kW",
        generic_asset_id=battery["id"],
        timezone="Europe/Amsterdam",
    )
    await client.post_sensor_data(
        sensor_id=prices["id"], start=START, duration="PT12H", values=HOURLY_PRICES, unit="EUR/MWh"
    )
    return building, battery, power


@pytest.mark.parametrize("by", ["sensor", "asset"])
async def test_battery_is_scheduled(client: FlexMeasuresClient, by: str) -> None:
    building, _battery, power = await new_site(client)
    model = {"soc-at-start": "225 kWh", "soc-min": "50 kWh"}
    window = {"start": START, "duration": timedelta(hours=12)}
    if by == "sensor":
        schedule = await client.trigger_and_get_schedule(sensor_id=power["id"], flex_model=model, **window)
    else:
        [schedule] = await client.trigger_and_get_schedule(
            asset_id=building["id"], flex_model=[{"sensor": power["id"], **model}], **window
        )
    assert schedule["unit"] == "kW"
    assert datetime.fromisoformat(schedule["start"]) == START
    assert schedule["duration"] == "PT12H"
    assert schedule["scheduler_info"]["scheduler"] == "StorageScheduler"
    costs = schedule["scheduler_info"]["commitment_costs"]
    assert costs["electricity net energy"] == pytest.approx(TUTORIAL_COST, rel=1e-6)
    values = schedule["values"]
    assert len(values) == 48
    assert values[6:8] == [-164.078309, -500.0]
    assert values[12:16] == [500.0, 500.0, 500.0, 186.548085]
    assert values[44:] == [-17.893277, -500.0, -500.0, -500.0]


async def test_schedule_can_be_read_apart_from_its_trigger(client: FlexMeasuresClient) -> None:
    _building, battery, power = await new_site(client)
    window = {"start": START, "duration": "PT12H"}
    full, empty = [
        await client.trigger_schedule(
            asset_id=battery["id"], flex_model=[{"sensor": power["id"], "soc-at-start": soc}], **window
        )
        for soc in ("400 kWh", "0 kWh")
    ]
    for job in (full, empty):
        assert (await client.wait_for_job(job))["status"] == "FINISHED"
    # Two schedules of one window are told apart, in any order of asking.
    of_full = await client.get_schedule(sensor_id=power["id"], schedule_id=full, duration="PT12H")
    of_empty = await client.get_schedule(sensor_id=power["id"], schedule_id=empty, duration="PT12H", unit="MW")
    assert sum(of_full["values"]) < 0 < sum(of_empty["values"])
    assert max(of_empty["values"]) == 0.5
    assert of_full == await client.get_schedule(sensor_id=power["id"], schedule_id=full, duration="PT12H")


async def test_posted_data_is_stored_when_the_answer_comes(client: FlexMeasuresClient) -> None:
    building, _battery, _power = await new_site(client)
    meter = await client.add_sensor(
        name="meter", event_resolution="PT15M", unit="kW", generic_asset_id=building["id"], timezone="Europe/Amsterdam"
    )
    await client.post_sensor_data(
        sensor_id=meter["id"], start=START, duration="PT1H", values=[0.5, 1.5], unit="MW", prior=START
    )
    read = await client.get_sensor_data(
        sensor_id=meter["id"], start=START, duration="PT1H", unit="kW", resolution="PT15M"
    )
    assert read["values"] == [500.0, 500.0, 1500.0, 1500.0]
    assert {s["name"] for s in await client.get_sensors(asset_id=building["id"], parse_json_fields=True)} >= {
        "prices",
        "meter",
    }


async def test_wrong_trigger_names_the_field(client: FlexMeasuresClient) -> None:
    _building, battery, power = await new_site(client)
    with pytest.raises(ValueError, match=r"soc-max.*90 EUR.*MWh"):
        await client.trigger_schedule(
            asset_id=battery["id"],
            flex_model=[{"sensor": power["id"], "soc-max": "90 EUR"}],
            start=START,
            duration="PT12H",
        )


async def test_impossible_schedule_says_why(client: FlexMeasuresClient) -> None:
    from flexmeasures_client.exceptions import JobFailedError

    _building, battery, power = await new_site(client)
    with pytest.raises(JobFailedError, match="200 kWh"):
        await client.trigger_and_get_schedule(
            asset_id=battery["id"],
            start=START,
            duration="PT12H",
            flex_model=[
                {
                    "sensor": power["id"],
                    "soc-at-start": "50 kWh",
                    "power-capacity": "20 kW",
                    "soc-targets": [{"datetime": "2026-11-22T08:00:00+01:00", "value": "200 kWh"}],
                }
            ],
            flex_context={"relax-constraints": False},
        )


async def test_a_large_file_is_stored_by_a_worker(client: FlexMeasuresClient, tmp_path: Path) -> None:
    building, _, _ = await new_site(client)
    rows = 250_000
    start = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    meter = await client.add_sensor(name="meter", event_resolution="PT1M", unit="kW", generic_asset_id=building["id"])
    file = tmp_path / "meter.csv"
    lines = (f"{(start + n * timedelta(minutes=1)).isoformat()},{n % 1000}" for n in range(rows))
    file.write_text("\n".join(["event_start,event_value", *lines]))
    accepted, status = await client.post_sensor_data(meter["id"], file_path=str(file))
    assert status == 202
    done = await client.wait_for_job(accepted["job"])
    assert done["result"]["new"] == rows
    last = start + (rows - 2) * timedelta(minutes=1)
    found = await client.get_sensor_data(meter["id"], start=last, duration="PT2M", unit="kW", resolution="PT1M")
    assert found["values"] == [998, 999]
