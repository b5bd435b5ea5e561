"""What charts/plaza promises, looked up in what it renders: nothing here needs a cluster, only helm."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "plaza"
RUNBOOKS = ROOT / "docs" / "runbooks"
HELM = os.environ.get("PLAZA_HELM") or shutil.which("helm")
if HELM is None:
    pytest.skip("NOT RUN: there is no helm (put it on the PATH or into PLAZA_HELM)", allow_module_level=True)

LEAST: dict[str, Any] = {
    "keycloak": {"issuer": "https://id.city.example/realms/plaza"},
    "storage": {
        "lakeWarehouse": "s3://plaza-lake",
        "staging": "s3://plaza-{department}/staging",
        "releaseStore": "s3://plaza-releases",
    },
}
EVERYTHING: dict[str, Any] = {
    **LEAST,
    "keycloak": {**LEAST["keycloak"], "connect": "keycloak.identity.svc:8080"},
    "storage": {**LEAST["storage"], "endpoint": "https://s3.city.example"},
    "trustedCa": {"configMap": "city-ca"},
    "image": {"registry": "registry.city.example/mirror", "pullSecrets": ["pull"]},
    "tls": {"mode": "certManager", "certManager": {"issuerName": "plaza"}},
    "monitoring": {
        "otlpEndpoint": "http://otel:4317",
        "serviceMonitor": True,
        "prometheusRule": True,
        "dashboard": True,
    },
    "defaults": {"autoscaling": True},
    "spark": {"existingSecret": "spark"},
    "operator": {"enabled": True},
    "gateway": {
        "trustedProxies": ["10.0.0.0/8"],
        "public": {"ingress": {"enabled": True, "host": "data.city.example"}, "pods": {"replicas": 3}},
        "internal": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "door"}]}},
    },
}
SERVICES = {
    "catalogue": ("plaza_catalogue.settings", "CatalogueSettings"),
    "ingestion": ("plaza_ingestion.settings", "IngestionSettings"),
    "quality": ("plaza_quality.settings", "QualitySettings"),
    "sharing": ("plaza_sharing.settings", "SharingSettings"),
    "open-data": ("plaza_opendata.settings", "OpenDataSettings"),
    "security": ("plaza_security.settings", "SecuritySettings"),
}
OPTIONAL_KINDS = {"Certificate", "HTTPRoute", "PrometheusRule", "ServiceMonitor"}
"""Of others' CustomResourceDefinitions: none of them by default."""

Object = dict[str, Any]
Render = Callable[[Mapping[str, Any]], list[Object]]


@cache
def _rendered(values: str) -> list[Object]:
    command = [str(HELM), "template", "plaza", str(CHART), "--namespace", "plaza", "--values", "-"]
    done = subprocess.run(command, input=values, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def rendered(values: Mapping[str, Any] = LEAST, **more: Any) -> list[Object]:
    """All objects. Raises ValueError with helm's words."""
    return _rendered(json.dumps({**values, **more}))


def of(objects: list[Object], kind: str) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod's labels and spec, by the name of what makes it."""
    for one in objects:
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one
        elif one["kind"] in ("Deployment", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]
        elif one["kind"] == "CronJob":
            yield one["metadata"]["name"], one["spec"]["jobTemplate"]["spec"]["template"]


def environment(container: Object) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def service_pod(objects: list[Object], name: str) -> Object:
    found: Object = of(objects, "Deployment")[f"plaza-{name}"]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("values", [LEAST, EVERYTHING], ids=["least", "everything"])
class TestEveryPod:
    def test_satisfies_the_restricted_standard_and_writes_to_its_cache_alone(
        self, values: Mapping[str, Any]
    ) -> None:
        names = []
        for name, pod in pods(rendered(values)):
            names.append(name)
            spec = pod["spec"]
            security = spec["securityContext"]
            assert security["runAsNonRoot"] is True, name
            assert security["runAsUser"] == security["fsGroup"] == 10001, name
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
            assert all("hostPath" not in volume for volume in spec["volumes"]), name
            assert spec["enableServiceLinks"] is False, f"{name}: service links set PLAZA_… variables"
            for container in [*spec["containers"], *spec.get("initContainers", [])]:
                inner = container["securityContext"]
                assert inner["allowPrivilegeEscalation"] is False, name
                assert inner["readOnlyRootFilesystem"] is True, name
                assert inner["capabilities"] == {"drop": ["ALL"]}, name
                assert container["resources"]["requests"], name
                assert container["resources"]["limits"]["memory"], name
                written = [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]
                assert written == ["/cache"], name
        assert len(names) >= 11

    def test_has_an_account_of_its_own_and_speaks_with_the_api_server_only_if_it_must(
        self, values: Mapping[str, Any]
    ) -> None:
        objects = rendered(values)
        accounts = of(objects, "ServiceAccount")
        assert all(one["automountServiceAccountToken"] is False for one in accounts.values())
        speaking = set()
        for name, pod in pods(objects):
            assert pod["spec"]["serviceAccountName"] in accounts, name
            if pod["spec"]["automountServiceAccountToken"]:
                speaking.add(pod["metadata"]["labels"]["app.kubernetes.io/component"])
        assert speaking <= {"certificates", "keys", "operator", "test"}

    def test_has_one_policy_of_its_own_beside_the_denial_of_all(self, values: Mapping[str, Any]) -> None:
        policies = of(rendered(values), "NetworkPolicy")
        deny = policies.pop("plaza-default-deny")["spec"]
        assert deny["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in deny
        assert "egress" not in deny
        for name, pod in pods(rendered(values)):
            labels = pod["metadata"]["labels"].items()
            assert deny["podSelector"]["matchLabels"].items() <= labels, name
            own = [p for p in policies.values() if p["spec"]["podSelector"]["matchLabels"].items() <= labels]
            assert len(own) == 1, name

    def test_takes_every_secret_from_a_secret(self, values: Mapping[str, Any]) -> None:
        assert not of(rendered(values), "Secret")
        for name, pod in pods(rendered(values)):
            for container in pod["spec"]["containers"]:
                for variable, value in environment(container).items():
                    if re.search("SECRET|PASSWORD|DATABASE_URL|ACCESS_KEY$", variable) and not re.search(
                        "SECRETS|KEYS_SECRET", variable
                    ):
                        assert isinstance(value, dict), f"{name}: {variable}"
                        assert "secretKeyRef" in value, f"{name}: {variable}"


def _edges(objects: list[Object]) -> dict[str, set[str]]:
    """By component: the components that its policy lets it call by gRPC, if theirs let it in too."""
    policies = of(objects, "NetworkPolicy")

    def named(peers: list[Object]) -> set[str]:
        labels = [peer["podSelector"]["matchLabels"] for peer in peers if "namespaceSelector" not in peer]
        return {each["app.kubernetes.io/component"] for each in labels}

    out: dict[str, set[str]] = {}
    into: dict[str, set[str]] = {}
    for name, policy in policies.items():
        component = name.removeprefix("plaza-")
        for rule in policy["spec"].get("egress") or []:
            if rule["ports"] == [{"port": 50051}]:
                out[component] = named(rule["to"])
        for rule in policy["spec"].get("ingress") or []:
            if rule["ports"] == [{"port": "grpc"}]:
                into[component] = named(rule["from"])
    assert {(a, b) for a, called in out.items() for b in called} == {
        (a, b) for b, callers in into.items() for a in callers
    }
    return out


def test_services_reach_exactly_the_peers_that_their_settings_name() -> None:
    edges = _edges(rendered(EVERYTHING))
    for name, (module, settings) in SERVICES.items():
        fields = getattr(importlib.import_module(module), settings).model_fields
        peers = {f.removesuffix("_address").replace("_", "-") for f in fields if f.endswith("_address")}
        peers -= {"metrics"}
        assert edges[name] == peers, name
        variables = environment(service_pod(rendered(), name)["containers"][0])
        told = {v for v in variables if v.endswith("_ADDRESS") and v != "PLAZA_METRICS_ADDRESS"}
        assert told == {f"PLAZA_{peer.upper().replace('-', '_')}_ADDRESS" for peer in peers}, name


def test_the_public_gateway_reaches_three_services_and_nothing_else() -> None:
    objects = rendered(LEAST)
    public = of(objects, "NetworkPolicy")["plaza-gateway-public"]["spec"]
    assert _edges(objects)["gateway-public"] == {"catalogue", "open-data", "security"}
    ports = [port["port"] for rule in public["egress"] for port in rule["ports"]]
    assert sorted(ports) == [53, 53, 50051]
    variables = environment(service_pod(objects, "gateway-public")["containers"][0])
    assert variables["PLAZA_FACES"] == '["public"]'
    assert "PLAZA_CONSOLE_KEY_FILE" not in variables
    from plaza_gateway.app import BEHIND, BEHIND_THE_PUBLIC_FACE

    assert _edges(objects)["gateway-public"] == set(BEHIND_THE_PUBLIC_FACE)
    assert _edges(objects)["gateway-internal"] == set(BEHIND)


def test_ingestion_is_all_that_departments_reach() -> None:
    for name, policy in of(rendered(EVERYTHING), "NetworkPolicy").items():
        text = json.dumps(policy["spec"].get("ingress") or [])
        assert ("plaza.city/department" in text) == (name == "plaza-ingestion"), name


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_gets_variables_that_its_settings_know(name: str) -> None:
    """A name with a slip would be ignored in silence."""
    module, settings = SERVICES[name]
    known = {f"PLAZA_{f.upper()}" for f in getattr(importlib.import_module(module), settings).model_fields}
    other = {"SSL_CERT_FILE"}
    for values in (LEAST, EVERYTHING):
        told = set(environment(service_pod(rendered(values), name)["containers"][0]))
        assert told <= known | other, name
        needed = {
            f"PLAZA_{f.upper()}"
            for f, field in getattr(importlib.import_module(module), settings).model_fields.items()
            if field.is_required()
        }
        assert needed <= told, name


def test_quality_alone_reaches_spark_and_only_when_told_where() -> None:
    for values, wanted in ((LEAST, set()), (EVERYTHING, {"plaza-quality"})):
        objects = rendered(values)
        policies = of(objects, "NetworkPolicy").items()
        ports = {
            n: [port["port"] for rule in p["spec"].get("egress") or [] for port in rule["ports"]]
            for n, p in policies
        }
        assert {name for name, found in ports.items() if 15002 in found} == wanted
        told = environment(service_pod(objects, "quality")["containers"][0])
        assert ("PLAZA_SPARK_CONNECT" in told) == bool(wanted)


@pytest.mark.parametrize("face", ["public", "internal"])
def test_a_gateway_gets_variables_that_its_settings_know(face: str) -> None:
    from plaza_gateway.settings import GatewaySettings

    known = {f"PLAZA_{f.upper()}" for f in GatewaySettings.model_fields}
    told = set(environment(service_pod(rendered(EVERYTHING), f"gateway-{face}")["containers"][0]))
    assert told - known == {"SSL_CERT_FILE"}


def test_the_operator_gets_variables_that_its_settings_know() -> None:
    settings = pytest.importorskip("plaza_operator.settings")
    known = {f"PLAZA_{name.upper()}": f for name, f in settings.OperatorSettings.model_fields.items()}
    variables = environment(service_pod(rendered(EVERYTHING), "operator")["containers"][0])
    assert set(variables) - set(known) <= {"SSL_CERT_FILE", "PLAZA_OTLP_ENDPOINT"}
    by_secret = {"PLAZA_CLIENT_SECRET", "PLAZA_EXCHANGE_DATABASE_URL"}
    assert {name for name, field in known.items() if field.is_required()} <= set(variables) | by_secret
    # Passed on to workers, in whose namespaces a bare name means nothing.
    assert variables["PLAZA_INGESTION_ADDRESS"] == "dns:///plaza-ingestion.plaza.svc:50051"
    for rule in json.loads(variables["PLAZA_WORKER_EGRESS"]):
        assert all("namespaceSelector" in peer or "ipBlock" in peer for peer in rule.get("to", []))


def test_keys_are_mounted_into_security_and_the_console_alone() -> None:
    holders = {}
    for name, pod in pods(rendered(EVERYTHING)):
        secrets = [v["secret"]["secretName"] for v in pod["spec"]["volumes"] if "secret" in v]
        holders[name] = [one for one in secrets if not one.endswith(("-tls", "-ca"))]
        assert "plaza-keys" not in json.dumps(pod["spec"]["containers"][0].get("envFrom", []))
    assert {name: held for name, held in holders.items() if held} == {
        "plaza-security": ["plaza-keys"],
        "plaza-gateway-internal": ["plaza-console"],
    }
    given = rendered(keys={"create": False}, tls={"mode": "none"})
    names = {v["secret"]["secretName"] for _, p in pods(given) for v in p["spec"]["volumes"] if "secret" in v}
    assert names == {"plaza-security", "plaza-gateway"}
    assert not [name for name in of(given, "Job") if "keys" in name]
    assert not of(given, "Role")


def test_certificates_are_mounted_whole_so_that_new_ones_are_seen() -> None:
    for _, pod in pods(rendered(EVERYTHING)):
        for container in pod["spec"]["containers"]:
            assert all("subPath" not in mount for mount in container["volumeMounts"])
    made = of(rendered(EVERYTHING), "Certificate")
    assert {one["spec"]["secretName"] for one in made.values()} == _tls_secrets(rendered(EVERYTHING))
    supplied = rendered(tls={"mode": "secrets"})
    assert not of(supplied, "Certificate")
    shared = rendered(tls={"mode": "secrets", "existingSecret": "all-tls"})
    assert {"name": "tls", "secret": {"secretName": "all-tls", "defaultMode": 0o440}} in service_pod(
        shared, "quality"
    )["volumes"]
    assert "/tls/tls.crt" in environment(service_pod(supplied, "quality")["containers"][0]).values()


def test_certificates_are_made_by_a_job_and_every_day() -> None:
    """By default: no cert-manager, no Secret of anybody."""
    from plaza_kit.cluster_certificates import CertificateSettings

    objects = rendered(operator={"enabled": True})
    (job,) = (one for name, one in of(objects, "Job").items() if "-certificates-" in name)
    daily = of(objects, "CronJob")["plaza-certificates"]["spec"]["jobTemplate"]["spec"]["template"]
    assert daily == job["spec"]["template"]
    variables = environment(daily["spec"]["containers"][0])
    assert set(variables) <= {f"PLAZA_CERTIFICATES_{f.upper()}" for f in CertificateSettings.model_fields}
    holders = json.loads(variables["PLAZA_CERTIFICATES_HOLDERS"])
    mounted = _tls_secrets(objects)
    assert set(holders) == mounted
    # Every name that somebody calls stands in the certificate of who is called.
    called = {value for _, pod in pods(objects) for name, value in environment(pod["spec"]["containers"][0]).items()
              if name.endswith("_ADDRESS") and str(value).startswith("dns:")}  # fmt: skip
    hosts = {host for names in holders.values() for host in names}
    assert {address.removeprefix("dns:///").removesuffix(":50051") for address in called} <= hosts
    rules = of(objects, "Role")["plaza-certificates"]["rules"]
    assert rules[0] == {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}
    assert set(rules[1]["resourceNames"]) == mounted | {"plaza-ca", "plaza-workers-ca"}
    assert rules[1]["verbs"] == ["get", "update"]
    brought = rendered(tls={"mode": "own", "authoritySecret": "city-ca"})
    assert of(brought, "Role")["plaza-certificates"]["rules"][2]["verbs"] == ["get"]
    assert "CronJob" not in {one["kind"] for one in rendered(tls={"mode": "secrets"})}
    # Cert-manager certifies the pods, and the Job the authority of workers alone.
    by_others = of(rendered(EVERYTHING), "Role")["plaza-certificates"]["rules"]
    assert by_others[1]["resourceNames"] == ["plaza-workers-ca"]


def test_only_the_operator_gets_the_key_of_the_workers_authority_and_nobody_that_of_the_pods() -> None:
    items = {}
    for name, pod in pods(rendered(operator={"enabled": True})):
        for volume in pod["spec"]["volumes"]:
            assert volume.get("secret", {}).get("secretName") != "plaza-ca"
            if volume["name"] == "workers-ca":
                items[name] = {item["key"] for item in volume["secret"]["items"]}
    assert items == {"plaza-ingestion": {"ca.crt"}, "plaza-operator": {"tls.crt", "tls.key"}}
    assert not any("PLAZA_TLS_WORKERS_CA_FILE" in environment(service_pod(rendered(), name)["containers"][0])
                   for name in SERVICES)  # fmt: skip


def _tls_secrets(objects: list[Object]) -> set[str]:
    volumes = [volume for _, pod in pods(objects) for volume in pod["spec"]["volumes"]]
    return {v["secret"]["secretName"] for v in volumes if v["name"] == "tls"}


def test_nothing_of_others_definitions_comes_unasked() -> None:
    kinds = {one["kind"] for one in rendered()}
    assert not kinds & (OPTIONAL_KINDS | {"Ingress", "HorizontalPodAutoscaler", "ClusterRole"})
    assert {one["kind"] for one in rendered(EVERYTHING)} >= OPTIONAL_KINDS | {"Ingress"}


def test_the_schema_is_migrated_by_one_job_that_is_no_hook() -> None:
    def job(**more: Any) -> Object:
        found = [one for name, one in of(rendered(**more), "Job").items() if "-migrate-" in name]
        assert len(found) == 1
        return found[0]

    first = job()
    assert "annotations" not in first["metadata"]
    assert re.fullmatch(r"plaza-migrate-[a-z0-9-]+-[0-9a-f]{8}", first["metadata"]["name"])
    containers = first["spec"]["template"]["spec"]["containers"]
    assert {one["name"] for one in containers} == set(SERVICES)
    for one in containers:
        assert one["args"] == ["migrate"]
        secret = environment(one)["PLAZA_DATABASE_URL"]["secretKeyRef"]["name"]
        assert secret == f"plaza-{one['name']}", "each holds its own role alone"
    # A Job cannot be changed: whatever changes in it changes its name.
    assert job(image={"tag": "other"})["metadata"]["name"] != first["metadata"]["name"]
    assert job(logLevel="DEBUG")["metadata"]["name"] != first["metadata"]["name"]
    assert job(preStopSeconds=9)["metadata"]["name"] == first["metadata"]["name"]
    for name in SERVICES:
        assert environment(service_pod(rendered(), name)["containers"][0])["PLAZA_MIGRATE"] == "job"


@pytest.mark.parametrize("name", [*SERVICES, "gateway-public", "gateway-internal"])
def test_every_deployment_is_probed_spread_and_protected(name: str) -> None:
    objects = rendered()
    spec = service_pod(objects, name)
    container = spec["containers"][0]
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    assert {one["topologyKey"] for one in spec["topologySpreadConstraints"]} >= {"kubernetes.io/hostname"}
    selector = of(objects, "Deployment")[f"plaza-{name}"]["spec"]["selector"]
    assert of(objects, "PodDisruptionBudget")[f"plaza-{name}"]["spec"]["selector"] == selector
    scaled = rendered(EVERYTHING)
    target = of(scaled, "HorizontalPodAutoscaler")[f"plaza-{name}"]["spec"]
    assert target["metrics"][0]["resource"]["target"]["averageUtilization"] == 80
    assert "replicas" not in of(scaled, "Deployment")[f"plaza-{name}"]["spec"]
    service = of(objects, "Service")[f"plaza-{name}"]["spec"]
    assert service["selector"] == selector["matchLabels"]
    assert (service.get("clusterIP") == "None") == (name in SERVICES)


def test_a_gateway_is_given_longer_than_it_takes_to_end() -> None:
    for face in ("public", "internal"):
        spec = service_pod(
            rendered(gateway={"drainNoticeSeconds": 20, "drainSeconds": 60}), f"gateway-{face}"
        )
        variables = environment(spec["containers"][0])
        takes = int(variables["PLAZA_DRAIN_NOTICE_SECONDS"]) + int(variables["PLAZA_DRAIN_SECONDS"])
        assert takes == 80
        assert spec["terminationGracePeriodSeconds"] > takes


def hooks(objects: list[Object]) -> list[Object]:
    """In the order in which helm makes them."""
    found = [one for one in objects if "helm.sh/hook" in one["metadata"].get("annotations", {})]
    return sorted(found, key=lambda one: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]))


def test_the_chain_is_gone_in_a_department_that_is_taken_away_again() -> None:
    assert [one["kind"] for one in hooks(rendered(LEAST))] == ["Pod"]  # without an operator: the doors alone
    made = hooks(rendered(EVERYTHING))
    department, cluster_role, wait, role, chain = (
        next(one for one in made if one["kind"] == kind and one["metadata"]["name"] == name)
        for kind, name in (
            ("Department", "plaza-test"),
            ("ClusterRole", "plaza-test"),
            ("Pod", "plaza-test-wait"),
            ("Role", "plaza-test"),
            ("Pod", "plaza-test"),
        )
    )
    order = [made.index(one) for one in (department, wait, role, chain)]
    assert order == sorted(order)
    assert department["spec"]["deletionPolicy"] == "Delete"
    for one in made:
        kept = "hook-failed" not in one["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert kept is (one["kind"] == "Pod"), one["metadata"]["name"]
    # One object of each kind may be read, by its name.
    for one in (cluster_role, role):
        (rule,) = one["rules"]
        assert (len(rule["resourceNames"]), rule["verbs"]) == (1, ["get"])
    assert role["metadata"]["namespace"] == "dept-plaza-test"
    assert not [e for e in chain["spec"]["containers"][0]["env"] if "valueFrom" in e]


def test_the_operator_is_alone_and_its_rights_stand_in_its_readme() -> None:
    objects = rendered(EVERYTHING)
    deployment = of(objects, "Deployment")["plaza-operator"]["spec"]
    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}
    readme = (ROOT / "operators" / "departments" / "README.md").read_text(encoding="utf-8")
    documented = {
        one["metadata"]["name"]: one["rules"]
        for block in re.findall(r"```yaml\n(.*?)```", readme, re.S)
        for one in yaml.safe_load_all(block)
        if one.get("kind") == "ClusterRole"
    }
    of_the_test = hooks(objects)
    roles = {name: one["rules"] for name, one in of(objects, "ClusterRole").items() if one not in of_the_test}
    assert documented == roles
    assert all("*" not in json.dumps(rules) for rules in documented.values())


def test_every_alert_has_a_runbook_and_speaks_of_metrics_that_there_are() -> None:
    rule = of(rendered(EVERYTHING), "PrometheusRule")["plaza"]["spec"]["groups"][0]["rules"]
    assert len(rule) >= 8
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    sources = [*(ROOT / "services").rglob("*.py"), *(ROOT / "operators").rglob("*.py")]
    written = "\n".join(path.read_text(encoding="utf-8") for path in sources if "/tests/" not in str(path))
    for alert in rule:
        page = alert["annotations"]["runbook_url"].rsplit("/", 1)[1]
        assert alert["alert"] in (RUNBOOKS / page).read_text(encoding="utf-8"), page
        assert f"]({page})" in index
        assert "NAMESPACE" not in alert["expr"]
        assert "FULLNAME" not in alert["expr"]
        _known(alert["expr"], written)
    for panel in json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            _known(target["expr"], written)


def _known(expression: str, written: str) -> None:
    for metric in re.findall(r"plaza_[a-z_]+", expression):
        assert re.sub("_(count|bucket|sum)$", "", metric) in written, metric


def test_what_is_missing_is_told_at_once_and_what_is_unknown_refused() -> None:
    with pytest.raises(ValueError, match=r"keycloak\.issuer\n.*storage\.lakeWarehouse\n"):
        _rendered("{}")
    with pytest.raises(ValueError, match="additional properties 'replica' not allowed"):
        rendered(defaults={"replica": 3})
    with pytest.raises(ValueError, match=r"storage\.staging: with the operator"):
        rendered(
            operator={"enabled": True},
            storage={**LEAST["storage"], "staging": "s3://all/{department}/staging"},
        )


def test_the_list_of_images_is_complete() -> None:
    images = {c["image"] for _, pod in pods(rendered(EVERYTHING)) for c in pod["spec"]["containers"]}
    operator = service_pod(rendered(EVERYTHING), "operator")["containers"][0]
    images.add(environment(operator)["PLAZA_WORKER_IMAGE"])
    listed = (CHART / "images.txt").read_text().split()
    assert {f"registry.city.example/mirror/{one}" for one in listed} == images
    pinned = rendered(image={"overrides": {"catalogue": {"digest": "sha256:" + "0" * 64}}})
    assert service_pod(pinned, "catalogue")["containers"][0]["image"] == f"plaza/catalogue@sha256:{'0' * 64}"


def test_helm_finds_no_fault() -> None:
    for values in (LEAST, EVERYTHING):
        command = [str(HELM), "lint", "--strict", str(CHART), "--values", "-"]
        done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_values_for_the_development_chart_find_its_objects() -> None:
    dev = CHART.parent / "plaza-dev"
    if not (dev / "Chart.yaml").exists():
        pytest.skip("there is no charts/plaza-dev")
    command = [str(HELM), "template", "plaza-dev", str(dev), "--namespace", "plaza"]
    made = list(
        filter(None, yaml.safe_load_all(subprocess.run(command, capture_output=True, check=True).stdout))
    )
    secrets = {name: set(one["data"]) for name, one in of(made, "Secret").items()}
    objects = rendered(
        yaml.safe_load((CHART / "values-dev.yaml").read_text()),
        operator={"enabled": True, "buckets": "versitygw"},
    )
    for name, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            for value in environment(container).values():
                if isinstance(value, dict) and not value["secretKeyRef"].get("optional"):
                    reference = value["secretKeyRef"]
                    assert reference["key"] in secrets[reference["name"]], name
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume and volume["name"] not in ("keys", "tls", "workers-ca"):
                held = secrets[volume["secret"]["secretName"]]
                assert {item["key"] for item in volume["secret"].get("items", [])} <= held, name
    assert "PLAZA_EXCHANGE_DATABASE_URL" in secrets["plaza-operator"]
    labels = [pod["metadata"]["labels"].items() for _, pod in pods(made)]
    stateful = [
        one["spec"]["template"]["metadata"]["labels"].items() for one in of(made, "StatefulSet").values()
    ]
    for place in yaml.safe_load((CHART / "values-dev.yaml").read_text())["networkPolicy"].values():
        wanted = place["to"][0]["podSelector"]["matchLabels"].items()
        assert any(wanted <= found for found in [*labels, *stateful]), wanted
