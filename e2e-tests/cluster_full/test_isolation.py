"""A hostile program in one department's pod, with all that its worker has, gets nothing of anybody else's.

Twice: behind the department's own network policy, where most doors are not even in sight; and in a department that
somebody gave the way to PostgreSQL, the API server and its neighbour, so that the locks behind the doors are tried too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster import NAMESPACE, Cluster, kubectl
from cluster_full.machine import Machine
from cluster_full.tenants import PATIENCE, Tenants, found, seen, sql, table, tenant, within
from plaza_operator.external import sigv4

pytestmark = pytest.mark.e2e

WIDE, NARROW = "isolated-wide", "isolated-narrow"
PROBE = "probe"
PORT = 8099
Rows = list[dict[str, Any]]


def facts_of(name: str) -> dict[str, str]:
    """How a department is called in each system."""
    return {
        "name": name,
        "namespace": f"dept-{name}",
        "role": "dept_" + name.replace("-", "_"),
        "bucket": f"plaza-{name}",
        "client": f"{name}-worker",
    }


@dataclass
class Two:
    """Both departments, each with a pod of ours, and the facts that the attempts need."""

    plaza: Cluster
    run: str = ""
    upload: str = ""

    def pod_ip(self, name: str) -> str:
        return str(self._pod(name)["status"]["podIP"])

    def _pod(self, name: str) -> dict[str, Any]:
        pod = found("pod", PROBE, f"dept-{name}")
        assert pod is not None
        return pod

    def start(self, name: str) -> None:
        """A pod as the worker's, with our program in place of the worker's."""
        deployment = found("deployment", "worker", f"dept-{name}")
        assert deployment is not None
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        container["image"] = container["image"].replace("/worker", "/tools")
        container["command"] = ["python", "-m", "http.server", str(PORT)]
        small = {"cpu": "20m", "memory": "256Mi"}
        container["resources"] = {"requests": small, "limits": {"cpu": "1", "memory": "256Mi"}}
        pod["terminationGracePeriodSeconds"] = 1
        # The worker's policies choose it by this label; the operator does not take it for a worker of its own.
        labels = {"app.kubernetes.io/component": "worker", "plaza.city/department": name}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": PROBE, "namespace": f"dept-{name}", "labels": labels},
            "spec": pod,
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(body), namespace=f"dept-{name}")
        kubectl("wait", "--for=condition=Ready", f"pod/{PROBE}", "--timeout=90s", namespace=f"dept-{name}")

    def bring(self, name: str, facts: dict[str, Any]) -> None:
        """The program and what it must know, into the pod."""
        files = {
            **{
                name: (Path(__file__).parent / name).read_text("utf-8") for name in ("attempts.py", "ways.py")
            },
            "sigv4.py": Path(sigv4.__file__).read_text("utf-8"),
            "facts.json": json.dumps(facts),
        }
        write = (
            "import json, pathlib, sys\n"
            "for name, text in json.load(sys.stdin).items(): pathlib.Path('/cache', name).write_text(text)"
        )
        self._exec(name, "python", "-c", write, stdin=json.dumps(files))

    def _exec(self, name: str, *command: str, stdin: str = "") -> str:
        return kubectl(
            "exec", "-i", PROBE, "--", *command, stdin=stdin, namespace=f"dept-{name}", seconds=300 * PATIENCE
        )

    def tries(self, me: str, other: str, *groups: str, **more: Any) -> Rows:
        """Runs the attempts in the pod of `me` and prints what came of each."""
        wanted = facts_of(me), facts_of(other)
        known = {
            "me": wanted[0],
            "other": wanted[1],
            "release": NAMESPACE,
            "lake_bucket": "plaza-lake",
            "postgres": f"plaza-dev-postgres.{NAMESPACE}.svc",
            "database_password": self.plaza.secret("exchange-database", "password", f"dept-{me}"),
            "addresses": {
                name: f"dns:///plaza-{name}.{NAMESPACE}.svc:50051" for name in ("catalogue", "ingestion")
            },
            "api": "https://{}:{}".format(*api_server()),
            "tokens": {
                name: kubectl("create", "token", name, namespace=f"dept-{me}").strip()
                for name in ("worker", "department")
            },
            "seconds": 3 * PATIENCE,
            "run": self.run,
            "upload": self.upload,
            **more,
        }
        self.bring(me, known)
        said = self._exec(me, "env", "PYTHONPATH=/cache", "python", "/cache/attempts.py", *groups)
        rows = [json.loads(line) for line in said.splitlines()]
        shown = [
            (row["system"], row["what"], "may" if row["control"] else row["outcome"], row["how"])
            for row in rows
        ]
        table(f"A pod of {me} tries:", shown)
        return rows


def api_server() -> tuple[str, int]:
    """Where the API server itself listens, behind the Service's address."""
    (entry, *_) = seen("endpointslices", "-l", "kubernetes.io/service-name=kubernetes", namespace="default")[
        "items"
    ]
    return str(entry["endpoints"][0]["addresses"][0]), int(entry["ports"][0]["port"])


def address_of(component: str, name: str) -> str:
    """The address of a pod of the release."""
    labels = f"app.kubernetes.io/component={component},app.kubernetes.io/name={name}"
    return str(seen("pods", "-l", labels)["items"][0]["status"]["podIP"])


@pytest.fixture(scope="module")
def two(plaza: Cluster, tenants: Tenants) -> Two:
    """The neighbour first, because the other one is given the way to its pod."""
    made = Two(plaza)
    idle = {"worker": {"maxReplicas": 0}}
    tenants.apply(tenant(NARROW, **idle))
    tenants.ready([NARROW])
    made.start(NARROW)
    places = {
        made.pod_ip(NARROW): PORT,
        address_of("postgres", "plaza-dev"): 5432,
        address_of("catalogue", "plaza"): 50051,
        address_of("gateway-internal", "plaza"): 8080,
        api_server()[0]: api_server()[1],
    }
    sources = [{"cidr": f"{host}/32", "ports": [port]} for host, port in places.items()]
    tenants.apply(tenant(WIDE, sources=sources, **idle))
    tenants.ready([WIDE])
    made.start(WIDE)
    for name in (WIDE, NARROW):
        role = facts_of(name)["role"]
        sql("exchange", f"SET ROLE {role}; CREATE TABLE IF NOT EXISTS {role}.theirs (a int)")
    made.upload, made.run = Machine(plaza, NARROW).order()
    return made


def judge(rows: Rows, least: int) -> None:
    """Everything that may be done was, nothing else was, and no attempt failed for a reason of its own."""
    wrong = [row for row in rows if row["outcome"] != ("done" if row["control"] else "refused")]
    assert not wrong, "\n".join(
        f"{row['system']}: {row['what']}: {row['outcome']} {row['how']}" for row in wrong
    )
    refused = sum(not row["control"] for row in rows)
    print(f"  {refused} attempts refused, {len(rows) - refused} controls done")
    assert refused >= least
    systems = {row["system"] for row in rows}
    assert systems == {row["system"] for row in rows if row["control"]}, "each system needs a control"


def service(name: str) -> str:
    return f"{name}.{NAMESPACE}.svc"


def test_behind_its_network_policy_a_department_sees_three_doors(two: Two) -> None:
    own = {
        "ingestion": (service("plaza-ingestion"), 50051),
        "Keycloak": (service("plaza-dev-keycloak"), 8080),
        "S3": (service("plaza-dev-s3"), 7070),
    }
    shut = {
        **{
            name: (service(f"plaza-{name}"), 50051)
            for name in ("catalogue", "security", "quality", "sharing")
        },
        "PostgreSQL": (service("plaza-dev-postgres"), 5432),
        "internal gateway": (service("plaza-gateway-internal"), 8080),
        "public gateway": (service("plaza-gateway-public"), 8080),
        "API server": api_server(),
        "API server by its Service": ("kubernetes.default.svc", 443),
        "the other's worker": (two.pod_ip(WIDE), PORT),
    }
    judge(two.tries(NARROW, WIDE, "network", reachable=own, unreachable=shut), least=len(shut))


def test_with_the_way_there_its_neighbours_and_the_city_stay_shut(two: Two) -> None:
    here = {"PostgreSQL": (service("plaza-dev-postgres"), 5432), "API server": api_server()}
    # The way out is open to these; they take nobody in.
    shut = {
        "the other's worker": (two.pod_ip(NARROW), PORT),
        "catalogue": (service("plaza-catalogue"), 50051),
    }
    groups = ("network", "postgresql", "storage", "api", "identity", "services")
    judge(two.tries(WIDE, NARROW, *groups, reachable=here, unreachable=shut), least=60)


def test_the_neighbour_has_lost_nothing(two: Two) -> None:
    """What the attempts were after is there as it was, and its own people still get it."""
    listens = kubectl(
        "exec", PROBE, "--", "python", "-c",
        f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{PORT}/').status)",
        namespace=f"dept-{NARROW}",
    )  # fmt: skip
    assert listens.strip() == "200", "the pod that nobody reached was there to be reached"
    assert sql("exchange", f"SELECT count(*) FROM {facts_of(NARROW)['role']}.theirs") == "0"
    assert Machine(two.plaza, NARROW).state(two.run) == "RUN_STATE_QUEUED"


def test_nobody_widens_a_department_from_within(two: Two, tenants: Tenants) -> None:
    """What a Department may not say: CEL refuses it before anybody acts on it."""
    refusals: list[tuple[str, str]] = []

    def refused(what: str, change: Callable[[dict[str, Any]], None]) -> None:
        body = tenant(f"{WIDE}-more")
        change(body)
        with pytest.raises(AssertionError) as caught:
            two.plaza.apply([body])
        refusals.append((what, str(caught.value).rpartition("invalid")[2][:120].replace("\n", " ")))

    refused("another's namespace", lambda body: body["metadata"].update(name="kube.system"))
    refused(
        "all addresses", lambda body: body["spec"].update(sources=[{"cidr": "0.0.0.0/0", "ports": [5432]}])
    )
    table("A Department that says too much:", refusals)
    tenants.apply(
        tenant(f"{WIDE}-thief", storage={"bucket": facts_of(NARROW)["bucket"]}, worker={"maxReplicas": 0})
    )

    def told() -> bool:
        body = found("department", f"{WIDE}-thief") or {}
        conditions = (body.get("status") or {}).get("conditions", [])
        return any(one["reason"] == "BucketTaken" for one in conditions)

    within(60, told, "the bucket of another is refused")
