"""Writing the audit log, in the transaction of the change itself."""

from collections.abc import Iterable, Mapping
from typing import Any

from flexstore import audit

from api_gateway.auth.identity import Identity

Actor = Identity
SECRETS = frozenset({"password", "password_hash", "token", "token_hash"})


async def note(
    con: Any,
    actor: Actor | None,
    event: str,
    *,
    account_id: int | None = None,
    affected_user_id: int | None = None,
    asset_id: int | None = None,
    sensor_id: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Note who did what to what. Without an actor it was done on the command line."""
    await audit.record(
        con,
        event,
        active_user_id=actor.user_id if actor else None,
        active_user_name=actor.username if actor else None,
        account_id=account_id,
        affected_user_id=affected_user_id,
        asset_id=asset_id,
        sensor_id=sensor_id,
        details=dict(details or {}),
    )


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any], fields: Iterable[str] | None = None) -> Any:
    """What differs, as `{field: {"before": …, "after": …}}`; never a secret."""
    return {
        field: {"before": before[field], "after": after[field]}
        for field in (after.keys() if fields is None else fields)
        if before[field] != after[field] and field not in SECRETS
    }


def told(changes: Mapping[str, Mapping[str, Any]]) -> str:
    """Changes as the sentence that the log shows."""
    parts = (f"Field name: {name}, Old value: {c['before']}, New value: {c['after']}" for name, c in changes.items())
    return f"Updated fields: {'; '.join(parts)}"
