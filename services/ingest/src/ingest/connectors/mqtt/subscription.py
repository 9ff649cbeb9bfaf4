"""Connection to a broker that subscribes to topics and acknowledges stored messages."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from tempfile import NamedTemporaryFile

import httpx
from flexserve.public_addresses import PrivateAddressError, resolve_public
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from ingest.connectors.fetched_series import FetchError, TemporaryFetchError
from ingest.connectors.mqtt.inbox import Inbox, MqttMessage
from ingest.connectors.mqtt.settings import MqttSettings

CONNECT_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 30
CHECK_SECONDS = 5.0
"""Time between checks of the connection while no message comes."""
MAX_MESSAGE_BYTES = 1_000_000
"""Most bytes of a message; the payload of a larger one is dropped."""


class ConnectionLostError(TemporaryFetchError):
    """The connection ended or cannot be opened. It may be back soon."""


class _Client(Client):
    """A client that connects to an address that was checked, and knows the broker by its name all the same."""

    checked_address: str | None = None
    """Looked up once, because a second look-up of the name could return another address (DNS rebinding)."""

    def _create_socket_connection(self) -> socket.socket:
        address = self.checked_address or self._host
        return socket.create_connection((address, self._port), timeout=self.connect_timeout)


class Subscription:
    """One connection. The broker sends unacknowledged messages again on the next one."""

    def __init__(self, settings: MqttSettings, *, private_addresses: bool) -> None:
        self._settings = settings
        self._private_addresses = private_addresses
        self._inbox = Inbox()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._client = self._make_client()

    async def open(self) -> None:
        """Connect and subscribe.

        Raises:
            ConnectionLost: The broker cannot be reached.
            FetchError: The broker refuses the connection or a topic.
        """
        host, port = self._settings.address
        if not self._private_addresses:
            self._client.checked_address = await checked_address(host, port)
        try:
            await asyncio.to_thread(self._client.connect, host, port, KEEP_ALIVE_SECONDS)
        except ssl.SSLError as error:
            raise FetchError(f"{host} cannot be trusted: {getattr(error, 'verify_message', '') or error}.") from None
        except (OSError, ValueError) as error:
            raise ConnectionLostError(f"{host} cannot be reached on port {port}: {error}.") from None
        self._client.loop_start()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._ready
        except TimeoutError:
            raise ConnectionLostError(f"{host} does not answer as a broker of MQTT.") from None

    async def receive(self) -> list[MqttMessage]:
        """Return the received messages, at least one. Raises `ConnectionLost`."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    return await self._inbox.take()
            if self._client._thread is None:  # the thread ended without a callback
                raise ConnectionLostError(f"The connection to {self._settings.host} broke.")

    def acknowledge(self, messages: Iterable[MqttMessage]) -> None:
        """Acknowledge messages to the broker."""
        for message in messages:
            self._client.ack(message.packet_id, message.qos)

    async def close(self) -> None:
        """Disconnect. The broker keeps the session and new messages for the next connection."""
        self._inbox.close(ConnectionLostError("This end has closed the connection."))
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _make_client(self) -> _Client:
        settings = self._settings
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=False,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_SECONDS
        if settings.username is not None:
            password = settings.password.get_secret_value() if settings.password else None
            client.username_pw_set(settings.username, password)
        if settings.tls:
            client.tls_set_context(build_tls_context(settings))
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    # --- called in the network's thread

    def _on_connect(
        self, client: Client, _user: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._fail(FetchError(f"{self._settings.host} does not let us in: {reason}."))
            return
        client.subscribe([(topic, int(self._settings.qos)) for topic in self._topics()])

    def _on_subscribe(
        self, _client: Client, _user: object, _number: int, reason_codes: Sequence[ReasonCode], _properties: object
    ) -> None:
        refused = [topic for topic, reason in zip(self._topics(), reason_codes, strict=False) if reason.is_failure]
        if refused:
            self._fail(FetchError(f"{self._settings.host} does not let us subscribe to {', '.join(refused)}."))
        else:
            self._loop.call_soon_threadsafe(self._succeed)

    def _on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # matches no filter
        payload = bytes(message.payload) if len(message.payload) <= MAX_MESSAGE_BYTES else None
        self._inbox.put(MqttMessage(topic, payload, message.qos, message.mid, message.retain, datetime.now(UTC)))

    def _on_disconnect(
        self, _client: Client, _user: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        may_want_certificate = self._settings.tls and self._settings.certificate is None and not self._ready.done()
        hint = " It may want to know us by a `certificate`." if may_want_certificate else ""
        self._fail(ConnectionLostError(f"The connection to {self._settings.host} was lost: {reason}.{hint}"))

    def _fail(self, reason: FetchError) -> None:
        self._inbox.close(reason)
        self._loop.call_soon_threadsafe(self._give_up, reason)

    def _topics(self) -> list[str]:
        return sorted({series.topic for series in self._settings.series.values()})

    # --- called in the event loop

    def _succeed(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _give_up(self, reason: FetchError) -> None:
        if not self._ready.done():
            self._ready.set_exception(reason)


@asynccontextmanager
async def open_subscription(settings: MqttSettings, *, private_addresses: bool) -> AsyncIterator[Subscription]:
    """Open a subscription to all topics of the settings for the duration of the block."""
    subscription = Subscription(settings, private_addresses=private_addresses)
    try:
        await subscription.open()
        yield subscription
    finally:
        await subscription.close()


async def checked_address(host: str, port: int) -> str:
    """Return the address of a broker. Brokers at private addresses are refused."""
    try:
        return (await resolve_public(host, port))[0]
    except PrivateAddressError:
        raise FetchError(
            f"{host} is at a private address, where connectors may only listen if FLEXMESH_CONNECTOR_PRIVATE_ADDRESSES "
            "allows it."
        ) from None
    except httpx.ConnectError as error:
        raise ConnectionLostError(str(error)) from None


def build_tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Build the TLS context: trusted certificates, and our own certificate."""
    try:
        context = ssl.create_default_context(cadata=settings.ca)
    except (ssl.SSLError, ValueError) as error:
        raise FetchError(f"`ca` holds no certificate in PEM: {error}.") from None
    if settings.ca is not None:
        # Certificates made as brokers' manuals say lack extensions that Python's strict mode requires.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.certificate is None or settings.key is None:
        return context
    # The library reads certificates from files only; a temporary file is private and deleted at once.
    with NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{settings.certificate}\n{settings.key.get_secret_value()}\n")
        file.flush()
        try:
            context.load_cert_chain(file.name, password="")  # prevents a prompt for the password of a locked key
        except (ssl.SSLError, ValueError) as error:
            sentence = "`certificate` and `key` are no certificate in PEM and its unlocked key"
            raise FetchError(f"{sentence}: {getattr(error, 'reason', None) or error}.") from None
    return context
