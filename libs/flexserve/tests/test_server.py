"""A server process reports a failed start in a sentence, and completes running requests before it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from flexserve.server import http_server, listen
from flexserve.settings import ServiceSettings
from starlette.types import Receive, Scope, Send

PROGRAM = """
import asyncio, sys
from contextlib import asynccontextmanager
from fastapi import APIRouter
from flexmodel.errors import Unavailable
from flexserve.app import create_app, start_logs
from flexserve.server import serve
from flexserve.settings import ServiceSettings, load

settings = load(ServiceSettings)
start_logs(settings, "testing")
router = APIRouter()

@router.get("/slow")
async def slow(seconds: float) -> str:
    print("asked", flush=True)
    await asyncio.sleep(seconds)
    return "done"

@asynccontextmanager
async def lifespan(app):
    if "--database-away" in sys.argv:
        raise Unavailable("database", "The database at db:5432 refuses connections.")
    yield
    print("cleaned up", flush=True)

sys.exit(serve(create_app(settings, service="testing", title="Testing", routers=[router], lifespan=lifespan), settings))
"""


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number: int = listening.getsockname()[1]
    return number


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    (tmp_path / "program.py").write_text(PROGRAM)
    return [sys.executable, str(tmp_path / "program.py")]


def environment(port: int, grace: str = "25") -> dict[str, str]:
    return {**os.environ, "FLEXMESH_PORT": str(port), "FLEXMESH_SHUTDOWN_GRACE": grace}


def start(program: list[str], environment: dict[str, str], port: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health/live")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return process
    raise AssertionError(process.communicate()[1])


@pytest.fixture
def running(program: list[str], port: int) -> Iterator[subprocess.Popen[str]]:
    process = start(program, environment(port), port)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_requests_finish(
    number: signal.Signals, running: subprocess.Popen[str], port: int
) -> None:
    with ThreadPoolExecutor() as pool:
        request = pool.submit(httpx.get, f"http://127.0.0.1:{port}/slow?seconds=1", timeout=10)
        assert running.stdout is not None and running.stdout.readline() == "asked\n"
        running.send_signal(number)
        assert request.result().json() == "done"
    output, errors = running.communicate(timeout=10)
    assert running.returncode == 0
    assert "cleaned up" in output and "Traceback" not in errors


def test_the_grace_is_bounded(program: list[str], port: int) -> None:
    process = start(program, environment(port, grace="1"), port)
    with ThreadPoolExecutor() as pool:
        request = pool.submit(httpx.get, f"http://127.0.0.1:{port}/slow?seconds=600", timeout=60)
        assert process.stdout is not None and process.stdout.readline() == "asked\n"
        process.terminate()
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0 and "cleaned up" in output
        assert request.result().status_code == 500


def test_a_port_in_use_is_a_sentence(program: list[str], running: subprocess.Popen[str], port: int) -> None:
    second = subprocess.run(program, env=environment(port), capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert second.stderr.strip() == (
        f"Port {port} on 127.0.0.1 is already in use: stop the program that uses it, "
        "or choose another with FLEXMESH_PORT."
    )


def test_an_address_of_another_machine_is_a_sentence(program: list[str], port: int) -> None:
    variables = {**environment(port), "FLEXMESH_HOST": "192.0.2.1"}
    process = subprocess.run(program, env=variables, capture_output=True, text=True, timeout=30, check=False)
    assert process.returncode == 1
    assert process.stderr.startswith(f"Cannot listen on 192.0.2.1 port {port}") and "Traceback" not in process.stderr


def test_a_part_that_is_away_at_the_start_is_a_sentence(program: list[str], port: int) -> None:
    command = [*program, "--database-away"]
    process = subprocess.run(command, env=environment(port), capture_output=True, text=True, timeout=30, check=False)
    assert process.returncode != 0
    assert "The database at db:5432 refuses connections." in process.stderr
    assert "Traceback" not in process.stderr


def test_connections_send_small_packets_at_once() -> None:
    with listen(ServiceSettings(port=0)) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    ("proxy", "seen"), [("10.0.0.7", ("203.0.113.9", "https")), ("10.1.0.7", ("10.1.0.7", "http"))]
)
async def test_who_asked_is_believed_of_trusted_proxies_only(proxy: str, seen: tuple[str, str]) -> None:
    found: list[tuple[str, str]] = []

    async def application(scope: Scope, _receive: Receive, _send: Send) -> None:
        found.append((scope["client"][0], scope["scheme"]))

    config = http_server(application, ServiceSettings(trusted_proxies="127.0.0.1,10.0.0.0/24")).config
    config.load()
    headers = [(b"x-forwarded-for", b"198.51.100.1, 203.0.113.9"), (b"x-forwarded-proto", b"https")]
    scope = {"type": "http", "scheme": "http", "client": (proxy, 1), "headers": headers}
    await config.loaded_app(scope, None, None)
    assert found == [seen]
