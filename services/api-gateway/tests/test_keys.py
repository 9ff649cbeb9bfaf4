"""API keys: scopes, accounts, limits on their number, and expiry."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from gateway_house import House, JsonBody, OpenHouse, Person

KEYS = "/api/v1/keys"


async def made(client: httpx.AsyncClient, status: int = 201, **fields: object) -> JsonBody:
    answer = await client.post(KEYS, json={"name": "Grafana", "scopes": ["read"], **fields})
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(house: House, toy: Person) -> None:
    key = await made(toy.client)
    assert key["key"].startswith("fmk_")
    assert key["hint"] == key["key"][:8]
    machine = house.guest(f"Bearer {key['key']}")
    assert (await machine.get("/api/v3_0/assets")).status_code == 200
    [listed] = (await toy.client.get(KEYS)).json()["keys"]
    assert listed.pop("last_used_at") is not None
    assert listed == {name: value for name, value in key.items() if name not in ("key", "last_used_at")}
    assert (await toy.client.patch(f"{KEYS}/{key['id']}", json={"name": "Panel"})).json()["name"] == "Panel"
    assert (await toy.client.delete(f"{KEYS}/{key['id']}")).status_code == 204
    assert (await machine.get("/api/v3_0/assets")).status_code == 401
    assert (await toy.client.get(KEYS)).json() == {"keys": []}
    again = await toy.client.delete(f"{KEYS}/{key['id']}")
    assert (again.status_code, again.json()["detail"]) == (404, f"There is no API key with ID {key['id']}.")


async def test_only_a_hash_of_the_key_is_kept_even_for_a_request_that_is_repeated(house: House, toy: Person) -> None:
    body, headers = {"name": "Grafana", "scopes": ["read"]}, {"Idempotency-Key": "1"}
    first = await toy.client.post(KEYS, json=body, headers=headers)
    secret = first.json()["key"]
    again = await toy.client.post(KEYS, json=body, headers=headers)
    assert again.json() == {name: value for name, value in first.json().items() if name != "key"}
    assert again.headers["Idempotent-Replayed"] == "true"
    rows = await house.fetch("select body as kept from idempotency_key union all select token_hash from token")
    assert len(rows) == 3
    assert not [row for row in rows if secret.encode() in row["kept"] or secret[8:].encode() in row["kept"]]


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"scopes": []}, "scopes", "Name at least one of: read, write, schedule, admin."),
        ({"scopes": ["read", "login"]}, "scopes", "'login' is not one of: read, write, schedule, admin."),
        ({"name": ""}, "name", "at least 1 characters, not 0"),
        ({"name": "n" * 256}, "name", "at most 255 characters, not 256"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "2020-01-01T00:00:00+00:00 has passed already."),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at", "Not a valid aware datetime."),
        ({"only_account": 999}, "only_account", "There is no account with ID 999 whose things you may see."),
        ({"only_account": 2}, "only_account", "There is no account with ID 2 whose things you may see."),
        ({"users": [1]}, "users", "not permitted"),
    ],
)
async def test_a_wrong_key_is_refused_by_field(
    house: House, toy: Person, fields: dict[str, Any], field: str, problem: str
) -> None:
    await house.account("foreign")
    refused = await made(toy.client, 422, **fields)
    assert problem in str(refused["fields"]), refused


async def test_a_key_ends_when_it_says(house: House, toy: Person) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    key = await made(toy.client, expires_at=ends.isoformat())
    assert datetime.fromisoformat(key["expires_at"]) == ends
    machine = house.guest(key["key"])
    assert (await machine.get("/api/v3_0/assets")).status_code == 200
    await house.fetch("update token set expires_at = now() where kind = 'key'")
    assert (await machine.get("/api/v3_0/assets")).status_code == 401


async def test_a_key_may_no_more_than_its_user_at_that_moment(house: House, toy: Person) -> None:
    key = await made(toy.client, scopes=["admin", "read"])
    machine = house.guest(key["key"])
    me = f"/api/v3_0/accounts/{toy.account_id}"
    assert (await machine.patch(me, json={"primary_color": "#123456"})).status_code == 200
    await house.fetch("delete from user_role")
    assert (await machine.patch(me, json={"primary_color": "#654321"})).status_code == 403
    assert (await machine.get(me)).status_code == 200


async def test_keys_die_with_their_user(house: House, toy: Person) -> None:
    user = await house.person("gateway", toy.account_id)
    machine = house.guest((await made(user.client))["key"])
    assert (await machine.get("/api/v3_0/assets")).status_code == 200
    await toy.patch(f"/users/{user.user_id}", {"active": False})
    assert (await machine.get("/api/v3_0/assets")).status_code == 401
    await toy.patch(f"/users/{user.user_id}", {"active": True})
    assert (await machine.get("/api/v3_0/assets")).status_code == 401


async def test_a_key_creates_no_key_that_can_more(house: House, toy: Person) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    parent = house.guest((await made(toy.client, scopes=["admin", "read"], expires_at=ends.isoformat()))["key"])
    assert "scope 'write'" in (await made(parent, 403, scopes=["read", "write"]))["detail"]
    assert "outlives" in (await made(parent, 403))["detail"]
    assert "outlives" in (await made(parent, 403, expires_at=(ends + timedelta(seconds=1)).isoformat()))["detail"]
    child = await made(parent, scopes=["read"], expires_at=ends.isoformat())
    assert child["user"] == toy.user_id
    limited = house.guest((await made(toy.client, scopes=["admin"], only_account=toy.account_id))["key"])
    assert "limited to account" in (await made(limited, 403, scopes=["admin"]))["detail"]
    await made(limited, scopes=["admin"], only_account=toy.account_id)


async def test_a_key_can_be_good_for_so_many_requests(house: House, toy: Person) -> None:
    limited = house.guest((await made(toy.client, scopes=["admin", "read"], requests_per_minute=3))["key"])
    other = house.guest((await made(toy.client, requests_per_minute=3))["key"])
    assert "requests_per_minute to 3" in (await made(limited, 403))["detail"]
    answers = [await limited.get(path) for path in ("/api/v3_0/assets", "/api/v1/keys", "/api/v3_0/sensors")]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
    assert answers[2].headers["X-RateLimit-Limit"] == "3"
    assert (await other.get("/api/v3_0/assets")).status_code == 200
    await toy.get("/assets")
    assert "requests_per_minute" in (await made(toy.client, 422, requests_per_minute=0))["fields"]


async def test_a_consultants_key_can_be_for_one_client(house: House, toy: Person) -> None:
    clients = [await house.account(name, toy.account_id) for name in ("first", "second")]
    consultant = await house.person("advisor", toy.account_id, "consultant")
    assets = {}
    for account in (toy.account_id, *clients, None):
        [row] = await house.fetch(
            "insert into asset (name, account_id, asset_type_id) values ('a', $1, 5) returning id", account
        )
        assets[account] = row["id"]
    key = await made(consultant.client, scopes=["read", "admin"], only_account=clients[0])
    machine = house.guest(key["key"])
    statuses = {
        account: (await machine.get(f"/api/v3_0/assets/{asset}")).status_code for account, asset in assets.items()
    }
    assert statuses == {toy.account_id: 403, clients[0]: 200, clients[1]: 403, None: 200}
    for path in ("assets", "assets?all_accessible=true&include_public=false", "sensors", "users"):
        listed = (await machine.get(f"/api/v3_0/{path}")).json()
        assert {row.get("account_id") for row in listed} <= {clients[0], None}, path
    assert [account["id"] for account in (await machine.get("/api/v3_0/accounts")).json()] == [clients[0]]
    created = await machine.post("/api/v3_0/assets", json={"name": "new", "generic_asset_type_id": 5})
    assert created.json()["account_id"] == clients[0]
    # The key loses its rights when the client takes another consultant.
    await house.fetch("update account set consultancy_account_id = null where id = $1", clients[0])
    assert (await machine.get(f"/api/v3_0/assets/{assets[clients[0]]}")).status_code == 403
    assert (await machine.get("/api/v3_0/assets")).json() == []


async def test_an_account_has_so_many_keys_and_no_more(open_house: OpenHouse) -> None:
    async with open_house(keys_per_account=2) as house:
        account = await house.account("Toy Account")
        toy, other = await house.person("toy", account, "account-admin"), await house.person("other", account)
        admin = await house.person("admin", await house.account("platform"), "admin")
        await made(toy.client)
        key = {"name": "n", "scopes": ["read"]}
        answers = await asyncio.gather(*(other.client.post(KEYS, json=key) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
        refused = next(answer for answer in answers if answer.status_code == 409)
        assert "as many API keys as it may have (2)" in refused.json()["detail"]
        of_account = f"/api/v1/accounts/{account}/keys"
        listed = (await toy.client.get(of_account)).json()
        assert (listed["limit"], [key["user"] for key in listed["keys"]]) == (2, [other.user_id, toy.user_id])
        assert (await admin.client.patch(of_account, json={"limit": 3})).json()["limit"] == 3
        await made(toy.client)
        await made(toy.client, 409)
        assert (await admin.client.patch(of_account, json={"limit": None})).json()["limit"] == 2
        assert (await admin.client.patch(of_account, json={})).status_code == 422
        # An expired key makes room.
        await house.fetch("update token set expires_at = now() where kind = 'key'")
        await made(toy.client)


async def test_who_administers_an_account_sees_and_revokes_its_keys(house: House, toy: Person) -> None:
    user = await house.person("gateway", toy.account_id)
    key = await made(user.client)
    listed = (await toy.client.get(f"/api/v1/users/{user.user_id}/tokens", params={"kind": "key"})).json()["tokens"]
    assert [(one["id"], one["hint"], "key" in one) for one in listed] == [(key["id"], key["hint"], False)]
    assert (await toy.client.delete(f"{KEYS}/{key['id']}")).status_code == 204
    assert (await house.guest(key["key"]).get("/api/v3_0/assets")).status_code == 401


async def test_keys_do_not_log_in_or_out(house: House, toy: Person) -> None:
    machine = house.guest((await made(toy.client, scopes=["read", "write", "schedule", "admin"]))["key"])
    for method, path in (("DELETE", "/api/v1/session"), ("PUT", "/api/v1/password")):
        answer = await machine.request(method, path, json={})
        assert answer.status_code in (403, 422)
        assert (await machine.get("/api/v1/session")).json()["kind"] == "key"
    change = {"current_password": "correct horse", "new_password": "another correct horse"}
    answer = await machine.put("/api/v1/password", json=change)
    assert (answer.status_code, answer.json()["detail"]) == (403, "An API key cannot do this: log in with a password.")
