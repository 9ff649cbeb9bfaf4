"""`flexmesh up` in processes: start, stop, kill, restart, and conflicts with other platforms."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from commands import Up
from flexmesh.data_directory import Lock

COST = "-4.655136 EUR"
READY = "Ctrl-C stops it"
Start = Callable[..., Up]


def test_the_toy_schedule_comes_up_and_a_second_run_keeps_the_data(start: Start) -> None:
    first = start("--toy").until(READY)
    assert COST in first.output
    assert "toy-user@flexmeasures.io with password toy-password" in first.output
    assert f"http://localhost:{first.port}" in first.output
    assert first.get("/health/ready").status_code == 200
    children = first.children()
    assert any("postgres" in child.name() for child in children)
    first.process.send_signal(signal.SIGTERM)
    assert first.until_ended() == 0
    assert first.output.rstrip().endswith("Stopped.")
    assert not [child for child in children if child.is_running()]
    assert not Lock.is_held(first.data)

    login = {"email": "toy-user@flexmeasures.io", "password": "toy-password"}
    second = start().until(READY)
    assert "up to date" in second.output
    answer = httpx.post(f"http://127.0.0.1:{second.port}/api/requestAuthToken", json=login)
    headers = {"Authorization": answer.json()["auth_token"]}
    sensors = httpx.get(f"http://127.0.0.1:{second.port}/api/v3_0/sensors", headers=headers).json()
    assert {"discharging", "production"} <= {sensor["name"] for sensor in sensors}
    assert COST not in second.output


def test_ctrl_c_stops_it_without_a_complaint(start: Start) -> None:
    up = start().until(READY)
    up.process.send_signal(signal.SIGINT)
    assert up.until_ended() == 0
    assert "Traceback" not in up.output


@pytest.mark.parametrize("seconds", [0.2, 1.0, 2.5])
def test_it_can_be_stopped_while_it_starts(start: Start, seconds: float) -> None:
    up = start("--toy")
    time.sleep(seconds)
    children = up.children()
    up.process.send_signal(signal.SIGTERM)
    assert up.until_ended() in (0, -signal.SIGTERM)  # the latter before Python has come to our code
    assert "Traceback" not in up.output
    assert not [child for child in children if child.is_running()]


def test_after_a_kill_it_starts_again_with_all_data(start: Start) -> None:
    killed = start("--toy").until(READY)
    children = killed.children()
    killed.process.kill()
    killed.until_ended()
    assert any(child.is_running() for child in children)
    again = start("--toy").until(READY)
    assert COST in again.output
    again.process.send_signal(signal.SIGTERM)
    assert again.until_ended() == 0
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running()]


def test_a_port_in_use_is_told_before_anything_is_started(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        up = start("--toy", port=other.getsockname()[1])
        assert up.until_ended() == 1
    assert f"Port {up.port} on 127.0.0.1 is already in use" in up.output
    assert "Traceback" not in up.output
    assert not up.data.cluster.exists()


def test_a_data_directory_in_use_is_told(start: Start) -> None:
    first = start().until(READY)
    second = start()
    assert second.until_ended() == 1
    assert f"in use by another running platform (process {first.process.pid})" in second.output
    assert "Traceback" not in second.output
    assert first.get("/health/ready").status_code == 200


def test_a_data_directory_of_another_postgresql_is_told(start: Start) -> None:
    first = start().until(READY)
    first.process.send_signal(signal.SIGTERM)
    first.until_ended()
    (first.data.cluster / "PG_VERSION").write_text("15\n")
    second = start()
    assert second.until_ended() == 1
    assert "was made by PostgreSQL 15" in second.output
    assert "Traceback" not in second.output


def test_a_wrong_setting_is_told(home: Path, environment: Callable[[Path], dict[str, str]]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flexmesh", "up"],
        env={**environment(home), "FLEXMESH_LOG_LEVEL": "loud"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "FLEXMESH_LOG_LEVEL is 'loud'" in done.stderr


def test_other_commands_use_the_database_of_the_running_platform(
    start: Start, environment: Callable[[Path], dict[str, str]]
) -> None:
    up = start("--toy").until(READY)
    command = [sys.executable, "-m", "flexmesh", "show", "accounts"]
    done = subprocess.run(command, env=environment(up.home), capture_output=True, text=True, check=True)
    assert "Toy Account" in done.stdout
    assert up.get("/health/ready").status_code == 200


def test_a_database_of_ones_own_is_used_instead(start: Start, database_url: str) -> None:
    up = start("--toy", FLEXMESH_DATABASE_URL=database_url).until(READY)
    assert COST in up.output
    assert not up.data.path.exists()
    assert not up.children()


def test_an_idle_platform_stays_small(start: Start) -> None:
    up = start("--toy").until(READY)
    resident = psutil.Process(up.process.pid).memory_info().rss
    assert resident < 300_000_000
