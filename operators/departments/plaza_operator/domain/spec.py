"""A Department as its resource says it, read once and typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from .errors import BadDepartment

DepartmentName = NewType("DepartmentName", str)

GROUP = "plaza.city"
VERSION = "v1alpha1"
PLURAL = "departments"
KIND = "Department"
FINALIZER = "plaza.city/operator"
FIELD_MANAGER = "plaza-operator"

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,46}[a-z0-9])?")


class DeletionPolicy(StrEnum):
    """What becomes of the data when the resource is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that all pods of the namespace may ask for; Kubernetes quantities."""

    cpu: str
    memory: str
    storage: str
    pods: int


@dataclass(frozen=True, slots=True)
class Worker:
    """The department's ingestion worker."""

    image: str
    """Empty: the platform's."""
    max_replicas: int
    cpu: str
    memory: str


@dataclass(frozen=True, slots=True)
class SourceHost:
    """An address range outside the cluster that the worker may fetch from, by TCP."""

    cidr: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Department:
    """All that the operator acts upon."""

    name: DepartmentName
    uid: str
    generation: int
    deleted_at: datetime | None
    """When deletion was asked for; UTC."""
    display_name: str
    display_name_en: str
    provider_code: str
    kind: str
    contact: Mapping[str, str]
    quota: Quota
    worker: Worker
    sources: tuple[SourceHost, ...]
    bucket: str
    """Empty: the platform chooses."""
    deletion_policy: DeletionPolicy
    deletion_grace_seconds: int

    @property
    def namespace(self) -> str:
        """Derived from the name, never read: no department can name another's."""
        return f"dept-{self.name}"

    @property
    def database_role(self) -> str:
        """Role and schema in the exchange database. Names hold no underscore, so no two departments meet here."""
        return "dept_" + self.name.replace("-", "_")

    @property
    def client_id(self) -> str:
        """The worker's OIDC client."""
        return f"{self.name}-worker"

    @property
    def group(self) -> str:
        """The group in Keycloak, and in Kubernetes where it trusts Keycloak."""
        return f"dept-{self.name}"


def parse(body: Mapping[str, Any]) -> Department:
    """The resource as the API server answers it (defaults filled in). Raises BadDepartment naming the place.

    The definition refuses all that is refused here; an API server with an older definition might not.
    """
    try:
        metadata, spec = body["metadata"], body["spec"]
        name = str(metadata["name"])
        if _NAME.fullmatch(name) is None:
            raise BadDepartment(f"the name {name!r} cannot become part of addresses; rename the department")
        display, quota, worker = spec["displayName"], spec.get("quota", {}), spec.get("worker", {})
        resources = worker.get("resources", {})
        deleted = metadata.get("deletionTimestamp")
        return Department(
            name=DepartmentName(name),
            uid=str(metadata["uid"]),
            generation=int(metadata.get("generation", 1)),
            deleted_at=datetime.fromisoformat(deleted) if deleted else None,
            display_name=str(display["zh"]),
            display_name_en=str(display.get("en", "")),
            provider_code=str(spec.get("providerCode", "")),
            kind=str(spec.get("kind", "department")),
            contact={str(k): str(v) for k, v in spec.get("contact", {}).items()},
            quota=Quota(
                cpu=str(quota.get("cpu", "4")),
                memory=str(quota.get("memory", "8Gi")),
                storage=str(quota.get("storage", "50Gi")),
                pods=int(quota.get("pods", 10)),
            ),
            worker=Worker(
                image=str(worker.get("image", "")),
                max_replicas=int(worker.get("maxReplicas", 1)),
                cpu=str(resources.get("cpu", "1")),
                memory=str(resources.get("memory", "2Gi")),
            ),
            sources=tuple(
                SourceHost(str(one["cidr"]), tuple(int(port) for port in one["ports"]))
                for one in spec.get("sources", [])
            ),
            bucket=str(spec.get("storage", {}).get("bucket", "")),
            deletion_policy=DeletionPolicy(spec.get("deletionPolicy", "Retain")),
            deletion_grace_seconds=int(spec.get("deletionGraceSeconds", 86400)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadDepartment(f"the resource cannot be read ({error!r}); apply it again, valid") from error
