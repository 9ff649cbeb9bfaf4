"""Schedules: triggers become jobs, one per distinct question; results are returned as they were computed."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flexstore import sources
from flexstore.series import BeliefBatch, to_datetime64, write_beliefs
from flexwork import jobs
from gateway_house import AddSite, House, OpenHouse, Person, claim_job

START = datetime(2026, 3, 2, tzinfo=UTC)
BATTERY = {"soc-at-start": "20 kWh", "soc-min": "5 kWh", "soc-max": "90 kWh", "power-capacity": "20 kW"}


def question(price: int, **more: object) -> dict[str, Any]:
    """Return a trigger for the sensor endpoint."""
    context = {"consumption-price": {"sensor": price}}
    return {"start": START.isoformat(), "duration": "PT12H", "flex-model": BATTERY, "flex-context": context} | more


async def store_values(house: House, sensor: int, values: list[float], kind: str = "user") -> None:
    import numpy as np

    starts = np.datetime64(START.replace(tzinfo=None), "us") + np.arange(len(values)) * np.timedelta64(60, "m")
    async with house.store.transaction() as con:
        source = await sources.ensure(con, kind, kind)
        await write_beliefs(con, BeliefBatch(sensor, starts, to_datetime64(START), np.array(values, float), source))


async def finish(house: House, job: str, **schedules: tuple[float, str, bool, Sequence[float | None]]) -> None:
    """Finish the job as a worker does, with these rows of the table `schedule`."""
    async with house.store.transaction() as con:
        claim = await claim_job(con, UUID(job))
        info = {"scheduler_info": {"scheduler": "StorageScheduler", "commitment_costs": {"energy": 1.0}}}
        await jobs.finish(con, UUID(job), claim, {"num-beliefs": 4, "resolved": [], "unresolved": []}, info)
        for sensor, (resolution, unit, positive, values) in schedules.items():
            await con.execute(
                "insert into schedule values ($1, $2, $3, $4, $5, $6, $7)",
                UUID(job), int(sensor.removeprefix("s")), START, timedelta(minutes=resolution), unit, positive, values,
            )  # fmt: skip


async def fail(house: House, job: str, error: str) -> None:
    async with house.store.transaction() as con:
        claim = await claim_job(con, UUID(job))
        await jobs.fail(con, UUID(job), claim, error, "Traceback: secrets")


async def test_a_trigger_becomes_a_job_that_is_announced(house: House, toy: Person, add_site: AddSite) -> None:
    _, price, battery, power = await add_site()
    asked = question(price)
    answer = await toy.post(f"/sensors/{power}/schedules/trigger", asked, status=202)
    job = answer["job"]
    assert answer == {
        "job": job, "schedule": job, "job-url": f"/api/v3_0/jobs/{job}", "status": "ACCEPTED",
        "results-url": f"/api/v3_0/sensors/{power}/schedules/{job}",
        "message": "Request has been accepted for processing.",
    }  # fmt: skip
    [row] = await house.fetch("select * from job")
    assert (str(row["id"]), row["queue"], row["status"]) == (job, "schedule", "QUEUED")
    assert (row["account_id"], row["user_id"], row["asset_id"], row["sensor_id"]) == (
        toy.account_id, toy.user_id, battery, power,
    )  # fmt: skip
    assert row["request"] == {"sensor": power, **asked}
    [message] = await house.fetch("select topic, payload from outbox")
    assert (message["topic"], message["payload"]) == ("task:schedule", {"job": job})


async def test_a_trigger_for_an_asset(house: House, toy: Person, add_site: AddSite) -> None:
    building, price, _, power = await add_site()
    model = [{"sensor": power, **BATTERY}]
    asked = question(price, **{"flex-model": model})
    answer = await toy.post(f"/assets/{building}/schedules/trigger", asked, status=202)
    assert "results-url" not in answer
    [row] = await house.fetch("select request, asset_id, sensor_id from job")
    assert (row["asset_id"], row["sensor_id"]) == (building, None)
    assert row["request"] == {"asset": building, **asked}


async def test_the_same_question_is_answered_once(house: House, toy: Person, add_site: AddSite) -> None:
    _, price, battery, power = await add_site()
    await store_values(house, price, [1, 2, 3])

    async def ask(**more: object) -> str:
        answer = await toy.post(f"/sensors/{power}/schedules/trigger", question(price, **more), status=202)
        job: str = answer["job"]
        return job

    first = await ask()
    assert await ask() == first
    await finish(house, first)
    assert await ask() == first
    # Values stored by the schedule itself do not make it another question.
    await store_values(house, power, [5, 5], "scheduler")
    assert await ask() == first
    forced = await ask(**{"force-new-job-creation": True})
    assert forced != first
    assert await ask() == forced
    # Older clients write it with underscores.
    again = await ask(force_new_job_creation=True)
    assert again not in (first, forced)
    seen = {first, forced, again}
    for change in ("data", "later data", "other value", "asset", "sensor"):
        if change == "data":
            await store_values(house, price, [1, 2, 3, 4])
        elif change == "later data":
            await house.fetch(
                "update belief set belief_time = belief_time + interval '1 second' where sensor_id = $1", price
            )
        elif change == "other value":
            await house.fetch("update belief set event_value = 9 where sensor_id = $1 and event_value = 3", price)
        elif change == "asset":
            await toy.patch(f"/assets/{battery}", {"flex_model": {"roundtrip-efficiency": "80%"}})
        else:
            await toy.patch(f"/sensors/{power}", {"attributes": {"consumption_is_positive": True}})
        again = await ask()
        assert again not in seen, change
        assert await ask() == again
        seen.add(again)
    await toy.post("/sensors", {"name": "other", "unit": "kW", "generic_asset_id": battery, "event_resolution": "PT1H"})
    assert await ask() == again
    assert await ask(duration="PT6H") not in seen
    # Data of another time have no influence.
    latest = await ask()
    await house.fetch("update belief set event_start = event_start + interval '1 year' where event_value = 4")
    after = await ask()
    await house.fetch("update belief set event_value = 7 where event_value = 4")
    assert await ask() == after != latest


async def test_the_same_question_at_once_is_one_job(house: House, toy: Person, add_site: AddSite) -> None:
    _, price, battery, power = await add_site()
    await house.fetch("update asset set account_id = null where id = $1", battery)
    admin = await house.person("admin", toy.account_id, "admin")
    path = f"/sensors/{power}/schedules/trigger"
    answers = await asyncio.gather(*(admin.post(path, question(price), status=202) for _ in range(6)))
    assert len({answer["job"] for answer in answers}) == 1
    assert len(await house.fetch("select id from job")) == 1


async def test_a_schedule_that_begins_in_another_one_depends_on_it(
    house: House, toy: Person, add_site: AddSite
) -> None:
    _, price, battery, power = await add_site()
    soc = {"name": "soc", "unit": "kWh", "event_resolution": "PT0H", "generic_asset_id": battery}
    soc_sensor = (await toy.post("/sensors", soc))["id"]
    model = {"soc-max": "90 kWh", "power-capacity": "20 kW", "state-of-charge": {"sensor": soc_sensor}}

    async def ask() -> str:
        asked = question(price, **{"flex-model": model})
        answer = await toy.post(f"/sensors/{power}/schedules/trigger", asked, status=202)
        job: str = answer["job"]
        return job

    unknown = await ask()
    await store_values(house, soc_sensor, [20, 25], "scheduler")
    known = await ask()
    assert known != unknown
    # The schedule itself says the same of its start, and something else of what follows.
    await house.fetch("update belief set event_value = 30 where event_value = 25")
    assert await ask() == known
    await house.fetch("update belief set event_value = 21 where event_value = 20")
    assert await ask() != known


async def test_a_schedule_whose_values_are_gone_is_computed_again(house: House, toy: Person, add_site: AddSite) -> None:
    _, price, _, power = await add_site()

    async def ask() -> str:
        answer = await toy.post(f"/sensors/{power}/schedules/trigger", question(price), status=202)
        job: str = answer["job"]
        return job

    first = await ask()
    await finish(house, first, **{f"s{power}": (60, "kW", True, [1.0, None, 2.0])})
    await store_values(house, power, [1, 5, 2], "scheduler")
    assert await ask() == first
    await toy.call("DELETE", f"/sensors/{power}/data", status=204, json={"start": START.isoformat()})
    assert await ask() != first


async def test_a_failed_answer_is_not_given_again(house: House, toy: Person, add_site: AddSite) -> None:
    _, price, _, power = await add_site()
    first = (await toy.post(f"/sensors/{power}/schedules/trigger", question(price), status=202))["job"]
    await fail(house, first, "No prices.")
    second = (await toy.post(f"/sensors/{power}/schedules/trigger", question(price), status=202))["job"]
    assert second != first


WRONG: list[tuple[dict[str, Any], Any]] = [
    ({"start": "x"}, {"start": ["Not a valid datetime."]}),
    ({"start": "2026-03-02T00:00:00"}, {"start": ["Not a valid aware datetime."]}),
    ({"duration": "-PT1H"}, {"duration": ["Must be greater than zero."]}),
    ({"duration": "P400D"}, {"duration": ["Must not be longer than a year."]}),
    ({"start": "0001-01-01T00:00:00Z"}, {"start": ["Must be in the years 1900 to 2199."]}),
    ({"start": "9999-12-30T00:00:00Z", "duration": "PT1H"}, {"start": ["Must be in the years 1900 to 2199."]}),
    ({"duration": "P1000Y"}, {"duration": ["Must not be longer than a year."]}),
    ({"bogus": 1}, {"bogus": ["Unknown field."]}),
    ({"force-new-job-creation": "yes"}, {"force-new-job-creation": ["Not a valid boolean."]}),
    ({"flex-model": "x"}, {"flex-model": ["Not a valid mapping type."]}),
    ({"flex-model": BATTERY | {"bogus": 1}}, {"bogus": ["Unknown field."]}),
    ({"flex-model": BATTERY | {"soc-max": "90 EUR"}}, {"soc-max": ["Cannot convert value `90 EUR` to 'MWh'"]}),
]


async def test_wrong_triggers(house: House, toy: Person, add_site: AddSite, subtests: pytest.Subtests) -> None:
    _, price, _, power = await add_site()
    for change, message in WRONG:
        with subtests.test(change=change):
            answer = await toy.post(f"/sensors/{power}/schedules/trigger", question(price) | change, status=422)
            assert answer == {"message": {"json": message}, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"}
    unknown = {"flex-context": {"consumption-price": {"sensor": 999}}}
    answer = await toy.post(f"/sensors/{power}/schedules/trigger", question(price) | unknown, status=422)
    assert answer["message"] == ["No sensor found with ID 999."]
    assert not await house.fetch("select 1 from job")
    answer = await toy.post("/assets/999/schedules/trigger", {}, status=422)
    assert answer["message"] == {"id": ["No asset found with ID 999."]}
    answer = await toy.post("/sensors/999/schedules/trigger", {}, status=422)
    assert answer["message"] == {"path": {"id": ["No sensor found with ID 999."]}}


async def test_triggers_are_limited_per_account(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_800_000_030.0]
    monkeypatch.setattr("api_gateway.rate_limits.time", lambda: now[0])
    async with open_house(triggers_per_minute=3) as house:
        toy = await house.person("toy", await house.account("toy"), "account-admin")
        colleague = await house.person("colleague", toy.account_id)
        other = await house.person("other", await house.account("other"), "account-admin")
        asset = await toy.post("/assets", {"name": "x", "generic_asset_type_id": 5})
        path = f"/api/v3_0/assets/{asset['id']}/schedules/trigger"
        # Unknown and foreign things do not count against the limit.
        assert (await toy.client.post("/api/v3_0/assets/999/schedules/trigger", json={})).status_code == 422
        assert (await other.client.post(path, json={})).status_code == 403
        answers = [await person.client.post(path, json={}) for person in (toy, colleague, toy, colleague)]
        assert [answer.status_code for answer in answers] == [422, 422, 422, 429]
        refused = answers[-1]
        assert refused.json() == {
            "message": "You hit a rate limit. The limit you hit allows 3 per 1 minute.",
            "result": "Rejected", "status": "TOO_MANY_REQUESTS",
        }  # fmt: skip
        assert refused.headers["X-RateLimit-Limit"] == "3"
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert refused.headers["X-RateLimit-Reset"] == "1800000060"
        assert refused.headers["Retry-After"] == "30"
        now[0] += 30
        assert (await toy.client.post(path, json={})).status_code == 422


async def make_schedule(house: House, toy: Person, add_site: AddSite) -> tuple[int, int, str]:
    """Store a battery's schedule of an hour, production positive, and its states of charge."""
    _, price, battery, power = await add_site()
    soc = {"name": "soc", "unit": "kWh", "event_resolution": "PT0H", "generic_asset_id": battery}
    soc_sensor = (await toy.post("/sensors", soc))["id"]
    await toy.patch(f"/sensors/{power}", {"timezone": "Europe/Amsterdam"})
    job = (await toy.post(f"/sensors/{power}/schedules/trigger", question(price), status=202))["job"]
    rows = {
        f"s{power}": (15, "kW", False, [-20.0, 0.0, 10.0, 12.345678] * 10),
        f"s{soc_sensor}": (15, "kWh", True, [20.0 + step for step in range(41)]),
    }
    await finish(house, job, **rows)
    return power, soc_sensor, job


async def test_schedules_are_read_in_part_unit_and_sign(house: House, toy: Person, add_site: AddSite) -> None:
    power, soc, job = await make_schedule(house, toy, add_site)
    path = f"/sensors/{power}/schedules/{job}"
    whole = await toy.get(path, duration="PT48H")
    assert whole == {
        "message": "Request has been processed. StorageScheduler was used.", "status": "PROCESSED",
        "scheduler_info": {"scheduler": "StorageScheduler", "commitment_costs": {"energy": 1.0}},
        "values": [20.0, 0.0, -10.0, -12.345678] * 10, "start": "2026-03-02T01:00:00+01:00", "duration": "PT10H",
        "unit": "kW",
    }  # fmt: skip
    six = await toy.get(path)
    assert (six["duration"], len(six["values"])) == ("PT6H", 24)
    for params, values in (
        ({"sign-convention": "production-positive"}, [-20.0, 0.0]),
        ({"sign-convention": "wysiwyg"}, [-20.0, 0.0]),
        ({"unit": "MW"}, [0.02, 0.0]),
        ({"unit": "kWh"}, [5.0, 0.0]),
    ):
        part = await toy.get(path, duration="PT30M", **params)
        assert (part["values"], part["duration"]) == (values, "PT30M"), params
    answer = await toy.client.get(
        f"/api/v3_0{path}", params={"duration": "PT30M", "sign-convention": "production-positive"}
    )
    assert '"values":[-20.0,0.0]' in answer.text
    states = await toy.get(f"/sensors/{soc}/schedules/{job}", **{"sign-convention": "production-positive"})
    assert (states["duration"], len(states["values"]), states["values"][:2]) == ("PT6H", 25, [20.0, 21.0])
    everything = await toy.get(f"/sensors/{soc}/schedules/{job}", duration="P7D", unit="MWh")
    assert (everything["duration"], everything["values"][-1]) == ("PT10H", 0.06)


async def test_a_days_schedule_has_24_hours_when_the_clock_changes(
    house: House, toy: Person, add_site: AddSite
) -> None:
    power, _, job = await make_schedule(house, toy, add_site)
    await house.fetch(
        "update schedule set start = '2026-03-29T00:00+01', event_values = array_fill(1::float8, array[120])"
        " where sensor_id = $1",
        power,
    )
    for duration in ("P1D", "PT24H"):
        day = await toy.get(f"/sensors/{power}/schedules/{job}", duration=duration)
        assert (day["start"], day["duration"], len(day["values"])) == ("2026-03-29T00:00:00+01:00", "PT24H", 96)


async def test_filters_name_sources_and_accounts_that_are_there(house: House, toy: Person, add_site: AddSite) -> None:
    building, price, _, power = await add_site()
    async with house.store.transaction() as con:
        source = await sources.ensure(con, "exchange", "market")
    path = f"/sensors/{power}/schedules/trigger"

    def reading(**filters: object) -> dict[str, Any]:
        return {"flex-context": {"consumption-price": {"sensor": price, **filters}}}

    await toy.post(path, question(price) | reading(sources=[source], **{"source-account": toy.account_id}), status=202)
    for filters, sentence in (
        ({"sources": [source, 999]}, "No data source found with id 999."),
        ({"source-account": [999]}, "No account found with id 999."),
        ({"sources": [10**12]}, f"No data source found with id {10**12}."),
    ):
        wrong = {"json": {"consumption-price": [sentence]}}
        assert (await toy.post(path, question(price) | reading(**filters), status=422))["message"] == wrong
        stored = {"flex_context": reading(**filters)["flex-context"]}
        assert (await toy.patch(f"/assets/{building}", stored, status=422))["message"] == wrong


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"unit": "EUR"}, {"unit": ["Incompatible units: kW cannot be converted to EUR."]}),
        (
            {"sign-convention": "up"},
            {"sign-convention": ["Must be one of: consumption-positive, production-positive, wysiwyg."]},
        ),
        ({"sign_convention": "wysiwyg"}, {"sign_convention": ["Unknown field."]}),
        ({"foo": 1}, {"foo": ["Unknown field."]}),
        ({"duration": "-PT1H"}, {"duration": ["A duration cannot be negative."]}),
    ],
)
async def test_wrong_questions(
    house: House, toy: Person, add_site: AddSite, params: dict[str, Any], message: object
) -> None:
    power, _, job = await make_schedule(house, toy, add_site)
    answer = await toy.get(f"/sensors/{power}/schedules/{job}", 422, **params)
    assert answer == {"message": message, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"}


async def test_jobs_tell_how_they_are(house: House, toy: Person, add_site: AddSite) -> None:
    _, price, _, power = await add_site()
    job = (await toy.post(f"/sensors/{power}/schedules/trigger", question(price), status=202))["job"]
    path = f"/sensors/{power}/schedules/{job}"
    waiting = await toy.get(f"/jobs/{job}", 202)
    assert (waiting["status"], waiting["message"]) == ("QUEUED", "Scheduling job waiting to be processed.")
    assert waiting["enqueued-at"] == waiting["enqueued_at"]
    assert waiting["started-at"] is waiting["result"] is waiting["exc-info"] is None
    assert await toy.get(path, 202) == {"message": "Scheduling job waiting to be processed.", "status": "QUEUED"}
    async with house.store.connection() as con:
        await claim_job(con, UUID(job))
    assert (await toy.get(f"/jobs/{job}", 202))["message"] == "Scheduling job in progress."
    assert (await toy.get(path, 202))["status"] == "STARTED"
    await house.fetch("update job set status = 'QUEUED'")
    await fail(house, job, "Battery 7 cannot reach 90 kWh.")
    failed = await toy.get(f"/jobs/{job}", 422)
    assert (failed["status"], failed["message"]) == ("FAILED", "Scheduling job failed: Battery 7 cannot reach 90 kWh.")
    assert "secrets" not in str(failed)
    gone = await toy.get(path, 400)
    assert gone["status"] == "UNKNOWN_SCHEDULE"
    assert "cannot reach 90 kWh" in gone["message"]
    [listed] = (await toy.get("/assets/1/jobs"))["jobs"]
    assert (listed["job_id"], listed["status"], listed["entity"]) == (job, "failed", f"sensor: power (Id: {power})")


async def test_warnings_are_told(house: House, toy: Person, add_site: AddSite) -> None:
    _, price, _, power = await add_site()
    job = (await toy.post(f"/sensors/{power}/schedules/trigger", question(price), status=202))["job"]
    await finish(house, job)
    await house.fetch('update job set info = info || \'{"warnings": ["The price was held."]}\'')
    assert (await toy.get(f"/jobs/{job}"))["warnings"] == ["The price was held."]


async def test_a_schedule_is_of_one_job_and_one_account(house: House, toy: Person, add_site: AddSite) -> None:
    power, _, job = await make_schedule(house, toy, add_site)
    gone = await toy.get(f"/sensors/1/schedules/{job}", 400)
    assert gone["status"] == "UNKNOWN_SCHEDULE"
    for other in ("00000000-0000-0000-0000-000000000000", "abc"):
        gone = await toy.get(f"/sensors/{power}/schedules/{other}", 400)
        assert gone["status"] == "UNRECOGNIZED_UDI_EVENT"
        assert (await toy.get(f"/jobs/{other}", 404)) == {"message": f"Job {other} not found.", "status": "ERROR"}
    assert (await toy.get(f"/sensors/999/schedules/{job}", 422))["message"] == {"id": ["No sensor found with ID 999."]}
    stranger = await house.person("stranger", await house.account("elsewhere"), "account-admin")
    await stranger.get(f"/jobs/{job}", 403)
    await stranger.get(f"/sensors/{power}/schedules/{job}", 403)


async def test_forecasts_are_taken_on_where_they_are_computed(house: House, toy: Person, add_site: AddSite) -> None:
    _building, price, _, power = await add_site()
    asked = {"start": START.isoformat(), "duration": "P1D", "config": {"past-regressors": [price]}}
    refused = await toy.post(f"/sensors/{power}/forecasts/trigger", asked, status=503)
    assert refused == {"message": "This platform computes no forecasts. Nothing was taken on.", "status": 503}
    assert not await house.fetch("select 1 from job")
    house.app.state.gateway.settings = house.settings.model_copy(update={"forecasts": True})
    answer = await toy.post(f"/sensors/{power}/forecasts/trigger", asked, status=202)
    [row] = await house.fetch("select queue, request from job")
    assert (row["queue"], row["request"]) == ("forecast", {"sensor": power, **asked})
    path = f"/sensors/{power}/forecasts/{answer['forecast']}"
    assert await toy.get(path, 202) == {"message": "Forecasting job waiting to be processed.", "status": "QUEUED"}
    await finish(house, answer["job"], **{f"s{power}": (15, "kW", True, [1.5] * 96)})
    assert await toy.get(path) == {
        "duration": "P1D", "start": "2026-03-02T00:00:00+00:00", "unit": "kW", "values": [1.5] * 96,
    }  # fmt: skip
    unknown = await toy.get(f"/sensors/{power}/forecasts/00000000-0000-0000-0000-000000000000", 422)
    assert "not found" in unknown["message"]["json"]
    for wrong, key in (({"foo": 1}, "foo"), ({"config": {"regressors": [999]}}, "config"), ({"start": "x"}, "start")):
        refused = await toy.post(f"/sensors/{power}/forecasts/trigger", wrong, status=422)
        assert list(refused["message"]["combined_sensor_data_description"]) == [key]


async def test_who_asks_too_early_waits_a_moment(house: House, toy: Person, add_site: AddSite) -> None:
    _, price, _, power = await add_site()
    job = (await toy.post(f"/sensors/{power}/schedules/trigger", question(price), status=202))["job"]
    gateway = house.app.state.gateway
    gateway.settings = gateway.settings.model_copy(update={"patience": timedelta(seconds=5)})

    async def work() -> None:
        await asyncio.sleep(0.1)
        await finish(house, job, **{f"s{power}": (15, "kW", True, [1.5] * 96)})

    schedule, status, _ = await asyncio.gather(
        toy.get(f"/sensors/{power}/schedules/{job}"), toy.get(f"/jobs/{job}"), work()
    )
    assert schedule["values"][:2] == [1.5, 1.5]
    assert status["status"] == "FINISHED"
