"""What a container gets that does not say what it wants: a quota refuses pods that say nothing."""

from __future__ import annotations

from plaza_operator.domain.children import LIMIT_RANGE, Child, child
from plaza_operator.domain.spec import Department

NAME = "department"


def desired(department: Department) -> Child:
    """Small defaults; who needs more says so."""
    limits = [
        {
            "type": "Container",
            "default": {"cpu": "500m", "memory": "512Mi"},
            "defaultRequest": {"cpu": "100m", "memory": "256Mi"},
        }
    ]
    return child(LIMIT_RANGE, department, NAME, {"spec": {"limits": limits}}, exact=("spec",))
