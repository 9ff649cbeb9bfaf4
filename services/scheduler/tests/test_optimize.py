"""Self-contained problems: what comes back, what is refused and where, and what becomes a job."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from flexmodel.errors import Invalid
from flexserve.service_token import generate_token
from flexstore.store import Store
from flexwork import job_runner, jobs
from scheduler.app import create_app
from scheduler.optimize import service
from scheduler.optimize.request import parse_request
from scheduler.optimize.response import solve_request
from scheduler.settings import SchedulerSettings
from scheduler.solving.search import SolverOptions
from scheduler.solving.solve import OutOfTimeError
from scheduler.tasks import make_handler, record_failure

START = "2026-01-13T00:00:00+01:00"
BATTERY = {
    "name": "battery",
    "soc-at-start": "10 kWh",
    "soc-min": "10 kWh",
    "soc-max": "50 kWh",
    "power-capacity": "10 kW",
}
LARGEST = 1000


def problem(*entries: dict[str, Any], **more: object) -> dict[str, Any]:
    """Four hours with a price of 10, 20, 30 and 40 EUR/MWh."""
    price = {"unit": "EUR/MWh", "resolution": "PT1H", "start": START, "values": [10, 20, 30, 40]}
    return {
        "start": START,
        "duration": "PT4H",
        "resolution": "PT1H",
        "flex-model": list(entries or (BATTERY,)),
        "flex-context": {"consumption-price": {"sensor": "price"}},
        "series": {"price": price, "level": {"unit": "kWh", "resolution": "PT0S", "start": START, "values": [10]}},
    } | more


def solved(message: object) -> dict[str, Any]:
    return solve_request(parse_request(message, LARGEST), SolverOptions())


def test_an_answer() -> None:
    response = solved(problem())
    assert response["status"] == "optimal"
    assert response["window"] == {
        "start": START, "end": "2026-01-13T04:00:00+01:00", "resolution": "PT1H", "steps": 4
    }  # fmt: skip
    assert response["currency"] == "EUR"
    assert response["schedules"] == {"battery": {"unit": "MW", "values": [0.01, 0.01, -0.01, -0.01]}}
    assert response["state-of-charge"] == {"battery": {"unit": "MWh", "values": [0.01, 0.02, 0.03, 0.02, 0.01]}}
    assert response["costs"]["electricity net energy"] == pytest.approx(-0.4)
    assert response["total"] == pytest.approx(sum(response["costs"].values()))
    assert (response["gap"], response["warnings"]) == (0, [])
    assert response["explanation"]["costs"] == response["costs"]
    assert response["explanation"]["sentences"][0].startswith("The schedule earns 0.4")


def test_without_names_entries_are_numbered() -> None:
    unnamed = {key: value for key, value in BATTERY.items() if key != "name"}
    assert list(solved(problem(unnamed, unnamed))["schedules"]) == ["device 0", "device 1"]


def test_an_end_or_a_duration_in_the_requested_time_zone() -> None:
    ended = problem(end="2026-01-13T04:00:00+01:00")
    ended.pop("duration")
    assert solved(ended)["window"]["steps"] == 4
    # The night in which clocks go forward has 23 hours.
    spring = problem(
        start="2026-03-29T00:00:00+01:00", duration="P1D", timezone="Europe/Amsterdam",
        **{"flex-context": {"consumption-price": "5 EUR/MWh"}},
    )  # fmt: skip
    window = solved(spring)["window"]
    assert (window["steps"], window["end"]) == (23, "2026-03-30T00:00:00+02:00")


def test_a_stock_is_named_by_the_entry_that_describes_it() -> None:
    level = {"state-of-charge": {"sensor": "level"}}
    pumps = [{"name": name, "power-capacity": "5 kW", "production-capacity": "0 kW", **level} for name in "ab"]
    tank = {
        "name": "tank",
        "soc-max": "50 kWh",
        "soc-minima": [{"datetime": "2026-01-13T04:00:00+01:00", "value": "30 kWh"}],
    }
    response = solved(problem(*pumps, {**tank, **level}))
    assert list(response["schedules"]) == ["a", "b"]
    assert list(response["state-of-charge"]) == ["tank"]
    assert response["state-of-charge"]["tank"]["values"][-1] == pytest.approx(0.03)


def test_a_group_an_inflexible_device_and_a_commitment() -> None:
    load = {"unit": "kW", "resolution": "PT1H", "start": START, "values": [3, 3, 3, 3]}
    message = problem(
        {**BATTERY, "group": {"asset": "feeder"}},
        {"name": "load", "inflexible-consumption": {"sensor": "load"}, "group": {"asset": "feeder"}},
        {"name": "feeder", "power-capacity": "8 kW"},
    )
    message["series"]["load"] = load
    contract = {"name": "contract", "baseline": "0 kW", "up-price": "1 EUR/MWh", "sensors": ["battery"]}
    message["flex-context"]["commitments"] = [contract]
    response = solved(message)
    assert list(response["schedules"]) == ["battery"]
    assert response["schedules"]["battery"]["values"] == pytest.approx([0.005, 0.005, 0, -0.01])
    assert response["costs"]["contract"] == pytest.approx(0.01)
    bound = {spell["name"] for spell in response["explanation"]["binding"]}
    assert "feeder" in str(bound)
    assert "20000000" not in str(response)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ([], {"_schema": ["Not a valid mapping type."]}),
        (problem(foo=1), {"foo": ["Unknown field."]}),
        (problem(prior=START), {"prior": ["Unknown field."]}),
        (problem(start="noon"), {"start": ["Not a valid datetime."]}),
        (problem(end=START), {"duration": ["Give either a `duration` or an `end`."]}),
        (problem(duration="-PT1H"), {"duration": ["The window must end after its start."]}),
        (problem(duration="P2Y"), {"duration": ["The window must not be longer than a year."]}),
        (problem(duration="P9999Y"), {"duration": ["The window must not be longer than a year."]}),
        (problem(duration="PT90M"), {"duration": ["Must be a multiple of the resolution, PT1H."]}),
        (problem(resolution="PT0S"), {"resolution": ["Must be greater than zero."]}),
        (problem(timezone="Mars"), {"timezone": ["There is no time zone named 'Mars'."]}),
        (problem({**BATTERY, "sensor": 5}), {"flex-model": {"0": {"sensor": [
            "Nothing is stored: the answer has the schedule under the entry's `name`."]}}}),
        (problem(BATTERY, BATTERY), {"flex-model": {"1": {"name": ["There is more than one entry named 'battery'."]}}}),
        (problem({**BATTERY, "name": 3}), {"flex-model": {"0": {"name": ["Not a valid name."]}}}),
        (problem(BATTERY, {**BATTERY, "name": "b", "soc-min": "3 kW"}),
         {"flex-model": {"1": {"soc-min": ["Cannot convert value `3 kW` to 'MWh'"]}}}),
        (problem({**BATTERY, "soc-max": {"sensor": "lvl"}}), {"flex-model": {"0": {"soc-max": {"sensor": [
            "There is no series named 'lvl'. There are: 'price', 'level'."]}}}}),
        (problem({**BATTERY, "soc-max": {"sensor": "price"}}), {"flex-model": {"0": {"soc-max": [
            "Cannot convert 'EUR/MWh', the unit of sensor 'price', to 'MWh'."]}}}),
        (problem({**BATTERY, "group": {"asset": "garage"}}), {"flex-model": {"0": {"group": {"asset": [
            "There is no entry of the flex-model named 'garage'. There are: 'battery'."]}}}}),
        (problem(**{"flex-context": {"consumption-price": "3 kW"}}), {"flex-context": {"consumption-price": [
            "Invalid unit. A valid unit would be, for example, 'EUR/MWh'. However, you passed an incompatible price "
            "('kW') for the 'consumption-price' field."]}}),
        (problem(**{"flex-context": {"consumption-price": {"sensor": "price", "sources": [1]}}}),
         {"flex-context": {"consumption-price": {"sources": [
             "A series that comes with the problem has no sources to choose from."]}}}),
        (problem(**{"flex-context": {"consumption-price": "1 EUR/MWh", "aggregate-power": {"sensor": "level"}}}),
         {"flex-context": {"aggregate-power": ["Nothing is stored: add up the schedules in the answer."]}}),
        (problem(duration="P300D"), {"flex-model": [
            "1 entries times 7200 steps are 7200; this platform takes 1000 at most. "
            "Ask for a shorter time, a coarser resolution or fewer devices."]}),
        (problem(series={"price": {"unit": "EUR/MWh", "resolution": "PT1H", "start": START, "values": [1, "2"]}}),
         {"series": {"price": {"values": {"1": ["Not a valid number."]}}}}),
        (problem(series={"price": {"unit": "EUR/MWh", "resolution": "PT0S", "start": START, "values": [1, 2]}}),
         {"series": {"price": {"resolution": ["Several values need a resolution, like 'PT15M'."]}}}),
        (problem(series={"price": {"unit": "parsec"}}), {"series": {"price": {
            key: ["Missing data for required field."] for key in ("resolution", "start", "values")}}}),
    ],
)  # fmt: skip
def test_refusals_name_the_field_as_it_was_written(message: object, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        solved(message)
    assert refusal.value.fields == fields


def test_of_many_entries_those_at_fault_are_named() -> None:
    entries = [{**BATTERY, "name": str(number)} for number in range(60)]
    for number in (17, 41):
        entries[number]["soc-max"] = "3 kW"
    with pytest.raises(Invalid) as refusal:
        solved(problem(*entries))
    assert refusal.value.fields["flex-model"].keys() == {"17", "41"}
    with pytest.raises(Invalid, match="10001 entries are too many"):
        solved(problem(*[{}] * 10_001))


def test_errors_between_entries_are_attributed_to_none_of_them() -> None:
    mixed: list[dict[str, Any]] = [
        {**BATTERY, "group": {"asset": "feeder"}},
        {**BATTERY, "name": "boiler", "commodity": "gas", "group": {"asset": "feeder"}},
        {"name": "feeder", "power-capacity": "8 kW"},
    ]
    with pytest.raises(Invalid) as refusal:
        solved(problem(*mixed))
    assert refusal.value.fields == {"group": ["The group of asset 'feeder' mixes commodities: electricity, gas."]}


def test_too_deep_nesting_is_refused() -> None:
    deep: Any = "1 kW"
    for _ in range(900):
        deep = {"value": deep}
    with pytest.raises(Invalid) as refusal:
        solved(problem({**BATTERY, "power-capacity": deep}))
    assert "Too deeply nested." in str(refusal.value.fields)


def test_infeasible_problems_are_refused_with_a_sentence() -> None:
    target = {"soc-targets": [{"datetime": "2026-01-13T01:00:00+01:00", "value": "50 kWh"}]}
    context = {"flex-context": {"consumption-price": {"sensor": "price"}, "relax-constraints": False}}
    with pytest.raises(Invalid) as refusal:
        solved(problem({**BATTERY, **target}, **context))
    [sentence] = refusal.value.fields["_schema"]
    assert sentence.startswith("battery cannot reach 50 kWh at 2026-01-13 00:00 UTC from 10 kWh at the start: 30 kWh")
    assert sentence in refusal.value.message


def test_a_gap_in_the_prices_names_the_series() -> None:
    with pytest.raises(Invalid, match="sensor 'price'"):
        solved(problem(series={"price": {"unit": "EUR/MWh", "resolution": "PT1H", "start": START, "values": [None]}}))


@pytest.fixture
def client() -> Callable[..., httpx.AsyncClient]:
    def open_client(optimize_sync_seconds: float = 2.0) -> httpx.AsyncClient:
        token = generate_token()
        app = create_app(SchedulerSettings(service_token=token, optimize_sync_seconds=optimize_sync_seconds))
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://scheduler", headers=headers)

    return open_client


async def test_the_route_is_for_services_only(client: Callable[..., httpx.AsyncClient]) -> None:
    async with client() as service:
        response = await service.post("/optimize", json=problem())
        assert (response.status_code, response.json()["schedules"]["battery"]["unit"]) == (200, "MW")
        refused = await service.post("/optimize", json=problem(foo=1))
        assert (refused.status_code, refused.json()["fields"]) == (422, {"foo": ["Unknown field."]})
        assert (await service.post("/optimize", content=b"{")).status_code == 400
        assert (await service.post("/optimize", json={}, headers={"Authorization": "Bearer x"})).status_code == 401
    without = httpx.ASGITransport(create_app(SchedulerSettings()))
    async with httpx.AsyncClient(transport=without, base_url="http://scheduler") as anyone:
        assert (await anyone.post("/optimize", json=problem())).status_code == 404


async def test_slow_problems_are_not_solved_at_once(
    client: Callable[..., httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client(optimize_sync_seconds=0) as service_client:
        assert (await service_client.post("/optimize", json=problem())).status_code == 202
        # Errors are reported at once all the same.
        assert (await service_client.post("/optimize", json=problem(foo=1))).status_code == 422

    def late(*_: object) -> dict[str, Any]:
        raise OutOfTimeError("No schedule was found.")

    def slow(*_: object) -> dict[str, Any]:
        time.sleep(0.3)
        return {"status": "optimal"}

    for solve in (late, slow, lambda *_: {"status": "feasible"}):
        monkeypatch.setattr(service, "solve_request", solve)
        async with client(optimize_sync_seconds=0.05) as service_client:
            assert (await service_client.post("/optimize", json=problem())).status_code == 202


async def done(store: Store, message: dict[str, Any]) -> jobs.Job:
    async with store.transaction() as con:
        job_id = await jobs.create(con, queue="schedule", request={"optimize": message})
    await job_runner.run(store, job_id, make_handler(SchedulerSettings()), on_failure=record_failure)
    async with store.connection() as con:
        job = await jobs.get(con, job_id)
        assert job is not None
        assert await con.fetchval("select count(*) from belief") == 0
    return job


async def test_a_job_has_the_answer_as_its_result(store: Store) -> None:
    job = await done(store, problem())
    assert (job.status, job.error) == ("FINISHED", None)
    assert job.result == solved(problem())


async def test_a_job_that_fails_says_why(store: Store) -> None:
    empty = problem(series={"price": {"unit": "EUR/MWh", "resolution": "PT1H", "start": START, "values": []}})
    job = await done(store, empty)
    assert job.status == "FAILED"
    assert "sensor 'price'" in str(job.error)
