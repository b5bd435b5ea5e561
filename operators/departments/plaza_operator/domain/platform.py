"""What the city's platform gives every department: addresses, images, defaults. From the settings, as plain facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .spec import Department


@dataclass(frozen=True, slots=True)
class Platform:
    """The same for all departments."""

    worker_image: str
    image_pull_policy: str
    image_pull_secrets: tuple[str, ...]
    ingestion_address: str
    issuer: str
    worker_egress: tuple[Mapping[str, Any], ...]
    """NetworkPolicy egress rules to ingestion, the issuer and the storage."""
    people_group: str
    """Kubernetes group of a department's people; `{department}` stands for the name."""
    tenant_cluster_role: str
    """Bound to the operator in each tenant namespace; empty: the operator has its rights otherwise."""
    operator_service_account: tuple[str, str]
    """Namespace and name."""
    bucket_template: str
    s3_endpoint: str
    s3_region: str
    database_host: str
    database_port: int
    database_name: str
    organization_domain: str
    worker_idle_seconds: int
    worker_env: Mapping[str, str]
    """Further settings of every worker (log level, trace collector)."""
    worker_tls: bool = False
    """Workers call ingestion with a certificate."""

    def bucket(self, department: Department) -> str:
        """Where the department's files lie."""
        return department.bucket or self.bucket_template.format(department=department.name)
