"""Logins, sessions and API keys of a user: listing and revoking them."""

import httpx
import pytest
from gateway_house import PASSWORD, House, Person

TOKENS = "/api/v1/tokens"


async def log_in(house: House, name: str, program: str = "a program") -> httpx.AsyncClient:
    credentials = {"email": f"{name}@example.com", "password": PASSWORD}
    answer = await house.guest().post("/api/requestAuthToken", json=credentials, headers={"User-Agent": program})
    return house.guest(answer.json()["auth_token"])


async def test_everything_one_is_known_by_is_listed_without_its_secret(house: House, toy: Person) -> None:
    client = await log_in(house, "toy-user", "curl/8")
    await client.post("/api/v1/keys", json={"name": "Grafana", "scopes": ["read", "write"]})
    credentials = {"email": "toy-user@example.com", "password": PASSWORD}
    await house.guest().post("/api/v1/session", json=credentials, headers={"User-Agent": "Firefox"})
    await house.fetch("update token set last_used_at = '2026-01-01T12:00:00Z' where name = 'curl/8'")
    listed = (await client.get(TOKENS)).json()["tokens"]
    assert [(one["kind"], one["name"], one["current"]) for one in listed] == [
        ("session", "Firefox", False),
        ("key", "Grafana", False),
        ("login", "curl/8", True),
        ("login", None, False),
    ]
    assert {tuple(one) for one in listed} == {
        ("id", "kind", "name", "hint", "scopes", "only_account", "requests_per_minute", "user",
         "created_at", "last_used_at", "expires_at", "current"),
    }  # fmt: skip
    assert [one["scopes"] for one in listed] == [[], ["read", "write"], [], []]
    only = (await client.get(TOKENS, params={"kind": "session"})).json()["tokens"]
    assert only == listed[:1]
    assert (await client.get(TOKENS, params={"kind": "reset"})).status_code == 422


async def test_one_of_them_is_revoked(house: House, toy: Person) -> None:
    client, other = await log_in(house, "toy-user"), await log_in(house, "toy-user")
    [current] = [one for one in (await other.get(TOKENS)).json()["tokens"] if one["current"]]
    assert (await client.delete(f"{TOKENS}/{current['id']}")).status_code == 204
    assert (await other.get(TOKENS)).status_code == 401
    gone = await client.delete(f"{TOKENS}/{current['id']}")
    assert gone.status_code == 404
    assert gone.json()["detail"] == f"There is no login, session or API key with ID {current['id']}."


@pytest.mark.parametrize(
    ("kind", "revoked", "keys_after"),
    [("login", {"login": 2}, 1), ("key", {"key": 1}, 0), (None, {"login": 2, "session": 0, "key": 1}, 0)],
)
async def test_all_of_them_are_revoked(
    house: House, toy: Person, kind: str | None, revoked: dict[str, int], keys_after: int
) -> None:
    client = await log_in(house, "toy-user")
    await client.post("/api/v1/keys", json={"name": "Grafana", "scopes": ["read"]})
    bystander = await house.person("bystander", toy.account_id)
    answer = await client.delete(TOKENS, params={"kind": kind} if kind else None)
    assert answer.json() == {"revoked": revoked}
    assert (await client.get(TOKENS)).status_code == (200 if kind == "key" else 401)
    assert (await toy.client.get(TOKENS)).status_code == (200 if kind == "key" else 401)
    [row] = await house.fetch("select count(*) as keys from token where kind = 'key' and revoked_at is null")
    assert row["keys"] == keys_after
    await bystander.get("/assets")


async def test_who_administers_a_user_logs_them_out(house: House, toy: Person) -> None:
    user = await house.person("gateway", toy.account_id)
    path = f"/api/v1/users/{user.user_id}/tokens"
    assert [one["kind"] for one in (await toy.client.get(path)).json()["tokens"]] == ["login"]
    assert (await toy.client.delete(path)).json() == {"revoked": {"login": 1, "session": 0, "key": 0}}
    await user.get("/assets", 401)
    await toy.get("/assets")


async def test_administrators_of_accounts_keep_off_those_of_the_platform(house: House, toy: Person) -> None:
    """Otherwise they could set an administrator's address to their own, and take over by a mailed link."""
    admin = await house.person("boss", toy.account_id, "admin")
    token = (await admin.client.get(TOKENS)).json()["tokens"][0]["id"]
    user = f"/api/v3_0/users/{admin.user_id}"
    forbidden = [
        ("PATCH", user, {"email": "toy-user+boss@example.com"}),
        ("PATCH", user, {"active": False}),
        ("PATCH", f"{user}/password-reset", {}),
        ("DELETE", f"/api/v1/users/{admin.user_id}/tokens", {}),
        ("DELETE", f"{TOKENS}/{token}", {}),
    ]
    for method, path, body in forbidden:
        assert (await toy.client.request(method, path, json=body)).status_code == 403, path
    await admin.patch(f"/users/{admin.user_id}", {"timezone": "Europe/Amsterdam"})
    # The role is the protection.
    await house.fetch("delete from user_role where user_id = $1", admin.user_id)
    for method, path, body in forbidden:
        assert (await toy.client.request(method, path, json=body)).status_code in (200, 204, 404), path
