"""Writing the audit log, in the transaction of the change itself."""

from collections.abc import Iterable, Mapping
from typing import Any

from flexserve.logs import mask, mask_text
from flexstore import audit_log
from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.permissions.identity import Identity

Actor = Identity
LONGEST_VALUE = 200
"""Characters of a value in the sentence about a change."""


async def record_change(
    con: Connection,
    actor: Actor | None,
    event: str,
    *,
    account_id: int | None = None,
    affected_user_id: int | None = None,
    asset_id: int | None = None,
    sensor_id: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Record who changed what, without secrets. Without an actor the change was made on the command line."""
    await audit_log.record(
        con,
        mask_text(event),
        active_user_id=actor.user_id if actor else None,
        active_user_name=actor.username if actor else None,
        account_id=account_id,
        affected_user_id=affected_user_id,
        asset_id=asset_id,
        sensor_id=sensor_id,
        details=mask(None, "", dict(details or {})),
        token_id=actor.token_id if actor else None,
        token_kind=actor.kind if actor else None,
    )


def changes_between(
    before: Mapping[str, Any] | Row | None, after: Mapping[str, Any] | Row | None, fields: Iterable[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the differing fields as `{field: {"before": …, "after": …}}`. Something new has no `before`."""
    changes: dict[str, dict[str, Any]] = {}
    for field in (after or before or {}).keys() if fields is None else fields:
        old, new = (row[field] if row is not None else None for row in (before, after))
        if old != new:
            changes[field] = {"before": old, "after": new}
    return changes


def describe_changes(changes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the changes as the sentence of the log; whole documents are in the details only."""
    parts = (
        f"Field name: {name}, Old value: {shorten(change['before'])}, New value: {shorten(change['after'])}"
        for name, change in changes.items()
    )
    return f"Updated fields: {'; '.join(parts)}"


def shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
