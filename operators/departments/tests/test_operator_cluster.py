"""Against a real API server: what only it can prove (CEL, ownership of fields, applies that change nothing)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from plaza_operator import deletion
from plaza_operator.domain.children import DEPARTMENT, NAMESPACE, NETWORK_POLICY, RESOURCE_QUOTA
from plaza_operator.domain.platform import Platform
from plaza_operator.external.buckets import Static
from plaza_operator.external.postgres import Exchange
from plaza_operator.kube import Kube
from plaza_operator.owned import identity
from plaza_operator.reconcile import Reconciler
from plaza_operator.world import World

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not (os.environ.get("KUBECONFIG") and os.environ.get("PLAZA_TEST_CLUSTER") == "1"),
        reason="NOT RUN: needs a cluster of one's own: set KUBECONFIG and PLAZA_TEST_CLUSTER=1",
    ),
]
CHART = Path(__file__).resolve().parents[3] / "charts" / "plaza-crds"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))


def kubectl(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module", autouse=True)
def definition() -> None:
    """The definition as the chart renders it with its defaults; it stays, as on a real cluster."""
    text = (CHART / "templates" / "department.yaml").read_text(encoding="utf-8")
    plain = re.sub(r"\{\{.*?\}\}", "Helm", re.sub(r"^\s*\{\{-.*\}\}\n", "", text, flags=re.M))
    applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=plain)
    assert applied.returncode == 0, applied.stderr
    kubectl("wait", "--for=condition=Established", "crd/departments.plaza.city", "--timeout=30s")


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test-{uuid.uuid4().hex[:8]}"
    yield made
    kubectl("delete", "department", made, "--ignore-not-found", "--wait=false")
    kubectl("delete", "namespace", f"dept-{made}", "--ignore-not-found", "--wait=false")


@pytest.fixture
async def world(platform: Platform, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async def nothing(*_: Any) -> list[str]:
        return []

    for function in ("ensure", "remove", "disable"):
        monkeypatch.setattr(identity, function, nothing)

    class Settings:
        external_seconds = 30.0
        catalogue_address = ""
        ask_for_work = False
        deletion_limit_seconds = 60.0
        die_on_demand = False

    class Brought(Static):
        makes_keys = True

    kube, settings, nobody = Kube(at_once=8), Settings(), object()
    untied = replace(platform, tenant_cluster_role="")
    made: Any = World(settings, untied, kube, nobody, Exchange(postgres.admin_url), Brought(), nobody)  # type: ignore[arg-type]
    yield made
    await kube.close()


def department(name: str, **spec: Any) -> str:
    return json.dumps(
        {
            "apiVersion": "plaza.city/v1alpha1",
            "kind": "Department",
            "metadata": {"name": name},
            "spec": {"displayName": {"zh": "试验局"}, "worker": {"maxReplicas": 0}, **spec},
        }
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_apply_and_the_first_has_ten_lines(path: Path) -> None:
    applied = kubectl("apply", "--dry-run=server", "-f", str(path))
    assert applied.returncode == 0, applied.stderr
    assert len(EXAMPLES[0].read_text(encoding="utf-8").splitlines()) <= 10
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["kind"] == "Department"


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("a.b", {}, "the name becomes part of every address"),
        ("x" * 49, {}, "the name becomes part of every address"),
        ("fine", {"quota": {"cpu": "0"}}, "must be a quantity above zero"),
        ("fine", {"quota": {"memory": "much"}}, "must be a quantity above zero"),
        ("fine", {"sources": [{"cidr": "0.0.0.0/0", "ports": [1]}]}, "too wide"),
        ("fine", {"sources": [{"cidr": "nowhere", "ports": [1]}]}, "must be an address range"),
        ("fine", {"deletionPolicy": "Maybe"}, "Unsupported value"),
        ("fine", {"displayName": {}}, "spec.displayName.zh"),
    ],
)
def test_the_definition_refuses(name: str, spec: dict[str, Any], said: str) -> None:
    refused = kubectl("apply", "--dry-run=server", "-f", "-", given=department(name, **spec))
    assert refused.returncode != 0
    assert said in refused.stderr


def test_the_bucket_is_decided_once(name: str) -> None:
    assert kubectl("apply", "-f", "-", given=department(name, storage={"bucket": "one"})).returncode == 0
    for other in ({"storage": {"bucket": "two"}}, {"storage": {"bucket": None}}, {"storage": None}):
        changed = kubectl("patch", "department", name, "--type=merge", "-p", json.dumps({"spec": other}))
        assert changed.returncode != 0, other


async def versions(name: str) -> list[str]:
    kinds = "resourcequota,limitrange,networkpolicy,secret,serviceaccount,role,rolebinding,deployment"
    listed = kubectl("-n", f"dept-{name}", "get", kinds, "-o", "json")
    alone = kubectl("get", f"namespace/dept-{name}", f"department/{name}", "-o", "json")
    items = json.loads(listed.stdout)["items"] + json.loads(alone.stdout)["items"]
    return sorted(f"{o['kind']}/{o['metadata']['name']} {o['metadata']['resourceVersion']}" for o in items)


async def test_made_repaired_left_alone_and_removed(name: str, world: World) -> None:
    spec = {"deletionPolicy": "Delete", "deletionGraceSeconds": 0}
    assert kubectl("apply", "-f", "-", given=department(name, **spec)).returncode == 0
    reconciler = Reconciler(world)
    await reconciler.reconcile(name)
    body = await world.kube.get(DEPARTMENT, name)
    assert body is not None
    ready = next(c for c in body["status"]["conditions"] if c["type"] == "Ready")
    assert (ready["status"], body["status"]["observedGeneration"]) == ("True", 1), ready

    # The quota's controller writes its status once; from then on nothing moves.
    await Reconciler(world).reconcile(name)
    before = await versions(name)
    await reconciler.reconcile(name)
    await Reconciler(world).reconcile(name)
    assert await versions(name) == before

    namespace = f"dept-{name}"
    kubectl(
        "-n",
        namespace,
        "patch",
        "networkpolicy",
        "deny-all",
        "--type=merge",
        "-p",
        '{"spec":{"egress":[{}]}}',
    )
    kubectl(
        "-n",
        namespace,
        "patch",
        "quota",
        "department",
        "--type=merge",
        "-p",
        '{"spec":{"hard":{"pods":"99"}}}',
    )
    await reconciler.reconcile(name)
    policy = await world.kube.get(NETWORK_POLICY, "deny-all", namespace)
    quota = await world.kube.get(RESOURCE_QUOTA, "department", namespace)
    assert policy is not None
    assert quota is not None
    assert "egress" not in policy["spec"]
    assert quota["spec"]["hard"]["pods"] == "10"
    events = kubectl(
        "get", "events", "-n", "default", "--field-selector", f"involvedObject.name={name}", "-o", "json"
    )
    assert "Repaired" in {event["reason"] for event in json.loads(events.stdout)["items"]}

    await deletion.finish(world, name)
    assert await world.kube.get(NAMESPACE, namespace) is None


async def test_a_namespace_without_the_mark_is_left_alone(name: str, world: World) -> None:
    kubectl("create", "namespace", f"dept-{name}")
    kubectl("apply", "-f", "-", given=department(name))
    await Reconciler(world).reconcile(name)
    body = await world.kube.get(DEPARTMENT, name)
    assert body is not None
    assert {c["reason"] for c in body["status"]["conditions"] if c["type"] == "Ready"} == {"NamespaceTaken"}
