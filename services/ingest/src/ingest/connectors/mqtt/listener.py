"""The kind `mqtt`: listens to a broker, and again when it is back; acknowledges what is stored; makes events."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic

from flexmodel.errors import Unavailable
from flexserve import logs
from prometheus_client import Gauge

from ingest.connectors.fetched import Origin
from ingest.connectors.kinds import Listener, Listening, Offer
from ingest.connectors.mqtt.inbox import Message
from ingest.connectors.mqtt.intake import Intake
from ingest.connectors.mqtt.mapping import mapped
from ingest.connectors.mqtt.settings import MqttSettings
from ingest.connectors.mqtt.settling import Settling
from ingest.connectors.mqtt.subscription import Lost, subscribed

log = logs.get(__name__)

CONNECTED = Gauge("flexmesh_mqtt_connections", "Brokers of MQTT that this process is connected to.")

FIRST_WAIT, LONGEST_WAIT = 0.25, 5.0
"""Seconds between attempts to connect, or to store."""
GIVE_UP_SECONDS = 60.0
"""A broker that is away for longer is a failure that is shown; it is tried again later."""
SETTLE_SECONDS = 1.0


class Mqtt(Listener[MqttSettings]):
    name = "mqtt"
    about = "Readings of devices that publish to a broker of MQTT."
    settings = MqttSettings
    interval = timedelta(minutes=5)

    def series(self, settings: MqttSettings) -> Sequence[Offer]:
        return [Offer(name, series.topic, series.unit) for name, series in settings.series.items()]

    def origin(self, settings: MqttSettings, connector: str, number: int) -> Origin:
        # Names of connectors are free, so two accounts may choose the same: the model keeps their sources apart.
        return Origin(connector, "gateway", f"connector {number}")

    async def listen(self, settings: MqttSettings, listening: Listening) -> None:
        those = mapped(settings, listening.sensors)
        intake = Intake(those, settings.late, listening)
        settling = asyncio.create_task(keep_settling(Settling(those, intake)))
        try:
            await keep_listening(settings, intake)
        finally:
            settling.cancel()
            await asyncio.gather(settling, return_exceptions=True)


async def keep_settling(settling: Settling) -> None:
    """Whatever goes wrong, it is tried again."""
    while True:
        try:
            await settling.settle(datetime.now(UTC))
        except Unavailable as error:
            log.warning("readings wait to become events", reason=error.message)
        except Exception:
            log.exception("readings cannot become events")
        await asyncio.sleep(SETTLE_SECONDS)


async def keep_listening(settings: MqttSettings, intake: Intake) -> None:
    """Until the broker has been away for long, or does not want us."""
    wait, away_since = FIRST_WAIT, None
    while True:
        try:
            async with subscribed(settings, private_addresses=intake.listening.private_addresses) as subscription:
                log.info("listening to a broker", host=settings.host)
                wait, away_since = FIRST_WAIT, None
                await store([], intake)  # nothing, which shows that it listens
                with connected():
                    while True:
                        messages = await subscription.take()
                        await store(messages, intake)
                        subscription.acknowledge(messages)
        except Lost as error:
            away_since = away_since or monotonic()
            if monotonic() - away_since > GIVE_UP_SECONDS:
                raise
            log.warning("a broker is away", reason=error.message)
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - so that not all come back at once
        wait = min(2 * wait, LONGEST_WAIT)


async def store(messages: Sequence[Message], intake: Intake) -> None:
    """However long it takes. Meanwhile the broker keeps what comes."""
    found, wait = await asyncio.to_thread(intake.sort, messages), FIRST_WAIT
    while True:
        try:
            return await intake.store(found)
        except Unavailable as error:
            log.warning("messages wait to be stored", reason=error.message, count=len(messages))
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


@contextmanager
def connected() -> Iterator[None]:
    CONNECTED.inc()
    try:
        yield
    finally:
        CONNECTED.dec()
