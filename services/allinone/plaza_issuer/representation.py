"""The realm file as Keycloak 26 writes and imports it: only the parts that the issuer acts upon.

Unknown members are let through, for Keycloak has many; `realm.py` makes sense of what is here.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Representation(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, strict=True)


class RoleRepresentation(_Representation):
    """A realm role."""

    name: str


class RolesRepresentation(_Representation):
    """All roles; the issuer knows realm roles only."""

    realm: list[RoleRepresentation]


class MapperRepresentation(_Representation):
    """A protocol mapper: how one claim is made."""

    name: str
    protocol_mapper: str
    config: dict[str, str]


class ScopeRepresentation(_Representation):
    """A client scope: a bundle of mappers."""

    name: str
    attributes: dict[str, str] = Field(default_factory=dict)
    protocol_mappers: list[MapperRepresentation] = Field(default_factory=list)


class ClientRepresentation(_Representation):
    """An OIDC client."""

    client_id: str
    name: str = ""
    enabled: bool = True
    public_client: bool = False
    secret: str | None = None
    standard_flow_enabled: bool = False
    redirect_uris: list[str] = Field(default_factory=list)
    service_accounts_enabled: bool = False
    attributes: dict[str, str] = Field(default_factory=dict)
    default_client_scopes: list[str] = Field(default_factory=list)
    optional_client_scopes: list[str] = Field(default_factory=list)
    protocol_mappers: list[MapperRepresentation] = Field(default_factory=list)


class CredentialRepresentation(_Representation):
    """A password in the clear: demo people only."""

    type: str
    value: str | None = None


class UserRepresentation(_Representation):
    """A person, or the account behind a client."""

    id: str
    username: str
    enabled: bool = False
    email: str | None = None
    attributes: dict[str, list[str]] = Field(default_factory=dict)
    credentials: list[CredentialRepresentation] = Field(default_factory=list)
    realm_roles: list[str] = Field(default_factory=list)
    client_roles: dict[str, list[str]] = Field(default_factory=dict)
    service_account_client_id: str | None = None


class MemberRepresentation(_Representation):
    """A member of an organization, by log-in name."""

    username: str


class OrganizationRepresentation(_Representation):
    """A department."""

    name: str
    alias: str
    enabled: bool = True
    members: list[MemberRepresentation] = Field(default_factory=list)


class RealmRepresentation(_Representation):
    """The file. Times are seconds."""

    realm: str
    display_name: str
    organizations_enabled: bool
    access_token_lifespan: int
    sso_session_idle_timeout: int
    sso_session_max_lifespan: int
    oauth2_device_code_lifespan: int = Field(alias="oauth2DeviceCodeLifespan")
    oauth2_device_polling_interval: int = Field(alias="oauth2DevicePollingInterval")
    failure_factor: int
    wait_increment_seconds: int
    max_failure_wait_seconds: int
    max_delta_time_seconds: int
    roles: RolesRepresentation
    client_scopes: list[ScopeRepresentation]
    clients: list[ClientRepresentation]
    users: list[UserRepresentation]
    organizations: list[OrganizationRepresentation]
