"""A connector that is added runs by itself, in one process and in many, and its values can be read."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from platforms import Platform, free_port, one_process, separate_processes
from waiting import eventually

OPEN = {"FLEXMESH_CONNECTOR_PRIVATE_ADDRESSES": "true"}
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
SECRET = "a-token-of-the-provider"


class Prices(BaseHTTPRequestHandler):
    """A provider that wants a token and has a price for each hour of today."""

    def do_GET(self) -> None:
        allowed = self.headers["X-Api-Key"] == SECRET
        items = [{"at": (TODAY + timedelta(hours=hour)).isoformat(), "eur": 50 + hour} for hour in range(24)]
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"prices": items}).encode() if allowed else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/prices"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module", params=["one process", "separate processes"])
def open_platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose connectors may ask this machine; of several processes, two run connectors."""
    folder = tmp_path_factory.mktemp("platform")
    if request.param == "one process":
        running = one_process(folder, **OPEN)
    else:
        urls = [request.getfixturevalue(name) for name in ("module_database_url", "amqp_url")]
        running = separate_processes(folder, *urls, **OPEN)
        for name in ("first", "second"):
            port = free_port()
            running.start(name, "worker", "connector", "--port", str(port))
            running.until_ready(name, port)
    try:
        yield running
    finally:
        running.stop()


def metrics_of(platform: Platform) -> str:
    url = platform.environment.get("FLEXMESH_INGEST_URL", platform.url)
    return httpx.get(f"{url}/metrics", timeout=10).text


def test_it_runs_by_itself(open_platform: Platform, provider: str) -> None:
    client = open_platform.login()
    account = client.get("/api/v3_0/accounts").json()[0]["id"]
    place = {"name": "site", "generic_asset_type_id": 6, "account_id": account}
    asset = client.post("/api/v3_0/assets", json=place).json()["id"]
    spot = {"name": "spot", "unit": "EUR/MWh", "event_resolution": "PT15M", "generic_asset_id": asset}
    sensor = client.post("/api/v3_0/sensors", json=spot).json()["id"]
    config = {
        "url": provider, "headers": {"X-Api-Key": "{token}"}, "items": "prices", "times": "at",
        "series": {"price": {"values": "eur", "unit": "EUR/MWh"}},
    }  # fmt: skip
    file = open_platform.folder / "prices.json"
    file.write_text(json.dumps({**config, "token": SECRET}))
    open_platform.command(
        "connectors", "add", "http-json", "--name", "spot", "--config", str(file), "--sensor", f"price={sensor}",
    )  # fmt: skip

    window = {"start": TODAY.isoformat(), "duration": "PT24H", "unit": "EUR/MWh"}

    def read() -> list[float] | None:
        values = client.get(f"/api/v3_0/sensors/{sensor}/data", params=window).json()["values"]
        return values if None not in values else None

    assert eventually(read, "the prices being there") == [50.0 + quarter // 4 for quarter in range(96)]
    assert 'flexmesh_connector_data_ahead_seconds{connector="1",kind="http-json"}' in metrics_of(open_platform)
    for name in open_platform.processes:
        assert SECRET not in open_platform.log(name)
