"""The connector kind `mqtt`: listens to a broker, acknowledges what is stored, and finalizes events."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic

from flexmodel.errors import Unavailable
from flexserve import logs
from prometheus_client import Gauge

from ingest.connectors.connector_kind import ListenerContext, ListeningKind, OfferedSeries
from ingest.connectors.fetched_series import SeriesSource
from ingest.connectors.mqtt.event_finalizer import EventFinalizer
from ingest.connectors.mqtt.inbox import MqttMessage
from ingest.connectors.mqtt.mapping import map_series
from ingest.connectors.mqtt.message_handler import MessageHandler
from ingest.connectors.mqtt.settings import MqttSettings
from ingest.connectors.mqtt.subscription import ConnectionLostError, open_subscription

log = logs.get(__name__)

CONNECTED = Gauge("flexmesh_mqtt_connections", "Brokers of MQTT that this process is connected to.")

FIRST_WAIT, MAX_WAIT = 0.25, 5.0
"""Seconds between attempts to connect or to store."""
GIVE_UP_SECONDS = 60.0
"""A broker that is away for longer is recorded as a failure and tried again later."""
FINALIZE_SECONDS = 1.0


class Mqtt(ListeningKind[MqttSettings]):
    name = "mqtt"
    about = "Readings of devices that publish to a broker of MQTT."
    settings = MqttSettings
    interval = timedelta(minutes=5)

    def series(self, settings: MqttSettings) -> Sequence[OfferedSeries]:
        return [OfferedSeries(name, series.topic, series.unit) for name, series in settings.series.items()]

    def source(self, settings: MqttSettings, connector: str, number: int) -> SeriesSource:
        # Two accounts may choose the same name for a connector: the model keeps their sources apart.
        return SeriesSource(connector, "gateway", f"connector {number}")

    async def listen(self, settings: MqttSettings, context: ListenerContext) -> None:
        mappings = map_series(settings, context.sensors)
        handler = MessageHandler(mappings, settings.late, context)
        finalizer = asyncio.create_task(finalize_forever(EventFinalizer(mappings, handler)))
        try:
            await receive_forever(settings, handler)
        finally:
            finalizer.cancel()
            await asyncio.gather(finalizer, return_exceptions=True)


async def finalize_forever(finalizer: EventFinalizer) -> None:
    """Finalize events until cancelled, whatever goes wrong."""
    while True:
        try:
            await finalizer.finalize(datetime.now(UTC))
        except Unavailable as error:
            log.warning("readings wait to become events", reason=error.message)
        except Exception:
            log.exception("readings cannot become events")
        await asyncio.sleep(FINALIZE_SECONDS)


async def receive_forever(settings: MqttSettings, handler: MessageHandler) -> None:
    """Receive and store messages until the broker has been away for long, or refuses the connection."""
    wait, away_since = FIRST_WAIT, None
    while True:
        try:
            async with open_subscription(settings, private_addresses=handler.context.private_addresses) as subscription:
                log.info("listening to a broker", host=settings.host)
                wait, away_since = FIRST_WAIT, None
                await store_messages([], handler)  # records that it listens
                with connection_counted():
                    while True:
                        messages = await subscription.receive()
                        await store_messages(messages, handler)
                        subscription.acknowledge(messages)
        except ConnectionLostError as error:
            away_since = away_since or monotonic()
            if monotonic() - away_since > GIVE_UP_SECONDS:
                raise
            log.warning("a broker is away", reason=error.message)
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnections
        wait = min(2 * wait, MAX_WAIT)


async def store_messages(messages: Sequence[MqttMessage], handler: MessageHandler) -> None:
    """Store messages, with retries while the database is unavailable. Meanwhile the broker keeps new ones."""
    parsed, wait = await asyncio.to_thread(handler.parse, messages), FIRST_WAIT
    while True:
        try:
            return await handler.store(parsed)
        except Unavailable as error:
            log.warning("messages wait to be stored", reason=error.message, count=len(messages))
        await asyncio.sleep(wait)
        wait = min(2 * wait, MAX_WAIT)


@contextmanager
def connection_counted() -> Iterator[None]:
    CONNECTED.inc()
    try:
        yield
    finally:
        CONNECTED.dec()
