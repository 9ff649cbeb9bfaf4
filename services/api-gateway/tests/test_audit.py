"""Audit log: one line per change, with user, values before and after; no secrets there or in the logs."""

import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from asyncpg import Record
from flexserve import logs
from gateway_house import PASSWORD, AddSite, House, JsonObject, Person, TenancyRule, Things, World

PLANTED = "planted-secret-4711"
ATTRIBUTES = {"api_token": PLANTED, "nested": {"password": PLANTED}, "text": f"password={PLANTED}", "plain": "said"}
REMARK = {"content": "Closed", "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}

SECRETS_IN_ANSWERS = ("key", "secret", "auth_token", "csrf_token")
CHANGES: dict[str, Any] = {
    "POST /api/v3_0/accounts": {"name": "new"},
    "PATCH /api/v3_0/accounts/{id}": {"primary_color": "#123456", "attributes": ATTRIBUTES},
    "POST /api/v3_0/accounts/{id}/annotations": REMARK,
    "POST /api/v3_0/users": {"email": "new@example.com", "username": "new"},
    "PATCH /api/v3_0/users/{id}": {"timezone": "Europe/Amsterdam", "flexmeasures_roles": ["account-admin"]},
    "PATCH /api/v3_0/users/{id}/password-reset": {},
    "POST /api/v3_0/assets": {"name": "new", "generic_asset_type_id": 5, "attributes": ATTRIBUTES},
    "POST /api/v3_0/assets/default_asset_view": {"default_asset_view": "Graphs", "use_as_default": True},
    "POST /api/v3_0/assets/keep_legends_below_graphs": {"keep_legends_below_graphs": True},
    "PATCH /api/v3_0/assets/{id}": {"latitude": 52.1, "attributes": ATTRIBUTES},
    "DELETE /api/v3_0/assets/{id}": None,
    "POST /api/v3_0/assets/{id}/annotations": REMARK,
    "POST /api/v3_0/assets/{id}/copy": None,
    "POST /api/v3_0/sensors": {"name": "new", "unit": "kW", "event_resolution": "PT5M", "attributes": ATTRIBUTES},
    "PATCH /api/v3_0/sensors/{id}": {"name": "renamed", "attributes": ATTRIBUTES},
    "DELETE /api/v3_0/sensors/{id}": None,
    "DELETE /api/v3_0/sensors/{id}/data": None,
    "POST /api/v3_0/sensors/{id}/annotations": REMARK,
    "PUT /api/v1/password": {"current_password": PASSWORD, "new_password": PLANTED},
    "DELETE /api/v1/tokens": None,
    "DELETE /api/v1/tokens/{id}": None,
    "DELETE /api/v1/users/{id}/tokens": None,
    "POST /api/v1/keys": {"name": "Grafana", "scopes": ["read"]},
    "PATCH /api/v1/keys/{id}": {"name": "Panel"},
    "DELETE /api/v1/keys/{id}": None,
    "PATCH /api/v1/accounts/{id}/keys": {"limit": 7},
    "POST /api/v1/webhooks": {"url": f"https://example.com/hook?token={PLANTED}"},
    "PATCH /api/v1/webhooks/{id}": {"url": f"https://example.org/{PLANTED}", "description": "moved"},
    "POST /api/v1/webhooks/{id}/secret": {},
    "DELETE /api/v1/webhooks/{id}": None,
}
"""Routes that change something, with a body that makes them do so."""
WITHOUT_VALUES = {
    "PATCH /api/v3_0/users/{id}/password-reset",
    "PUT /api/v1/password",
    "DELETE /api/v1/tokens",
    "DELETE /api/v1/tokens/{id}",
    "DELETE /api/v1/users/{id}/tokens",
    "DELETE /api/v1/keys/{id}",
    "POST /api/v1/webhooks/{id}/secret",
    "DELETE /api/v1/webhooks/{id}",
    "POST /api/v3_0/assets/{id}/copy",
    "DELETE /api/v3_0/sensors/{id}/data",
}
"""Changes without values before and after; the event names the change."""
ELSEWHERE: dict[str, str] = {
    "POST /api/v3_0/sensors/{id}/data": "Values say who sent them: their source.",
    "POST /api/v3_0/sensors/{id}/data/upload": "As above.",
    "POST /api/v3_0/assets/{id}/schedules/trigger": "Jobs say who asked for them.",
    "POST /api/v3_0/sensors/{id}/schedules/trigger": "As above.",
    "POST /api/v3_0/sensors/{id}/forecasts/trigger": "As above.",
    "POST /api/v1/data": "As above.",
    "POST /api/v1/data/upload": "As above.",
    "POST /api/v1/optimize": "Changes nothing; jobs as above.",
    "POST /api/v1/webhooks/{id}/test": "The log of deliveries tells.",
    "POST /api/v1/webhooks/{id}/deliveries/{delivery}/redeliver": "As above.",
    "DELETE /api/v1/session": "Logging in and out changes nothing but the list of tokens.",
}
"""Routes that leave no line in the audit log, with the reason."""


@pytest.fixture
def loud() -> Iterator[None]:
    """Log everything to stderr, as in a service."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    logs.setup("gateway", "debug", "json")
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**before)


async def test_every_route_that_changes_something_is_audited_here(table: list[TenancyRule]) -> None:
    changing = {str(row) for row in table if row.method != "GET" and row.scope != "open"}
    assert changing == CHANGES.keys() | ELSEWHERE.keys()
    assert not CHANGES.keys() & ELSEWHERE.keys()


async def test_every_change_leaves_one_line_and_no_secret(
    world: World, table: list[TenancyRule], loud: None, capsys: pytest.CaptureFixture[str]
) -> None:
    admin, secrets, wrong = world.people["A"], {PLANTED, PASSWORD}, []
    await world.house.fetch("delete from audit_log")
    for row in (row for row in table if str(row) in CHANGES):
        token = await world.token("A")
        body = body_for(row, await world.things("own"))
        answer = await world.ask(row, "own", token, json=body)
        assert answer.status_code < 300, f"{row}: {answer.status_code} {answer.text}"
        secrets |= {token} | {value for name, value in said(answer).items() if name in SECRETS_IN_ANSWERS}
        lines = await world.house.fetch("delete from audit_log returning *")
        problem = problem_with(str(row), lines, admin)
        if problem:
            wrong.append(f"{row}: {problem}: {[dict(line) for line in lines]}")
        told = f"{[dict(line) for line in lines]} {''.join(capsys.readouterr())}"
        wrong += [f"{row} tells {secret}: {told}" for secret in secrets if secret in told]
    assert not wrong


def said(answer: httpx.Response) -> JsonObject:
    return answer.json() if answer.content and isinstance(answer.json(), dict) else {}


def body_for(row: TenancyRule, things: Things) -> JsonObject | None:
    """Return the body, with the id of the parent asset."""
    body: JsonObject | None = CHANGES[str(row)]
    return (body or {}) | {"generic_asset_id": things["asset"]} if row.path == "/api/v3_0/sensors" else body


def problem_with(route: str, lines: list[Record], admin: Person) -> str | None:
    """Return the error in the lines that the route left, if there is one."""
    if len(lines) != 1:
        return f"{len(lines)} lines"
    [line] = lines
    if (line["active_user_id"], line["active_user_name"]) != (admin.user_id, "A"):
        return "not who did it"
    if route in WITHOUT_VALUES:
        return None
    values = list(line["details"].values())
    if not values or not all({*value} == {"before", "after"} for value in values):
        return "not what was before and after"
    before, after = (any(value[when] is not None for value in values) for when in ("before", "after"))
    method = route.split()[0]
    if (method == "DELETE" and after) or (method in ("PATCH", "PUT") and not after):
        return "not what it is after"
    return "not what was before" if method == "DELETE" and not before else None


async def test_logging_in_tells_no_secret(
    house: House, toy: Person, loud: None, capsys: pytest.CaptureFixture[str]
) -> None:
    credentials = {"email": "toy-user@example.com", "password": PASSWORD}
    secrets = {PASSWORD, PLANTED}
    for path in ("/api/requestAuthToken", "/api/v1/session"):
        for password in (PASSWORD, PLANTED):
            answer = await house.guest().post(path, json=credentials | {"password": password})
            secrets |= {value for name, value in said(answer).items() if name in SECRETS_IN_ANSWERS}
            secrets |= set(answer.cookies.values())
        await house.guest().post(path, json=credentials | {"password": [PLANTED]})
    await house.guest().get("/password", params={"token": PLANTED})
    await house.guest().post("/password", data={"token": PLANTED, "password": PLANTED})
    assert len(secrets) == 5
    told = f"{capsys.readouterr()} {[dict(row) for row in await house.fetch('select * from audit_log')]}"
    assert "/api/v1/session" in told
    assert not [secret for secret in secrets if secret in told]


async def test_long_values_are_whole_in_the_details_only(house: House, toy: Person, add_site: AddSite) -> None:
    _, _, battery, _ = await add_site()
    await toy.patch(f"/assets/{battery}", {"attributes": {"note": "x" * 5000}})
    [row] = await house.fetch("select event, details from audit_log order by id desc limit 1")
    assert len(row["event"]) < 1000
    assert len(row["details"]["attributes"]["after"]) > 5000


async def test_before_and_after_are_told_to_who_may_audit(house: House, toy: Person, add_site: AddSite) -> None:
    _, _, battery, power = await add_site()
    await toy.patch(f"/sensors/{power}", {"unit": "MW"})
    await toy.patch(f"/assets/{battery}", {"latitude": 52.5})
    path = f"/api/v1/accounts/{toy.account_id}/auditlog"
    newest, before, *_ = (await toy.client.get(path)).json()["changes"]
    assert newest["details"] == {"latitude": {"before": None, "after": 52.5}}
    assert (newest["username"], newest["asset"]) == ("toy-user", battery)
    assert before["details"] == {"unit": {"before": "kW", "after": "MW"}}
    assert (before["user"], before["sensor"]) == (toy.user_id, power)
    [next_one] = (await toy.client.get(path, params={"before": newest["id"], "limit": 1})).json()["changes"]
    assert next_one == before


async def test_it_is_told_with_what_somebody_was_logged_in(world: World) -> None:
    person, house = world.people["M"], world.house
    path = f"/api/v1/accounts/{person.account_id}/auditlog"
    session = await world.session("M")
    for kind in ("login", "key", "session"):
        token = None if kind == "session" else await world.token("M", kind=kind, scopes=["admin"] * (kind == "key"))
        async with house.guest(token) as client:
            if kind == "session":
                client.cookies.update(session.cookies)
            body = {"description": kind, "name": kind, "generic_asset_type_id": 5}
            made = await client.post("/api/v3_0/assets", json=body, headers=session.headers)
            assert made.status_code == 201, made.text
        [newest] = (await person.client.get(path, params={"limit": 1})).json()["changes"]
        [row] = await house.fetch("select max(id) as id from token where kind = $1", kind)
        assert newest["token"] == {"id": row["id"], "kind": kind}
    await house.account("made on the command line", person.account_id)
    [client_account] = await house.fetch("select max(id) as id from account")
    changes = (await world.people["A"].client.get(f"/api/v1/accounts/{client_account['id']}/auditlog")).json()
    assert changes["changes"][0]["token"] is None


async def test_what_changes_nothing_is_not_in_the_log(house: House, toy: Person) -> None:
    await house.fetch("delete from audit_log")
    for path, body in ((f"/accounts/{toy.account_id}", {"name": "Toy Account"}), (f"/users/{toy.user_id}", {})):
        await toy.patch(path, body)
    view = {"default_asset_view": "Graphs", "use_as_default": True}
    for _ in range(2):
        await toy.post("/assets/default_asset_view", view, status=200)
    assert len(await house.fetch("select * from audit_log")) == 1


async def test_failed_changes_are_not_in_the_log(house: House, toy: Person) -> None:
    await house.fetch("delete from audit_log")
    await toy.post("/assets", {"name": uuid4().hex, "generic_asset_type_id": 999}, status=422)
    await toy.client.post("/api/v1/keys", json={"name": "n", "scopes": ["everything"]})
    assert not await house.fetch("select * from audit_log")
