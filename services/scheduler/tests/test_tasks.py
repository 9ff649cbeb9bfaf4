"""Jobs of the schedule queue on a real database: what is stored, and what is said when it cannot be."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from flexcore.webhooks import subscriptions
from flexmodel.time import parse_moment
from flexstore import series
from flexstore.series import SeriesQuery
from flexstore.store import Store
from flexwork import activity_log, job_runner, jobs
from flexwork.jobs import Job
from scheduler.settings import SchedulerSettings
from scheduler.tasks import make_handler, record_failure
from scheduling_cases import Case, Unpack

CASES = Path(__file__).parent / "cases"
Run = Callable[..., Awaitable[Job]]
Opened = Callable[[str], Awaitable[Case]]


@pytest.fixture
def handler() -> job_runner.Handler:
    return make_handler(SchedulerSettings())


@pytest.fixture
def run(store: Store, handler: job_runner.Handler) -> Run:
    """Create a job for a case and do it."""

    async def run(case_file: Case, **changed: object) -> Job:
        subject = {"asset": case_file.asset_id} if case_file.sensor_id is None else {"sensor": case_file.sensor_id}
        async with store.transaction() as con:
            account = await con.fetchval("select account_id from asset where id = $1", case_file.asset_id)
            request = {**subject, **case_file.message, **changed}
            job_id = await jobs.create(con, queue="schedule", request=request, account_id=account)
        await job_runner.run(store, job_id, handler, on_failure=record_failure)
        async with store.connection() as con:
            job = await jobs.get(con, job_id)
        assert job is not None
        return job

    return run


@pytest.fixture
async def opened(case: Callable[[Path], Case], plant: Callable[[Case], Awaitable[None]]) -> Opened:
    """Open a case and put it into the database."""

    async def open_(name: str) -> Case:
        case_file = case(CASES / f"{name}.json")
        await plant(case_file)
        return case_file

    return open_


async def stored_schedule(store: Store, job: Job, sensor_id: int) -> asyncpg.Record:
    async with store.connection() as con:
        row = await con.fetchrow("select * from schedule where job_id = $1 and sensor_id = $2", job.id, sensor_id)
    assert row is not None
    return row


async def test_a_battery(store: Store, opened: Opened, run: Run, unpack: Unpack) -> None:
    case_file = await opened("g01-toy-battery")
    job = await run(case_file)
    assert (job.status, job.error) == ("FINISHED", None)
    assert job.result == {"num-beliefs": 48, "resolved": [], "unresolved": []}
    assert job.info["scheduler_info"]["scheduler"] == "StorageScheduler"
    costs = job.info["scheduler_info"]["commitment_costs"]
    assert costs["electricity net energy"] == pytest.approx(-4.655136239, rel=1e-6)
    sensor = case_file.sensors["battery power"]
    expected = np.array(unpack(case_file.expect["schedules"]["battery power"]["values"]))
    row = await stored_schedule(store, job, sensor)
    assert (row["start"], row["resolution"], row["unit"]) == (case_file.start, timedelta(minutes=15), "kW")
    assert not row["consumption_positive"]
    np.testing.assert_allclose(row["event_values"], -expected, atol=1e-5)
    async with store.connection() as con:
        end = case_file.start + timedelta(hours=12)
        [believed] = await series.load_series(con, [SeriesQuery(sensor, case_file.start, end, timedelta(minutes=15))])
        source = await con.fetchrow("select * from source where id = $1", int(believed.source[0]))
    assert source is not None
    assert believed.values.tolist() == row["event_values"]
    assert (source["name"], source["type"], source["model"]) == ("Flexmesh", "scheduler", "StorageScheduler")
    assert job.info["data_source_info"]["id"] == source["id"]
    async with store.connection() as con:
        explanation = await con.fetchval("select document from explanation where job_id = $1", job.id)
    assert explanation["costs"] == costs
    assert explanation["sentences"]


@pytest.mark.parametrize(
    "name",
    ["g04-toy-solar-and-battery", "g11b-slow-leak", "r05-soc-minima-maxima-soft", "r25-shared-stock-two-feeders"],
)
async def test_series_from_the_database_give_the_same_schedule(opened: Opened, run: Run, name: str) -> None:
    case_file = await opened(name)
    job = await run(case_file)
    costs = job.info["scheduler_info"]["commitment_costs"]
    expected = {**case_file.expect.get("costs", {}), **case_file.expect.get("some-costs", {})}
    assert expected
    assert {cost: costs[cost] for cost in expected} == pytest.approx(expected, rel=1e-6, abs=1e-7)


async def test_one_sensor_alone_leaves_its_state_of_charge_in_attributes_that_are_there(
    store: Store, opened: Opened, run: Run
) -> None:
    case_file = await opened("g01-toy-battery")
    sensor = case_file.sensors["battery power"]
    async with store.connection() as con:
        old = {"soc_in_mwh": 0.1, "soc_datetime": "2020-01-01T00:00:00+00:00"}
        await con.execute("update sensor set attributes = attributes || $2 where id = $1", sensor, old)
    model = {key: value for key, value in case_file.message["flex-model"][0].items() if key != "sensor"}
    case_file.document["trigger"]["sensor"] = "battery power"
    job = await run(case_file, **{"flex-model": model})
    assert job.status == "FINISHED"
    async with store.connection() as con:
        attributes = await con.fetchval("select attributes from sensor where id = $1", sensor)
        untouched = await con.fetchval("select attributes from asset where id = $1", case_file.assets["battery"])
    assert attributes["soc_in_mwh"] == 0.225
    assert parse_moment(attributes["soc_datetime"]) == case_file.start
    assert untouched == {}


async def test_an_output_sensor_is_marked_with_its_sign(store: Store, opened: Opened, run: Run) -> None:
    case_file = await opened("g01-toy-battery")
    async with store.connection() as con:
        output = await con.fetchval(
            "insert into sensor (asset_id, name, unit, event_resolution) values ($1, 'drawn', 'kW', '15 minutes')"
            " returning id",
            case_file.assets["battery"],
        )
    [model] = case_file.message["flex-model"]
    job = await run(case_file, **{"flex-model": [{**model, "consumption": {"sensor": output}}]})
    assert job.status == "FINISHED"
    row = await stored_schedule(store, job, output)
    assert row["consumption_positive"]
    assert max(row["event_values"]) == 500
    async with store.connection() as con:
        assert await con.fetchval("select attributes from sensor where id = $1", output) == {
            "consumption_is_positive": True
        }


async def test_prices_that_are_not_there_fail_the_job_with_the_sensor_and_the_period(opened: Opened, run: Run) -> None:
    case_file = await opened("g01-toy-battery")
    job = await run(case_file, start="2027-06-01T00:00:00+01:00")
    assert job.status == "FAILED"
    assert job.error is not None
    assert f"Prices unknown for planning window. (sensor {case_file.sensors['price']})." in job.error
    assert "2027-05-31T23:00:00+00:00 to 2027-06-01T11:00:00+00:00" in job.error


async def test_an_unreachable_target_fails_the_job_with_numbers(store: Store, opened: Opened, run: Run) -> None:
    case_file = await opened("g17b-hard")
    job = await run(case_file)
    assert job.status == "FAILED"
    assert job.error is not None
    assert "8 MWh" in job.error
    async with store.connection() as con:
        assert await con.fetchval("select count(*) from schedule") == 0


async def test_prior_limits_the_known_beliefs(store: Store, opened: Opened, run: Run) -> None:
    case_file = await opened("g01-toy-battery")
    price = case_file.sensors["price"]
    async with store.connection() as con:
        later = series.to_datetime64(case_file.start)
        hours = np.arange(24) * np.timedelta64(1, "h") + series.to_datetime64(case_file.start - timedelta(hours=7))
        source = await con.fetchval("select source_id from belief limit 1")
        await series.write_beliefs(con, series.BeliefBatch(price, hours, later, np.full(24, 1000.0), source))
    before = await run(case_file, prior=(case_file.start - timedelta(hours=1)).isoformat())
    after = await run(case_file)
    costs = [job.info["scheduler_info"]["commitment_costs"]["electricity net energy"] for job in (before, after)]
    assert costs[0] == pytest.approx(-4.655136239, rel=1e-6)
    assert costs[1] != pytest.approx(-4.655136239, rel=1e-3)
    async with store.connection() as con:
        [believed] = await con.fetch(
            "select distinct belief_time from belief where sensor_id = $1 and belief_time < $2",
            case_file.sensors["battery power"], case_file.start,
        )  # fmt: skip
    assert believed["belief_time"] == case_file.start - timedelta(hours=1)


async def test_subscribers_are_notified(store: Store, opened: Opened, run: Run) -> None:
    case_file = await opened("g01-toy-battery")
    async with store.transaction() as con:
        account = await con.fetchval("select account_id from asset where id = $1", case_file.asset_id)
        await subscriptions.add(con, account, "https://example.org/told", ["schedule.finished", "schedule.failed"])
    job = await run(case_file)
    assert await notifications(store) == [("schedule.finished", str(job.id))]
    failed = await run(case_file, start="2027-06-01T00:00:00+01:00")
    assert await notifications(store) == [("schedule.finished", str(job.id)), ("schedule.failed", str(failed.id))]


async def notifications(store: Store) -> list[tuple[str, str]]:
    async with store.connection() as con:
        await activity_log.assign_positions(con)
        rows = await con.fetch("select payload from outbox where topic = 'webhook' order by id")
    return [(row["payload"]["type"], row["payload"]["data"]["job"]) for row in rows]


async def test_a_sensor_that_is_gone_fails_the_job(store: Store, handler: job_runner.Handler) -> None:
    async with store.transaction() as con:
        job_id = await jobs.create(
            con, queue="schedule", request={"sensor": 4711, "start": "2026-01-13T00:00:00+01:00"}
        )
    assert await job_runner.run(store, job_id, handler) == "FAILED"
    async with store.connection() as con:
        job = await jobs.get(con, job_id)
    assert job is not None
    assert job.error == "Sensor 4711 is no longer there."


async def test_devices_one_after_the_other_are_one_job(store: Store, opened: Opened, run: Run) -> None:
    case_file = await opened("g19-two-cars-one-after-the-other")
    job = await run(case_file)
    assert job.status == "FINISHED"
    async with store.connection() as con:
        rows = await con.fetch("select sensor_id from schedule where job_id = $1", job.id)
    assert {row["sensor_id"] for row in rows} >= {entry["sensor"] for entry in case_file.message["flex-model"]}
    costs = job.info["scheduler_info"]["commitment_costs"]
    assert costs["electricity net energy"] == pytest.approx(1.4613 + 2430.3887)
    async with store.connection() as con:
        explanation = await con.fetchval("select document from explanation where job_id = $1", job.id)
    assert len(explanation["turns"]) == 2
