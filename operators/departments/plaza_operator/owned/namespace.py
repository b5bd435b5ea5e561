"""The namespace, with restricted Pod Security."""

from __future__ import annotations

from plaza_operator.domain.children import NAMESPACE, Child, child
from plaza_operator.domain.spec import Department

DISPLAY_NAME = "plaza.city/display-name"


def desired(department: Department) -> Child:
    """The namespace as it must be."""
    made = child(NAMESPACE, department, department.namespace, {})
    metadata = dict(made.body["metadata"])
    metadata["labels"] = metadata["labels"] | {
        "plaza.city/kind": department.kind,
        **{
            f"pod-security.kubernetes.io/{mode}{suffix}": value
            for mode in ("enforce", "audit", "warn")
            for suffix, value in (("", "restricted"), ("-version", "latest"))
        },
    }
    metadata["annotations"] = {DISPLAY_NAME: department.display_name}
    return Child(NAMESPACE, {**made.body, "metadata": metadata})
