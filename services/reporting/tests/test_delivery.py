"""Webhook messages are signed, repeated, given up and logged as the settings say."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from flexcore.webhooks import subscriptions
from flexmodel.errors import Invalid
from flexstore.store import Connection, Store
from flexwork import activities
from flexwork.activities import ActivityType
from reporting.app import upkeep_of
from reporting.settings import ReportingSettings
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError
from waiting import until
from webhook_receiver import Attempts, Delivering, Receiver

DONE = "schedule.finished"
DATA = {"job": "5f7f3b1e", "sensor": 7}


async def add(store: Store, account: int, receiver: Receiver, types: Sequence[str] = ()) -> subscriptions.Webhook:
    async with store.connection() as con:
        return await subscriptions.add(con, account, receiver.url, types)


async def tell(store: Store, account: int | None, data: Mapping[str, object] = DATA) -> None:
    async with store.transaction() as con:
        await activities.record(con, account, ActivityType.SCHEDULE_FINISHED, data)


async def is_active(con: Connection, hook: subscriptions.Webhook) -> bool:
    current = await subscriptions.get(con, hook.id)
    assert current is not None
    return current.active


async def until_empty(store: Store, table: str) -> None:
    """Wait until every event has its position and the table is empty."""
    query = f"select exists (select from event where position is null) or exists (select from {table})"

    async def is_empty() -> bool:
        async with store.connection() as con:
            return not await con.fetchval(query)

    await until(is_empty)


async def test_a_message_arrives_signed(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts
) -> None:
    hook = await add(store, account, receiver)
    before = datetime.now(UTC)
    async with delivering():
        await tell(store, account)
        [row] = await attempts(1)
        await until_empty(store, "outbox")
    [(headers, body)] = receiver.received
    content = Verifier(hook.secret).verify(body, headers)
    assert (content["type"], content["data"]) == (DONE, DATA)
    assert abs(datetime.fromisoformat(content["timestamp"]) - before) < timedelta(seconds=5)
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("Flexmesh/")
    assert (row["webhook_id"], row["status"], row["error"], row["attempt"]) == (hook.id, 200, None, 1)
    assert row["message_id"] == headers["webhook-id"]


async def test_a_forged_message_does_not_verify(
    store: Store, account: int, receiver: Receiver, delivering: Delivering
) -> None:
    hook = await add(store, account, receiver)
    async with delivering():
        await tell(store, account)
        await receiver.until(1)
    [(headers, body)] = receiver.received
    forged = json.dumps(json.loads(body) | {"data": {"job": "another"}})
    with pytest.raises(WebhookVerificationError):
        Verifier(hook.secret).verify(forged, headers)
    other = await add(store, account, receiver)
    with pytest.raises(WebhookVerificationError):
        Verifier(other.secret).verify(body, headers)


async def test_only_those_who_asked_are_told(
    store: Store, account: int, receiver: Receiver, delivering: Delivering
) -> None:
    async with store.connection() as con:
        stranger = await con.fetchval("insert into account (name) values ('stranger') returning id")
        for owner, types in ((account, [DONE]), (account, []), (account, ["data.stored"]), (stranger, [])):
            await subscriptions.add(con, owner, receiver.url, types)
        off = await subscriptions.add(con, account, receiver.url)
        await subscriptions.disable(con, off, "it is not needed.")
        assert await activities.has_audience(con, account, ActivityType.SCHEDULE_FINISHED)
        assert not await activities.has_audience(con, None, ActivityType.SCHEDULE_FINISHED)
        assert not await activities.has_audience(con, stranger + 1, ActivityType.SCHEDULE_FINISHED)
        await con.execute("delete from event")
    async with delivering():
        await tell(store, account)
        await tell(store, None)
        await until_empty(store, "outbox")
    assert len(receiver.received) == 2
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1  # it is the same event


async def test_what_is_rolled_back_is_told_to_nobody(
    store: Store, account: int, receiver: Receiver, delivering: Delivering
) -> None:
    await add(store, account, receiver)
    async with delivering():
        with pytest.raises(ZeroDivisionError):
            async with store.transaction() as con:
                await activities.record(con, account, ActivityType.SCHEDULE_FINISHED, DATA)
                raise ZeroDivisionError
        await tell(store, account, {"job": "the next"})
        await receiver.until(1)
        await until_empty(store, "outbox")
    assert [json.loads(body)["data"] for _, body in receiver.received] == [{"job": "the next"}]


async def test_a_failed_attempt_is_repeated_with_the_same_id_and_a_new_signature(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts
) -> None:
    hook = await add(store, account, receiver)
    receiver.answers = [503]
    async with delivering():
        await tell(store, account)
        first, second = await attempts(2)
        await until_empty(store, "outbox")
    assert (first["status"], first["error"]) == (503, "It answered 503 Service Unavailable.")
    assert (second["status"], second["error"], second["attempt"]) == (200, None, 2)
    assert first["message_id"] == second["message_id"]
    assert second["attempted_at"] - first["attempted_at"] > timedelta(seconds=0.9)
    for headers, body in receiver.received:
        Verifier(hook.secret).verify(body, headers)


async def test_after_so_many_attempts_a_message_is_given_up(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts
) -> None:
    await add(store, account, receiver)
    receiver.answers = [500, 500, 500]
    async with delivering(webhook_attempts=2):
        await tell(store, account)
        rows = await attempts(2)
        await until_empty(store, "outbox")
    assert [row["status"] for row in rows] == [500, 500]
    assert len(receiver.received) == 2


async def test_a_slow_webhook_does_not_hold_up_the_others_for_long(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts
) -> None:
    await add(store, account, receiver)
    receiver.delay = 5.0
    async with delivering(webhook_attempts=1):
        await tell(store, account)
        [row] = await attempts(1)
    assert row["status"] is None
    assert row["error"] == "It did not answer within 0.5 seconds."


async def test_an_endless_answer_is_not_read(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts
) -> None:
    await add(store, account, receiver)
    receiver.endless = True
    async with delivering():
        await tell(store, account)
        [row] = await attempts(1)
        receiver.endless = False
    assert (row["status"], row["error"]) == (200, None)  # it would not have ended within the time there is


async def test_redirects_are_not_followed(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts
) -> None:
    await add(store, account, receiver)
    receiver.answers = [307]
    async with delivering(webhook_attempts=1):
        await tell(store, account)
        [row] = await attempts(1)
    assert row["error"] == "It answered 307 Temporary Redirect."
    assert len(receiver.received) == 1


async def test_a_webhook_that_is_gone_is_switched_off(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts
) -> None:
    hook = await add(store, account, receiver)
    receiver.answers = [410]
    async with delivering():
        await tell(store, account)
        await attempts(1)
        await until_empty(store, "outbox")
        await tell(store, account)
        await until_empty(store, "outbox")
    async with store.connection() as con:
        again = await subscriptions.get(con, hook.id)
    assert again is not None and not again.active
    assert len(receiver.received) == 1


async def test_a_deleted_webhook_is_told_nothing(
    store: Store, account: int, receiver: Receiver, delivering: Delivering
) -> None:
    hook = await add(store, account, receiver)
    await tell(store, account)
    async with store.connection() as con:
        await con.execute("delete from webhook where id = $1", hook.id)
    async with delivering():
        await until_empty(store, "outbox")
    assert receiver.received == []


async def test_nobody_listens_there(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts
) -> None:
    async with store.connection() as con:
        await subscriptions.add(con, account, "http://127.0.0.1:9/nobody")
    async with delivering(webhook_attempts=1):
        await tell(store, account)
        [row] = await attempts(1)
    assert row["status"] is None
    assert row["error"]


async def test_messages_wait_while_the_service_is_away(
    store: Store, account: int, receiver: Receiver, delivering: Delivering
) -> None:
    await add(store, account, receiver)
    for number in range(30):
        await tell(store, account, {"number": number})
    async with delivering():
        await receiver.until(30)
        await until_empty(store, "outbox")
    assert sorted(json.loads(body)["data"]["number"] for _, body in receiver.received) == list(range(30))


async def test_old_attempts_are_forgotten(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts, database_url: str
) -> None:
    await add(store, account, receiver)
    async with delivering():
        await tell(store, account)
        await attempts(1)
        await until_empty(store, "outbox")
        async with store.connection() as con:
            await con.execute("update webhook_delivery set attempted_at = now() - interval '31 days'")
    await upkeep_of(store, ReportingSettings(database_url=database_url)).run_once()
    await until_empty(store, "webhook_delivery")


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com/hook", "https://", "javascript:alert(1)", ""])
async def test_addresses_that_are_none_are_refused(store: Store, account: int, url: str) -> None:
    async with store.connection() as con:
        with pytest.raises(Invalid, match="not an address"):
            await subscriptions.add(con, account, url)


async def test_by_default_a_webhook_inside_is_not_reached(
    store: Store, account: int, receiver: Receiver, delivering: Delivering, attempts: Attempts
) -> None:
    async with store.connection() as con:
        await subscriptions.add(con, account, receiver.url)
    async with delivering(webhook_private_addresses=False, webhook_attempts=1):
        async with store.transaction() as con:
            await activities.record(con, account, ActivityType.SCHEDULE_FINISHED, {})
        [row] = await attempts(1)
    assert "private address" in row["error"]
    assert receiver.received == []


async def test_after_a_change_of_secrets_both_verify_for_a_while(
    store: Store, account: int, receiver: Receiver, delivering: Delivering
) -> None:
    hook = await add(store, account, receiver)
    async with store.connection() as con:
        renewed = await subscriptions.rotate(con, hook.id, timedelta(hours=1))
    async with delivering():
        await tell(store, account)
        await receiver.until(1)
        async with store.connection() as con:
            await con.execute("update webhook set old_secret_until = now()")
        await tell(store, account)
        await receiver.until(2)
    (first, body), (second, later) = receiver.received
    Verifier(hook.secret).verify(body, first)
    Verifier(renewed).verify(body, first)
    Verifier(renewed).verify(later, second)
    with pytest.raises(WebhookVerificationError):
        Verifier(hook.secret).verify(later, second)


async def test_a_webhook_that_fails_for_days_is_disabled_and_its_owners_hear_of_it(
    store: Store,
    account: int,
    receiver: Receiver,
    delivering: Delivering,
    attempts: Attempts,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hook = await add(store, account, receiver)
    other = await add(store, account, receiver, ["webhook.disabled"])
    async with store.connection() as con:
        await con.execute(
            """with boss as (insert into users (account_id, email, username, password_hash)
                             values ($1, 'boss@example.com', 'boss', '') returning id)
               insert into user_role (user_id, role_id)
               select boss.id, role.id from boss, role where role.name = 'account-admin'""",
            account,
        )
    receiver.answers = [500, 200, 500]
    async with delivering(webhook_attempts=1, webhook_disable_after_days=3, mail_to_stderr=True):
        for number, since in enumerate((4, 5, 6), start=1):  # a success in between starts the count anew
            await tell(store, account)
            await attempts(number)
            await until_empty(store, "(select from outbox where topic = 'webhook') waiting")
            async with store.connection() as con:
                assert await is_active(con, hook)
                back = f"update webhook set failing_since = failing_since - interval '{since} days'"
                await con.execute(back)
        receiver.answers = [500]
        await tell(store, account)
        await receiver.until(5)  # the fifth is for the other webhook, which hears of what became of the first
        await until_empty(store, "outbox")
    async with store.connection() as con:
        assert not await is_active(con, hook)
        assert await is_active(con, other)
        [entry] = await con.fetch("select event, account_id from audit_log")
    reason = "nothing could be delivered for 3 days. The last attempt: It answered 500 Internal Server Error."
    assert json.loads(receiver.received[-1][1])["data"] == {"webhook": hook.id, "reason": reason}
    assert entry["event"] == f"Webhook {hook.id} to {receiver.url.removesuffix('/hook')} was disabled: {reason}"
    assert entry["account_id"] == account
    mail = capsys.readouterr().err
    assert "here is the mail to boss@example.com:" in mail
    assert reason in mail


async def test_a_webhook_that_does_not_answer_holds_up_the_others_once(
    store: Store, account: int, receiver: Receiver, delivering: Delivering
) -> None:
    async with store.connection() as con:
        await subscriptions.add(con, account, receiver.url.replace("/hook", "/slow"))
        quick = await subscriptions.add(con, account, receiver.url)
    receiver.delays = {"/slow": 1.0}
    for number in range(60):
        await tell(store, account, {"number": number})
    told = "select count(*) from webhook_delivery where webhook_id = $1"

    async def all_told() -> bool:
        async with store.connection() as con:
            return bool(await con.fetchval(told, quick.id) == 60)

    async with delivering():
        await until(all_told)
    async with store.connection() as con:
        slow = await con.fetch("select error from webhook_delivery where webhook_id <> $1", quick.id)
    assert {row["error"] for row in slow} == {"It did not answer within 0.5 seconds."}
    assert len(slow) <= 20  # those that were sent at the same time
