"""A POST with an Idempotency-Key is carried out once."""

import asyncio
from typing import Any

ASSET = {"name": "once", "generic_asset_type_id": 5}


async def create(person: Any, key: str, body: Any = ASSET) -> Any:
    return await person.client.post("/api/v3_0/assets", json=body, headers={"Idempotency-Key": key})


async def test_the_same_request_is_carried_out_once(house: Any, toy: Any) -> None:
    first, second = await create(toy, "a"), await create(toy, "a")
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["content-type"] == "application/json"
    assert len(await house.fetch("select id from asset")) == 1


async def test_a_key_belongs_to_one_request_of_one_user(house: Any, toy: Any) -> None:
    assert (await create(toy, "a")).status_code == 201
    other = await create(toy, "a", ASSET | {"name": "twice"})
    assert other.status_code == 422
    assert "another request" in other.json()["message"]["headers"]["Idempotency-Key"][0]
    colleague = await house.person("colleague", toy.account_id, "account-admin")
    assert "already exists" in (await create(colleague, "a")).text
    assert (await create(toy, "x" * 256)).status_code == 422


async def test_what_was_refused_may_be_tried_again(house: Any, toy: Any) -> None:
    assert (await create(toy, "a", ASSET | {"generic_asset_type_id": 99})).status_code == 422
    assert (await create(toy, "a")).status_code == 201
    stranger = house.guest("nonsense")
    answer = await stranger.post("/api/v3_0/assets", json=ASSET, headers={"Idempotency-Key": "b"})
    assert answer.status_code == 401
    assert len(await house.fetch("select key from idempotency_key")) == 1


async def test_at_once_only_one_is_carried_out(house: Any, toy: Any) -> None:
    answers = await asyncio.gather(*(create(toy, "a") for _ in range(8)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(await house.fetch("select id from asset")) == 1
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 409)


async def test_keys_are_forgotten(house: Any, toy: Any) -> None:
    from api_gateway import housekeeping

    await create(toy, "a")
    await house.fetch("delete from asset")
    await house.fetch("update idempotency_key set created_at = now() - interval '25 hours'")
    again = await create(toy, "a")
    assert "Idempotent-Replayed" not in again.headers
    assert len(await house.fetch("select id from asset")) == 1
    # Who began and crashed does not hold the key for ever.
    await house.fetch("update idempotency_key set status = null, created_at = now() - interval '6 minutes'")
    assert (await create(toy, "a", ASSET | {"name": "new"})).status_code == 201
    await house.fetch("update idempotency_key set created_at = now() - interval '25 hours'")
    await house.fetch("insert into rate_limit values ('x', now() - interval '2 hours', 1)")
    await housekeeping.tidy(house.store, house.settings)
    assert await house.fetch("select key from idempotency_key") == await house.fetch("select key from rate_limit") == []
    await toy.get("/assets")
