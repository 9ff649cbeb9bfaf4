"""Requests and responses with tokens."""

from datetime import datetime
from typing import Any, Literal

from flexcore.listing import Query
from flexcore.permissions.identity import LOGGED_IN, Identity, TokenKind
from flexcore.tokens.repository import TokenRow
from pydantic import Field

from api_gateway.response_models import ResponseModel, example
from api_gateway.times import instant

LISTED = (*LOGGED_IN, TokenKind.KEY)


class TokenQuery(Query):
    kind: Literal["login", "session", "key"] | None = Field(None, description="Only of this kind; left out: of all.")

    @property
    def kinds(self) -> tuple[TokenKind, ...]:
        return LISTED if self.kind is None else (TokenKind(self.kind),)


EXAMPLE: dict[str, Any] = {
    "id": 7,
    "kind": "key",
    "name": "Grafana",
    "hint": "fmk_3Xb9",
    "scopes": ["read"],
    "only_account": None,
    "requests_per_minute": None,
    "user": 1,
    "created_at": "2026-11-21T10:00:00+00:00",
    "last_used_at": "2026-11-21T12:00:00+00:00",
    "expires_at": None,
    "current": False,
}


class Token(ResponseModel):
    """A login token, a session or an API key, without its secret."""

    model_config = example(**EXAMPLE)

    id: int
    kind: Literal["login", "session", "key"]
    name: str | None = Field(description="Of a key its name, else what the program calls itself that logged in.")
    hint: str | None = Field(description="How a key begins.")
    scopes: list[str] = Field(description="What a key is good for; empty: for everything.")
    only_account: int | None = Field(description="The one account whose things a key is good for.")
    requests_per_minute: int | None = Field(description="The most requests that a key is good for.")
    user: int
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None = Field(description="When it ends; a session later if it is used until then.")
    current: bool = Field(description="Whether it is the one that this request came with.")


class Tokens(ResponseModel):
    tokens: list[Token]


class Revoked(ResponseModel):
    """How many of each kind were revoked; of kinds that were not asked for nothing is said."""

    model_config = example(revoked={"login": 2, "session": 1, "key": 0})

    revoked: dict[str, int]


def token_response(row: TokenRow, caller: Identity) -> dict[str, Any]:
    """Return a token as JSON, without its secret, which only its holder knows."""
    return {
        "id": row.id,
        "kind": row.kind,
        "name": row.name,
        "hint": row.hint,
        "scopes": row.scopes,
        "only_account": row.account_id,
        "requests_per_minute": row.requests_per_minute,
        "user": row.user_id,
        "created_at": instant(row.created_at),
        "last_used_at": instant(row.last_used_at),
        "expires_at": instant(row.expires_at),
        "current": row.id == caller.token_id,
    }
