"""The department's ingestion worker: no city credentials, only the department's own."""

from __future__ import annotations

from typing import Any

from plaza_operator.domain.children import DEPLOYMENT, Child, child, labels
from plaza_operator.domain.platform import Platform
from plaza_operator.domain.spec import Department
from plaza_operator.owned import credentials, worker_certificate

NAME = "worker"
KIND = DEPLOYMENT
SELECTOR = {"app.kubernetes.io/name": "plaza", "app.kubernetes.io/component": "worker"}
SECRETS_AT = "/run/plaza/sources"
TLS_AT = "/run/plaza/tls"
_LEAST_CPU = "100m"


def desired(department: Department, platform: Platform, replicas: int, fingerprint: str) -> Child:
    """`fingerprint` of the credentials: a new one starts the pods again, for they read them when they start."""
    pod_labels = SELECTOR | labels(department)
    template = {
        "metadata": {"labels": pod_labels, "annotations": {"plaza.city/credentials": fingerprint}},
        "spec": _pod(department, platform),
    }
    spec = {
        "replicas": replicas,
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": SELECTOR | {"plaza.city/department": department.name}},
        # A worker is replaced by stopping it first: two would stand in each other's quota.
        "strategy": {"type": "Recreate"},
        "template": template,
    }
    return child(DEPLOYMENT, department, NAME, {"spec": spec})


def _pod(department: Department, platform: Platform) -> dict[str, Any]:
    worker = department.worker
    size = {"cpu": worker.cpu, "memory": worker.memory}
    mounts = [
        {"name": "cache", "mountPath": "/cache"},
        {"name": "sources", "mountPath": SECRETS_AT, "readOnly": True},
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "cache", "emptyDir": {"sizeLimit": "20Gi"}},
        {"name": "sources", "secret": {"secretName": credentials.SOURCES, "defaultMode": 0o440}},
    ]
    if platform.worker_tls:
        mounts.append({"name": "tls", "mountPath": TLS_AT, "readOnly": True})
        secret = {"secretName": worker_certificate.NAME, "defaultMode": 0o440}
        volumes.append({"name": "tls", "secret": secret})
    pod: dict[str, Any] = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": NAME,
                "image": worker.image or platform.worker_image,
                "imagePullPolicy": platform.image_pull_policy,
                "env": _environment(department, platform),
                # A load takes what processor there is, up to its limit; between loads nobody else must do without.
                "resources": {"requests": {**size, "cpu": _LEAST_CPU}, "limits": size},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }
    if platform.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in platform.image_pull_secrets]
    return pod


def _environment(department: Department, platform: Platform) -> list[dict[str, Any]]:
    plain = {
        "PLAZA_DEPARTMENT": str(department.name),
        "PLAZA_INGESTION_ADDRESS": platform.ingestion_address,
        "PLAZA_ISSUER": platform.issuer,
        "PLAZA_STAGING_PREFIX": f"s3://{platform.bucket(department)}/staging",
        "PLAZA_SECRETS_DIR": SECRETS_AT,
        "PLAZA_IDLE_SECONDS": str(platform.worker_idle_seconds),
        "PLAZA_S3_ENDPOINT": platform.s3_endpoint,
        "PLAZA_S3_REGION": platform.s3_region,
        **platform.worker_env,
    }
    if platform.worker_tls:
        plain["PLAZA_TLS_CERT_FILE"] = f"{TLS_AT}/tls.crt"
        plain["PLAZA_TLS_KEY_FILE"] = f"{TLS_AT}/tls.key"
        plain["PLAZA_TLS_CA_FILE"] = f"{TLS_AT}/ca.crt"
    secret = {
        "PLAZA_CLIENT_ID": (credentials.WORKER, "client-id"),
        "PLAZA_CLIENT_SECRET": (credentials.WORKER, "client-secret"),
        "PLAZA_S3_ACCESS_KEY": (credentials.STORAGE, "access-key"),
        "PLAZA_S3_SECRET_KEY": (credentials.STORAGE, "secret-key"),
    }
    return [
        *({"name": name, "value": value} for name, value in plain.items()),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": where, "key": key}}}
            for name, (where, key) in secret.items()
        ),
    ]
