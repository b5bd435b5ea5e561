"""The most that the namespace can ask for."""

from __future__ import annotations

from plaza_operator.domain.children import RESOURCE_QUOTA, Child, child
from plaza_operator.domain.spec import Department

NAME = "department"


def desired(department: Department) -> Child:
    """Requests are held to the same as limits: nothing is promised that is not there. No Services reach outside."""
    quota = department.quota
    hard = {
        "requests.cpu": quota.cpu,
        "limits.cpu": quota.cpu,
        "requests.memory": quota.memory,
        "limits.memory": quota.memory,
        "requests.storage": quota.storage,
        "pods": str(quota.pods),
        "services.nodeports": "0",
        "services.loadbalancers": "0",
    }
    return child(RESOURCE_QUOTA, department, NAME, {"spec": {"hard": hard}}, exact=("spec",))
