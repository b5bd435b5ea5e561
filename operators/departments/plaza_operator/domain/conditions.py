"""Conditions of a resource (Kubernetes API conventions, "Typical status properties"): how they are made and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

READY = "Ready"
TERMINATING = "Terminating"
PARTS = ("Namespace", "Credentials", "Database", "Identity", "Storage", "Catalogue", "Worker")
"""Each has a condition `<Part>Ready`."""
MESSAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Condition:
    """One statement about the department."""

    type: str
    holds: bool
    reason: str
    message: str = ""


def overall(parts: Iterable[Condition]) -> Condition:
    """Ready holds when all parts do; else it names every part that does not, and why."""
    missing = [one for one in parts if not one.holds]
    if not missing:
        return Condition(READY, True, "Complete")
    words = "; ".join(f"{one.type.removesuffix('Ready')}: {one.message or one.reason}" for one in missing)
    return Condition(READY, False, missing[0].reason, words)


def merged(
    before: Iterable[Mapping[str, Any]], now: Iterable[Condition], generation: int, at: datetime
) -> list[dict[str, Any]]:
    """The list to write, by type. The time of the last transition moves only when the status does."""
    known = {str(one.get("type")): one for one in before}
    written = []
    for one in sorted(now, key=lambda c: c.type):
        status = "True" if one.holds else "False"
        old = known.get(one.type, {})
        moved = old.get("status") != status
        written.append(
            {
                "type": one.type,
                "status": status,
                "reason": one.reason,
                "message": one.message[:MESSAGE_LIMIT],
                "observedGeneration": generation,
                "lastTransitionTime": stamp(at) if moved else old.get("lastTransitionTime", stamp(at)),
            }
        )
    return written


def stamp(at: datetime) -> str:
    """RFC 3339 in whole seconds, as Kubernetes writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
