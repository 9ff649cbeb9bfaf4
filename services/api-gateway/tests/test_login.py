"""Logging in: tokens, throttling, and no hints about existing accounts."""

import asyncio

import httpx
import pytest
from argon2 import extract_parameters
from flexcore.credentials import passwords
from flexcore.credentials.passwords import HASHER
from gateway_house import PASSWORD, House, OpenHouse, Person


async def log_in(
    house: House, email: str = "toy-user@example.com", password: str = PASSWORD, address: str = "127.0.0.1"
) -> httpx.Response:
    transport = httpx.ASGITransport(house.app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.post("/api/requestAuthToken", json={"email": email, "password": password})


async def test_login_gives_a_token_that_works(house: House, toy: Person) -> None:
    answer = await log_in(house)
    assert answer.json() == {"auth_token": answer.json()["auth_token"], "status": 200, "user_id": toy.user_id}
    for header in (answer.json()["auth_token"], f"Bearer {answer.json()['auth_token']}"):
        me = await house.guest(header).get(f"/api/v3_0/users/{toy.user_id}")
        assert me.json()["username"] == "toy-user"


async def test_email_may_be_written_in_any_case(house: House, toy: Person) -> None:
    assert (await log_in(house, "TOY-User@Example.com")).status_code == 200


async def test_only_a_hash_of_the_token_is_kept(house: House, toy: Person) -> None:
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
async def test_a_token_stops_working(house: House, toy: Person, change: str) -> None:
    await toy.get("/assets")
    await house.fetch(change)
    await toy.get("/assets", 401)


async def test_unknown_user_and_wrong_password_look_alike(house: House, toy: Person) -> None:
    wrong, unknown = await log_in(house, password="wrong"), await log_in(house, "nobody@example.com")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    await house.fetch("update users set active = false")
    assert (await log_in(house)).content == wrong.content


@pytest.mark.parametrize("email", ["toy-user@example.com", "nobody@example.com", "gone@example.com"])
async def test_every_failed_login_does_the_same_work(
    house: House, toy: Person, monkeypatch: pytest.MonkeyPatch, email: str
) -> None:
    """One password of the same cost is checked for active, inactive and unknown users."""
    await house.person("gone", toy.account_id)
    await house.fetch("update users set active = false where username = 'gone'")
    checked: list[str] = []

    def refuse(password: str, hashed: str) -> bool:
        checked.append(hashed)
        return False

    monkeypatch.setattr(passwords, "verify", refuse)
    assert (await log_in(house, email, "wrong")).status_code == 401
    assert [extract_parameters(hashed) for hashed in checked] == [extract_parameters(passwords.UNKNOWN)]


@pytest.mark.parametrize("limit", ["failed_logins_per_user", "failed_logins_per_address"])
async def test_failed_logins_are_throttled(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr("api_gateway.rate_limits.time", lambda: 1_800_000_030.0)
    async with open_house(**{limit: 3}) as house:
        await house.person("toy-user", await house.account("Toy Account"))
        statuses = [(await log_in(house, password="wrong")).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        assert (await log_in(house)).headers["Retry-After"] == "30"
        # The right password is refused, too, while someone is guessing; other users can log in.
        other = await house.person("other", 1)
        answer = await log_in(house, "other@example.com")
        assert answer.status_code == (200 if limit == "failed_logins_per_user" else 429)
        await other.get("/assets")


async def test_many_guesses_at_once_are_as_many_as_one_after_the_other(open_house: OpenHouse) -> None:
    async with open_house(failed_logins_per_user=3) as house:
        await house.person("toy-user", await house.account("Toy Account"))
        answers = await asyncio.gather(*(log_in(house, password=f"guess {number}") for number in range(12)))
        assert sorted(answer.status_code for answer in answers) == [401] * 3 + [429] * 9


async def test_many_who_know_the_password_come_in_at_once(open_house: OpenHouse) -> None:
    """A fleet that shares a user logs in together after a power cut."""
    async with open_house(failed_logins_per_user=3, failed_logins_per_address=3) as house:
        await house.person("toy-user", await house.account("Toy Account"))
        answers = await asyncio.gather(*(log_in(house) for _ in range(12)))
        assert {answer.status_code for answer in answers} == {200}


async def test_guessing_locks_nobody_out_where_they_logged_in_before(open_house: OpenHouse) -> None:
    async with open_house(failed_logins_per_user=3) as house:
        await house.person("toy-user", await house.account("Toy Account"))
        assert (await log_in(house)).status_code == 200
        guesses = [await log_in(house, password="guess", address="203.0.113.9") for _ in range(4)]
        assert [answer.status_code for answer in guesses] == [401, 401, 401, 429]
        assert (await log_in(house, address="198.51.100.1")).status_code == 429
        assert (await log_in(house)).status_code == 200
        at_home = [await log_in(house, password="guess") for _ in range(4)]
        assert [answer.status_code for answer in at_home] == [401, 401, 401, 429]


async def test_other_letters_do_not_make_other_users(open_house: OpenHouse) -> None:
    """The database folds some letters that Python keeps apart."""
    async with open_house(failed_logins_per_user=3) as house:
        await house.person("victim", await house.account("Toy Account"))
        spelled = [
            "victim@example.com",
            "v\u0130ctim@example.com",
            "victi\u004d@example.com",
            "v\u0130ct\u0130m@example.com",
        ]
        statuses = [(await log_in(house, email, "guess")).status_code for email in spelled]
        assert statuses == [401, 401, 401, 429]


@pytest.mark.parametrize("path", ["/api/requestAuthToken", "/api/v1/session"])
async def test_a_password_that_changes_while_it_is_looked_at_lets_nobody_in(
    house: House, toy: Person, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    changed = HASHER.hash("another horse")

    async def matches(password: str, hashed: str | None) -> bool:
        await house.fetch("update users set password_hash = $1", changed)
        return True

    monkeypatch.setattr(house.app.state.gateway.passwords, "matches", matches)
    answer = await house.guest().post(path, json={"email": "toy-user@example.com", "password": PASSWORD})
    assert answer.status_code == 401
    assert len(await house.fetch("select * from token")) == 1


async def test_right_passwords_are_not_counted(open_house: OpenHouse) -> None:
    async with open_house(failed_logins_per_user=2, failed_logins_per_address=2) as house:
        await house.person("toy-user", await house.account("Toy Account"))
        assert [(await log_in(house)).status_code for _ in range(5)] == [200] * 5


async def test_outdated_hashes_are_renewed(house: House, toy: Person) -> None:
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    await house.fetch("update users set password_hash = $1", old)
    assert (await log_in(house)).status_code == 200
    [row] = await house.fetch("select password_hash from users")
    assert row["password_hash"] != old
    assert (await log_in(house)).status_code == 200


async def test_being_seen_is_noted_now_and_then(house: House, toy: Person) -> None:
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
async def test_wrong_login_messages_name_the_field(house: House, body: object, message: object) -> None:
    answer = await house.guest().post("/api/requestAuthToken", json=body)
    assert answer.status_code == 422
    assert answer.json() == {"message": message, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"}
