"""What charts/plaza-dev promises, looked up in what it renders: nothing here needs a cluster, only helm."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

pytestmark = pytest.mark.integration

CHART = Path(__file__).resolve().parents[1] / "plaza-dev"
HELM = os.environ.get("PLAZA_HELM") or shutil.which("helm")
if HELM is None:
    pytest.skip("NOT RUN: there is no helm (put it on the PATH or into PLAZA_HELM)", allow_module_level=True)

SERVICES = ("catalogue", "ingestion", "open-data", "quality", "security", "sharing")


def helm(*arguments: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(HELM), *arguments, str(CHART), "--namespace", "city", "--values", "-"]
    return subprocess.run(
        command, input=json.dumps(values or {}), capture_output=True, text=True, check=False
    )


def rendered(**values: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """The chart's objects by kind and name."""
    done = helm("template", "plaza-dev", values=values)
    assert done.returncode == 0, done.stderr
    objects = filter(None, yaml.safe_load_all(done.stdout))
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


@cache
def default() -> dict[tuple[str, str], dict[str, Any]]:
    return rendered()


def secret(name: str) -> dict[str, str]:
    data = default()["Secret", name]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def pods(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    kinds = ("Deployment", "StatefulSet", "Job")
    return {name: one["spec"]["template"] for (kind, name), one in objects.items() if kind in kinds}


def test_lint_finds_nothing() -> None:
    done = helm("lint", "--strict")
    assert done.returncode == 0, done.stdout


def test_unknown_and_impossible_values_are_refused() -> None:
    assert (
        "additional properties 'postgress' not allowed" in helm("template", values={"postgress": {}}).stderr
    )
    assert helm("template", values={"s3": {"storage": "lots"}}).returncode != 0
    assert helm("template", values={"keycloak": {"hostname": "id.example"}}).returncode != 0


def test_every_service_has_an_address_of_its_own_role_in_one_database() -> None:
    passwords = set()
    for service in SERVICES:
        held = secret(f"plaza-{service}")
        url = urlsplit(held["database-url"])
        assert url.username == service.replace("-", "_")
        assert (url.hostname, url.port, url.path) == ("plaza-dev-postgres.city.svc", 5432, "/plaza")
        assert url.password == held["database-password"]
        passwords |= {held["database-password"], held["client-secret"]}
    assert len(passwords) == 2 * len(SERVICES), "none is used twice"
    assert min(map(len, passwords)) == 32


def test_the_operator_is_given_every_clients_secret_and_the_departments_database_alone() -> None:
    held = secret("plaza-operator")
    for service in SERVICES:
        variable = "PLAZA_SECRET_PLAZA_" + service.upper().replace("-", "_")
        assert held[variable] == secret(f"plaza-{service}")["client-secret"]
    assert held["PLAZA_SECRET_PLAZA_SUPERVISOR"] == held["PLAZA_CLIENT_SECRET"]
    url = urlsplit(held["PLAZA_EXCHANGE_DATABASE_URL"])
    assert (url.username, url.path) == ("operator", "/exchange")
    assert url.password == secret("plaza-dev-postgres")["operator-password"]
    assert held["PLAZA_KEYCLOAK_PASSWORD"] == secret("plaza-dev-keycloak")["password"]
    assert held["PLAZA_S3_SECRET_KEY"] == secret("plaza-storage")["secret-key"]
    assert secret("plaza-dev-postgres")["password"] not in held.values()


def test_secrets_outlive_the_release_as_its_volumes_do() -> None:
    found = [one for (kind, _), one in default().items() if kind == "Secret"]
    assert len(found) == len(SERVICES) + 4
    for one in found:
        assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_no_password_stands_in_a_pod() -> None:
    """Rendered twice, all but Secrets is the same: what is random went nowhere else."""
    again = rendered()
    for key, one in default().items():
        assert (one == again[key]) is (key[0] != "Secret"), key


def test_pods_read_only_secrets_that_the_chart_makes() -> None:
    for template in pods(default()).values():
        spec = template["spec"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            for variable in container.get("env", []):
                if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert reference["key"] in secret(reference["name"]), variable["name"]


@pytest.mark.parametrize(
    "pod", ["plaza-dev-postgres", "plaza-dev-keycloak", "plaza-dev-s3", "plaza-dev-databases-1"]
)
def test_pods_satisfy_restricted_pod_security(pod: str) -> None:
    spec = pods(default())[pod]["spec"]
    assert spec["automountServiceAccountToken"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        # Keycloak writes what it builds at its start into its own folder.
        assert own["readOnlyRootFilesystem"] is (container["name"] != "keycloak")
        assert container["resources"]["limits"]["memory"]


def test_the_databases_statements_may_run_again() -> None:
    scripts = default()["ConfigMap", "plaza-dev-databases"]["data"]
    for statement in re.findall(r"CREATE (?:ROLE|SCHEMA|DATABASE).*(?:\n .*)?", "\n".join(scripts.values())):
        assert "IF NOT EXISTS" in statement or "NOT EXISTS (SELECT" in statement, statement
    assert rendered()["Job", "plaza-dev-databases-1"], "a Job of each revision: one cannot be changed"


def test_network_policies_admit_departments_to_storage_and_nobody_out_of_it() -> None:
    for component, port in (("postgres", 5432), ("s3", 7070)):
        spec = default()["NetworkPolicy", f"plaza-dev-{component}"]["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert "egress" not in spec
        (rule,) = spec["ingress"]
        assert rule["ports"] == [{"port": port}]
        assert {key for peer in rule["from"] for key in peer} == {"podSelector", "namespaceSelector"}
    assert not [key for key in rendered(networkPolicy={"enabled": False}) if key[0] == "NetworkPolicy"]


def test_tokens_name_one_issuer_whichever_way_keycloak_is_asked() -> None:
    def hostname(objects: dict[tuple[str, str], dict[str, Any]]) -> str:
        (container,) = pods(objects)["plaza-dev-keycloak"]["spec"]["containers"]
        return next(str(one["value"]) for one in container["env"] if one["name"] == "KC_HOSTNAME")

    assert hostname(default()) == "http://plaza-dev-keycloak.city.svc:8080"
    assert hostname(rendered(keycloak={"hostname": "https://id.example"})) == "https://id.example"


def test_a_node_port_is_published_where_asked_for() -> None:
    service = rendered(keycloak={"service": {"type": "NodePort", "nodePort": 30080}})[
        "Service", "plaza-dev-keycloak"
    ]
    assert service["spec"]["ports"] == [
        {"name": "http", "port": 8080, "targetPort": "http", "nodePort": 30080}
    ]


def test_other_names_are_carried_through() -> None:
    objects = rendered(plaza={"fullname": "yunting"})
    assert ("Secret", "yunting-open-data") in objects
    assert ("Secret", "yunting-storage") in objects
    for template in pods(objects).values():
        assert "plaza-storage" not in json.dumps(template)
