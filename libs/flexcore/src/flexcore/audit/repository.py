"""Reading the audit log."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from typing import Any

from flexcore.listing import Page

COLUMNS = "id, event, event_datetime, active_user_id, active_user_name"


async def of_account(con: Any, account_id: int) -> list[Any]:
    """What happened to an account and the people in it; assets have logs of their own."""
    rows: list[Any] = await con.fetch(
        f"select {COLUMNS} from audit_log where account_id = $1 and asset_id is null order by id limit 10000",
        account_id,
    )
    return rows


async def of_user(con: Any, user_id: int, page: Page, order: str) -> tuple[list[Any], int]:
    return await page.fetch(
        con,
        f"select {COLUMNS} from audit_log where affected_user_id = $1 and event ilike all($2::text[])",
        user_id,
        page.patterns,
        order=order,
    )


async def of_asset(con: Any, asset_id: int, page: Page, order: str) -> tuple[list[Any], int]:
    return await page.fetch(
        con,
        f"select {COLUMNS} from audit_log where asset_id = $1 and event ilike all($2::text[])",
        asset_id,
        page.patterns,
        order=order,
    )


async def count_of_asset(con: Any, asset_id: int) -> int:
    total: int = await con.fetchval("select count(*) from audit_log where asset_id = $1", asset_id)
    return total


async def count_of_user(con: Any, user_id: int) -> int:
    total: int = await con.fetchval("select count(*) from audit_log where affected_user_id = $1", user_id)
    return total


async def changes_in(con: Any, account_id: int, before: int | None, limit: int) -> list[Any]:
    """What was changed in an account, its assets included, the newest first."""
    rows: list[Any] = await con.fetch(
        f"""select {COLUMNS}, token_id, token_kind, affected_user_id, asset_id, sensor_id, details from audit_log
            where account_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3""",
        account_id,
        before,
        limit,
    )
    return rows
