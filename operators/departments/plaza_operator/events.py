"""What `kubectl describe department` tells: what was made, repaired, refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from plaza_operator.domain.children import EVENT
from plaza_operator.domain.conditions import Condition, stamp
from plaza_operator.domain.spec import GROUP, KIND, VERSION, Department
from plaza_operator.kube import Kube

NAMESPACE = "default"
"""Where Kubernetes keeps the events of things without a namespace."""


async def tell(
    kube: Kube,
    department: Department,
    body: Mapping[str, Any],
    conditions: Iterable[Condition],
    changes: Iterable[tuple[str, str]],
) -> None:
    """One event for what was done, one for each part that fails in a new way. Nothing new: no event."""
    before = {one["type"]: one for one in (body.get("status") or {}).get("conditions", ())}
    done: dict[str, list[str]] = {}
    for part, what in changes:
        done.setdefault(part, []).append(what)
    for part, whats in done.items():
        # By the part, not by the whole: while Keycloak is away a quota is still repaired, and not made.
        stood = before.get(f"{part}Ready", {}).get("status") == "True"
        await post(kube, department, "Repaired" if stood else "Provisioned", f"{part}: {', '.join(whats)}")
    for one in conditions:
        known = before.get(one.type, {})
        if not one.holds and one.reason != "Waiting" and known.get("reason") != one.reason:
            await post(kube, department, one.reason, one.message, warning=True)


async def post(
    kube: Kube, department: Department, reason: str, message: str, *, warning: bool = False
) -> None:
    """Posts one event about the department."""
    now = stamp(datetime.now(UTC))
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{department.name}.{uuid.uuid4().hex[:16]}", "namespace": NAMESPACE},
        "involvedObject": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": str(department.name),
            "uid": department.uid,
        },
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message[:1000],
        "source": {"component": "plaza-operator"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    await kube.create(EVENT, body, NAMESPACE)
