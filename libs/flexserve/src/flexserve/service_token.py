"""The service token: a shared secret by which services authenticate one another."""

import hmac
import secrets
import sys

from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request

from flexserve.settings import ServiceSettings, variable


def generate_token() -> SecretStr:
    """Return a random token, for services that live in one process."""
    return SecretStr(secrets.token_urlsafe(32))


def required_token(settings: ServiceSettings) -> SecretStr:
    """Return the token of these settings. Without one the process exits with code 2 and a sentence."""
    if settings.service_token is None:
        description = ServiceSettings.model_fields["service_token"].description
        print(f"{variable('service_token')} is not set. {description}", file=sys.stderr)
        raise SystemExit(2)
    return settings.service_token


class RequireServiceToken:
    """A FastAPI dependency that admits other services only: `dependencies=[Depends(RequireServiceToken(token))]`."""

    def __init__(self, token: SecretStr) -> None:
        self._expected = f"Bearer {token.get_secret_value()}".encode()

    async def __call__(self, request: Request) -> None:
        sent = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(sent, self._expected):
            detail = "This address is for Flexmesh services only: the service token is missing or wrong."
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
