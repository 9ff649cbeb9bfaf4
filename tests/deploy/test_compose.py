"""docker-compose.yml and what it mounts: names that must agree with one another and with the code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from api_gateway.settings import GatewaySettings
from flexmesh.cli import app
from flexserve import metrics
from flexserve.settings import variable
from ingest.connectors import connector_metrics
from prometheus_client import REGISTRY

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


@pytest.mark.parametrize("name", OURS)
def test_the_command_is_one_that_flexmesh_knows(name: str) -> None:
    command, arguments = typer.main.get_command(app), list(OURS[name]["command"])
    while hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    command.make_context(command.name, arguments)


@pytest.mark.parametrize("name", OURS)
def test_the_environment_names_settings(name: str) -> None:
    given = {name for name in OURS[name]["environment"] if name.startswith("FLEXMESH_")}
    assert given <= {variable(setting) for setting in GatewaySettings.model_fields}


@pytest.mark.parametrize("name", SERVICES)
def test_what_it_refers_to_exists(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    for mount in service.get("volumes", ()):
        source = mount.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).exists(), mount
    for value in service.get("environment", {}).values():
        for host in re.findall(r"(?:@|http://)([a-z]+):\d+", value):
            assert host in SERVICES or host == "localhost", value


def test_only_this_machine_reaches_the_ports() -> None:
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", ()))


def test_prometheus_scrapes_every_service_of_ours() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (targets,) = (target["targets"] for job in config["scrape_configs"] for target in job["static_configs"])
    assert set(targets) == {f"{name}:5000" for name in OURS if name != "migrate"}


def expressions() -> list[str]:
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    board = json.loads((ROOT / "deploy/grafana/dashboards/flexmesh.json").read_text())
    return [rule["expr"] for group in alerts["groups"] for rule in group["rules"]] + [
        target["expr"] for panel in board["panels"] for target in panel["targets"]
    ]


@pytest.mark.parametrize("expression", expressions())
def test_alerts_and_panels_ask_for_metrics_and_labels_that_are_there(expression: str) -> None:
    assert metrics.REQUESTS is not None
    assert connector_metrics.AGE is not None
    known = {metric.name for metric in REGISTRY.collect()} | {"up", "process_resident_memory_bytes"}
    for name, labels in re.findall(r"\b(flexmesh_[a-z_]+?)(?:_count|_bucket|_sum)?(?:\{([^}]*)\}|\[|\))", expression):
        assert name in known, name
        collector = REGISTRY._names_to_collectors[name]
        named = set(re.findall(r"([a-z_]+)[=!~]", labels))
        assert named <= set(getattr(collector, "_labelnames", ())), named
