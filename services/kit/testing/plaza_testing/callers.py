"""Callers, and a tiny table of rights in the place of the policy bundle."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from plaza_kit.identity import Principal, PrincipalKind
from plaza_kit.policy import NotPermitted, Resource
from plaza_kit.rpc.context import caller


def person(role: str, *departments: str) -> Principal:
    """Somebody with one role in some departments."""
    return _principal(PrincipalKind.PERSON, f"{role}-{'-'.join(departments)}", departments, role, "plaza-cli")


def machine(department: str) -> Principal:
    """A department's machine client."""
    client = f"{department}-worker"
    return _principal(PrincipalKind.MACHINE, client, (department,), "department-machine", client)


def service(name: str) -> Principal:
    """A service, by its name without `plaza-`."""
    client = f"plaza-{name}"
    return _principal(PrincipalKind.SERVICE, client, (), "plaza-service", client)


def _principal(
    kind: PrincipalKind, subject: str, departments: Collection[str], role: str, client: str
) -> Principal:
    return Principal(
        subject=subject,
        username=subject,
        display_name="王数据",
        kind=kind,
        departments=frozenset(departments),
        roles=frozenset({role}),
        client_id=client,
        token="-",  # noqa: S106  (nobody looks at it)
        expires_at=datetime.now(UTC) + timedelta(minutes=5),
    )


@dataclass(frozen=True)
class Rights:
    """Actions by role; what belongs to a department only inside the caller's own. The real policies are security's."""

    by_role: Mapping[str, Collection[str]]

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        """The caller, or `NotPermitted`."""
        who = caller()
        own = not resource.department or resource.department in who.departments
        if (own or who.kind is PrincipalKind.SERVICE) and any(
            action in self.by_role.get(role, ()) for role in who.roles
        ):
            return who
        raise NotPermitted(f"{who.username} may not {action} on {resource.id}")
