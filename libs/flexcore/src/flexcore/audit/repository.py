"""Reading the audit log."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from datetime import datetime
from typing import Any

from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.listing import Page

COLUMNS = "id, event, event_datetime, active_user_id, active_user_name"


class AuditRow(Row):
    """An entry of the audit log."""

    id: int
    event: str
    event_datetime: datetime
    active_user_id: int | None
    active_user_name: str | None


class ChangeRow(AuditRow):
    """An entry of the audit log with all that is known of the change."""

    token_id: int | None
    token_kind: str | None
    affected_user_id: int | None
    asset_id: int | None
    sensor_id: int | None
    details: dict[str, Any]


async def load_of_account(con: Connection, account_id: int) -> list[AuditRow]:
    """Return the entries about an account and its users; assets have entries of their own."""
    return await con.fetch(
        f"select {COLUMNS} from audit_log where account_id = $1 and asset_id is null order by id limit 10000",
        account_id,
        record_class=AuditRow,
    )


async def fetch_page_of_user(con: Connection, user_id: int, page: Page, order: str) -> tuple[list[AuditRow], int]:
    return await page.fetch(
        con,
        AuditRow,
        f"select {COLUMNS} from audit_log where affected_user_id = $1 and event ilike all($2::text[])",
        user_id,
        page.patterns,
        order=order,
    )


async def fetch_page_of_asset(con: Connection, asset_id: int, page: Page, order: str) -> tuple[list[AuditRow], int]:
    return await page.fetch(
        con,
        AuditRow,
        f"select {COLUMNS} from audit_log where asset_id = $1 and event ilike all($2::text[])",
        asset_id,
        page.patterns,
        order=order,
    )


async def count_of_asset(con: Connection, asset_id: int) -> int:
    total: int = await con.fetchval("select count(*) from audit_log where asset_id = $1", asset_id)
    return total


async def count_of_user(con: Connection, user_id: int) -> int:
    total: int = await con.fetchval("select count(*) from audit_log where affected_user_id = $1", user_id)
    return total


async def load_changes(con: Connection, account_id: int, before: int | None, limit: int) -> list[ChangeRow]:
    """Return the changes in an account, its assets included, newest first."""
    return await con.fetch(
        f"""select {COLUMNS}, token_id, token_kind, affected_user_id, asset_id, sensor_id, details from audit_log
            where account_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3""",
        account_id,
        before,
        limit,
        record_class=ChangeRow,
    )
