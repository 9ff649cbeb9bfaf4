"""Self-contained problems: permissions, requests to the scheduler, and jobs."""

from uuid import UUID, uuid4

import httpx
import pytest
from flexwork import jobs
from gateway_house import House, JsonObject, OpenHouse, Person, claim_job

PROBLEM = {"start": "2026-01-13T00:00:00+01:00", "duration": "PT4H", "flex-model": [{"name": "battery"}]}
ANSWER = {"status": "optimal", "total": -0.4}
URL = "/api/v1/optimize"


async def test_the_scheduler_is_asked_in_the_name_of_the_caller(house: House, toy: Person) -> None:
    house.scheduler.answer = (200, ANSWER)
    answer = await toy.client.post(URL, json=PROBLEM)
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert answer.headers["content-type"] == "application/json"
    [(path, headers, body)] = house.scheduler.received
    assert (path, body) == ("/optimize", answer.request.content)
    assert (headers["x-flexmesh-user"], headers["x-flexmesh-account"]) == (str(toy.user_id), str(toy.account_id))
    assert not await house.fetch("select from job")


async def test_what_takes_long_becomes_a_job(house: House, toy: Person) -> None:
    house.scheduler.answer = (202, None)
    answer = await toy.client.post(URL, json=PROBLEM)
    job = answer.json()["job"]
    assert (answer.status_code, answer.headers["location"]) == (202, f"{URL}/{job}")
    assert answer.json()["job-url"] == answer.headers["location"]
    [row] = await house.fetch("select * from job")
    assert (str(row["id"]), row["queue"], row["request"]) == (job, "schedule", {"optimize": PROBLEM})
    assert (row["account_id"], row["user_id"], row["asset_id"]) == (toy.account_id, toy.user_id, None)
    [message] = await house.fetch("select topic, payload from outbox")
    assert (message["topic"], message["payload"]) == ("task:schedule", {"job": job})
    waiting = await toy.client.get(f"{URL}/{job}")
    assert (waiting.status_code, waiting.json()["status"]) == (202, "QUEUED")
    async with house.store.transaction() as con:
        claim = await claim_job(con, UUID(job))
        await jobs.finish(con, UUID(job), claim, ANSWER)
    found = await toy.client.get(f"{URL}/{job}")
    assert (found.status_code, found.json()) == (200, ANSWER)


async def test_asked_again_with_its_key_the_answer_leads_to_the_same_job(house: House, toy: Person) -> None:
    house.scheduler.answer = (202, None)
    first, second = [await toy.client.post(URL, json=PROBLEM, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert first.headers["location"] == second.headers["location"] == f"{URL}/{first.json()['job']}"


async def test_a_job_that_failed_says_why(house: House, toy: Person) -> None:
    house.scheduler.answer = (202, None)
    job = (await toy.client.post(URL, json=PROBLEM)).json()["job"]
    async with house.store.transaction() as con:
        claim = await claim_job(con, UUID(job))
        await jobs.fail(con, UUID(job), claim, "battery cannot reach 50 kWh.")
    answer = await toy.client.get(f"{URL}/{job}")
    assert_problem(answer, 422)
    assert answer.json()["detail"] == "Scheduling job failed: battery cannot reach 50 kWh."


async def test_what_is_wrong_is_said_by_field(house: House, toy: Person) -> None:
    fields = {"flex-model": {"0": {"soc-max": ["Cannot convert value `3 kW` to 'MWh'"]}}}
    house.scheduler.answer = (422, {"detail": "flex-model.0.soc-max: …", "fields": fields})
    answer = await toy.client.post(URL, json=PROBLEM)
    assert_problem(answer, 422)
    assert answer.json()["fields"] == fields
    assert answer.json()["instance"] == URL


async def test_bodies_that_are_no_json(toy: Person) -> None:
    assert_problem(await toy.client.post(URL, content="{", headers={"Content-Type": "application/json"}), 400)
    assert_problem(await toy.client.post(URL, content="{}", headers={"Content-Type": "text/plain"}), 415)


async def test_who_may(house: House, toy: Person) -> None:
    house.scheduler.answer = (200, ANSWER)
    assert_problem(await house.guest().post(URL, json=PROBLEM), 401)
    account = await house.account("own")
    for role, status in ((None, 200), ("account-reader", 403), ("consultant", 200), ("admin-reader", 200)):
        person = await house.person(f"{role}", account, *([role] if role else []))
        assert (await person.client.post(URL, json=PROBLEM)).status_code == status, role
    await house.fetch("update token set scopes = '{read}' where user_id = $1", toy.user_id)
    assert_problem(await toy.client.post(URL, json=PROBLEM), 403)


async def test_answers_are_for_the_account_that_asked(house: House, toy: Person) -> None:
    house.scheduler.answer = (202, None)
    job = (await toy.client.post(URL, json=PROBLEM)).json()["job"]
    colleague = await house.person("colleague", toy.account_id)
    stranger = await house.person("stranger", await house.account("elsewhere"))
    assert (await colleague.client.get(f"{URL}/{job}")).status_code == 202
    for caller, asked in ((stranger, job), (toy, uuid4()), (toy, "x")):
        assert_problem(await caller.client.get(f"{URL}/{asked}"), 404)
    assert_problem(await house.guest().get(f"{URL}/{job}"), 401)
    async with house.store.transaction() as con:
        other = await jobs.create(con, queue="schedule", request={"asset": 1}, account_id=toy.account_id)
    assert_problem(await toy.client.get(f"{URL}/{other}"), 404)


async def test_problems_count_as_triggers(open_house: OpenHouse) -> None:
    async with open_house(triggers_per_minute=1) as house:
        house.scheduler.answer = (200, ANSWER)
        person = await house.person("someone", await house.account("some account"))
        answers = [await person.client.post(URL, json=PROBLEM) for _ in range(3)]
        assert answers[0].status_code == 200
        assert_problem(answers[-1], 429)
        assert answers[-1].headers["retry-after"]


async def test_the_description_has_an_example_and_names_for_ids(house: House) -> None:
    document = (await house.guest().get("/openapi.json")).json()
    operation = document["paths"][URL]["post"]
    [name] = operation["requestBody"]["content"]["application/json"]["schema"].values()
    schema = document["components"]["schemas"][name.rpartition("/")[2]]
    assert schema["examples"][0]["series"]["price"]["unit"] == "EUR/MWh"
    entry = schema["properties"]["flex-model"]["items"]["properties"]
    assert {"name", "soc-at-start"} <= entry.keys()
    assert not {"sensor", "asset"} & entry.keys()
    reference = next(form for form in entry["soc-usage"]["anyOf"] if "anyOf" in form or form.get("type") == "array")
    assert '"integer"' not in str(reference)
    assert operation["responses"]["200"]["content"]["application/json"]["example"]["schedules"]
    assert "application/problem+json" in operation["responses"]["422"]["content"]


def assert_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/plain, application/json"])
async def test_an_explanation(house: House, toy: Person, accept: str) -> None:
    job, document = await explained(house, toy)
    answer = await toy.client.get(f"/api/v1/schedules/{job}/explanation", headers={"Accept": accept})
    assert (answer.status_code, answer.json()) == (200, document)


async def explained(house: House, toy: Person) -> tuple[UUID, JsonObject]:
    """Create a finished job with its explanation."""
    document: JsonObject = {
        "format": "explanation/1",
        "costs": {"energy": 1.5},
        "sentences": ["It costs 1.5 EUR.", "So it is."],
    }
    async with house.store.transaction() as con:
        job_id = await jobs.create(con, queue="schedule", request={"asset": 1}, account_id=toy.account_id)
        claim = await claim_job(con, job_id)
        await jobs.finish(con, job_id, claim, {"num-beliefs": 4})
        await con.execute("insert into explanation (job_id, document) values ($1, $2)", job_id, document)
    return job_id, document


async def test_an_explanation_in_sentences(house: House, toy: Person) -> None:
    job, _ = await explained(house, toy)
    answer = await toy.client.get(f"/api/v1/schedules/{job}/explanation", headers={"Accept": "text/plain"})
    assert answer.text == "It costs 1.5 EUR.\nSo it is.\n"
    assert answer.headers["content-type"].startswith("text/plain")
    assert "Accept" in answer.headers["vary"]


async def test_explanations_that_are_not_there(house: House, toy: Person) -> None:
    job, _ = await explained(house, toy)
    stranger = await house.person("stranger", await house.account("elsewhere"))
    async with house.store.transaction() as con:
        queued = await jobs.create(con, queue="schedule", request={"asset": 1}, account_id=toy.account_id)
        failed = await jobs.create(con, queue="schedule", request={"asset": 1}, account_id=toy.account_id)
        claim = await claim_job(con, failed)
        await jobs.fail(con, failed, claim, "No prices.")
        forecast = await jobs.create(con, queue="forecast", request={}, account_id=toy.account_id)
    where = "/api/v1/schedules/{}/explanation"
    for caller, asked in ((stranger, job), (toy, uuid4()), (toy, "x"), (toy, forecast)):
        assert_problem(await caller.client.get(where.format(asked)), 404)
    assert_problem(await house.guest().get(where.format(job)), 401)
    assert_problem(await toy.client.get(where.format(failed)), 422)
    waiting = await toy.client.get(where.format(queued))
    assert (waiting.status_code, waiting.json()["status"]) == (202, "QUEUED")
    await house.fetch("delete from explanation")
    assert_problem(await toy.client.get(where.format(job)), 404)
