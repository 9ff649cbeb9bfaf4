"""Sensor data: reading them by window, unit and resolution, and passing on posted ones."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from gateway_house import AddBeliefs, AddSite, House, JsonBody, JsonObject, Person, QueryParam

START = datetime(2026, 3, 2, tzinfo=UTC)


async def make_sensor(toy: Person, asset: int, name: str, unit: str, resolution: str) -> int:
    body = {"name": name, "unit": unit, "event_resolution": resolution, "generic_asset_id": asset}
    sensor: int = (await toy.post("/sensors", body))["id"]
    return sensor


async def test_values_come_as_asked(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    _, _, _, power = await add_site()
    await know(power, [1.5, -2, float("nan"), 4, 5, 6, 7, 8], 15)
    asked = {"start": "2026-03-02T01:00:00+01:00", "duration": "PT2H"}

    async def values(**more: QueryParam) -> JsonBody:
        return (await toy.get(f"/sensors/{power}/data", **asked, **more))["values"]

    whole = await toy.get(f"/sensors/{power}/data", **asked, unit="kW")
    assert whole == {
        "duration": "PT2H", "message": "Request has been processed.", "resolution": "PT15M",
        "start": "2026-03-02T01:00:00+01:00", "status": "PROCESSED", "unit": "kW",
        "values": [1.5, -2.0, None, 4.0, 5.0, 6.0, 7.0, 8.0],
    }  # fmt: skip
    assert await values(unit="MW") == [0.0015, -0.002, None, 0.004, 0.005, 0.006, 0.007, 0.008]
    assert await values(unit="kW", resolution="PT1H") == [pytest.approx(3.5 / 3), 6.5]
    assert await values(unit="kWh", resolution="PT1H") == [pytest.approx(3.5 / 3), 6.5]
    assert await values(unit="kWh") == [0.375, -0.5, None, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert (await values(unit="kW", resolution="PT5M"))[:7] == [1.5, 1.5, 1.5, -2, -2, -2, None]


@pytest.mark.parametrize("version", ["v3_0", "v1"])
async def test_a_plus_that_nobody_encoded_is_still_one(
    toy: Person, add_site: AddSite, know: AddBeliefs, version: str
) -> None:
    _, _, _, power = await add_site()
    await know(power, [1.5], 15)
    query = "start=2026-03-02T01:00:00+01:00&duration=PT15M&unit=kW&prior=2100-01-01T00:00+01:00"
    answer = await toy.client.get(f"/api/{version}/sensors/{power}/data?{query}")
    assert answer.json()["values"] == [1.5]


async def test_nothing_known_is_null(toy: Person, add_site: AddSite) -> None:
    _, _, _, power = await add_site()
    asked = {"start": "2030-01-01T00:00Z", "duration": "PT1H", "unit": "kW"}
    assert (await toy.get(f"/sensors/{power}/data", **asked))["values"] == [None] * 4
    assert (await toy.get(f"/sensors/{power}/data", **(asked | {"duration": "PT0H"})))["values"] == []


async def test_no_dust_and_no_minus_zero(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    _, _, _, power = await add_site()
    await know(power, [-0.0, -164.078309, 0.1], 15)
    answer = await toy.client.get(
        f"/api/v3_0/sensors/{power}/data", params={"start": START.isoformat(), "duration": "PT45M", "unit": "W"}
    )
    assert '"values":[0.0,-164078.309,100.0]' in answer.text


async def test_amounts_add_up(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    building, *_ = await add_site()
    meter = await make_sensor(toy, building, "meter", "kWh", "PT15M")
    await know(meter, [1, 2, 3, 4], 15)
    asked = {"start": START.isoformat(), "duration": "PT1H"}
    for more, expected in (
        ({"unit": "kWh"}, [1, 2, 3, 4]),
        ({"unit": "kWh", "resolution": "PT1H"}, [10]),
        ({"unit": "kW"}, [4, 8, 12, 16]),
        ({"unit": "kW", "resolution": "PT1H"}, [10]),
        ({"unit": "MWh", "resolution": "PT30M"}, [0.003, 0.007]),
    ):
        assert (await toy.get(f"/sensors/{meter}/data", **asked, **more))["values"] == expected, more
    cost = await make_sensor(toy, building, "cost", "EUR", "PT1H")
    await know(cost, [8], 60)
    cents = await toy.get(f"/sensors/{cost}/data", **asked, unit="cEUR", resolution="PT15M")
    assert cents["values"] == [200] * 4


async def test_moments_on_a_grid(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    building, *_ = await add_site()
    soc = await make_sensor(toy, building, "soc", "kWh", "PT0M")
    await know(soc, [20, 30], 15)
    asked = {"start": START.isoformat(), "duration": "PT30M", "unit": "kWh"}
    answer = await toy.get(f"/sensors/{soc}/data", **asked)
    assert (answer["resolution"], answer["values"]) == ("PT0H", [20, None, None, 30, None, None])
    answer = await toy.get(f"/sensors/{soc}/data", **asked, resolution="PT15M")
    assert (answer["resolution"], answer["values"]) == ("PT15M", [20, 30])


async def test_who_said_what_when(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    _, _, _, power = await add_site()
    meter = await know(power, [1], 15, at=START + timedelta(hours=1))
    await know(power, [2], 15, at=START - timedelta(days=1), source="oracle", kind="forecaster")
    asked = {"start": START.isoformat(), "duration": "PT15M", "unit": "kW"}
    for more, expected in (
        ({}, 1),
        ({"prior": START.isoformat()}, 2),
        ({"prior": (START - timedelta(days=2)).isoformat()}, None),
        ({"horizon": "PT0H"}, 2),
        ({"horizon": "-PT2H"}, 1),
        ({"source": meter}, 1),
        ({"source-type": "forecaster"}, 2),
        ({"source-account": 1}, None),
    ):
        assert (await toy.get(f"/sensors/{power}/data", **asked, **more))["values"] == [expected], more


async def test_days_have_24_hours_as_in_what_is_posted(toy: Person, add_site: AddSite) -> None:
    _, price, _, _ = await add_site()
    await toy.patch(f"/sensors/{price}", {"timezone": "Europe/Amsterdam"})
    asked = {"start": "2026-03-29T00:00:00+01:00", "duration": "P1D", "unit": "EUR/MWh"}
    answer = await toy.get(f"/sensors/{price}/data", **asked)
    assert (answer["duration"], len(answer["values"])) == ("PT24H", 24)


WRONG: list[tuple[JsonObject, str]] = [
    ({"unit": None}, "unit"),
    ({"unit": "EUR"}, "_schema"),
    ({"unit": "florps"}, "_schema"),
    ({"start": "yesterday"}, "start"),
    ({"start": "2026-03-02T00:00:00"}, "start"),
    ({"start": "2026-02-30T00:00:00Z"}, "start"),
    ({"duration": "one hour"}, "duration"),
    ({"duration": "-PT1H"}, "duration"),
    ({"duration": "P1000Y"}, "duration"),
    ({"start": "0001-01-01T00:00Z"}, "start"),
    ({"start": "9999-12-31T23:00Z"}, "duration"),
    ({"horizon": "P999999D"}, "horizon"),
    ({"duration": "P9999Y"}, "duration"),
    ({"duration": "P300Y", "resolution": "PT1S"}, "duration"),
    ({"resolution": "x"}, "resolution"),
    ({"resolution": "P1M"}, "resolution"),
    ({"resolution": "-PT15M"}, "resolution"),
    ({"prior": "x"}, "prior"),
    ({"horizon": "x"}, "horizon"),
    ({"source": 999}, "source"),
    ({"source": "me"}, "source"),
    ({"source-type": "forecaster"}, "source-type"),
    ({"source-type": ""}, "source-type"),
    ({"foo": 1}, "foo"),
]


async def test_wrong_questions(toy: Person, add_site: AddSite, subtests: pytest.Subtests) -> None:
    _, _, _, power = await add_site()
    good: JsonObject = {"start": START.isoformat(), "duration": "PT1H", "unit": "kW"}
    for change, field in WRONG:
        with subtests.test(field, change=change):
            params = {key: value for key, value in {**good, **change}.items() if value is not None}
            answer = await toy.get(f"/sensors/{power}/data", 422, **params)
            assert list(answer["message"]["combined_sensor_data_description"]) == [field]
    answer = await toy.get(f"/sensors/{power}/data", 404, **good | {"source-account": 999})
    assert answer == {"message": "Account 999 not found", "status": 404}
    answer = await toy.get("/sensors/abc/data", 422, **good)
    assert answer["message"]["combined_sensor_data_description"]["sensor"] == ["Not a valid integer."]
    assert (await toy.get("/sensors/999/data", 404, **good)) == {"message": "Sensor 999 not found", "status": 404}


async def test_posts_are_passed_on(house: House, toy: Person, add_site: AddSite) -> None:
    _, _, _, power = await add_site()
    body = {"start": START.isoformat(), "duration": "PT1H", "values": [1, 2, 3, 4], "unit": "kW"}
    answer = await toy.post(f"/sensors/{power}/data", body, status=200)
    assert answer == {"message": "Sensor data has been stored.", "status": "PROCESSED"}
    [(path, headers, sent)] = house.ingest.received
    assert path == f"/internal/sensors/{power}/data"
    assert json.loads(sent) == body
    assert headers["x-flexmesh-user"] == str(toy.user_id)
    told = json.loads(headers["x-flexmesh-sensor"])
    assert (told["unit"], told["resolution"], told["account"]) == ("kW", 900, toy.account_id)
    assert headers["authorization"].startswith("Bearer ")
    assert headers["authorization"] != toy.client.headers["authorization"]
    files = {"uploaded-files": ("values.csv", b"event_start,event_value\n", "text/csv")}
    await toy.call("POST", f"/sensors/{power}/data/upload", status=200, files=files)
    path, headers, sent = house.ingest.received[1]
    assert path == f"/internal/sensors/{power}/data/upload"
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b"event_start,event_value" in sent
    assert headers["content-length"] == str(len(sent))


async def test_refusals_of_ingest_become_ours(house: House, toy: Person, add_site: AddSite) -> None:
    _, _, _, power = await add_site()
    house.ingest.answer = (422, {"detail": "wrong", "fields": {"unit": ["Missing data for required field."]}})
    answer = await toy.post(f"/sensors/{power}/data", {}, status=422)
    assert answer["message"] == {"combined_sensor_data_description": {"unit": ["Missing data for required field."]}}
    house.ingest.answer = (503, {"detail": "The database cannot be reached."})
    answer = await toy.client.post(f"/api/v3_0/sensors/{power}/data", json={})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    house.ingest.answer = (500, {"detail": "secret"})
    answer = await toy.client.post(f"/api/v3_0/sensors/{power}/data", json={})
    assert answer.status_code == 502


async def test_data_are_deleted_by_source_and_time(
    house: House, toy: Person, add_site: AddSite, know: AddBeliefs
) -> None:
    _, _, _, power = await add_site()
    meter = await know(power, [1, 2, 3, 4], 15)
    await know(power, [5, 6, 7, 8], 15, source="other")
    until = (START + timedelta(minutes=30)).isoformat()
    await toy.delete(f"/sensors/{power}/data", json={"source": meter, "until": until})
    assert [row["event_value"] for row in await house.fetch("select event_value from belief order by 1")] == [
        3,
        4,
        5,
        6,
        7,
        8,
    ]
    await toy.delete(f"/sensors/{power}/data", json={"source": 999}, status=422)
    refused = await toy.delete(f"/sensors/{power}/data", json={"start": until, "until": until}, status=422)
    assert refused["message"]["json"] == {"until": ["'until' must be after 'start'."]}
    await toy.delete(f"/sensors/{power}/data", json={"start": until})
    assert [row["event_value"] for row in await house.fetch("select event_value from belief order by 1")] == [5, 6]
    await toy.delete(f"/sensors/{power}/data")
    assert await house.fetch("select 1 from belief") == []
    await toy.get(f"/sensors/{power}")


async def test_statistics_per_source(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    _, _, _, power = await add_site()
    source = await know(power, [1, 2, 3, 6], 15)
    stats = await toy.get(f"/sensors/{power}/stats")
    assert stats == {
        "status": 200,
        f"meter (ID: {source})": {
            "First event start": "2026-03-02T00:00:00+00:00", "Last event end": "2026-03-02T01:00:00+00:00",
            "Last recorded": "2026-03-02T00:00:00+00:00", "Min value": 1.0, "Max value": 6.0, "Mean value": 3.0,
            "Sum over values": 12.0, "Number of values": 4,
        },
    }  # fmt: skip
    later = {"event_start_time": (START + timedelta(minutes=30)).isoformat(), "sort": "false"}
    [pairs] = [value for key, value in (await toy.get(f"/sensors/{power}/stats", **later)).items() if key != "status"]
    assert ["Number of values", 2] in pairs


async def test_staleness(house: House, toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    _building, _price, _, power = await add_site()
    [line] = (await toy.get(f"/sensors/{power}/status"))["sensors_data"]
    assert (line["stale"], line["reason"], line["staleness"]) == (True, "no data recorded", None)
    await know(power, [1], 15)
    [line] = (await toy.get(f"/sensors/{power}/status"))["sensors_data"]
    assert line["stale"]
    assert line["reason"].endswith("old, but should not be more than 2 hours old")
    assert line["staleness_since"] == "2026-03-02T00:15:00+00:00"
    [gone] = await house.fetch("delete from belief returning sensor_id, source_id")
    await house.fetch(
        "insert into belief values ($1, now() + interval '23 hours', now(), $2, 0.5, 1)",
        gone["sensor_id"],
        gone["source_id"],
    )
    [line] = (await toy.get(f"/sensors/{power}/status"))["sensors_data"]
    assert not line["stale"]
    assert "in the future" in line["reason"]
