"""Choosing, changing and forgetting passwords."""

import asyncio

import pytest
from flexcore.credentials.password_rules import weakness_of
from gateway_house import PASSWORD, House, JsonObject, OpenHouse, Person

NEW = "another correct horse"


async def log_in(house: House, password: str, email: str = "toy-user@example.com") -> int:
    answer = await house.guest().post("/api/requestAuthToken", json={"email": email, "password": password})
    return int(answer.status_code)


async def mails(house: House) -> list[dict[str, str]]:
    """Return the mails in the outbox."""
    rows = await house.fetch("select payload from outbox where topic = 'mail' order by id")
    return [row["payload"] for row in rows]


async def link_in(house: House) -> str:
    """Return the link in the newest mail."""
    text = (await mails(house))[-1]["text"]
    return text.split("http://localhost:5000")[-1].split()[0]


async def test_password_reset_works_once(house: House, toy: Person) -> None:
    await toy.patch(f"/users/{toy.user_id}/password-reset", {})
    link = await link_in(house)
    assert await log_in(house, PASSWORD) == 401
    await toy.get("/assets", 401)
    page = await house.guest().get(link)
    token = link.split("token=")[1]
    assert f'value="{token}"' in page.text
    form = {"token": token, "password": NEW}
    short = await house.guest().post("/password", data=form | {"password": "short"})
    assert (short.status_code, "at least 10 characters" in short.text, token in short.text) == (422, True, True)
    assert page.headers["Cache-Control"] == short.headers["Cache-Control"] == "no-store"
    assert (await house.guest().post("/password", data=form)).status_code == 200
    assert await log_in(house, NEW) == 200
    again = await house.guest().post("/password", data=form | {"password": "a third password"})
    assert (again.status_code, "used before" in again.text) == (422, True)
    assert await log_in(house, "a third password") == 401


async def test_who_forgot_a_password_has_a_link_mailed(house: House, toy: Person) -> None:
    asked = await house.guest().post("/api/v1/password-reset", json={"email": "TOY-user@example.com"})
    assert (asked.status_code, "on its way" in asked.json()["message"]) == (202, True)
    # Nothing changes until the link is used: otherwise anybody could lock anybody out.
    assert await log_in(house, PASSWORD) == 200
    link = await link_in(house)
    await toy.client.post("/api/v1/keys", json={"name": "Grafana", "scopes": ["read"]})
    done = await house.guest().post("/password", data={"token": link.split("token=")[1], "password": NEW})
    assert "Your API keys (1) go on working" in done.text
    await toy.get("/assets", 401)
    assert await log_in(house, NEW) == 200
    [row] = await house.fetch("select * from audit_log order by id desc limit 1")
    assert (row["active_user_id"], row["event"]) == (
        toy.user_id,
        "Password of user toy-user chosen through a mailed link",
    )


async def test_nobody_learns_who_has_an_account(house: House, toy: Person) -> None:
    await house.person("gone", toy.account_id)
    await house.fetch("update users set active = false where username = 'gone'")
    answers = [
        await house.guest().post("/api/v1/password-reset", json={"email": email})
        for email in ("toy-user@example.com", "nobody@example.com", "gone@example.com")
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert len(await mails(house)) == 1


async def test_other_letters_are_not_mailed_more_links(open_house: OpenHouse) -> None:
    async with open_house(reset_mails_per_hour=1) as house:
        await house.person("victim", await house.account("Toy Account"))
        asked = [{"email": email} for email in ("victim@example.com", "v\u0130ctim@example.com")]
        answers = [await house.guest().post("/api/v1/password-reset", json=one) for one in asked]
        assert [answer.status_code for answer in answers] == [202, 429]


@pytest.mark.parametrize("email", ["toy-user@example.com", "nobody@example.com"])
async def test_only_so_many_links_are_mailed(open_house: OpenHouse, email: str) -> None:
    async with open_house(reset_mails_per_hour=2) as house:
        await house.person("toy-user", await house.account("Toy Account"))
        answers = [await house.guest().post("/api/v1/password-reset", json={"email": email}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert 0 < int(answers[2].headers["Retry-After"]) <= 3600


async def test_the_own_address_is_changed_with_the_password_only(house: House, toy: Person) -> None:
    """Otherwise an open browser or a key would be enough to replace the user's password."""
    key = (await toy.client.post("/api/v1/keys", json={"name": "n", "scopes": ["admin"]})).json()["key"]
    path, moved = f"/api/v3_0/users/{toy.user_id}", {"email": "thief@example.com"}
    for client in (toy.client, house.guest(key)):
        answer = await client.patch(path, json=moved)
        assert (answer.status_code, list(answer.json()["message"]["json"])) == (422, ["current_password"])
    wrong = await toy.client.patch(path, json=moved | {"current_password": "wrong"})
    assert wrong.json()["message"]["json"] == {"current_password": ["This is not your password."]}
    assert (await toy.get(f"/users/{toy.user_id}"))["email"] == "toy-user@example.com"
    await toy.patch(f"/users/{toy.user_id}", {"email": "toy-user@example.com", "timezone": "Europe/Amsterdam"})
    await toy.patch(f"/users/{toy.user_id}", moved | {"current_password": PASSWORD})
    assert await log_in(house, PASSWORD, "thief@example.com") == 200


async def test_after_a_change_of_address_the_old_one_is_told_and_opens_nothing(house: House, toy: Person) -> None:
    member = await house.person("member", toy.account_id)
    await house.guest().post("/api/v1/password-reset", json={"email": "member@example.com"})
    token = (await link_in(house)).split("token=")[1]
    await toy.patch(f"/users/{member.user_id}", {"email": "moved@example.com"})
    answer = await house.guest().post("/password", data={"token": token, "password": NEW})
    assert (answer.status_code, "used before" in answer.text) == (422, True)
    *_, mail = await mails(house)
    assert mail["to"] == "member@example.com"
    assert "from member@example.com to moved@example.com, by user toy-user" in mail["text"]


async def test_links_of_a_user_who_was_deactivated_are_worth_nothing(house: House, toy: Person) -> None:
    await house.guest().post("/api/v1/password-reset", json={"email": "toy-user@example.com"})
    await house.fetch("update users set active = false")
    form = {"token": (await link_in(house)).split("token=")[1], "password": NEW}
    assert (await house.guest().post("/password", data=form)).status_code == 422


async def test_a_link_changes_one_password_even_if_used_twice_at_once(house: House, toy: Person) -> None:
    await house.guest().post("/api/v1/password-reset", json={"email": "toy-user@example.com"})
    token = (await link_in(house)).split("token=")[1]
    forms = [{"token": token, "password": f"{NEW} {number}"} for number in range(2)]
    answers = await asyncio.gather(*(house.guest().post("/password", data=form) for form in forms))
    assert sorted(answer.status_code for answer in answers) == [200, 422]


async def test_the_log_names_no_link(
    house: House, toy: Person, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.guest().post("/api/v1/password-reset", json={"email": "toy-user@example.com"})
    assert await link_in(house)
    assert "token=" not in f"{caplog.text} {capsys.readouterr()}"


async def test_changing_a_password_ends_everything_but_keys_and_this(house: House, toy: Person) -> None:
    key = (await toy.client.post("/api/v1/keys", json={"name": "Grafana", "scopes": ["read"]})).json()["key"]
    assert await log_in(house, PASSWORD) == 200
    await house.guest().post("/api/v1/session", json={"email": "toy-user@example.com", "password": PASSWORD})
    change: JsonObject = {"current_password": PASSWORD, "new_password": NEW}
    answer = await toy.client.put("/api/v1/password", json=change)
    assert answer.json() == {"revoked": {"login": 1, "session": 1, "key": 0}}
    await toy.get("/assets")
    assert (await house.guest(key).get("/api/v3_0/assets")).status_code == 200
    assert (await log_in(house, PASSWORD), await log_in(house, NEW)) == (401, 200)
    change = {"current_password": NEW, "new_password": PASSWORD, "revoke_keys": True}
    answer = await toy.client.put("/api/v1/password", json=change)
    assert answer.json() == {"revoked": {"login": 1, "session": 0, "key": 1}}
    assert (await house.guest(key).get("/api/v3_0/assets")).status_code == 401


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"current_password": "wrong"}, "current_password", "This is not your password."),
        ({"new_password": PASSWORD}, "new_password", "This is the password that you have."),
        ({"new_password": "short"}, "new_password", "A password has at least 10 characters."),
        ({"new_password": "x" * 1001}, "new_password", "1000"),
    ],
)
async def test_a_wrong_change_is_refused_by_field(
    house: House, toy: Person, fields: dict[str, str], field: str, problem: str
) -> None:
    change = {"current_password": PASSWORD, "new_password": NEW} | fields
    answer = await toy.client.put("/api/v1/password", json=change)
    assert answer.status_code == 422
    assert problem in answer.json()["fields"][field][0]
    assert not [value for value in change.values() if len(value) > 5 and value in answer.text]
    assert await log_in(house, PASSWORD) == 200


async def test_guessing_the_current_password_is_throttled(open_house: OpenHouse) -> None:
    async with open_house(failed_logins_per_user=2) as house:
        toy = await house.person("toy-user", await house.account("Toy Account"))
        change = {"current_password": "wrong", "new_password": NEW}
        statuses = [(await toy.client.put("/api/v1/password", json=change)).status_code for _ in range(3)]
        assert statuses == [422, 422, 429]


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("long enough", None),
        ("toy-password", None),
        ("wachtwoordzin van vier", None),
        ("123456789", "at least 10"),
        ("1234567890", "too simple"),
        ("qwertyuiop", "too simple"),
        ("0987654321", "too simple"),
        ("aaaaaaaaaaaa", "too simple"),
        ("abababababab", "too simple"),
        ("Password123!", "too easy"),
        ("p@ssw0rd!2026", "too easy"),
        ("W3lc0me2026!", "too easy"),
        ("toy-user@example.com", "too easy"),
        ("Toy-User-1234", "too easy"),
        ("example.com", "too easy"),
        ("football2026", "too easy"),
        ("passwordpassword", "too easy"),
        ("1q2w3e4r5t", "too simple"),
        ("1qaz2wsx3edc", "too simple"),
        ("a football and a tent", None),
        ("x" * 500 + "abcdef" * 100, "at most 1000"),
    ],
)
def test_rules(password: str, problem: str | None) -> None:
    found = weakness_of(password, 10, "toy-user", "toy-user@example.com")
    assert (found is None) if problem is None else problem in str(found)


async def test_scripts_in_links_stay_text(house: House) -> None:
    page = await house.guest().get("/password", params={"token": '"><script>alert(1)</script>'})
    assert "<script>" not in page.text
