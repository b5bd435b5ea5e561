"""What the issuer knows: departments, accounts, clients, and how claims are made. Plain facts, no rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

ClientId = NewType("ClientId", str)
AccountId = NewType("AccountId", str)
DepartmentId = NewType("DepartmentId", str)

ISSUERS_OWN = "realm-management"
"""Keycloak's client whose roles are rights over the realm itself."""


class MapperKind(StrEnum):
    """The protocol mappers of Keycloak that the issuer knows."""

    SUBJECT = "oidc-sub-mapper"
    CLIENT_ROLES = "oidc-usermodel-client-role-mapper"
    ATTRIBUTE = "oidc-usermodel-attribute-mapper"
    REALM_ROLES = "oidc-usermodel-realm-role-mapper"
    ORGANIZATION = "oidc-organization-membership-mapper"
    SESSION_NOTE = "oidc-usersessionmodel-note-mapper"
    AUDIENCE = "oidc-audience-mapper"
    FIXED = "oidc-hardcoded-claim-mapper"


@dataclass(frozen=True, slots=True)
class Mapper:
    """How one claim is made, and into which tokens it goes."""

    name: str
    kind: MapperKind
    config: Mapping[str, str]

    def goes_into(self, token: str) -> bool:
        """`token` is access, id or userinfo."""
        return self.config.get(f"{token}.token.claim") == "true"


@dataclass(frozen=True, slots=True)
class ClientScope:
    """A bundle of mappers that a client has always, or on demand."""

    name: str
    in_token: bool
    """Is the name written into the token's `scope`?"""
    mappers: tuple[Mapper, ...]


@dataclass(frozen=True, slots=True)
class Department:
    """An Organization of Keycloak."""

    id: DepartmentId
    display_name: str
    enabled: bool
    members: frozenset[str]
    """Log-in names."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person, or what stands behind a client when it acts for itself."""

    id: AccountId
    username: str
    enabled: bool
    attributes: Mapping[str, str]
    """First values; `username` and `email` are among them."""
    roles: tuple[str, ...]
    client_roles: Mapping[str, tuple[str, ...]]
    """Roles of a client, by its id."""
    departments: tuple[DepartmentId, ...]
    password: str | None = field(repr=False)
    """Demo people only; None: cannot log in by password."""
    client_id: ClientId | None
    """The client whose own account this is; None for a person."""

    @property
    def display_name(self) -> str:
        """The full name, else the log-in name."""
        return self.attributes.get("displayName", self.username)


@dataclass(frozen=True, slots=True)
class Client:
    """An OIDC client and what it may do."""

    id: ClientId
    name: str
    enabled: bool
    secret: str | None = field(repr=False)
    """None: public."""
    device_flow: bool
    standard_flow: bool
    """May send people to the log-in page and get a code back (RFC 6749, 4.1)."""
    redirect_uris: tuple[str, ...]
    """Where to; see `redirects.allows`."""
    post_logout_redirect_uris: tuple[str, ...]
    """Where to after logging out."""
    service_account: bool
    default_scopes: tuple[ClientScope, ...]
    optional_scopes: tuple[ClientScope, ...]
    mappers: tuple[Mapper, ...]


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """All in seconds."""

    access_token: int
    session_idle: int
    session_max: int
    device_code: int
    device_interval: int


@dataclass(frozen=True, slots=True)
class Lockout:
    """When guessing passwords stops being answered. Seconds."""

    failures: int
    wait_step: int
    wait_max: int
    forget_after: int


@dataclass(frozen=True, slots=True)
class Realm:
    """Everything that the issuer knows without having been told at run time."""

    name: str
    display_name: str
    lifetimes: Lifetimes
    lockout: Lockout
    departments: Mapping[DepartmentId, Department]
    clients: Mapping[ClientId, Client]
    accounts: Mapping[AccountId, Account]
    by_username: Mapping[str, Account]
    service_accounts: Mapping[ClientId, Account]
