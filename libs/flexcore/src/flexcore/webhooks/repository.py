"""SQL about webhooks."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flexmodel.errors import NotFound
from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.webhooks.inputs import DeliveryQuery

COLUMNS = """
id, account_id, url, events, assets, sensors, description, active, disabled_reason, failing_since, created_at"""
CHANGEABLE = ("url", "events", "assets", "sensors", "description", "active")
DELIVERY = "id, message_id, type, attempt, status, error, seconds, attempted_at"


class WebhookRow(Row):
    """A webhook, without its secret."""

    id: int
    account_id: int
    url: str
    events: list[str]
    assets: list[int]
    sensors: list[int]
    description: str
    active: bool
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime


class DeliveryRow(Row):
    """An attempt to deliver a message to a webhook."""

    id: int
    message_id: str
    type: str
    attempt: int
    status: int | None
    error: str | None
    seconds: float
    attempted_at: datetime


async def get(con: Connection, webhook_id: int) -> WebhookRow:
    """Return the webhook. Raises `NotFound` if there is none with this id."""
    row = await con.fetchrow(f"select {COLUMNS} from webhook where id = $1", webhook_id, record_class=WebhookRow)
    if row is None:
        raise NotFound(f"There is no webhook with ID {webhook_id}.")
    return row


async def load_of_account(con: Connection, account_id: int | None) -> list[WebhookRow]:
    """Return the webhooks of an account, or of all."""
    return await con.fetch(
        f"select {COLUMNS} from webhook where $1::int is null or account_id = $1 order by id",
        account_id,
        record_class=WebhookRow,
    )


async def count(con: Connection, account_id: int) -> int:
    """Return how many webhooks the account has. Until the transaction ends nobody else adds one."""
    await con.execute("select from account where id = $1 for no key update", account_id)
    number: int = await con.fetchval("select count(*) from webhook where account_id = $1", account_id)
    return number


async def update(con: Connection, webhook_id: int, changes: Mapping[str, Any]) -> None:
    """Apply the changes. A webhook that is switched on again starts anew."""
    columns = [column for column in CHANGEABLE if column in changes]
    sets = [f"{column} = ${number}" for number, column in enumerate(columns, start=2)]
    if "active" in changes:
        sets += ["disabled_reason = null", "failing_since = null"]
    if sets:
        values = (changes[column] for column in columns)
        await con.execute(f"update webhook set {', '.join(sets)} where id = $1", webhook_id, *values)


async def delete(con: Connection, webhook_id: int) -> None:
    await con.execute("delete from webhook where id = $1", webhook_id)


async def find_foreign(
    con: Connection, account_id: int, assets: Sequence[int], sensors: Sequence[int]
) -> tuple[int | None, int | None]:
    """Return the first asset and the first sensor that do not belong to the account, or None."""
    asset = await con.fetchval(
        "select id from unnest($2::int[]) id where id not in (select id from asset where account_id = $1) limit 1",
        account_id, assets,
    )  # fmt: skip
    sensor = await con.fetchval(
        """select id from unnest($2::int[]) id where id not in
           (select s.id from sensor s join asset a on a.id = s.asset_id where a.account_id = $1) limit 1""",
        account_id, sensors,
    )  # fmt: skip
    return asset, sensor


async def fetch_deliveries(
    con: Connection, webhook_id: int, query: DeliveryQuery
) -> tuple[list[DeliveryRow], int, int]:
    """Return a page of deliveries, newest first, how many match, and how many there are."""
    rows, filtered = await query.fetch(
        con,
        DeliveryRow,
        f"""select {DELIVERY} from webhook_delivery
            where webhook_id = $1 and type ilike all($2::text[]) and ($3::bool is null or (error is not null) = $3)""",
        webhook_id,
        query.patterns,
        query.failed,
        order="attempted_at",
    )
    total: int = await con.fetchval("select count(*) from webhook_delivery where webhook_id = $1", webhook_id)
    return rows, filtered, total


async def find_delivery(con: Connection, webhook_id: int, delivery_id: int) -> DeliveryRow | None:
    return await con.fetchrow(
        f"select {DELIVERY} from webhook_delivery where webhook_id = $1 and id = $2",
        webhook_id,
        delivery_id,
        record_class=DeliveryRow,
    )
