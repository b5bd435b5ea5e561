"""The operator dies after every call that provisioning makes, and Kubernetes starts it again.

`PLAZA_E2E_CALLS=20-39`: after these calls only; all of them take a quarter of an hour.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any

import pytest
from cluster import Cluster, kubectl
from cluster_full.machine import Machine
from cluster_full.tenants import Operator, Tenants, found, is_ready, seen, sql, tenant, within
from plaza_operator.faults import ANNOTATION

pytestmark = pytest.mark.e2e

IDLE = {"worker": {"maxReplicas": 0}}


def test_the_operator_dies_after_every_call(plaza: Cluster, operator: Operator) -> None:
    """A department each: after the first call for it, after the second, until it needs no more."""
    tenants = Tenants(plaza)
    first, _, last = os.environ.get("PLAZA_E2E_CALLS", "1-").partition("-")
    operator.set(PLAZA_DIE_ON_DEMAND="true")
    begun, names = time.monotonic(), []
    try:
        for call in range(int(first), int(last or 200) + 1):
            name = f"dying-{call:03}"
            if not _dies_after(call, name, tenants, operator):
                tenants.ready([name])
                print(f"  needs fewer than {call} calls")
                break
            names.append(name)
        else:
            assert last, "so many calls are too many"
        tenants.ready(names)
        took = time.monotonic() - begun
        one_of_everything(plaza, operator, names)
        calls = f"calls {first} to {int(first) + len(names) - 1}"
        print(f"  {len(names)} deaths, {calls}, {took / len(names):.1f} s each; all ready, one of everything")
    finally:
        operator.set(PLAZA_DIE_ON_DEMAND=None)
        gone = tenants.remove()
    nothing_of(plaza, operator, "dying-")
    print(f"  removed after {gone:.0f} s, nothing left")


def _dies_after(call: int, name: str, tenants: Tenants, operator: Operator) -> bool:
    """Whether it died; it runs again then."""
    within(120, lambda: len(operator.pods()) == 1 and _runs(operator.pod()), "the operator runs")
    pod = operator.pod()["metadata"]["name"]
    body = tenant(name, **IDLE)
    body["metadata"]["annotations"] = {ANNOTATION: str(call)}
    tenants.apply(body)
    outcome: list[bool] = []

    def over() -> bool:
        live = found("pod", pod)
        if live is None or not _runs(live) or live["status"]["containerStatuses"][0]["restartCount"]:
            outcome.append(True)
        elif is_ready(found("department", name) or {}):
            outcome.append(False)
        return bool(outcome)

    within(90, over, f"dies after call {call}, or is ready")
    if outcome[0]:
        kubectl("annotate", "department", name, f"{ANNOTATION}-")
        # Not to wait for the kubelet's growing pause: the Deployment starts another one at once.
        kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--ignore-not-found")
    return outcome[0]


def _runs(pod: dict[str, Any]) -> bool:
    states = [one["state"] for one in pod["status"].get("containerStatuses", [])]
    return bool(states) and all("running" in state for state in states)


def one_of_everything(plaza: Cluster, operator: Operator, names: list[str]) -> None:
    """In every system, and it opens with what the Secrets say."""
    admin = plaza.admin()
    clients = [one["clientId"] for one in admin.get_clients()]
    aliases = [one["alias"] for one in admin.get_organizations()]
    groups = [one["name"] for one in admin.get_groups()]
    for name in names:
        assert clients.count(f"{name}-worker") == aliases.count(name) == groups.count(f"dept-{name}") == 1, (
            name
        )
        assert Machine(plaza, name).token() is not None, name
        account = admin.get_client_service_account_user(str(admin.get_client_id(f"{name}-worker")))
        held = {one["name"] for one in admin.get_realm_roles_of_user(account["id"])}
        assert held == {"department-machine", "default-roles-plaza"}, (name, held)
    roles = sql(
        "exchange", "SELECT rolname FROM pg_roles JOIN pg_namespace ON rolname = nspname WHERE rolcanlogin"
    )
    entries = sql("plaza", "SELECT department FROM catalogue.departments").splitlines()
    assert {"dept_" + name.replace("-", "_") for name in names} <= set(roles.splitlines())
    assert set(names) <= set(entries)
    owners = buckets(operator)
    assert {name: owners.get(f"plaza-{name}") for name in names} == {name: f"dept-{name}" for name in names}


def nothing_of(plaza: Cluster, operator: Operator, prefix: str) -> None:
    """In no system."""
    admin = plaza.admin()
    left = [one["clientId"] for one in admin.get_clients() if one["clientId"].startswith(prefix)]
    left += [one["alias"] for one in admin.get_organizations() if one["alias"].startswith(prefix)]
    left += [one["name"] for one in admin.get_groups() if one["name"].startswith(f"dept-{prefix}")]
    roles = sql("exchange", "SELECT rolname FROM pg_roles").split()
    left += [role for role in roles if role.startswith("dept_" + prefix.replace("-", "_"))]
    left += [
        one["metadata"]["name"]
        for one in seen("namespaces")["items"]
        if one["metadata"]["name"].startswith(f"dept-{prefix}")
    ]
    left += [bucket for bucket in buckets(operator) if bucket.startswith(f"plaza-{prefix}")]
    assert not left


def buckets(operator: Operator) -> dict[str, str]:
    """Every bucket's owner, as the storage's administrator sees them."""
    listed = operator.storage("print(ask('PATCH', '/list-buckets').text)")
    rows = re.findall(r"<(?:Buckets?)>\s*(<(?:Name|Owner)>.*?)</Buckets?>", listed, flags=re.DOTALL)
    found_in = [dict(re.findall(r"<(Name|Owner)>(.*?)</", row)) for row in rows]
    return {row["Name"]: row.get("Owner", "") for row in found_in if "Name" in row}
