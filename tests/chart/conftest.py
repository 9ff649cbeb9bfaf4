"""A pretend Kubernetes cluster that helm installs into: it keeps what it is given and finishes every Job at once."""

import base64
import copy
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "flexmesh"
KINDS = {  # api version: kind -> plural
    "v1": {"Secret": "secrets", "ConfigMap": "configmaps", "Service": "services", "Namespace": "namespaces"},
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "batch/v1": {"Job": "jobs"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "networking.k8s.io/v1": {"Ingress": "ingresses"},
    "monitoring.coreos.com/v1": {"PodMonitor": "podmonitors"},
    "keda.sh/v1alpha1": {"ScaledObject": "scaledobjects", "TriggerAuthentication": "triggerauthentications"},
}

HELM = """
import asyncio, json, sys, helm_sdkpy

async def main(kubeconfig, chart, install, upgrade):
    configuration = helm_sdkpy.Configuration(namespace="energy", kubeconfig=kubeconfig)
    await helm_sdkpy.Install(configuration).run("flexmesh", chart, values=install, wait=False, timeout=30)
    if upgrade is not None:
        await helm_sdkpy.Upgrade(configuration).run("flexmesh", chart, values=upgrade, wait=False, timeout=30)

try:
    asyncio.run(main(**json.loads(sys.argv[1])))
except helm_sdkpy.HelmError as error:
    sys.exit(str(error))
"""

Manifest = dict[str, Any]


class HelmError(Exception):
    """helm refused; its reason."""


class Cluster(ThreadingHTTPServer):
    """What was installed, by path; `created` keeps the order and also what helm removed again."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), Api)
        self.kubeconfig = directory / "kubeconfig"
        self.write_kubeconfig()
        self.objects: dict[str, Manifest] = {}
        self.created: list[Manifest] = []

    def install(self, values: Manifest, upgrade: Manifest | None = None) -> list[Manifest]:
        """Install the chart with these values (and then upgrade it with others); returns what helm created."""
        request = {"kubeconfig": str(self.kubeconfig), "chart": str(CHART), "install": values, "upgrade": upgrade}
        # helm reads this when its process starts: its own records then stay in that process.
        environment = {**os.environ, "HELM_DRIVER": "memory"}
        command = [sys.executable, "-c", HELM, json.dumps(request)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HelmError(done.stderr)
        return self.created

    def write_kubeconfig(self) -> None:
        cluster = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.server_port}"}}
        context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [cluster],
            "contexts": [context],
            "users": [{"name": "test", "user": {}}],
        }
        self.kubeconfig.write_text(json.dumps(content))


class Api(BaseHTTPRequestHandler):
    """As much of the Kubernetes API as helm uses."""

    server: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing: pytest's output is for failures."""

    def answer(self, body: Manifest, status: int = 200) -> None:
        self.send(json.dumps(body), status)

    def send(self, text: str, status: int = 200) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def body(self) -> Manifest:
        loaded: Manifest = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        return loaded

    def missing(self) -> None:
        self.answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}, 404)

    def do_GET(self) -> None:
        path, query = urlsplit(self.path)[2:4]
        if path == "/version":
            return self.answer({"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
        if path == "/api":
            return self.answer({"kind": "APIVersions", "versions": ["v1"]})
        if path == "/openapi/v3":
            return self.answer({"paths": {f"apis/{v}": {"serverRelativeURL": f"/openapi/v3/apis/{v}"} for v in KINDS}})
        if path.startswith("/openapi/v3/apis/"):
            return self.answer(schemas(path.removeprefix("/openapi/v3/apis/")))
        if path == "/apis":
            return self.answer(
                {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(v) for v in KINDS if "/" in v]}
            )
        if path.removeprefix("/apis/").removeprefix("/api/") in KINDS:
            return self.answer(resources(path.removeprefix("/apis/").removeprefix("/api/")))
        if path in self.server.objects:
            return self.answer(self.server.objects[path])
        if path.rsplit("/", 1)[-1] in {plural for kinds in KINDS.values() for plural in kinds.values()}:
            return self.answer_list(path, "watch=true" in query)
        return self.missing()

    def answer_list(self, path: str, watch: bool) -> None:
        found = [thing for at, thing in self.server.objects.items() if at.startswith(path + "/")]
        sample = found[0] if found else {"kind": "", "apiVersion": "v1"}
        if not watch:
            head = {"kind": f"{sample['kind']}List", "apiVersion": sample["apiVersion"]}
            return self.answer({**head, "metadata": {"resourceVersion": "1"}, "items": found})
        end = {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}
        bookmark = {"kind": sample["kind"], "apiVersion": sample["apiVersion"], "metadata": end}
        events = [{"type": "ADDED", "object": thing} for thing in found] + [{"type": "BOOKMARK", "object": bookmark}]
        return self.send("".join(json.dumps(event) + "\n" for event in events))

    def do_POST(self) -> None:
        thing = self.body()
        thing["metadata"].update(uid="1", resourceVersion="1", creationTimestamp="2026-01-01T00:00:00Z")
        if thing["kind"] == "Secret":  # the real one encodes what was sent in the clear
            clear = thing.pop("stringData", {})
            thing["data"] = {**thing.get("data", {}), **{key: encoded(value) for key, value in clear.items()}}
        self.server.created.append(copy.deepcopy(thing))
        if thing["kind"] == "Job":
            done = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
            thing["status"] = {"succeeded": 1, "conditions": done}
        self.server.objects[f"{urlsplit(self.path).path}/{thing['metadata']['name']}"] = thing
        self.answer(thing, 201)

    def do_PUT(self) -> None:
        path = urlsplit(self.path).path
        self.server.objects[path] = self.body()
        self.answer(self.server.objects[path])

    def do_PATCH(self) -> None:
        path, thing = urlsplit(self.path).path, self.body()
        if path not in self.server.objects:
            return self.missing()
        if "stringData" in thing:
            thing["data"] = {key: encoded(value) for key, value in thing.pop("stringData").items()}
        for key, value in thing.items():
            known = self.server.objects[path].get(key)
            self.server.objects[path][key] = {**known, **value} if isinstance(known, dict) else value
        return self.answer(self.server.objects[path])

    def do_DELETE(self) -> None:
        self.body()
        if self.server.objects.pop(urlsplit(self.path).path, None) is None:
            return self.missing()
        return self.answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def group(version: str) -> Manifest:
    preferred = {"groupVersion": version, "version": version.split("/")[1]}
    return {"name": version.split("/")[0], "versions": [preferred], "preferredVersion": preferred}


def resources(version: str) -> Manifest:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    known = [
        {"name": plural, "singularName": kind.lower(), "namespaced": kind != "Namespace", "kind": kind, "verbs": verbs}
        for kind, plural in KINDS[version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": known}


def schemas(version: str) -> Manifest:
    """Tells helm that the cluster itself checks fields. What is right is for the tests to say."""
    api_group, _, number = version.rpartition("/")
    paths = {
        f"/{plural}/{{name}}": {
            "patch": {
                "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
                "x-kubernetes-group-version-kind": {"group": api_group, "version": number, "kind": kind},
            }
        }
        for kind, plural in KINDS[version].items()
    }
    return {"openapi": "3.0.0", "info": {"title": "test", "version": "1"}, "paths": paths}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    server = Cluster(tmp_path)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
