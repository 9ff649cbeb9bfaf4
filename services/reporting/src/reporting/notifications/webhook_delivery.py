"""Delivery of webhook messages by the Standard Webhooks specification: signed, in bounded time, and logged."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from time import monotonic, perf_counter
from typing import Any

import httpx
import orjson
from flexcore.webhooks import subscriptions
from flexcore.webhooks.subscriptions import Webhook
from flexserve import logs, tracing
from flexserve.public_addresses import PublicAddressTransport
from flexstore.store import Store
from flexwork.outbox import Message
from opentelemetry.trace import SpanKind
from prometheus_client import Counter
from standardwebhooks.webhooks import Webhook as Signer

from reporting.settings import ReportingSettings

log = logs.get(__name__)

DELIVERIES = Counter("flexmesh_webhook_deliveries", "Attempts to deliver messages to webhooks.", ("outcome",))
AGENT = f"Flexmesh/{version('flexmesh-reporting')}"
CONNECT_SECONDS = 5.0
REST_SECONDS = 20.0
"""Seconds without attempts after a webhook that did not answer."""


class NotDelivered(Exception):  # noqa: N818 - it says what it is
    """The attempt failed, and is to be repeated."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of an attempt."""

    status: int | None
    error: str | None
    """The reason of a failure; None after a success."""
    seconds: float


def http_client(settings: ReportingSettings) -> httpx.AsyncClient:
    """Return a client for webhooks. It follows no redirects: only the owner sets the address of a webhook."""
    inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=50, max_keepalive_connections=10))
    return httpx.AsyncClient(
        transport=inner if settings.webhook_private_addresses else PublicAddressTransport(inner),
        timeout=httpx.Timeout(settings.webhook_timeout, connect=CONNECT_SECONDS),
        headers={"User-Agent": AGENT, "Content-Type": "application/json"},
        trust_env=False,
    )


class Delivery:
    """Delivers webhook messages of the outbox. A message stays there after a failed attempt, until it is given up."""

    def __init__(self, store: Store, client: httpx.AsyncClient, settings: ReportingSettings) -> None:
        self.store = store
        self.client = client
        self.settings = settings
        self._resting: dict[int, float] = {}
        """The monotonic times until which webhooks that did not answer get no attempts: waiting holds up the others."""

    async def deliver(self, message: Message) -> None:
        """Deliver a message of the outbox. Raise `NotDelivered` if it is to be tried again."""
        async with self.store.connection() as con:
            webhook = await subscriptions.get(con, message.payload["webhook"])
        if webhook is None or not webhook.active:
            return
        last = message.attempts + 1 >= self.settings.webhook_attempts
        if monotonic() < self._resting.get(webhook.id, 0.0) and not last:
            raise NotDelivered("It gave no answer a moment ago.")
        with tracing.span("deliver webhook", SpanKind.PRODUCER, parent=message.headers):
            attempt = await self._attempt(webhook, message)
        await self._log_attempt(webhook, message, attempt)
        if attempt.status is None:
            self._resting[webhook.id] = monotonic() + REST_SECONDS
        else:
            self._resting.pop(webhook.id, None)
        if attempt.error is None:
            DELIVERIES.labels("delivered").inc()
        elif not last and attempt.status != httpx.codes.GONE:
            DELIVERIES.labels("failed").inc()
            raise NotDelivered(attempt.error)
        else:
            DELIVERIES.labels("given up").inc()
            log.warning("a webhook message is given up", webhook=webhook.id, message=message.payload["id"])

    async def _attempt(self, webhook: Webhook, message: Message) -> Attempt:
        body = serialize(message)
        headers = {**sign(webhook, message.payload["id"], body), **tracing.carrier()}
        start = perf_counter()
        status, error = None, None
        try:
            async with (
                asyncio.timeout(self.settings.webhook_timeout),
                self.client.stream("POST", webhook.url, content=body, headers=headers) as response,
            ):
                status = response.status_code  # the body does not matter, and could be endless
                if not response.is_success:
                    error = f"It answered {status} {response.reason_phrase}".strip() + "."
        except (TimeoutError, httpx.TimeoutException):
            error = f"It did not answer within {self.settings.webhook_timeout:g} seconds."
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            error = str(failure) or type(failure).__name__
        return Attempt(status, error, perf_counter() - start)

    async def _log_attempt(self, webhook: Webhook, message: Message, attempt: Attempt) -> None:
        longest = timedelta(days=self.settings.webhook_disable_after_days)
        async with self.store.transaction() as con:
            await subscriptions.log(
                con,
                webhook.id,
                message_id=message.payload["id"],
                type=message.payload["type"],
                attempt=message.attempts + 1,
                status=attempt.status,
                error=attempt.error,
                seconds=attempt.seconds,
            )
            if attempt.error is None:
                await subscriptions.note_success(con, webhook.id)
            elif attempt.status == httpx.codes.GONE:
                await subscriptions.disable(con, webhook, "it answered 410 Gone, so it wants no more.")
            elif await subscriptions.note_failure(con, webhook.id) > longest:
                reason = f"nothing could be delivered for {longest.days} days. The last attempt: {attempt.error}"
                await subscriptions.disable(con, webhook, reason)


def serialize(message: Message) -> bytes:
    """Return the body of the request for a message."""
    timestamp = message.payload.get("timestamp")
    content: Mapping[str, Any] = {
        "type": message.payload["type"],
        # Parsed, because the database writes timestamps in another format than the API.
        "timestamp": datetime.fromisoformat(timestamp) if timestamp else message.created_at,
        "data": message.payload["data"],
    }
    return orjson.dumps(content)


def sign(webhook: Webhook, message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers with which the receiver checks the origin, age and id of a message."""
    now = datetime.now(UTC)
    secrets = [webhook.secret] if webhook.old_secret is None else [webhook.secret, webhook.old_secret]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(message_id, now, body.decode()) for secret in secrets),
    }
