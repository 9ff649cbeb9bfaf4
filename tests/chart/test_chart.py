"""The Helm chart, installed by helm itself into a pretend cluster."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path

import helm_sdkpy
import pytest
from helm_cluster import Cluster, Manifest

OWN = {"database": {"url": "postgresql://me:pw@db:5432/flexmesh"}, "broker": {"url": "amqp://me:pw@mq:5672/"}}
CHART = Path(__file__).parents[2] / "deploy" / "helm" / "flexmesh"
SERVICES = {"gateway", "ingest", "uploads", "connectors", "scheduler", "reporting"}

Install = Callable[..., list[Manifest]]


@pytest.fixture
def install(cluster: Cluster) -> Install:
    return cluster.install


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Return the manifests of one kind, by name without the release."""
    found = (thing for thing in manifests if thing["kind"] == kind)
    return {thing["metadata"]["name"].removeprefix("flexmesh").lstrip("-"): thing for thing in found}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod templates of our own image."""
    made = {**of_kind(manifests, "Deployment"), **of_kind(manifests, "Job")}
    return {name: thing["spec"]["template"] for name, thing in made.items()}


def container(pod: Manifest) -> Manifest:
    (only,) = pod["spec"]["containers"]
    return dict(only)


def secret(manifests: list[Manifest]) -> dict[str, str]:
    data = of_kind(manifests, "Secret")[""]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_helm_finds_no_error_in_the_chart(cluster: Cluster) -> None:
    configuration = helm_sdkpy.Configuration(kubeconfig=str(cluster.kubeconfig))
    found = asyncio.run(helm_sdkpy.Lint(configuration).run(str(CHART)))
    errors_begin = 3
    assert not found["Errors"]
    assert [message for message in found["Messages"] if message["Severity"] >= errors_begin] == []


def test_every_service_gets_a_deployment_and_the_schema_a_job(install: Install) -> None:
    assert set(pods(install(OWN))) == SERVICES | {"migrate"}


def test_the_migration_runs_at_the_first_install_and_before_every_upgrade(install: Install) -> None:
    job = of_kind(install(OWN), "Job")["migrate"]
    assert container(job["spec"]["template"])["args"] == ["db", "upgrade"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,pre-upgrade"


def test_deployments_and_services_select_their_own_pods(install: Install) -> None:
    manifests = install(OWN)
    deployments = of_kind(manifests, "Deployment")
    for name, deployment in deployments.items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert labels["app.kubernetes.io/component"] == name
    for name, service in of_kind(manifests, "Service").items():
        labels = deployments[name]["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        named = {port["name"] for port in container(deployments[name]["spec"]["template"])["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


def test_the_gateway_is_told_the_addresses_that_other_services_have(install: Install) -> None:
    manifests = install(OWN)
    told = of_kind(manifests, "ConfigMap")[""]["data"]
    for name, variable in (("ingest", "FLEXMESH_INGEST_URL"), ("scheduler", "FLEXMESH_SCHEDULER_URL")):
        service = of_kind(manifests, "Service")[name]
        assert service["spec"]["ports"][0]["port"] == 80
        assert told[variable] == f"http://{service['metadata']['name']}"


def test_every_variable_is_a_setting_that_some_service_reads(install: Install) -> None:
    from api_gateway.settings import GatewaySettings
    from flexserve.settings import ServiceSettings, variable

    known = {variable(name) for name in {**ServiceSettings.model_fields, **GatewaySettings.model_fields}}
    manifests = install(OWN)
    given = set(of_kind(manifests, "ConfigMap")[""]["data"])
    for pod in pods(manifests).values():
        given |= {entry["name"] for entry in container(pod)["env"]}
    assert given <= known


def test_every_command_is_one_that_flexmesh_knows(install: Install) -> None:
    import typer.main
    from flexmesh.cli import app

    for pod in pods(install(OWN)).values():
        command, arguments = typer.main.get_command(app), container(pod)["args"]
        while hasattr(command, "commands"):
            command, arguments = command.commands[arguments[0]], arguments[1:]
        command.make_context(command.name, list(arguments))


def test_pods_run_as_an_ordinary_user_on_a_read_only_disk(install: Install) -> None:
    for pod in pods(install(OWN)).values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["automountServiceAccountToken"] is False
        security = container(pod)["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_pods_are_watched_and_limited(install: Install) -> None:
    for name, deployment in of_kind(install(OWN), "Deployment").items():
        only = container(deployment["spec"]["template"])
        # The gateway accepts work while the broker is away.
        ready = "/api/v3_0/health/ready" if name.endswith("gateway") else "/health/ready"
        assert only["livenessProbe"]["httpGet"]["path"] == "/health/live"
        assert only["readinessProbe"]["httpGet"]["path"] == ready
        assert only["resources"]["limits"]["memory"]
        assert only["resources"]["requests"]["cpu"]


def test_passwords_are_in_the_secret_and_nowhere_else(install: Install) -> None:
    manifests = install(OWN)
    assert secret(manifests)["database-url"] == OWN["database"]["url"]
    assert len(secret(manifests)["service-token"]) == 32
    others = [thing for thing in manifests if thing["kind"] != "Secret"]
    assert "pw@" not in str(others)


def test_a_secret_of_ones_own_is_used_and_none_is_made(install: Install) -> None:
    manifests = install({"secret": {"existing": "mine"}})
    assert of_kind(manifests, "Secret") == {}
    for pod in pods(manifests).values():
        from_secret = [entry for entry in container(pod)["env"] if "valueFrom" in entry]
        assert {entry["valueFrom"]["secretKeyRef"]["name"] for entry in from_secret} == {"mine"}


def test_without_a_database_it_says_what_to_set(install: Install) -> None:
    with pytest.raises(Exception, match=r"Set database\.url, secret\.existing, or timescaledb\.enabled=true"):
        install({"broker": OWN["broker"]})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"gatewy": {"replicas": 1}}, "gatewy"),
        ({"gateway": {"replicas": "many"}}, "/gateway/replicas"),
        ({"database": {"url": "mysql://nope"}}, "/database/url"),
        ({"settings": {"PATH": "/tmp"}}, "PATH"),
    ],
)
def test_wrong_values_are_refused_by_name(install: Install, values: Manifest, named: str) -> None:
    with pytest.raises(Exception, match=named):
        install({**OWN, **values})


def test_the_charts_own_database_and_broker_are_reached_with_their_passwords(install: Install) -> None:
    manifests = install({"timescaledb": {"enabled": True}, "rabbitmq": {"enabled": True}})
    words = secret(manifests)
    services = of_kind(manifests, "Service")
    expected = f"postgresql://flexmesh:{words['database-password']}@flexmesh-timescaledb:5432/flexmesh"
    assert words["database-url"] == expected
    assert words["broker-url"] == f"amqp://flexmesh:{words['broker-password']}@flexmesh-rabbitmq:5672/"
    for name, server in of_kind(manifests, "StatefulSet").items():
        labels = server["spec"]["template"]["metadata"]["labels"]
        assert services[name]["spec"]["selector"] == labels
        assert server["spec"]["serviceName"] == services[name]["metadata"]["name"]


def test_generated_passwords_stay_at_an_upgrade(cluster: Cluster) -> None:
    trial = {"timescaledb": {"enabled": True}, "rabbitmq": {"enabled": True}}
    first = secret(cluster.install(trial, upgrade={**trial, "gateway": {"replicas": 3}}))
    kept = next(thing for path, thing in cluster.objects.items() if path.endswith("/secrets/flexmesh"))
    assert {key: base64.b64decode(value).decode() for key, value in kept["data"].items()} == first
    gateway = next(thing for path, thing in cluster.objects.items() if path.endswith("/deployments/flexmesh-gateway"))
    assert gateway["spec"]["replicas"] == 3


def test_the_chart_scales_by_load_and_by_the_length_of_the_queue(install: Install) -> None:
    scaled = {"autoscaling": {"enabled": True, "min": 2, "max": 5, "cpu": 60}}
    manifests = install({**OWN, "gateway": scaled, "scheduler": {"keda": {"enabled": True, "jobsPerWorker": 7}}})
    deployments = of_kind(manifests, "Deployment")
    assert "replicas" not in deployments["gateway"]["spec"]
    assert "replicas" not in deployments["scheduler"]["spec"]
    target = of_kind(manifests, "HorizontalPodAutoscaler")["gateway"]["spec"]["scaleTargetRef"]["name"]
    assert target == deployments["gateway"]["metadata"]["name"]
    scaler = of_kind(manifests, "ScaledObject")["scheduler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployments["scheduler"]["metadata"]["name"]
    assert scaler["triggers"][0]["metadata"]["value"] == "7"


def test_no_ingress_and_pod_monitor_unless_asked_for(install: Install) -> None:
    manifests = install(OWN)
    assert of_kind(manifests, "Ingress") == {}
    assert of_kind(manifests, "PodMonitor") == {}


def test_ingress_and_pod_monitor_lead_to_our_pods(install: Install) -> None:
    ingress = {"enabled": True, "host": "energy.example.org", "tlsSecret": "certificate"}
    manifests = install({**OWN, "ingress": ingress, "podMonitor": {"enabled": True}})
    (rule,) = of_kind(manifests, "Ingress")[""]["spec"]["rules"]
    assert rule["host"] == "energy.example.org"
    backend = rule["http"]["paths"][0]["backend"]["service"]["name"]
    assert backend == of_kind(manifests, "Service")["gateway"]["metadata"]["name"]
    assert of_kind(manifests, "ConfigMap")[""]["data"]["FLEXMESH_PUBLIC_URL"] == "https://energy.example.org"
    selector = of_kind(manifests, "PodMonitor")[""]["spec"]["selector"]["matchLabels"]
    assert all(selector.items() <= pod["metadata"]["labels"].items() for pod in pods(manifests).values())
