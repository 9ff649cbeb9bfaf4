"""Logging in: tokens, throttling, and nothing that tells who has an account."""

import statistics
import time
from typing import Any

import pytest

PASSWORD = "correct horse"
"""As in conftest."""


async def log_in(house: Any, email: str = "toy-user@example.com", password: str = PASSWORD, **body: Any) -> Any:
    return await house.guest().post("/api/requestAuthToken", json={"email": email, "password": password, **body})


async def test_login_gives_a_token_that_works(house: Any, toy: Any) -> None:
    answer = await log_in(house)
    assert answer.json() == {"auth_token": answer.json()["auth_token"], "status": 200, "user_id": toy.user_id}
    for header in (answer.json()["auth_token"], f"Bearer {answer.json()['auth_token']}"):
        me = await house.guest(header).get(f"/api/v3_0/users/{toy.user_id}")
        assert me.json()["username"] == "toy-user"


async def test_email_may_be_written_in_any_case(house: Any, toy: Any) -> None:
    assert (await log_in(house, "TOY-User@Example.com")).status_code == 200


async def test_only_a_hash_of_the_token_is_kept(house: Any, toy: Any) -> None:
    token = (await log_in(house)).json()["auth_token"]
    rows = await house.fetch("select token_hash, expires_at - now() > interval '13 days' as lasts from token")
    assert len(rows) == 2
    assert all(token.encode() not in row["token_hash"] for row in rows)
    assert rows[1]["lasts"]


@pytest.mark.parametrize(
    "change",
    [
        "update token set revoked_at = now()",
        "update token set expires_at = now() - interval '1 second'",
        "update users set active = false",
        "update token set kind = 'reset'",
    ],
)
async def test_a_token_stops_working(house: Any, toy: Any, change: str) -> None:
    await toy.get("/assets")
    await house.fetch(change)
    await toy.get("/assets", status=401)


async def test_unknown_user_and_wrong_password_look_alike(house: Any, toy: Any) -> None:
    wrong, unknown = await log_in(house, password="wrong"), await log_in(house, "nobody@example.com")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    await house.fetch("update users set active = false")
    assert (await log_in(house)).content == wrong.content


async def test_unknown_user_and_wrong_password_take_the_same_time(open_house: Any) -> None:
    async with open_house(failed_logins_per_user=0, failed_logins_per_address=0) as house:
        await house.person("toy-user", await house.account("Toy Account"))
        seconds: dict[str, list[float]] = {"toy-user@example.com": [], "nobody@example.com": []}
        for _ in range(8):
            for email, taken in seconds.items():
                start = time.perf_counter()
                await log_in(house, email, "wrong")
                taken.append(time.perf_counter() - start)
        known, unknown = (statistics.median(taken) for taken in seconds.values())
        assert 0.5 < known / unknown < 2


@pytest.mark.parametrize("limit", ["failed_logins_per_user", "failed_logins_per_address"])
async def test_failed_logins_are_throttled(open_house: Any, monkeypatch: Any, limit: str) -> None:
    monkeypatch.setattr("api_gateway.rates.time", lambda: 1_800_000_030.0)
    async with open_house(**{limit: 3}) as house:
        await house.person("toy-user", await house.account("Toy Account"))
        statuses = [(await log_in(house, password="wrong")).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        assert (await log_in(house)).headers["Retry-After"] == "30"
        # Whoever knows the password does not get in either while someone is guessing, but others do.
        other = await house.person("other", 1)
        answer = await log_in(house, "other@example.com")
        assert answer.status_code == (200 if limit == "failed_logins_per_user" else 429)
        await other.get("/assets")


async def test_outdated_hashes_are_renewed(house: Any, toy: Any) -> None:
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    await house.fetch("update users set password_hash = $1", old)
    assert (await log_in(house)).status_code == 200
    [row] = await house.fetch("select password_hash from users")
    assert row["password_hash"] != old
    assert (await log_in(house)).status_code == 200


async def test_being_seen_is_noted_now_and_then(house: Any, toy: Any) -> None:
    await toy.get("/assets")
    [first] = await house.fetch("select last_seen_at from users")
    await toy.get("/assets")
    assert await house.fetch("select last_seen_at from users") == [first]
    await house.fetch("update users set last_seen_at = now() - interval '2 minutes'")
    await toy.get("/assets")
    [again] = await house.fetch("select last_seen_at from users")
    assert again["last_seen_at"] > first["last_seen_at"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"email": "a@b.c"}, {"json": {"password": ["Missing data for required field."]}}),
        ({"email": "a@b.c", "password": None}, {"json": {"password": ["Field may not be null."]}}),
        ({"email": 5, "password": "x"}, {"json": {"email": ["Not a valid string."]}}),
        ({"email": "a@b.c", "password": "x", "more": 1}, {"json": {"more": ["Unknown field."]}}),
        ([], {"json": {"_schema": ["Invalid input type."]}}),
    ],
)
async def test_wrong_login_messages_name_the_field(house: Any, body: Any, message: Any) -> None:
    answer = await house.guest().post("/api/requestAuthToken", json=body)
    assert answer.status_code == 422
    assert answer.json() == {"message": message, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"}


async def test_password_reset_works_once(house: Any, toy: Any, caplog: Any) -> None:
    with caplog.at_level("INFO"):
        await toy.patch(f"/users/{toy.user_id}/password-reset", {})
    link = caplog.text.split("http://localhost:5000")[-1].split()[0]
    assert (await log_in(house)).status_code == 401
    await toy.get("/assets", status=401)
    page = await house.guest().get(link)
    token = link.split("token=")[1]
    assert f'value="{token}"' in page.text
    form = {"token": token, "password": "another password"}
    short = await house.guest().post("/password", data=form | {"password": "short"})
    assert (short.status_code, "at least 8 characters" in short.text) == (422, True)
    assert (await house.guest().post("/password", data=form)).status_code == 200
    assert (await log_in(house, password="another password")).status_code == 200
    again = await house.guest().post("/password", data=form | {"password": "a third password"})
    assert (again.status_code, "used before" in again.text) == (422, True)
    assert (await log_in(house, password="a third password")).status_code == 401


async def test_scripts_in_links_stay_text(house: Any) -> None:
    page = await house.guest().get("/password", params={"token": '"><script>alert(1)</script>'})
    assert "<script>" not in page.text


async def test_a_token_with_scopes_may_do_no_more(house: Any, toy: Any, add_site: Any) -> None:
    _, _, battery, power = await add_site()
    may = {"read": "GET", "write": "POST", "schedule": "TRIGGER", "admin": "PATCH"}
    requests = {
        "GET": ("GET", f"/assets/{battery}"),
        "POST": ("POST", f"/sensors/{power}/data"),
        "TRIGGER": ("POST", f"/sensors/{power}/schedules/trigger"),
        "PATCH": ("PATCH", f"/assets/{battery}"),
    }
    for scope, allowed in may.items():
        await house.fetch("update token set scopes = array[$1::text]", scope)
        for name, (method, path) in requests.items():
            answer = await toy.client.request(method, f"/api/v3_0{path}", json=None if method == "GET" else {})
            assert (answer.status_code != 403) == (name == allowed), (scope, name)
