"""The caller as every service sees it, and the rules by which a token's claims become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from .errors import BadToken

SERVICE_ROLE = "plaza-service"
"""Realm role of Plaza's own services."""
MACHINE_ROLE = "department-machine"
"""Realm role of a department's own client."""
_SERVICE_ACCOUNT = "service-account-"
"""Keycloak names the account behind a client so, and lets no person take such a name."""


class PrincipalKind(StrEnum):
    """What stands behind a token."""

    PERSON = "person"
    """A human being, logged in."""
    MACHINE = "machine"
    """A department's own client."""
    SERVICE = "service"
    """One of Plaza's services."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. Only `TokenVerifier` should make one outside tests."""

    subject: str
    """The issuer's permanent id (`sub`)."""
    username: str
    """The log-in name (`preferred_username`)."""
    display_name: str
    """The full name for pages; the log-in name when there is none."""
    kind: PrincipalKind
    departments: frozenset[str]
    """Ids of the departments that the caller belongs to; a machine has exactly one, a service none."""
    roles: frozenset[str]
    """Realm roles, Keycloak's own included."""
    client_id: str
    """The client that the token was issued to (`azp`)."""
    token: str = field(repr=False)
    """The access token itself, to be forwarded to the next service. Never logged."""
    expires_at: datetime
    """UTC."""

    @property
    def name(self) -> str:
        """`people/<subject>`, `machines/<client id>`, `services/<client id>`: for ledger and audit."""
        match self.kind:
            case PrincipalKind.PERSON:
                return f"people/{self.subject}"
            case PrincipalKind.MACHINE:
                return f"machines/{self.client_id}"
            case PrincipalKind.SERVICE:
                return f"services/{self.client_id}"


def principal_from_claims(claims: Mapping[str, object], token: str) -> Principal:
    """The principal that verified claims describe.

    Raises `BadToken` (why: claims) where they contradict themselves; a doubt never makes a mightier caller.
    """
    client_id = _text(claims, "azp")
    username = _text(claims, "preferred_username")
    roles = _roles(claims.get("realm_access"))
    departments = _departments(claims.get("organization"))
    kind = _kind(username, client_id, roles)
    if kind is PrincipalKind.MACHINE and len(departments) != 1:
        raise _contradiction(f"the department machine {client_id} must belong to exactly one department")
    if kind is PrincipalKind.SERVICE and departments:
        raise _contradiction(f"the service {client_id} must not belong to a department")
    display_name = claims.get("name")
    expires_at = claims["exp"]
    assert isinstance(expires_at, int | float)
    return Principal(
        subject=_text(claims, "sub"),
        username=username,
        display_name=display_name if isinstance(display_name, str) and display_name else username,
        kind=kind,
        departments=departments,
        roles=roles,
        client_id=client_id,
        token=token,
        expires_at=datetime.fromtimestamp(expires_at, UTC),
    )


def _kind(username: str, client_id: str, roles: frozenset[str]) -> PrincipalKind:
    own = roles & {SERVICE_ROLE, MACHINE_ROLE}
    if not username.startswith(_SERVICE_ACCOUNT):
        if own:
            raise _contradiction("a person holds a role that is for machines only")
        return PrincipalKind.PERSON
    if username != _SERVICE_ACCOUNT + client_id:
        raise _contradiction(f"the account {username} is not that of the client {client_id}")
    if len(own) != 1:
        raise _contradiction(
            f"the client {client_id} must hold exactly one of the roles {SERVICE_ROLE} and {MACHINE_ROLE}"
        )
    return PrincipalKind.SERVICE if SERVICE_ROLE in own else PrincipalKind.MACHINE


def _roles(realm_access: object) -> frozenset[str]:
    if realm_access is None:
        return frozenset()
    roles = realm_access.get("roles", []) if isinstance(realm_access, Mapping) else None
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise _contradiction("'realm_access.roles' must be a list of texts")
    return frozenset(roles)


def _departments(organization: object) -> frozenset[str]:
    """Keycloak writes a list of aliases, or a map from alias to attributes, as its mapper is set."""
    if organization is None:
        return frozenset()
    if isinstance(organization, Mapping):
        return frozenset(str(alias) for alias in organization)
    if isinstance(organization, list) and all(isinstance(alias, str) for alias in organization):
        return frozenset(organization)
    raise _contradiction("'organization' must be a list or a map of aliases")


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise _contradiction(f"'{name}' is missing")
    return value


def _contradiction(what: str) -> BadToken:
    return BadToken("claims", f"The access token cannot be used: {what}.")
