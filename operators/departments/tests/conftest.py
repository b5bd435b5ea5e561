"""What the tests of the operator share: a department and a platform as facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plaza_kit.certificates import Authority
from plaza_operator.domain.platform import Platform
from plaza_operator.domain.spec import Department, parse
from plaza_operator.owned.worker_certificate import Signer


def resource(name: str = "ecology", **spec: Any) -> dict[str, Any]:
    """A Department as the API server answers it."""
    return {
        "apiVersion": "plaza.city/v1alpha1",
        "kind": "Department",
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": 3},
        "spec": {"displayName": {"zh": "生态环境局", "en": "Ecology"}, **spec},
    }


@pytest.fixture
def department() -> Department:
    return parse(resource())


@pytest.fixture
def make_department() -> Any:
    return lambda name="ecology", **spec: parse(resource(name, **spec))


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """With an authority of workers, made today."""
    made = Signer(tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "city.crt")
    certificate, key = Authority.new("workers", datetime.now(UTC), timedelta(days=365)).pem()
    made.certificate.write_bytes(certificate)
    made.key.write_bytes(key)
    made.city.write_bytes(b"certificates of the city's authority\n")
    return made


@pytest.fixture
def platform() -> Platform:
    return Platform(
        worker_image="plaza/worker:1",
        image_pull_policy="IfNotPresent",
        image_pull_secrets=(),
        ingestion_address="dns:///plaza-ingestion:50051",
        issuer="https://id.city.example/realms/plaza",
        worker_egress=({"to": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": 50051}]},),
        people_group="plaza:dept-{department}",
        tenant_cluster_role="plaza-operator-tenant",
        operator_service_account=("plaza", "plaza-operator"),
        bucket_template="plaza-{department}",
        s3_endpoint="http://s3:7070",
        s3_region="us-east-1",
        database_host="postgres",
        database_port=5432,
        database_name="exchange",
        organization_domain="plaza.example",
        worker_idle_seconds=60,
        worker_env={},
    )
