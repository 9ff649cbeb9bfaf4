"""Events reach listeners and webhooks alike, on both kinds of platform, and over a restart without a gap."""

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from platforms import Platform, free_port, one_process, separate_processes
from standardwebhooks.webhooks import Webhook as Verifier
from waiting import eventually

PRIVATE = {"FLEXMESH_WEBHOOK_PRIVATE_ADDRESSES": "true"}
ENDS = ("job.finished", "schedule.finished")
STATES = ["job.queued", "job.started", *ENDS]


@pytest.fixture(scope="module", params=["one process", "separate processes"])
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Both ways to run it, with webhooks that may be on this machine."""
    folder = tmp_path_factory.mktemp("platform")
    if request.param == "one process":
        running = one_process(folder, **PRIVATE)
    else:
        urls = [request.getfixturevalue(name) for name in ("module_database_url", "amqp_url")]
        running = separate_processes(folder, *urls, **PRIVATE)
        running.start("worker", "worker", "schedule", "--port", "0")
        running.start("reporting", "serve", "reporting", "--port", "0")
    try:
        yield running
    finally:
        running.stop()


class Stream:
    """Listens in a thread until the stream ends."""

    def __init__(self, client: httpx.Client, **headers: str) -> None:
        self.events: list[tuple[int, str, Any]] = []
        self.ended = False
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._listen, args=(client, headers), daemon=True)
        self._thread.start()

    def _listen(self, client: httpx.Client, headers: dict[str, str]) -> None:
        fields: dict[str, str] = {}
        try:
            with client.stream("GET", "/api/v1/events", headers=headers, timeout=30) as answer:
                assert answer.status_code == 200, answer.read()
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if line:
                        fields[name] = value
                    elif "data" in fields:
                        self.events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                        fields = {}
        except httpx.TransportError as error:
            self.error = error
        self.ended = True

    def types_of(self, job: str) -> list[str]:
        return [type for _, type, body in self.events if body["data"].get("job") == job]

    def until_ended(self, job: str) -> None:
        eventually(lambda: "job.failed" in self.types_of(job) or self.types_of(job)[-2:] == [*ENDS], f"{job} ending")
        assert self.types_of(job)[-2:] == [*ENDS], self.events


class Receiver:
    """A web server that keeps what webhooks send to it."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/told"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def battery_of(client: httpx.Client) -> int:
    return next(int(one["id"]) for one in client.get("/api/v3_0/sensors").json() if one["name"] == "discharging")


def trigger(client: httpx.Client, sensor: int, hour: int) -> str:
    message = {
        "start": f"2026-11-22T{hour:02}:00:00+01:00",
        "duration": "PT4H",
        "flex-model": {"soc-at-start": "225 kWh", "soc-min": "50 kWh", "power-capacity": "500 kW"},
        "flex-context": {"consumption-price": "1 EUR/MWh", "site-power-capacity": "500 kW"},
    }
    answer = client.post(f"/api/v3_0/sensors/{sensor}/schedules/trigger", json=message)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job"])


def restart(platform: Platform) -> None:
    """End the gateway while somebody listens: without a goodbye, or as Ctrl-C does; and start it again."""
    if "up" in platform.processes:
        process = platform.processes.pop("up")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0  # sooner than running requests are broken off
        platform.start("up", "up", "--port", str(platform.port))
        platform.until_ready("up", platform.port, 60)
    else:
        platform.kill("gateway")
        platform.start("gateway", "serve", "gateway", "--port", str(platform.port))
        platform.until_ready("gateway", platform.port)


def test_what_happens_is_told_and_over_a_restart_exactly_the_rest(platform: Platform, receiver: Receiver) -> None:
    client = platform.login()
    sensor = battery_of(client)
    hook = client.post("/api/v1/webhooks", json={"url": receiver.url, "events": list(ENDS)}).json()
    stream = Stream(client)
    eventually(lambda: stream.events, "the stream being open")
    assert stream.events[0][1] == "stream.open"
    first = trigger(client, sensor, 7)
    stream.until_ended(first)
    assert stream.types_of(first) == STATES
    posted = {"start": "2026-11-22T00:00:00Z", "duration": "PT1H", "values": [1], "unit": "MW"}
    assert client.post(f"/api/v3_0/sensors/{sensor}/data", json=posted).status_code == 200
    eventually(lambda: stream.events[-1][1] == "data.stored", "data being told of")
    assert stream.events[-1][2]["data"].items() >= {"sensor": sensor, "end": "2026-11-22T01:00:00+00:00"}.items()

    last, second = stream.events[-1][0], trigger(client, sensor, 8)
    restart(platform)
    eventually(lambda: stream.ended, "the stream being cut")
    third = trigger(client, sensor, 9)
    again = Stream(client, **{"Last-Event-ID": str(last)})
    again.until_ended(third)
    again.until_ended(second)
    assert again.types_of(third) == STATES
    # A job that was running when its worker was stopped waits once more.
    assert [type for type in again.types_of(second) if type not in STATES[:2]] == [*ENDS]
    ids = [id for id, *_ in again.events]
    assert ids == sorted(set(ids)) and ids[0] > last
    assert {body["data"]["job"] for _, _, body in again.events} == {second, third}

    told = {f"evt_{id}": body for id, type, body in stream.events + again.events if type in ENDS}
    assert len(told) == 6
    eventually(lambda: len({headers["webhook-id"] for headers, _ in receiver.got}) == 6, "the webhook being told all")
    for headers, body in receiver.got:
        Verifier(hook["secret"]).verify(body, headers)
        assert json.loads(body) == told[headers["webhook-id"]]
    log = client.get(f"/api/v1/webhooks/{hook['id']}/deliveries").json()
    assert log["num-records"] >= 6
    assert {row["error"] for row in log["data"]} == {None}
