"""The commands for connectors, against a real database and a provider on this machine."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from commands import Command
from typer.testing import Result

TOKEN = "hush-hush-hush"


class Prices(BaseHTTPRequestHandler):
    """A provider that requires a token, with one hour of prices for any day."""

    def do_GET(self) -> None:
        day = self.path.strip("/")
        allowed = self.headers["X-Api-Key"] == TOKEN
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"prices": [{"at": f"{day}T00:00Z", "eur": 5}]}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The settings of a connector, in a file."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = tmp_path_factory.mktemp("connector") / "config.json"
    content = {
        "url": f"http://127.0.0.1:{server.server_port}/{{start:%Y-%m-%d}}", "headers": {"X-Api-Key": "{token}"},
        "items": "prices", "times": "at", "series": {"price": {"values": "eur", "unit": "EUR/MWh"}},
    }  # fmt: skip
    file.write_text(json.dumps(content))
    yield file
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def may_ask_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXMESH_CONNECTOR_PRIVATE_ADDRESSES", "true")


@pytest.fixture(scope="module")
def sensor(flexmesh: Command) -> int:
    flexmesh("add", "account", "--name", "Smart Energy")
    asset = added(flexmesh("add", "asset", "--name", "site", "--account", 1, "--asset-type", 6))
    options = ("--unit", "EUR/MWh", "--event-resolution", "PT1H", "--timezone", "Europe/Amsterdam", "--asset", asset)
    return added(flexmesh("add", "sensor", "--name", "prices", *options))


@pytest.fixture
def add(flexmesh: Command, config: Path, sensor: int) -> Command:
    """Command that adds a connector and answers the prompt for its token."""

    def add(name: str, *options: object, code: int = 0, answers: str = f"{TOKEN}\n") -> Result:
        arguments = (
            "http-json",
            "--name",
            name,
            "--config",
            config,
            "--sensor",
            f"price={sensor}",
            "--secret",
            "token",
        )
        return flexmesh("connectors", "add", *arguments, *options, code=code, answers=answers)

    return add


def added(result: Result) -> int:
    found = re.search(r"\(?ID (\d+)", result.output)
    assert found, result.output
    return int(found[1])


def test_the_kinds_and_what_they_are_told(flexmesh: Command) -> None:
    assert {"entsoe", "http-json"} <= {
        line.split("\t")[0] for line in flexmesh("connectors", "kinds").output.splitlines()
    }
    assert "day-ahead-price" in flexmesh("connectors", "kinds", "entsoe").output
    assert "{start:%Y-%m-%d}" in flexmesh("connectors", "kinds", "http-json").output
    assert "There are: " in flexmesh("connectors", "kinds", "telex", code=1).output


def test_the_life_of_a_connector(flexmesh: Command, add: Command, sensor: int) -> None:
    number = added(add("first", "--every", "PT30M"))
    assert f"first\thttp-json\t1\tprice={sensor}\twaiting for its first run" in flexmesh("connectors", "list").output
    assert "Stored 1 new values" in flexmesh("connectors", "run", "--id", number).output
    shown = flexmesh("connectors", "show", "--id", number).output
    assert "every\tPT30M" in shown
    assert "secrets\ttoken: set" in shown
    assert TOKEN not in shown
    flexmesh("connectors", "edit", "--id", number, "--name", "second", "--set", "past=P3D", "--every", "PT1H")
    shown = flexmesh("connectors", "show", "--id", number).output
    assert '"past":"P3D"' in shown
    assert "every\tPT1H" in shown
    flexmesh("connectors", "pause", "--id", number)
    assert "\tpaused\t" in flexmesh("connectors", "list").output
    flexmesh("connectors", "resume", "--id", number)
    assert "\tfine\t" in flexmesh("connectors", "list", "--account", 1).output
    flexmesh("connectors", "delete", "--id", number, answers="y\n")
    assert "no connectors" in flexmesh("connectors", "list").output
    assert "no connector with id" in flexmesh("connectors", "show", "--id", number, code=1).output


def test_a_run_over_days_long_past(flexmesh: Command, add: Command, sensor: int) -> None:
    number = added(add("history"))
    told = flexmesh("connectors", "run", "--id", number, "--from", "2025-01-02", "--to", "2025-03-01").output
    assert "Stored 2 new values" in told  # asked for in two parts, an hour each
    assert (
        "Stored 0 new values and changed 0; 1 were known"
        in flexmesh(
            "connectors", "run", "--id", number, "--from", "2025-01-02T00:00+01:00", "--to-date", "2025-01-02"
        ).output
    )
    assert "waiting for its first run" in flexmesh("connectors", "list").output
    flexmesh("connectors", "delete", "--id", number, "--force")


def test_what_fails_says_why(flexmesh: Command, add: Command) -> None:
    number = added(add("locked out", answers="wrong\n"))
    assert "check the token" in flexmesh("connectors", "run", "--id", number, code=1).output
    assert "failing (1)" in flexmesh("connectors", "list").output
    assert "last_error\t127.0.0.1 does not let us in" in flexmesh("connectors", "show", "--id", number).output
    flexmesh("connectors", "edit", "--id", number, "--secret", "token", answers=f"{TOKEN}\n")
    flexmesh("connectors", "run", "--id", number)
    flexmesh("connectors", "delete", "--id", number, "--force")


def test_tokens_come_from_the_environment_too(flexmesh: Command, sensor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXMESH_CONNECTOR_TOKEN", TOKEN)
    arguments = ("entsoe", "--name", "prices", "--set", "zone=NL", "--sensor", f"day-ahead-price={sensor}")
    number = added(flexmesh("connectors", "add", *arguments))
    assert "secrets\ttoken: set" in flexmesh("connectors", "show", "--id", number).output
    monkeypatch.setenv("FLEXMESH_CONNECTOR_TOKEN", "another")
    assert "was changed" in flexmesh("connectors", "edit", "--id", number, "--secret", "token").output
    flexmesh("connectors", "delete", "--id", number, "--force")


@pytest.mark.parametrize(
    ("options", "sentence", "code"),
    [
        (("--set", "token=abc"), "token is a secret", 1),
        (("--set", "token"), "write it as name=value", 2),
        (("--set", "past={"), "not JSON", 2),
        (("--set", "past=long"), "past:", 1),
        (("--sensor", "price=x"), "no ID of a sensor", 2),
        (("--sensor", "cost=1"), "no series 'cost'", 1),
        (("--secret", "password"), "no secret of http-json", 1),
        (("--every", "PT1S"), "every: PT1S is not between", 1),
    ],
)
def test_mistakes_are_told_in_a_sentence(add: Command, options: tuple[str, ...], sentence: str, code: int) -> None:
    result = add("wrong", *options, code=code)
    assert sentence in " ".join(result.output.replace("│", " ").split())


def test_a_run_needs_a_beginning(flexmesh: Command) -> None:
    assert "give --from" in " ".join(
        flexmesh("connectors", "run", "--id", 1, "--to", "2025-01-01", code=2).output.split()
    )
    assert "is no moment" in " ".join(flexmesh("connectors", "run", "--id", 1, "--from", "soon", code=2).output.split())
