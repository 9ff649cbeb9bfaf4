"""A connection to a broker that listens to topics, and acknowledges what was stored."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from tempfile import NamedTemporaryFile
from typing import Any

import httpx
from flexserve.public_addresses import is_public, resolve
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from ingest.connectors.fetched import NotFetched, Passing
from ingest.connectors.mqtt.inbox import Inbox, Message
from ingest.connectors.mqtt.settings import MqttSettings

ANSWER_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 30
LOOK_SECONDS = 5.0
"""While nothing comes, to see whether anything still can."""
LARGEST = 1_000_000
"""Bytes of a message; a larger one is not kept."""


class Lost(Passing):
    """The connection ended, or there is none to be had. It may well be back in a moment."""


class Subscription:
    """One connection. Messages that it has not acknowledged when it ends, the broker sends again on the next."""

    def __init__(self, settings: MqttSettings, *, private_addresses: bool) -> None:
        self._settings = settings
        self._private_addresses = private_addresses
        self._inbox = Inbox()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._client = self._make_client()

    async def open(self) -> None:
        """Connect and subscribe. Raises `Lost`, or `NotFetched` when the broker does not want us."""
        host, port = self._settings.address
        if not self._private_addresses:
            await check_public(host, port)
        try:
            await asyncio.to_thread(self._client.connect, host, port, KEEP_ALIVE_SECONDS)
        except ssl.SSLError as error:
            raise NotFetched(f"{host} cannot be trusted: {getattr(error, 'verify_message', '') or error}.") from None
        except (OSError, ValueError) as error:
            raise Lost(f"{host} cannot be reached on port {port}: {error}.") from None
        self._client.loop_start()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._ready
        except TimeoutError:
            raise Lost(f"{host} does not answer as a broker of MQTT.") from None

    async def take(self) -> list[Message]:
        """The messages that have come, at least one. Raises `Lost`."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._inbox.take()
            if self._client._thread is None:  # it broke, which it tells nobody
                raise Lost(f"The connection to {self._settings.host} broke.")

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Tell the broker that it need not keep them any longer."""
        for message in messages:
            self._client.ack(message.number, message.qos)

    async def close(self) -> None:
        """Leave. The broker keeps the session, and all that comes until we are back."""
        self._inbox.end(Lost("This end has closed the connection."))
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _make_client(self) -> Client:
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=False,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = ANSWER_SECONDS
        if settings.username is not None:
            password = settings.password.get_secret_value() if settings.password else None
            client.username_pw_set(settings.username, password)
        if settings.tls:
            client.tls_set_context(secured(settings))
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    # --- called in the network's thread

    def _on_connect(self, client: Client, _user: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._fail(NotFetched(f"{self._settings.host} does not let us in: {reason}."))
            return
        client.subscribe([(topic, int(self._settings.qos)) for topic in self._topics()])

    def _on_subscribe(
        self, _client: Client, _user: Any, _number: int, reasons: Sequence[ReasonCode], _properties: Any
    ) -> None:
        refused = [topic for topic, reason in zip(self._topics(), reasons, strict=False) if reason.is_failure]
        if refused:
            self._fail(NotFetched(f"{self._settings.host} does not let us subscribe to {', '.join(refused)}."))
        else:
            self._loop.call_soon_threadsafe(self._succeed)

    def _on_message(self, _client: Client, _user: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # which no filter matches
        payload = bytes(message.payload) if len(message.payload) <= LARGEST else None
        self._inbox.put(Message(topic, payload, message.qos, message.mid, message.retain, datetime.now(UTC)))

    def _on_disconnect(self, _client: Client, _user: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        wanted = self._settings.tls and self._settings.certificate is None and not self._ready.done()
        hint = " It may want to know us by a `certificate`." if wanted else ""
        self._fail(Lost(f"The connection to {self._settings.host} was lost: {reason}.{hint}"))

    def _fail(self, reason: NotFetched) -> None:
        self._inbox.end(reason)
        self._loop.call_soon_threadsafe(self._give_up, reason)

    def _topics(self) -> list[str]:
        return sorted({series.topic for series in self._settings.series.values()})

    # --- called in the event loop

    def _succeed(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _give_up(self, reason: NotFetched) -> None:
        if not self._ready.done():
            self._ready.set_exception(reason)


@asynccontextmanager
async def subscribed(settings: MqttSettings, *, private_addresses: bool) -> AsyncIterator[Subscription]:
    """A subscription to all topics of the settings, closed at the end."""
    subscription = Subscription(settings, private_addresses=private_addresses)
    try:
        await subscription.open()
        yield subscription
    finally:
        await subscription.close()


async def check_public(host: str, port: int) -> None:
    """Refuse brokers in private networks, where the address is not for users to choose."""
    try:
        addresses = await resolve(host, port)
    except httpx.ConnectError as error:
        raise Lost(str(error)) from None
    if not addresses or not all(is_public(ipaddress.ip_address(address)) for address in addresses):
        raise NotFetched(
            f"{host} is at a private address, where connectors may only listen if FLEXMESH_CONNECTOR_PRIVATE_ADDRESSES "
            "allows it."
        )


def secured(settings: MqttSettings) -> ssl.SSLContext:
    """What brokers are checked against, and what they are shown of us."""
    try:
        context = ssl.create_default_context(cadata=settings.ca)
    except (ssl.SSLError, ValueError) as error:
        raise NotFetched(f"`ca` holds no certificate in PEM: {error}.") from None
    if settings.ca is not None:
        # What brokers' manuals tell people to make lacks extensions that Python wants; it vouches no less for that.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.certificate is None or settings.key is None:
        return context
    # The library reads this from files only; one of this kind is nobody else's to read, and gone in a moment.
    with NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{settings.certificate}\n{settings.key.get_secret_value()}\n")
        file.flush()
        try:
            context.load_cert_chain(
                file.name, password=""
            )  # else it would ask at the terminal for that of a locked key
        except (ssl.SSLError, ValueError) as error:
            sentence = "`certificate` and `key` are no certificate in PEM and its unlocked key"
            raise NotFetched(f"{sentence}: {getattr(error, 'reason', None) or error}.") from None
    return context
