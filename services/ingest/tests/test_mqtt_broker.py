"""Listening to a real broker: no acknowledged message is lost when it, the database or the listener stops."""

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Never
from uuid import uuid4

import pytest
from flexmodel.errors import Unavailable
from ingest.belief_writer import BeliefWriter
from ingest.connectors.connector_kind import ListenerContext
from ingest.connectors.fetched_series import FetchedSeries, FetchError
from ingest.connectors.listener_supervisor import ListenerSupervisor
from ingest.connectors.mqtt import listener as listener_module
from ingest.connectors.mqtt import subscription as subscription_module
from ingest.connectors.mqtt.listener import Mqtt
from ingest.connectors.mqtt.settings import MqttSettings
from ingest.connectors.mqtt.subscription import ConnectionLostError, Subscription, build_tls_context, open_subscription
from ingest.data.repository import Sensor
from ingest_service import Service
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client import REGISTRY
from pydantic import SecretStr
from rabbitmq import RabbitBroker
from waiting import until

GUEST = {"username": "guest", "password": "guest"}


class Device:
    """Publishes messages and waits until the broker has acknowledged them."""

    def __init__(self, port: int) -> None:
        self.port = port

    def publish(self, topic: str, *payloads: str | bytes, retain: bool = False) -> None:
        client = Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(**GUEST)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        sent = [client.publish(topic, payload, qos=1, retain=retain) for payload in payloads]
        for each in sent:
            each.wait_for_publish(20)
            assert each.is_published()
        client.disconnect()
        client.loop_stop()


@pytest.fixture
def device(mqtt_broker: RabbitBroker) -> Device:
    return Device(mqtt_broker.mqtt_port)


@pytest.fixture
def settings(mqtt_broker: RabbitBroker) -> MqttSettings:
    """Return settings with a topic and a session of their own."""
    name = uuid4().hex[:12]
    series = {"power": {"topic": f"{name}/+/power", "unit": "W"}}
    return MqttSettings(host="127.0.0.1", port=mqtt_broker.mqtt_port, client_id=name, series=series, **GUEST)


def topic(settings: MqttSettings) -> str:
    return settings.series["power"].topic.replace("+", "1")


class Delivered:
    """Receives series as the framework would, and can fail on demand."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.parts = 0
        self.trouble = 0
        self.blocked = asyncio.Event()
        self.blocked.set()
        self.asked = asyncio.Event()
        self.came = asyncio.Event()

    async def __call__(self, fetched: Sequence[FetchedSeries]) -> None:
        if not fetched:  # a sign of life
            return
        self.asked.set()
        await self.blocked.wait()
        if self.trouble:
            self.trouble -= 1
            raise Unavailable("database")
        self.parts += 1
        self.values += [value for each in fetched for value in each.values.tolist()]

        self.came.set()

    async def until(self, true: Callable[[list[float]], bool]) -> None:
        async with asyncio.timeout(30):
            while not true(self.values):
                self.came.clear()
                await self.came.wait()


@asynccontextmanager
async def context(settings: MqttSettings, delivered: Delivered) -> AsyncIterator["asyncio.Task[None]"]:
    sensors = {"power": Sensor(1, "power", "W", timedelta(0), "UTC", 1)}
    no_store: Any = Storeless()
    task = asyncio.create_task(
        Mqtt().listen(settings, ListenerContext(1, sensors, delivered, no_store, private_addresses=True))
    )
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Storeless:
    """An instantaneous sensor, whose readings are delivered at once and not stored."""

    def connection(self) -> Never:
        raise Unavailable("database")


async def open_session(settings: MqttSettings) -> None:
    """Open the session, so that the broker keeps messages from now on."""
    async with open_subscription(settings, private_addresses=True):
        pass


async def unacknowledged(settings: MqttSettings, seconds: float = 0.3) -> list[bytes | None]:
    """Return the messages that the broker still keeps, as far as it sends them in time."""
    async with open_subscription(settings, private_addresses=True) as subscription:
        try:
            async with asyncio.timeout(seconds):
                return [message.payload for message in await subscription.receive()]
        except TimeoutError:
            return []


async def test_messages_are_stored_and_then_acknowledged(settings: MqttSettings, device: Device) -> None:
    await open_session(settings)
    await asyncio.to_thread(device.publish, topic(settings), "1", "2", "3")
    delivered = Delivered()
    async with context(settings, delivered):
        await delivered.until(lambda values: len(values) == 3)
        await asyncio.to_thread(device.publish, topic(settings), "4")
        await delivered.until(lambda values: len(values) == 4)
    assert sorted(delivered.values) == [1, 2, 3, 4]
    assert await unacknowledged(settings) == []


async def test_what_was_received_and_not_stored_comes_again(settings: MqttSettings, device: Device) -> None:
    delivered = Delivered()
    delivered.blocked.clear()
    await open_session(settings)
    await asyncio.to_thread(device.publish, topic(settings), "1", "2")
    async with context(settings, delivered):
        await asyncio.wait_for(delivered.asked.wait(), 10)  # received, and about to be stored when it ends
    assert delivered.values == []
    again = Delivered()
    async with context(settings, again):
        await again.until(lambda values: sorted(values) == [1, 2])


async def test_while_the_database_is_away_nothing_is_acknowledged(settings: MqttSettings, device: Device) -> None:
    delivered = Delivered()
    delivered.trouble = 2
    await open_session(settings)
    async with context(settings, delivered):
        await asyncio.to_thread(device.publish, topic(settings), "1")
        await delivered.until(lambda values: values == [1])
    assert delivered.parts == 1
    delivered.trouble = 1000
    await asyncio.to_thread(device.publish, topic(settings), "2")
    async with context(settings, delivered):
        delivered.asked.clear()
        await asyncio.wait_for(delivered.asked.wait(), 10)
    assert await unacknowledged(settings, 30) == [b"2"]


async def test_bad_messages_do_not_stop_the_stream(settings: MqttSettings, device: Device) -> None:
    delivered = Delivered()
    await open_session(settings)
    bad: list[str | bytes] = [b"x" * 10_000_000, b"[" * 500_000, b"NaN", b"", b"\xff\xfe\x00", b'{"a": 1}']
    async with context(settings, delivered):
        await asyncio.to_thread(device.publish, topic(settings), *bad, "7")
        await delivered.until(lambda values: values == [7])
    assert await unacknowledged(settings) == []


async def test_a_flood_is_stored_in_few_parts(settings: MqttSettings, device: Device) -> None:
    delivered = Delivered()
    await open_session(settings)
    count = 1_500
    await asyncio.to_thread(device.publish, topic(settings), *(str(i) for i in range(count)))
    async with context(settings, delivered):
        await delivered.until(lambda values: len(set(values)) == count)
    assert delivered.parts < count / 2


def left_alone() -> float:
    return REGISTRY.get_sample_value("flexmesh_mqtt_messages_total", {"outcome": "retained"}) or 0.0


async def test_retained_messages_without_a_time_are_left_alone(settings: MqttSettings, device: Device) -> None:
    # RabbitMQ repeats retained messages to subscriptions without wildcards only.
    exact = settings.series["power"].model_copy(update={"topic": topic(settings)})
    settings = settings.model_copy(update={"series": {"power": exact}})
    await asyncio.to_thread(device.publish, topic(settings), "5", retain=True)
    delivered, before = Delivered(), left_alone()
    async with context(settings, delivered):
        await until(lambda: left_alone() > before)
        await asyncio.to_thread(device.publish, topic(settings), "6")
        await delivered.until(lambda values: values == [6])


async def test_a_broker_that_does_not_want_us_says_why(settings: MqttSettings) -> None:
    with pytest.raises(FetchError, match="does not let us in") as refused:
        await open_session(settings.model_copy(update={"password": SecretStr("a secret")}))
    assert not isinstance(refused.value, ConnectionLostError)
    assert "a secret" not in refused.value.message


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_connection_that_breaks_within_this_process_is_noticed(
    settings: MqttSettings, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(subscription_module, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(Subscription, "_on_message", broken)
    async with open_subscription(settings, private_addresses=True) as subscription:
        await asyncio.to_thread(device.publish, topic(settings), "1")
        with pytest.raises(ConnectionLostError, match="broke"):
            await asyncio.wait_for(subscription.receive(), 10)


async def test_private_addresses_are_out_of_reach_unless_allowed(settings: MqttSettings) -> None:
    with pytest.raises(FetchError, match="private address"):
        async with open_subscription(settings, private_addresses=False):
            pass


async def test_a_broker_that_stays_away_is_a_failure(settings: MqttSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "GIVE_UP_SECONDS", 0.2)
    nobody = settings.model_copy(update={"port": 1})
    async with context(nobody, Delivered()) as task:
        with pytest.raises(ConnectionLostError, match=r"127\.0\.0\.1 cannot be reached on port 1"):
            await asyncio.wait_for(task, 10)


async def test_two_that_share_a_name_take_it_from_one_another(settings: MqttSettings) -> None:
    """The broker accepts one connection of a client id at a time, and closes the other."""
    async with (
        open_subscription(settings, private_addresses=True) as first,
        open_subscription(settings, private_addresses=True),
    ):
        with pytest.raises(ConnectionLostError):
            await asyncio.wait_for(first.receive(), 10)


async def test_a_restart_of_the_broker_loses_nothing(
    settings: MqttSettings, device: Device, mqtt_broker: RabbitBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "MAX_WAIT", 0.5)
    delivered = Delivered()
    await open_session(settings)
    async with context(settings, delivered):
        await asyncio.to_thread(device.publish, topic(settings), *(str(i) for i in range(50)))
        await asyncio.to_thread(mqtt_broker.stop)
        await asyncio.to_thread(mqtt_broker.start)
        await asyncio.to_thread(device.publish, topic(settings), *(str(i) for i in range(50, 100)))
        await delivered.until(lambda values: set(values) == set(range(100)))


async def test_the_framework_keeps_it_listening(service: Service, settings: MqttSettings, device: Device) -> None:
    sensor = await service.add_sensor("kW", 0)
    config = settings.model_dump(mode="json", exclude={"password"}, exclude_defaults=True)
    async with service.store.transaction() as con:
        number = await con.fetchval(
            "insert into connector (account_id, kind, name, config, secrets, every)"
            " values ($1, 'mqtt', 'meters', $2, $3, '5min') returning id",
            service.account,
            config,
            {"password": "guest"},
        )
        await con.execute("insert into connector_sensor values ($1, 'power', $2)", number, sensor)
    ears = asyncio.create_task(ListenerSupervisor(service.store, BeliefWriter(), private_addresses=True).run())
    try:
        async with asyncio.timeout(20):
            while not await service.values(sensor):
                await asyncio.to_thread(device.publish, topic(settings), "1500")
                await asyncio.sleep(0.1)
    finally:
        ears.cancel()
        await asyncio.gather(ears, return_exceptions=True)
    assert set((await service.values(sensor)).values()) == {1.5}
    async with service.store.connection() as con:
        [row] = await con.fetch("select * from connector")
    assert row["last_success_at"] is not None
    assert (row["last_error"], row["claim"]) == (None, None)


# --- encrypted


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate of localhost and its key."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture(params=[ssl.CERT_NONE])
def encrypted_broker(certificate: tuple[Path, Path], request: pytest.FixtureRequest) -> Iterator[int]:
    """Accept every connection and subscription over TLS. Yields the port."""
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cert)
    context.verify_mode = request.param
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while kind := await reader.readexactly(1):
                body = await reader.readexactly((await reader.readexactly(1))[0])
                if kind[0] >> 4 == 1:
                    writer.write(b"\x20\x02\x00\x00")
                elif kind[0] >> 4 == 8:
                    writer.write(b"\x90\x03" + body[:2] + b"\x01")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port: int = server.sockets[0].getsockname()[1]
    yield port
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()


def encrypted(port: int, host: str, ca: str | None, **more: object) -> MqttSettings:
    series = {"power": {"topic": "a", "unit": "W"}}
    return MqttSettings.model_validate({"host": host, "port": port, "tls": True, "ca": ca, "series": series, **more})


async def test_an_encrypted_connection_to_a_broker_that_is_who_it_says(
    encrypted_broker: int, certificate: tuple[Path, Path]
) -> None:
    await open_session(encrypted(encrypted_broker, "localhost", certificate[0].read_text()))


async def test_it_connects_to_the_address_it_checked_and_to_no_other(
    encrypted_broker: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is looked up once. The certificate is that of the name, not of the address."""
    addresses = [["127.0.0.1"], ["127.0.0.2"]]

    async def resolve_public(host: str, port: int) -> list[str]:
        return addresses.pop(0)

    connected: list[tuple[str, int]] = []
    connect = socket.create_connection

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        return connect(address, timeout)

    monkeypatch.setattr(subscription_module, "resolve_public", resolve_public)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    settings = encrypted(encrypted_broker, "localhost", certificate[0].read_text())
    async with open_subscription(settings, private_addresses=False):
        pass
    assert connected == [("127.0.0.1", encrypted_broker)]
    assert len(addresses) == 1


@pytest.fixture
def plain_certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate of localhost with an own authority, as Mosquitto's manual says, and its key."""
    key, cert, asked = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "asked.pem"
    authority, authority_key = tmp_path / "ca.pem", tmp_path / "ca_key.pem"
    for command in (
        f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout {authority_key} -out {authority}",
        f"req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {key} -out {asked}",
        f"x509 -req -in {asked} -CA {authority} -CAkey {authority_key} -CAcreateserial -days 2 -out {cert}",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    return cert, key


class TestACertificateWithoutExtensions:
    @pytest.fixture
    def certificate(self, plain_certificate: tuple[Path, Path]) -> tuple[Path, Path]:
        return plain_certificate

    async def test_it_is_as_good_as_another_for_an_authority_of_ones_own(
        self, encrypted_broker: int, certificate: tuple[Path, Path], tmp_path: Path
    ) -> None:
        authority = (tmp_path / "ca.pem").read_text()
        await open_session(encrypted(encrypted_broker, "localhost", authority))
        with pytest.raises(FetchError, match="cannot be trusted"):
            await open_session(encrypted(encrypted_broker, "127.0.0.1", authority))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_broker_that_nobody_vouches_for_is_not_told_the_password(
    encrypted_broker: int, certificate: tuple[Path, Path], host: str
) -> None:
    ca = certificate[0].read_text() if host == "127.0.0.1" else None  # vouched for, but as another
    with pytest.raises(FetchError, match="cannot be trusted"):
        await open_session(encrypted(encrypted_broker, host, ca))


@pytest.mark.parametrize("encrypted_broker", [ssl.CERT_REQUIRED], indirect=True)
async def test_a_broker_that_knows_us_by_a_certificate(encrypted_broker: int, certificate: tuple[Path, Path]) -> None:
    cert, key = (path.read_text() for path in certificate)
    await open_session(encrypted(encrypted_broker, "localhost", cert, certificate=cert, key=key))
    with pytest.raises(FetchError, match="a `certificate`"):
        await open_session(encrypted(encrypted_broker, "localhost", cert))


def test_keys_that_do_not_open(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    cert, key = certificate
    locked, other = tmp_path / "locked.pem", tmp_path / "other.pem"
    command = ["openssl", "rsa", "-in", str(key), "-aes128", "-passout", "pass:hush", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(["openssl", "genrsa", "-out", str(other), "2048"], check=True, capture_output=True)
    for path in (locked, other, cert):
        settings = encrypted(1, "localhost", None, certificate=cert.read_text(), key=path.read_text())
        with pytest.raises(FetchError, match="are no certificate in PEM and its unlocked key"):
            build_tls_context(settings)


async def test_certificates_that_are_none() -> None:
    with pytest.raises(FetchError, match="no certificate"):
        Subscription(encrypted(1, "localhost", "no PEM"), private_addresses=True)
