"""The audit log: who changed what."""

from collections.abc import Mapping
from typing import Any

from flexstore.store import Connection

RECORD = """
insert into audit_log (
    event, active_user_id, active_user_name, account_id, affected_user_id, asset_id, sensor_id, details,
    token_id, token_kind
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def record(
    con: Connection,
    event: str,
    *,
    active_user_id: int | None = None,
    active_user_name: str | None = None,
    account_id: int | None = None,
    affected_user_id: int | None = None,
    asset_id: int | None = None,
    sensor_id: int | None = None,
    details: Mapping[str, Any] | None = None,
    token_id: int | None = None,
    token_kind: str | None = None,
) -> None:
    """Note an event, in the transaction of the change itself. Nobody active: it was done on the command line.

    The token is the one with which the active user asked.
    """
    await con.execute(
        RECORD,
        event,
        active_user_id,
        active_user_name,
        account_id,
        affected_user_id,
        asset_id,
        sensor_id,
        dict(details or {}),
        token_id,
        token_kind,
    )
