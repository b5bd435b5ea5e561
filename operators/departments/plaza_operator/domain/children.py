"""What is written to Kubernetes for a department: plain objects with the marks by which we find them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .spec import Department

MANAGED_BY = "plaza-operator"
DEPARTMENT_LABEL = "plaza.city/department"
SELECTOR = {"app.kubernetes.io/managed-by": MANAGED_BY}
"""Every child bears it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of Kubernetes object."""

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version


NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGE = Kind("", "v1", "LimitRange", "limitranges")
SECRET = Kind("", "v1", "Secret", "secrets")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
EVENT = Kind("", "v1", "Event", "events")
POD = Kind("", "v1", "Pod", "pods")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
DEPARTMENT = Kind("plaza.city", "v1alpha1", "Department", "departments", namespaced=False)

WATCHED = (
    NAMESPACE,
    RESOURCE_QUOTA,
    LIMIT_RANGE,
    NETWORK_POLICY,
    SERVICE_ACCOUNT,
    ROLE,
    ROLE_BINDING,
    DEPLOYMENT,
)
"""Secrets are not: to watch them is to read those of every namespace."""


@dataclass(frozen=True, slots=True)
class Child:
    """One object as it must be."""

    kind: Kind
    body: Mapping[str, Any]
    exact: tuple[str, ...] = ()
    """Top-level members in which nobody else may add anything. Server-side apply alone leaves what others add."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str | None:
        """Its namespace; None for what has none."""
        found = self.body["metadata"].get("namespace")
        return None if found is None else str(found)


def labels(department: Department) -> dict[str, str]:
    """On every child. No ownerReferences: deleting under Retain must leave the children."""
    return {
        "app.kubernetes.io/part-of": "plaza",
        "app.kubernetes.io/managed-by": MANAGED_BY,
        DEPARTMENT_LABEL: department.name,
    }


def child(
    kind: Kind, department: Department, name: str, content: Mapping[str, Any], *, exact: tuple[str, ...] = ()
) -> Child:
    """A child with its marks; `content` is everything but apiVersion, kind and metadata."""
    metadata: dict[str, Any] = {"name": name, "labels": labels(department)}
    if kind.namespaced:
        metadata["namespace"] = department.namespace
    body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **content}
    return Child(kind, body, exact)


def foreign(live: Any, wanted: Any) -> bool:
    """Does `live` have members that `wanted` has not? Lists are whole values to server-side apply here."""
    if not isinstance(live, Mapping) or not isinstance(wanted, Mapping):
        return False
    return any(name not in wanted or foreign(value, wanted[name]) for name, value in live.items() if value)


def belongs_to(live: Mapping[str, Any], department: Department) -> bool:
    """Does an object that exists bear this department's mark?"""
    found = live.get("metadata", {}).get("labels") or {}
    return bool(found.get(DEPARTMENT_LABEL) == department.name)
