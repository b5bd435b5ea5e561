"""Who may do what in the namespace: its people, the worker (nothing at all), and the operator itself."""

from __future__ import annotations

from plaza_operator.domain.children import ROLE, ROLE_BINDING, SERVICE_ACCOUNT, Child, child
from plaza_operator.domain.platform import Platform
from plaza_operator.domain.spec import Department

PEOPLE = "department"
WORKER = "worker"
OPERATOR = "plaza-operator"
SOURCES = "sources"
_RBAC = "rbac.authorization.k8s.io"
_LOOK = ["get", "list", "watch"]


def operator_binding(department: Department, platform: Platform) -> Child | None:
    """The operator's own rights in this namespace and in no other; None when it has them from elsewhere."""
    if not platform.tenant_cluster_role:
        return None
    namespace, name = platform.operator_service_account
    content = {
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": platform.tenant_cluster_role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    return child(ROLE_BINDING, department, OPERATOR, content)


def desired(department: Department, platform: Platform) -> tuple[Child, ...]:
    """People see how their worker fares and bring the credentials of their own sources. The binding comes last.

    Nothing here lets them change quota, policies or rights, read the worker's own secrets, or start pods (which
    could mount them).
    """
    rules = [
        {"apiGroups": [""], "resources": ["pods", "pods/log", "events", "resourcequotas"], "verbs": _LOOK},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": _LOOK},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [SOURCES],
            "verbs": ["get", "patch", "update"],
        },
    ]
    group = platform.people_group.format(department=department.name)
    people = {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": PEOPLE},
        "subjects": [
            {"apiGroup": _RBAC, "kind": "Group", "name": group},
            {"kind": "ServiceAccount", "name": PEOPLE, "namespace": department.namespace},
        ],
    }
    no_token = {"automountServiceAccountToken": False}
    return (
        child(SERVICE_ACCOUNT, department, PEOPLE, no_token),
        child(SERVICE_ACCOUNT, department, WORKER, no_token),
        child(ROLE, department, PEOPLE, {"rules": rules}),
        child(ROLE_BINDING, department, PEOPLE, people),
    )
