"""Webhooks: managed by administrators of the account; secrets are shown once and never logged."""

from datetime import datetime
from typing import Any, Protocol

import pytest
from flexcore.webhooks import subscriptions
from flexstore.store import Connection
from flexwork import activities, activity_log
from flexwork.activities import ActivityType
from gateway_house import AddSite, House, JsonBody, JsonObject, OpenHouse, Person, QueryParam, World

URL = "https://example.com/hooks/T0P-SECRET?key=abc"


class Api(Protocol):
    """Requests below `/api/v1`."""

    async def __call__(
        self, method: str, path: str, json: object = None, status: int = 200, **params: QueryParam
    ) -> JsonBody: ...


@pytest.fixture
def api(toy: Person) -> Api:
    """Send requests below `/api/v1` as the account's administrator. Returns the bodies of the responses."""

    async def call(method: str, path: str, json: object = None, status: int = 200, **params: QueryParam) -> JsonBody:
        answer = await toy.client.request(method, f"/api/v1{path}", json=json, params=params)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    return call


async def load_webhook(con: Connection, webhook_id: int) -> subscriptions.Webhook:
    webhook = await subscriptions.get(con, webhook_id)
    assert webhook is not None
    return webhook


async def payloads(house: House) -> list[JsonObject]:
    rows = await house.fetch("select payload from outbox where topic = 'webhook' order by id")
    # The database and Python format microseconds that end in zeros differently.
    return [row["payload"] | {"timestamp": datetime.fromisoformat(row["payload"]["timestamp"])} for row in rows]


async def test_a_webhook_is_created_changed_and_deleted(house: House, toy: Person, api: Api, add_site: AddSite) -> None:
    site, *_, power = await add_site()
    wanted = {"url": URL, "events": ["schedule.finished"], "assets": [site], "sensors": [power], "description": "BMS"}
    made = await api("POST", "/webhooks", wanted, 201)
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made.items() >= {**wanted, "account": toy.account_id, "active": True, "disabled_reason": None}.items()
    assert await api("GET", f"/webhooks/{made['id']}") == made
    assert await api("GET", "/webhooks") == {"webhooks": [made]}
    changed = await api("PATCH", f"/webhooks/{made['id']}", {"events": [], "active": False})
    assert changed == made | {"events": [], "active": False}
    assert await api("PATCH", f"/webhooks/{made['id']}", {}) == changed
    await api("DELETE", f"/webhooks/{made['id']}", status=204)
    await api("GET", f"/webhooks/{made['id']}", status=404)
    log = await house.fetch("select event, account_id, details from audit_log where event like '%webhook%' order by id")
    assert [row["event"] for row in log] == [
        f"{what} webhook {made['id']} to https://example.com" for what in ("Created", "Updated", "Deleted")
    ]
    assert {row["account_id"] for row in log} == {toy.account_id}
    assert log[1]["details"] == {
        "active": {"before": True, "after": False},
        "events": {"before": ["schedule.finished"], "after": []},
    }
    assert not any(hidden in str(row) for row in log for hidden in (secret, "SECRET", "abc"))


async def test_a_repeated_request_makes_one_webhook_and_keeps_no_secret(house: House, toy: Person) -> None:
    asked: dict[str, Any] = {"json": {"url": URL}, "headers": {"Idempotency-Key": "once"}}
    first = await toy.client.post("/api/v1/webhooks", **asked)
    again = await toy.client.post("/api/v1/webhooks", **asked)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json().pop("secret") not in again.text
    assert again.json()["id"] == first.json()["id"]
    assert len(await house.fetch("select from webhook")) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://example.com:99999"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": "https://exa mple.com"}, "url"),
        ({"url": "https://user:password@example.com"}, "url"),
        ({"url": "https://example.com/\n"}, "url"),
        ({"url": "https://example.com/" + "x" * 2000}, "url"),
        ({"url": None}, "url"),
        ({"url": URL, "events": ["everything"]}, "events"),
        ({"url": URL, "assets": [4711]}, "assets"),
        ({"url": URL, "sensors": [4711]}, "sensors"),
        ({"url": URL, "secret": "mine"}, "secret"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(api: Api, wrong: JsonObject, field: str) -> None:
    refused = await api("POST", "/webhooks", wrong, 422)
    assert refused["fields"].keys() == {field}


async def test_filters_name_what_the_account_has(house: House, api: Api) -> None:
    stranger = await house.person("stranger", await house.account("elsewhere"), "account-admin")
    theirs = await stranger.post("/assets", {"name": "theirs", "generic_asset_type_id": 6})
    refused = await api("POST", "/webhooks", {"url": URL, "assets": [theirs["id"]]}, 422)
    assert "has no asset" in refused["detail"]
    made = await api("POST", "/webhooks", {"url": URL}, 201)
    await api("PATCH", f"/webhooks/{made['id']}", {"assets": [theirs["id"]]}, 422)


async def test_webhooks_are_created_and_listed_only_where_one_may(world: World) -> None:
    for place, letters in {"own": "AM", "client": "AC", "foreign": "A"}.items():
        for letter, person in world.people.items():
            account = world.accounts[place]
            answer = await person.client.post("/api/v1/webhooks", json={"url": URL, "account": account})
            assert answer.status_code == (201 if letter in letters else 403), (letter, place, answer.text)
    for place, letters in {"own": "ARMV", "client": "ARC", "foreign": "AR"}.items():
        for letter, person in world.people.items():
            answer = await person.client.get("/api/v1/webhooks", params={"account": world.accounts[place]})
            assert answer.status_code == (200 if letter in letters else 403), (letter, place)
            assert letter not in letters or {one["account"] for one in answer.json()["webhooks"]} == {
                world.accounts[place]
            }
    assert (await world.people["A"].client.get("/api/v1/webhooks?account=4711")).status_code == 404


async def test_an_account_may_have_so_many(open_house: OpenHouse) -> None:
    async with open_house(webhooks_per_account=1) as house:
        person = await house.person("a", await house.account("A"), "account-admin")
        statuses = [(await person.client.post("/api/v1/webhooks", json={"url": URL})).status_code for _ in range(2)]
    assert statuses == [201, 409]


async def test_a_new_secret_leaves_time_to_use_it(house: House, api: Api) -> None:
    made = await api("POST", "/webhooks", {"url": URL}, 201)
    renewed = await api("POST", f"/webhooks/{made['id']}/secret")
    assert renewed.keys() == {"secret"}
    assert renewed["secret"] != made["secret"]
    async with house.store.connection() as con:
        hook = await load_webhook(con, made["id"])
        assert (hook.secret, hook.old_secret) == (renewed["secret"], made["secret"])
        await api("POST", f"/webhooks/{made['id']}/secret", {"keep_old_hours": 0})
        hook = await load_webhook(con, made["id"])
    assert hook.old_secret is None
    assert hook.secret not in (made["secret"], renewed["secret"])


async def test_a_webhook_is_tried_whatever_it_hears_of(house: House, api: Api) -> None:
    made = await api("POST", "/webhooks", {"url": URL, "events": ["schedule.failed"]}, 201)
    other = await api("POST", "/webhooks", {"url": URL}, 201)
    sent = await api("POST", f"/webhooks/{made['id']}/test", status=202)
    [message] = await payloads(house)
    assert message["webhook"] == made["id"] != other["id"]
    assert (message["id"], message["type"]) == (sent["message_id"], "webhook.test")
    await api("PATCH", f"/webhooks/{made['id']}", {"active": False})
    refused = await api("POST", f"/webhooks/{made['id']}/test", status=409)
    assert "switched off" in refused["detail"]


async def test_deliveries_are_listed_and_sent_again(house: House, toy: Person, api: Api) -> None:
    made = await api("POST", "/webhooks", {"url": URL}, 201)
    other = await api("POST", "/webhooks", {"url": URL}, 201)
    async with house.store.connection() as con:
        await activities.record(con, toy.account_id, ActivityType.SCHEDULE_FINISHED, {"job": "j"})
        await activity_log.assign_positions(con)
        [(first, sent)] = [(one["id"], one) for one in await payloads(house) if one["webhook"] == made["id"]]
        await con.execute("delete from outbox")
        for attempt, status in enumerate((503, 200), start=1):
            error = None if status == 200 else "It answered 503."
            details: JsonObject = {
                "type": "schedule.finished",
                "attempt": attempt,
                "status": status,
                "error": error,
                "seconds": 0.5,
            }
            await subscriptions.log(con, made["id"], message_id=first, **details)
        await subscriptions.log(con, made["id"], message_id="msg_1", **details | {"type": "webhook.test"})
        await subscriptions.log(con, other["id"], message_id=first, **details)
    path = f"/webhooks/{made['id']}/deliveries"
    page = await api("GET", path, per_page=2, sort_dir="desc")
    assert (page["num-records"], page["filtered-records"], len(page["data"])) == (3, 3, 2)
    assert {row["message_id"] for row in page["data"]} <= {first, "msg_1"}
    [failed] = (await api("GET", path, failed=True))["data"]
    assert (failed["status"], failed["error"], failed["attempt"]) == (503, "It answered 503.", 1)
    [test] = (await api("GET", path, filter="test"))["data"]
    assert (await api("POST", f"{path}/{failed['id']}/redeliver", status=202)) == {"message_id": first}
    assert await payloads(house) == [sent]
    await api("POST", f"{path}/{test['id']}/redeliver", status=409)
    [foreign] = (await api("GET", f"/webhooks/{other['id']}/deliveries"))["data"]
    for unknown in (foreign["id"], 4711):
        await api("POST", f"{path}/{unknown}/redeliver", status=404)
    await api("POST", f"{path}/{2**63}/redeliver", status=422)
    await house.fetch("delete from event")
    refused = await api("POST", f"{path}/{failed['id']}/redeliver", status=409)
    assert "no longer kept" in refused["detail"]


async def test_one_that_was_switched_off_starts_anew(house: House, api: Api) -> None:
    made = await api("POST", "/webhooks", {"url": URL}, 201)
    async with house.store.transaction() as con:
        await subscriptions.note_failure(con, made["id"])
        await subscriptions.disable(con, await load_webhook(con, made["id"]), "it is broken.")
    found = await api("GET", f"/webhooks/{made['id']}")
    assert (found["active"], found["disabled_reason"]) == (False, "it is broken.")
    changed = await api("PATCH", f"/webhooks/{made['id']}", {"active": True})
    assert (changed["active"], changed["disabled_reason"], changed["failing_since"]) == (True, None, None)
