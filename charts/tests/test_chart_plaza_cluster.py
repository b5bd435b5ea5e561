"""What only a cluster can say of charts/plaza: it takes every object, and its network policies hold.

Runs against the cluster of `KUBECONFIG`, in a namespace of its own. `PLAZA_TEST_IMAGE`: an image with a `python3` that
the nodes have or can pull.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.integration

CHART = Path(__file__).resolve().parents[1] / "plaza"
HELM = os.environ.get("PLAZA_HELM") or shutil.which("helm")
KUBECTL = os.environ.get("PLAZA_KUBECTL") or shutil.which("kubectl")
IMAGE = os.environ.get("PLAZA_TEST_IMAGE", "docker.io/library/python:3.11-slim-bookworm")
OTHERS = {"Certificate", "Department", "HTTPRoute", "PrometheusRule", "ServiceMonitor"}
"""Kinds that a bare cluster does not know."""
VALUES = {
    "keycloak": {"issuer": "https://id.city.example/realms/plaza"},
    "storage": {
        "lakeWarehouse": "s3://plaza-lake",
        "staging": "s3://plaza-{department}/staging",
        "releaseStore": "s3://plaza-releases",
    },
    "defaults": {"autoscaling": True},
    "operator": {"enabled": True},
    "gateway": {"public": {"ingress": {"enabled": True, "host": "data.city.example"}}},
}
LISTENING = """
import socket, threading
for port in (50051, 8080, 9090):
    server = socket.create_server(("", port))
    threading.Thread(target=lambda server=server: [server.accept()[0].close() for _ in iter(int, 1)]).start()
"""
KNOCKING = """
import socket, sys
for name, address, port in zip(*[iter(sys.argv[1:])] * 3):
    try:
        socket.create_connection((address, int(port)), 3).close()
    except TimeoutError:
        continue
    print(name, port)
"""

if HELM is None or KUBECTL is None or not os.environ.get("KUBECONFIG"):
    pytest.skip("NOT RUN: this needs a cluster (KUBECONFIG), kubectl and helm", allow_module_level=True)

Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """Calls kubectl in a new namespace that takes restricted pods only."""
    namespace = f"plaza-chart-{uuid.uuid4().hex[:8]}"

    def call(*arguments: str, given: str | None = None) -> str:
        command = [str(KUBECTL), "--namespace", namespace, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        # Warnings are of Pod Security and of interfaces that go away: none is ours to have.
        assert "Warning" not in done.stderr, done.stderr
        return done.stdout

    call("create", "namespace", namespace)
    call(
        "label",
        "namespace",
        namespace,
        *(f"pod-security.kubernetes.io/{m}=restricted" for m in ("enforce", "warn")),
    )
    try:
        yield call
    finally:
        # It warns that namespaces are cluster-wide.
        subprocess.run(
            [str(KUBECTL), "delete", "namespace", namespace, "--wait=false"], capture_output=True, check=True
        )


def _objects() -> list[dict[str, Any]]:
    command = [str(HELM), "template", "plaza", str(CHART), "--values", "-"]
    done = subprocess.run(command, input=json.dumps(VALUES), capture_output=True, text=True, check=True)
    objects = [one for one in yaml.safe_load_all(done.stdout) if one and one["kind"] not in OTHERS]
    for one in objects:
        # Of the test's department, whose namespace the operator makes.
        if one["metadata"].get("namespace", "").startswith("dept-"):
            del one["metadata"]["namespace"]
    return objects


def test_the_api_server_takes_every_object_without_a_warning(kubectl: Kubectl) -> None:
    objects = _objects()
    accounts = [one for one in objects if one["kind"] == "ServiceAccount"]
    # A pod is refused when its account is not there, even on trial.
    # By the server, for some have the names of a release that may be there.
    apply = ("apply", "--server-side", "--force-conflicts", "-f", "-")
    kubectl(*apply, given=yaml.safe_dump_all(accounts))
    said = kubectl(*apply, "--dry-run=server", given=yaml.safe_dump_all(objects))
    assert len(said.splitlines()) == len(objects)


def test_only_the_edges_of_the_architecture_are_open(kubectl: Kubectl) -> None:
    """Stand-ins with the pods' labels knock at each other; the network answers."""
    policies = [one for one in _objects() if one["kind"] == "NetworkPolicy"]
    names = (
        "catalogue",
        "ingestion",
        "open-data",
        "security",
        "gateway-public",
        "gateway-internal",
        "migrate",
    )
    kubectl("apply", "-f", "-", given=yaml.safe_dump_all([*policies, *map(_stand_in, names)]))
    kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s")
    found = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
    address = {one["metadata"]["name"]: one["status"]["podIP"] for one in found}

    def reached(caller: str, *doors: tuple[str, int]) -> set[str]:
        triples = [text for name, port in doors for text in (name, address[name], str(port))]
        return set(kubectl("exec", caller, "--", "python3", "-c", KNOCKING, *triples).split("\n")) - {""}

    services = [(name, 50051) for name in ("catalogue", "ingestion", "open-data", "security")]
    assert reached("gateway-public", *services, ("catalogue", 9090)) == {
        "catalogue 50051",
        "open-data 50051",
        "security 50051",
    }
    assert reached("gateway-internal", *services) == {f"{name} 50051" for name, _ in services}
    others = [door for door in services if door[0] != "ingestion"]
    assert reached("ingestion", *others) == {"catalogue 50051", "security 50051"}
    assert reached("catalogue", *services[1:], ("gateway-public", 8080)) == {"security 50051"}
    assert reached("migrate", *services) == set()


def _stand_in(component: str) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": "plaza",
        "app.kubernetes.io/instance": "plaza",
        "app.kubernetes.io/component": component,
    }
    ports = {"grpc": 50051, "http": 8080, "metrics": 9090}
    container = {
        "name": "stand-in",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", LISTENING],
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "readinessProbe": {"tcpSocket": {"port": 50051}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsUser": 10001, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": component, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": security,
            "containers": [container],
        },
    }
