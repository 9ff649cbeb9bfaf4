"""The audit log of changes, for entries by any layer."""

from collections.abc import Mapping

from flexstore.store import Connection

INSERT_ENTRY = """
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
    details: Mapping[str, object] | None = None,
    token_id: int | None = None,
    token_kind: str | None = None,
) -> None:
    """Add an entry to the audit log, in the transaction of the change itself.

    Args:
        con: A connection in the transaction of the change.
        event: The change, as a sentence for users.
        active_user_id: The user who made the change. None: it was made on the command line or by the platform.
        active_user_name: The name of that user.
        account_id: The account that the change concerns.
        affected_user_id: The user that was changed, if any.
        asset_id: The asset that was changed, if any.
        sensor_id: The sensor that was changed, if any.
        details: Old and new values of the changed fields, or other facts.
        token_id: The token that authenticated the active user.
        token_kind: The kind of that token.
    """
    await con.execute(
        INSERT_ENTRY,
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
