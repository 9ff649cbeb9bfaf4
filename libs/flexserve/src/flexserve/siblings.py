"""Another of our services, called over HTTP or, when it lives in this process, directly."""

from collections.abc import Mapping
from typing import Any

import httpx
from flexmodel.errors import Unavailable
from opentelemetry.trace import SpanKind
from pydantic import SecretStr
from starlette.types import ASGIApp
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from flexserve import logs, tracing
from flexserve.errors import raise_for

USER_HEADER = "X-Flexmesh-User"
ACCOUNT_HEADER = "X-Flexmesh-Account"
_REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
_ATTEMPTS = 3


class Sibling:
    """A client for the service `name`, at a base URL or as an ASGI application in this process.

    Answers of 400 and above come back as the errors of flexmodel; a service that cannot be reached as
    Unavailable(name). It knows whom it acts for from `user` and `account`.
    """

    def __init__(self, name: str, where: str | ASGIApp, token: SecretStr, *, timeout: float = 30.0) -> None:
        self.name = name
        self._client = httpx.AsyncClient(
            base_url=where if isinstance(where, str) else f"http://{name}",
            transport=None if isinstance(where, str) else httpx.ASGITransport(where),
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
            timeout=httpx.Timeout(timeout, connect=2.0),
            trust_env=False,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        user: int | None = None,
        account: int | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Send a request; `options` go to httpx (`json`, `params`, `content`, …)."""
        with tracing.span(f"{method} {self.name}", SpanKind.CLIENT, http__request__method=method):
            sent = {**self._context(user, account), **(headers or {})}
            try:
                response = await self._send(method, path, sent, options)
            except httpx.TransportError as error:
                reason = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
                message = f"The {self.name} service {reason}. Please try again shortly."
                raise Unavailable(self.name, message) from error
        raise_for(response)
        return response

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("POST", path, **options)

    async def ping(self) -> None:
        """For readiness: raise unless the service is alive."""
        await self.request("GET", "/health/live")

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, method: str, path: str, headers: dict[str, str], options: dict[str, Any]) -> httpx.Response:
        """Once, or a few times within half a second if asking again changes nothing."""
        if method not in _REPEATABLE:
            return await self._client.request(method, path, headers=headers, **options)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.05, max=0.3),
            reraise=True,
        )
        response: httpx.Response = await retrying(self._client.request, method, path, headers=headers, **options)
        return response

    @staticmethod
    def _context(user: int | None, account: int | None) -> dict[str, str]:
        context = tracing.carrier()
        if request_id := logs.current("request_id"):
            context["X-Request-ID"] = request_id
        if user is not None:
            context[USER_HEADER] = str(user)
        if account is not None:
            context[ACCOUNT_HEADER] = str(account)
        return context
