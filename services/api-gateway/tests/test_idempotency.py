"""A POST with an Idempotency-Key is carried out once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from api_gateway.idempotency import attempts
from flexcore import upkeep
from flexmodel.errors import Conflict, Unavailable
from gateway_house import AddSite, House, Person

LONG_AGO = "update idempotency_key set created_at = created_at - interval '31 seconds'"
ASSET = {"name": "once", "generic_asset_type_id": 5}


async def create(person: Person, key: str, body: object = ASSET) -> httpx.Response:
    return await person.client.post("/api/v3_0/assets", json=body, headers={"Idempotency-Key": key})


async def test_the_same_request_is_carried_out_once(house: House, toy: Person) -> None:
    first, second = await create(toy, "a"), await create(toy, "a")
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["content-type"] == "application/json"
    assert len(await house.fetch("select id from asset")) == 1


async def test_a_key_belongs_to_one_request_of_one_user(house: House, toy: Person) -> None:
    assert (await create(toy, "a")).status_code == 201
    other = await create(toy, "a", ASSET | {"name": "twice"})
    assert other.status_code == 422
    assert "another request" in other.json()["message"]["headers"]["Idempotency-Key"][0]
    colleague = await house.person("colleague", toy.account_id, "account-admin")
    assert "already exists" in (await create(colleague, "a")).text
    assert (await create(toy, "x" * 256)).status_code == 422


async def test_what_was_refused_may_be_tried_again(house: House, toy: Person) -> None:
    assert (await create(toy, "a", ASSET | {"generic_asset_type_id": 99})).status_code == 422
    assert (await create(toy, "a")).status_code == 201
    stranger = house.guest("nonsense")
    answer = await stranger.post("/api/v3_0/assets", json=ASSET, headers={"Idempotency-Key": "b"})
    assert answer.status_code == 401
    assert len(await house.fetch("select key from idempotency_key")) == 1


async def test_at_once_only_one_is_carried_out(house: House, toy: Person) -> None:
    answers = await asyncio.gather(*(create(toy, "a") for _ in range(8)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(await house.fetch("select id from asset")) == 1
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 409)


async def test_keys_are_forgotten(house: House, toy: Person) -> None:
    await create(toy, "a")
    await house.fetch("delete from asset")
    await house.fetch("update idempotency_key set created_at = now() - interval '25 hours'")
    again = await create(toy, "a")
    assert "Idempotent-Replayed" not in again.headers
    assert len(await house.fetch("select id from asset")) == 1
    # A crashed request does not hold the key for ever.
    await house.fetch("update idempotency_key set status = null, created_at = now() - interval '6 minutes'")
    assert (await create(toy, "a", ASSET | {"name": "new"})).status_code == 201
    await house.fetch("update idempotency_key set created_at = now() - interval '25 hours'")
    await house.fetch("insert into rate_limit values ('x', now() - interval '2 hours', 1)")
    await upkeep.delete_expired_rows(house.store)
    assert await house.fetch("select key from idempotency_key") == await house.fetch("select key from rate_limit") == []
    await toy.get("/assets")


async def test_what_was_done_without_an_answer_is_not_done_again(
    house: House, toy: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("database")

    monkeypatch.setattr(attempts.Attempt, "complete", away)
    assert (await create(toy, "a")).status_code == 201
    soon = await create(toy, "a")
    assert (soon.status_code, soon.headers["Retry-After"]) == (409, "1")
    await house.fetch(LONG_AGO)
    late = await create(toy, "a")
    assert late.status_code == 409
    assert "was carried out, but its answer was lost" in late.json()["message"]
    assert "Retry-After" not in late.headers
    assert len(await house.fetch("select id from asset")) == 1


async def test_whoever_is_overtaken_changes_nothing(house: House, toy: Person) -> None:
    async with house.store.connection() as con:
        slow = await attempts.begin(con, toy.user_id, "a", b"1")
    await house.fetch(LONG_AGO)
    async with house.store.connection() as con:
        fast = await attempts.begin(con, toy.user_id, "a", b"1")
        assert await attempts.begin(con, toy.user_id, "a", b"1") is None
        assert slow is not None and fast is not None
        with pytest.raises(Conflict, match="sent again meanwhile"):
            await slow.seal(con)
        await fast.seal(con)
        await slow.undo(con)
        await fast.undo(con)
    [kept] = await house.fetch("select status from idempotency_key")
    assert kept["status"] == attempts.SEALED


async def test_an_answer_is_for_tokens_that_may_as_much(house: House, toy: Person) -> None:
    keys = [
        (await toy.client.post("/api/v1/keys", json={"name": "k", "scopes": scopes, "requests_per_minute": 2})).json()
        for scopes in (["admin"], ["read"])
    ]
    writer, reader = (house.guest(key["key"]) for key in keys)
    headers = {"Idempotency-Key": "a"}
    answers = [await one.post("/api/v3_0/assets", json=ASSET, headers=headers) for one in (writer, reader, writer)]
    assert [answer.status_code for answer in answers] == [201, 422, 201]
    assert (await writer.post("/api/v3_0/assets", json=ASSET, headers=headers)).status_code == 429


@pytest.mark.parametrize("key", ["", "é", "a\x7f", "x" * 256])
async def test_keys_that_are_none(house: House, toy: Person, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    answer = await toy.client.post("/api/v3_0/assets", json=ASSET, headers=headers)
    assert answer.status_code == 422
    assert "printable" in answer.json()["message"]["headers"]["Idempotency-Key"][0]
    assert await house.fetch("select id from asset") == []


def form(content: bytes, border: bytes) -> dict[str, Any]:
    """Return a form with a file, in pieces that are cut anywhere."""
    head = b'Content-Disposition: form-data; name="uploaded-files"; filename="v.csv"\r\nContent-Type: text/csv\r\n\r\n'
    body = b"--%b\r\n%b%b\r\n--%b--\r\n" % (border, head, content, border)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    return {"content": pieces(), "headers": {"Content-Type": f"multipart/form-data; boundary={border.decode()}"}}


async def test_files_are_told_apart_by_what_is_in_them(house: House, toy: Person, add_site: AddSite) -> None:
    *_, power = await add_site()

    async def upload(content: bytes, border: bytes) -> httpx.Response:
        sent = form(content, border)
        headers = sent["headers"] | {"Idempotency-Key": "a"}
        path = f"/api/v3_0/sensors/{power}/data/upload"
        return await toy.client.post(path, content=sent["content"], headers=headers)

    content = b"event_start,event_value\n2026-03-02T00:00:00Z,1\n"
    assert (await upload(content, b"one")).status_code == 200
    assert (await upload(content, b"other")).headers["Idempotent-Replayed"] == "true"
    changed = await upload(content.replace(b",1", b",2"), b"one")
    assert changed.status_code == 422
    assert "another request" in changed.text
