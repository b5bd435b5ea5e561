"""A hundred departments, five of them at work: how long, how much memory, how many requests; and a restart that writes
nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from cluster import Cluster
from cluster_full.machine import Machine
from cluster_full.tenants import CHILDREN, Operator, Tenants, samples, seen, table, tenant, within

pytestmark = pytest.mark.e2e

MANY, AT_WORK = 100, 5
NAMES = [f"hundred-{number:03}" for number in range(MANY)]
READY_SECONDS = 600
MEMORY_MIB = 150
WATCHED_SECONDS = 75
"""More than twice the period in which the systems outside are looked at."""
SYSTEMS = ("kubernetes", "keycloak", "postgresql", "s3", "catalogue")
MARK = "app.kubernetes.io/managed-by=plaza-operator"


@dataclass
class Hundred:
    """The departments, and what was measured of them."""

    plaza: Cluster
    operator: Operator
    rows: list[tuple[str, str]] = field(default_factory=list)

    def note(self, what: str, figure: str) -> None:
        self.rows.append((what, figure))
        print(f"  {what}: {figure}")

    def memory(self, when: str) -> None:
        found = self.operator.memory_mib()
        self.note(
            f"operator's memory {when}", ", ".join(f"{name} {mib:.0f} MiB" for name, mib in found.items())
        )
        # As Kubernetes counts it.
        assert found["working set"] <= MEMORY_MIB


@pytest.fixture(scope="module")
def hundred(plaza: Cluster, tenants: Tenants, operator: Operator) -> Iterator[Hundred]:
    made = Hundred(plaza, operator)
    made.note("operator's memory before", f"{operator.memory_mib()['working set']:.0f} MiB")
    small = {"resources": {"cpu": "200m", "memory": "512Mi"}}
    begun = time.monotonic()
    tenants.apply(*(tenant(name, worker=small) for name in NAMES))
    made.note("applied", f"{MANY} in {time.monotonic() - begun:.0f} s")
    ready = sorted(tenants.ready(NAMES, READY_SECONDS).values())
    took = time.monotonic() - begun
    made.note("ready", f"all after {took:.0f} s, half after {took - ready[-1] + ready[MANY // 2]:.0f} s")
    yield made
    table(f"{MANY} departments:", made.rows)


def versions() -> dict[str, str]:
    """Of everything that the operator writes: who was written to when."""
    ours = f"plaza.city/department in ({','.join(NAMES)})"
    listed = (
        seen(CHILDREN.removeprefix("namespace,"), "-A", "-l", ours)["items"]
        + seen("namespaces", "-l", ours)["items"]
    )
    listed += [one for one in seen("departments")["items"] if one["metadata"]["name"] in NAMES]
    return {
        f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}": one["metadata"][
            "resourceVersion"
        ]
        for one in listed
    }


def test_all_have_what_they_need(hundred: Hundred) -> None:
    objects = seen(CHILDREN.removeprefix("namespace,"), "-A", "-l", MARK)["items"]
    count = Counter(one["metadata"]["namespace"] for one in objects)
    each = {count[f"dept-{name}"] for name in NAMES}
    assert len(each) == 1, each
    hundred.note(
        "objects in Kubernetes", f"{each.pop()} each, beside the namespace; {len(objects)} of all departments"
    )
    hundred.memory("when all are ready")


def test_a_look_that_finds_all_in_order(hundred: Hundred) -> None:
    before, begun = hundred.operator.metrics(), time.monotonic()
    time.sleep(WATCHED_SECONDS)
    after, seconds = hundred.operator.metrics(), time.monotonic() - begun

    def grown(name: str, *labels: str) -> float:
        return samples(after, name, *labels) - samples(before, name, *labels)

    looks = grown("plaza_operator_reconciles_total")
    well = grown("plaza_operator_reconciles_total", 'outcome="ok"')
    assert well >= MANY
    asked = [(one, grown("plaza_operator_requests_total", f'system="{one}"') / looks) for one in SYSTEMS]
    hundred.note(
        "reconciles",
        f"{looks / seconds:.1f} a second, {looks - well:.0f} of {looks:.0f} failed,"
        f" {grown('plaza_operator_reconcile_seconds_sum') / looks:.2f} s each",
    )
    hundred.note("requests a reconcile", ", ".join(f"{one} {number:.1f}" for one, number in asked))
    assert grown("plaza_operator_writes_total") == 0, {k: v for k, v in after.items() if "writes" in k}


def test_a_restart_writes_nothing(hundred: Hundred) -> None:
    before = versions()
    begun = time.monotonic()
    hundred.operator.restart()

    def looked() -> bool:
        return samples(hundred.operator.metrics(), "plaza_operator_reconciles_total", 'outcome="ok"') >= MANY

    within(180, looked, "all are looked at again", pause=1)
    hundred.note(
        "restart",
        f"all looked at again after {time.monotonic() - begun:.0f} s, the start of the pod included",
    )
    after, now = hundred.operator.metrics(), versions()
    writes = {one: samples(after, "plaza_operator_writes_total", f'system="{one}"') for one in SYSTEMS}
    changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    hundred.note(
        "written after the restart",
        f"{sum(writes.values()):.0f} requests, {len(changed)} of {len(now)} objects changed",
    )
    assert not changed
    assert not any(writes.values()), writes


def test_five_at_work(hundred: Hundred) -> None:
    """A file each: its worker comes from nothing, does its work, and goes again."""
    working = NAMES[:AT_WORK]
    machines = [Machine(hundred.plaza, name) for name in working]
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_WORK) as several:
        runs = dict(zip(machines, several.map(lambda one: one.order()[1], machines), strict=True))

    def running() -> int:
        pods = seen("pods", "-A", "-l", "app.kubernetes.io/component=worker,plaza.city/department")["items"]
        up = {one["metadata"]["namespace"] for one in pods if one["status"].get("phase") == "Running"}
        return sum(f"dept-{name}" in up for name in working)

    within(300, lambda: running() == AT_WORK, "five workers run", pause=1)
    hundred.note("workers", f"{AT_WORK} run {time.monotonic() - begun:.0f} s after work was given")
    hundred.memory(f"with {AT_WORK} workers running")
    for machine, run in runs.items():
        within(300, lambda m=machine, r=run: m.state(r) == "RUN_STATE_SUCCEEDED", run, pause=1)  # type: ignore[misc]
    hundred.note("work", f"done after {time.monotonic() - begun:.0f} s")

    def at_rest() -> bool:
        return not any(
            one["status"].get("workers")
            for one in seen("departments")["items"]
            if one["metadata"]["name"] in NAMES
        )

    within(240, at_rest, "workers without work are gone", pause=2)
    hundred.note("workers gone", f"{time.monotonic() - begun:.0f} s after work was given")
