"""The objects that a department owns, as they must be."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from plaza_kit.identity.realm_file import REALM_FILE
from plaza_operator.domain.children import DEPARTMENT_LABEL, Child, belongs_to, foreign
from plaza_operator.domain.errors import StorageKeysMissing
from plaza_operator.domain.platform import Platform
from plaza_operator.domain.spec import Department
from plaza_operator.owned import (
    access,
    credentials,
    identity,
    limit_range,
    namespace,
    network_policies,
    resource_quota,
    worker,
)


def all_children(department: Department, platform: Platform) -> list[Child]:
    have = credentials.read({}, department, own_keys=True)
    binding = access.operator_binding(department, platform)
    assert binding is not None
    return [
        namespace.desired(department),
        binding,
        resource_quota.desired(department),
        limit_range.desired(department),
        *network_policies.desired(department, platform),
        *access.desired(department, platform),
        *credentials.desired(department, platform, have),
        worker.desired(department, platform, 1, have.fingerprint),
    ]


def test_every_child_bears_the_marks_and_lies_in_the_departments_namespace(
    department: Department, platform: Platform
) -> None:
    for one in all_children(department, platform):
        assert one.body["metadata"]["labels"][DEPARTMENT_LABEL] == "ecology"
        assert one.namespace in (None, "dept-ecology")
        assert "ownerReferences" not in one.body["metadata"]
        assert belongs_to(one.body, department)


def test_the_namespace_holds_restricted_pod_security(department: Department) -> None:
    labels = namespace.desired(department).body["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_nothing_may_speak_but_the_worker_and_only_to_what_is_named(
    make_department: Any, platform: Platform
) -> None:
    one = make_department(sources=[{"cidr": "10.1.2.3/32", "ports": [5432, 1521]}])
    deny, allow = network_policies.desired(one, platform)
    assert deny.body["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    dns, ingestion, source = allow.body["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert ingestion == platform.worker_egress[0]
    assert source["to"] == [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
    assert [port["port"] for port in source["ports"]] == [5432, 1521]
    assert "ingress" not in allow.body["spec"]


def test_an_opening_added_by_somebody_else_is_seen(department: Department, platform: Platform) -> None:
    deny, _ = network_policies.desired(department, platform)
    opened = {**deny.body["spec"], "egress": [{}]}
    assert foreign(opened, deny.body["spec"])
    assert not foreign(dict(deny.body["spec"]), deny.body["spec"])
    # What the API server leaves empty is nothing that somebody added.
    assert not foreign({**deny.body["spec"], "ingress": None}, deny.body["spec"])


def test_people_can_change_nothing_but_the_credentials_of_their_sources(
    department: Department, platform: Platform
) -> None:
    role = next(c for c in access.desired(department, platform) if c.kind.name == "Role")
    writes = [rule for rule in role.body["rules"] if set(rule["verbs"]) - {"get", "list", "watch"}]
    assert [(rule["resources"], rule["resourceNames"]) for rule in writes] == [(["secrets"], ["sources"])]
    reads = [name for rule in role.body["rules"] if rule not in writes for name in rule["resources"]]
    assert "secrets" not in reads


def test_the_operator_is_bound_in_this_namespace_only(department: Department, platform: Platform) -> None:
    binding = access.operator_binding(department, platform)
    assert binding is not None
    assert binding.namespace == "dept-ecology"
    assert binding.body["subjects"] == [
        {"kind": "ServiceAccount", "name": "plaza-operator", "namespace": "plaza"}
    ]


def secret(content: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {}, "data": {k: base64.b64encode(v.encode()).decode() for k, v in content.items()}}


def test_secrets_that_exist_are_kept_and_missing_ones_made(department: Department) -> None:
    made = iter(["one", "two"])
    have = credentials.read(
        {"worker": secret({"client-secret": "kept"})}, department, own_keys=True, fresh=lambda: next(made)
    )
    assert (have.client_secret, have.database_password, have.secret_key) == ("kept", "one", "two")
    assert have.access_key == "dept-ecology"
    assert "kept" not in repr(have)


def test_a_secret_somebody_spoiled_is_made_again(department: Department) -> None:
    live = {"worker": {"metadata": {}, "data": {"client-secret": "%%%"}}}
    assert credentials.read(live, department, own_keys=True, fresh=lambda: "new").client_secret == "new"


def test_keys_that_an_administrator_brings_are_waited_for(department: Department) -> None:
    with pytest.raises(StorageKeysMissing, match="dept-ecology/storage"):
        credentials.read({}, department, own_keys=False)
    live = {"storage": secret({"access-key": "a", "secret-key": "s"})}
    assert credentials.read(live, department, own_keys=False).access_key == "a"


def test_a_secret_as_wanted_is_not_written_again(department: Department, platform: Platform) -> None:
    have = credentials.read({}, department, own_keys=True)
    for wanted in credentials.desired(department, platform, have):
        assert credentials.as_wanted(dict(wanted.body), wanted)
        assert not credentials.as_wanted(None, wanted)
        assert not credentials.as_wanted({**wanted.body, "metadata": {"labels": {}}}, wanted)


def test_what_is_in_the_secret_of_the_sources_is_the_departments_own(
    department: Department, platform: Platform
) -> None:
    have = credentials.read({}, department, own_keys=True)
    sources = next(c for c in credentials.desired(department, platform, have) if c.name == "sources")
    assert "data" not in sources.body
    assert credentials.as_wanted({**sources.body, "data": {"oracle": "eA=="}}, sources)


def test_the_worker_is_restricted_and_carries_no_city_credentials(
    department: Department, platform: Platform
) -> None:
    body = worker.desired(department, platform, 2, "f").body
    pod = body["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert body["spec"]["replicas"] == 2
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    least, most = container["resources"]["requests"], container["resources"]["limits"]
    assert least["memory"] == most["memory"], (
        "a worker that uses more than was reserved would be the first to be killed"
    )
    assert least["cpu"] == "100m"
    names = {entry["name"] for entry in container["env"]}
    assert not {name for name in names if "DATABASE" in name or "LAKE" in name or "SIGNING" in name}
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert values["PLAZA_STAGING_PREFIX"] == "s3://plaza-ecology/staging"
    used = {e["valueFrom"]["secretKeyRef"]["name"] for e in container["env"] if "valueFrom" in e}
    assert used == {"worker", "storage"}


def test_new_credentials_start_the_worker_again(department: Department, platform: Platform) -> None:
    one, other = (worker.desired(department, platform, 1, f).body["spec"]["template"] for f in ("a", "b"))
    assert one != other


def test_the_machine_client_is_the_one_of_the_realm_file(make_department: Any) -> None:
    realm = json.loads(REALM_FILE.read_text(encoding="utf-8"))
    (known,) = (c for c in realm["clients"] if c["clientId"] == "ecology-worker")
    made = identity.client(make_department(), known["secret"])
    assert made == known


@pytest.mark.parametrize(
    ("live", "wanted", "result"),
    [
        ({"a": 1, "more": 2}, {"a": 1}, False),
        ({"a": 1}, {"a": 2}, True),
        ({}, {"description": ""}, False),
        ({"l": ["b", "a"]}, {"l": ["a", "b"]}, False),
        ({"l": ["a", "b"]}, {"l": ["a"]}, True),
        ({"l": ["a"]}, {"l": []}, True),
        ({}, {"l": []}, False),
        ({"m": [{"name": "x", "v": 1, "id": 7}]}, {"m": [{"name": "x", "v": 1}]}, False),
        ({"m": [{"name": "x", "v": 1}, {"name": "y"}]}, {"m": [{"name": "x", "v": 1}]}, True),
        ({"enabled": False}, {"enabled": True}, True),
        ({}, {"enabled": False}, False),
    ],
)
def test_only_what_we_want_is_compared(live: Any, wanted: Any, result: bool) -> None:
    assert identity.differs(live, wanted) is result
