"""Random tokens. The holder keeps the token, the database only its SHA-256."""

import hashlib
import secrets


def new_token() -> str:
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def from_header(value: str | None) -> str | None:
    """Return the token of an Authorization header: bare, as existing clients send it, or after `Bearer`."""
    if not value:
        return None
    scheme, _, rest = value.strip().partition(" ")
    if not rest:
        return scheme
    return rest.strip() if scheme.lower() == "bearer" else None
