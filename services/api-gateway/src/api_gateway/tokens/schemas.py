"""Tokens on the wire."""

from typing import Any, Literal

from pydantic import Field

from api_gateway.auth.identity import LOGGED_IN, Identity, Kind
from api_gateway.paging import Query
from api_gateway.times import instant

LISTED = (*LOGGED_IN, Kind.KEY)
EXAMPLE: dict[str, Any] = {
    "id": 7,
    "kind": "key",
    "name": "Grafana",
    "hint": "fmk_3Xb9",
    "scopes": ["read"],
    "only_account": None,
    "user": 1,
    "created_at": "2026-11-21T10:00:00+00:00",
    "last_used_at": "2026-11-21T12:00:00+00:00",
    "expires_at": None,
    "current": False,
}


class TokenQuery(Query):
    kind: Literal["login", "session", "key"] | None = Field(None, description="Only of this kind; left out: of all.")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return LISTED if self.kind is None else (Kind(self.kind),)


def shown(row: Any, caller: Identity) -> dict[str, Any]:
    """A token without its secret, which nobody knows but its holder."""
    return {
        "id": row["id"],
        "kind": row["kind"],
        "name": row["name"],
        "hint": row["hint"],
        "scopes": row["scopes"],
        "only_account": row["account_id"],
        "user": row["user_id"],
        "created_at": instant(row["created_at"]),
        "last_used_at": instant(row["last_used_at"]),
        "expires_at": instant(row["expires_at"]),
        "current": row["id"] == caller.token_id,
    }
