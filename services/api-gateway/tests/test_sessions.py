"""Sessions: the cookie of a browser, its end, and protection against other sites."""

from datetime import timedelta
from http.cookies import SimpleCookie

import httpx
import pytest
from gateway_house import House, OpenHouse, Person

CREDENTIALS = {"email": "toy-user@example.com", "password": "correct horse"}
SESSION = "/api/v1/session"


def browser(house: House, address: str = "http://gateway") -> httpx.AsyncClient:
    """Return a client that keeps cookies, as browsers do."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(house.app), base_url=address)


async def logged_in(house: House, address: str = "http://gateway") -> tuple[httpx.AsyncClient, dict[str, str]]:
    """Return a browser that is logged in, and the CSRF header for changes."""
    client = browser(house, address)
    answer = await client.post(SESSION, json=CREDENTIALS)
    assert answer.status_code == 200, answer.text
    return client, {"X-CSRF-Token": answer.json()["csrf_token"]}


async def test_a_browser_logs_in_asks_changes_and_logs_out(house: House, toy: Person) -> None:
    client, csrf = await logged_in(house)
    who = (await client.get(SESSION)).json()
    assert who["user"] == {
        "id": toy.user_id,
        "username": "toy-user",
        "email": "toy-user@example.com",
        "account": toy.account_id,
        "roles": ["account-admin"],
    }
    assert (who["kind"], who["csrf_token"]) == ("session", csrf["X-CSRF-Token"])
    asset = {"name": "site", "generic_asset_type_id": 6}
    assert (await client.post("/api/v3_0/assets", json=asset, headers=csrf)).status_code == 201
    assert (await client.delete(SESSION, headers=csrf)).status_code == 204
    assert not client.cookies
    assert (await client.get(SESSION)).status_code == 401


async def test_wrong_password_and_unknown_user_look_alike(house: House, toy: Person) -> None:
    wrong = await browser(house).post(SESSION, json=CREDENTIALS | {"password": "wrong"})
    unknown = await browser(house).post(SESSION, json=CREDENTIALS | {"email": "nobody@example.com"})
    said = [answer.json() | {"request_id": ""} for answer in (wrong, unknown)]
    assert said[0] == said[1]
    assert (said[0]["status"], said[0]["detail"]) == (401, "The email address or the password is wrong.")
    assert "set-cookie" not in wrong.headers


@pytest.mark.parametrize(
    ("settings", "address", "name"),
    [
        ({}, "http://gateway", "flexmesh_session"),
        ({}, "https://gateway", "__Host-flexmesh_session"),
        ({"public_url": "https://flex.example"}, "http://gateway", "__Host-flexmesh_session"),
        ({"secure_cookies": "always"}, "http://gateway", "__Host-flexmesh_session"),
        ({"secure_cookies": "never"}, "https://gateway", "flexmesh_session"),
    ],
)
async def test_the_cookie_is_for_this_host_and_no_script(
    open_house: OpenHouse, settings: dict[str, str], address: str, name: str
) -> None:
    async with open_house(**settings) as house:
        await house.person("toy-user", await house.account("Toy Account"))
        answer = await browser(house, address).post(SESSION, json=CREDENTIALS)
        [(set_name, cookie)] = SimpleCookie(answer.headers["set-cookie"]).items()
        assert set_name == name
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/")
        assert (cookie["domain"], cookie["max-age"]) == ("", str(7 * 24 * 3600))
        assert bool(cookie["secure"]) == name.startswith("__Host-")


async def test_over_https_a_cookie_that_anybody_could_set_is_worth_nothing(house: House, toy: Person) -> None:
    client, _ = await logged_in(house)
    planted = {"flexmesh_session": client.cookies["flexmesh_session"]}
    async with browser(house, "https://gateway") as other:
        other.cookies.update(planted)
        assert (await other.get(SESSION)).status_code == 401


async def test_a_new_login_ends_the_session_before(house: House, toy: Person) -> None:
    client, _ = await logged_in(house)
    before = client.cookies["flexmesh_session"]
    await client.post(SESSION, json=CREDENTIALS)
    assert client.cookies["flexmesh_session"] != before
    async with browser(house) as other:
        other.cookies["flexmesh_session"] = before
        assert (await other.get(SESSION)).status_code == 401
    assert (await client.get(SESSION)).status_code == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ("update token set last_used_at = now() - interval '11 hours', created_at = now() - interval '6 days'", 200),
        ("update token set last_used_at = now() - interval '13 hours'", 401),
        ("update token set last_used_at = null, created_at = now() - interval '13 hours'", 401),
        ("update token set expires_at = now() - interval '1 second'", 401),
        ("update token set revoked_at = now()", 401),
        ("update users set active = false", 401),
    ],
)
async def test_a_session_ends_when_it_is_idle_and_in_any_case_one_day(
    house: House, toy: Person, change: str, status: int
) -> None:
    client, _ = await logged_in(house)
    await house.fetch(change)
    assert (await client.get(SESSION)).status_code == status


async def test_use_keeps_a_session_even_if_the_user_is_seen_elsewhere(house: House, toy: Person) -> None:
    client, _ = await logged_in(house)
    await house.fetch("update token set last_used_at = now() - interval '11 hours' where kind = 'session'")
    await toy.get("/assets")
    await client.get(SESSION)
    [row] = await house.fetch("select now() - last_used_at as idle from token where kind = 'session'")
    assert row["idle"] < timedelta(minutes=1)


async def test_what_changes_something_needs_the_token_that_no_other_site_knows(house: House, toy: Person) -> None:
    client, csrf = await logged_in(house)
    _, of_another_session = await logged_in(house)
    asset = {"name": "site", "generic_asset_type_id": 6}
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "guessed"}, of_another_session):
        answer = await client.post("/api/v3_0/assets", json=asset, headers=headers)
        assert answer.status_code == 403
        assert "X-CSRF-Token" in answer.json()["message"]
    assert (await client.post("/api/v3_0/assets", json=asset, headers=csrf)).status_code == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://gateway"}, 204),
        ({"Origin": "https://flex.example"}, 204),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_pages_of_other_sites_change_nothing(open_house: OpenHouse, headers: dict[str, str], status: int) -> None:
    async with open_house(public_url="https://flex.example", secure_cookies="never") as house:
        await house.person("toy-user", await house.account("Toy Account"))
        client, csrf = await logged_in(house)
        foreign = await client.post(SESSION, json=CREDENTIALS, headers=headers)
        assert foreign.status_code == (200 if status == 204 else 403)
        client, csrf = await logged_in(house)
        assert (await client.delete(SESSION, headers=csrf | headers)).status_code == status


async def test_a_header_goes_before_a_cookie(house: House, toy: Person) -> None:
    other = await house.person("other", await house.account("other"))
    client, _ = await logged_in(house)
    token = other.client.headers["Authorization"]
    who = await client.get(SESSION, headers={"Authorization": token})
    assert (who.json()["user"]["username"], who.json()["kind"]) == ("other", "login")
    assert "csrf_token" not in who.json()
    # A token needs no CSRF header: no page of another site can send it.
    view = {"default_asset_view": "Graphs", "use_as_default": True}
    answer = await client.post("/api/v3_0/assets/default_asset_view", json=view, headers={"Authorization": token})
    assert answer.status_code == 200
    assert (await client.get(SESSION, headers={"Authorization": "nonsense"})).status_code == 401


async def test_neither_is_good_in_the_place_of_the_other(house: House, toy: Person) -> None:
    client, _ = await logged_in(house)
    assert (await house.guest(client.cookies["flexmesh_session"]).get(SESSION)).status_code == 401
    async with browser(house) as other:
        other.cookies["flexmesh_session"] = toy.client.headers["Authorization"]
        assert (await other.get(SESSION)).status_code == 401


async def test_logging_out_with_a_token_ends_that_token_only(house: House, toy: Person) -> None:
    client, _ = await logged_in(house)
    assert (await toy.client.delete(SESSION)).status_code == 204
    await toy.get("/assets", 401)
    assert (await client.get(SESSION)).status_code == 200
