"""What the tests of the operator share: a department and a platform as facts."""

from __future__ import annotations

from typing import Any

import pytest
from plaza_operator.domain.platform import Platform
from plaza_operator.domain.spec import Department, parse


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
