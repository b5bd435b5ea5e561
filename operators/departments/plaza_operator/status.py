"""The one writer of a department's status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from plaza_operator.domain.children import DEPARTMENT
from plaza_operator.domain.conditions import Condition, merged, overall
from plaza_operator.domain.spec import Department
from plaza_operator.world import World


def wanted(
    department: Department,
    before: Mapping[str, Any],
    parts: Iterable[Condition],
    *,
    bucket: str,
    workers: int,
    at: datetime,
) -> dict[str, Any]:
    """The status as it must stand: conditions of all parts and of the whole."""
    parts = list(parts)
    return {
        "observedGeneration": department.generation,
        "namespace": department.namespace,
        "bucket": bucket,
        "workers": workers,
        "conditions": merged(
            before.get("conditions", ()), [*parts, overall(parts)], department.generation, at
        ),
    }


async def write(
    world: World, department: Department, body: Mapping[str, Any], parts: Iterable[Condition], workers: int
) -> None:
    """Writes only what differs: nothing, mostly."""
    before = body.get("status") or {}
    bucket = world.platform.bucket(department)
    now = wanted(department, before, parts, bucket=bucket, workers=workers, at=datetime.now(UTC))
    if any(before.get(name) != value for name, value in now.items()):
        await world.kube.patch_status(DEPARTMENT, department.name, now)


async def write_terminating(
    world: World, department: Department, body: Mapping[str, Any], said: Condition
) -> None:
    """While a department goes: why it is still there."""
    before = (body.get("status") or {}).get("conditions", [])
    kept = [one for one in before if one.get("type") not in (said.type, "Ready")]
    ready = Condition("Ready", False, "Terminating", said.message)
    now = merged(before, [said, ready], department.generation, datetime.now(UTC))
    conditions = sorted([*kept, *now], key=lambda one: str(one["type"]))
    if conditions != before:
        await world.kube.patch_status(DEPARTMENT, department.name, {"conditions": conditions})
