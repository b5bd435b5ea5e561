"""From account, client and scope to the claims of a token: Keycloak's protocol mappers, as pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from plaza_kit.errors import InvalidArgument

from .model import Account, Client, ClientScope, DepartmentId, Mapper, MapperKind

ORGANIZATION = "organization"
"""Name of Keycloak's dynamic scope: bare, `organization:*` or `organization:<alias>`."""

Claims = dict[str, object]


class UnknownScopes(InvalidArgument):
    """A client asked for scopes that it does not have."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(
            f"The client does not have these scopes: {' '.join(self.names)}.", remedy="Ask for fewer scopes."
        )


@dataclass(frozen=True, slots=True)
class GrantedScope:
    """What a client was given of what it asked for."""

    text: str
    """The value of the token's `scope`; asking with it again grants the same."""
    openid: bool
    client_scopes: tuple[ClientScope, ...]
    organization: str | None
    """The organization scope as it was asked for; None: no departments in the token."""


def grant_scope(client: Client, asked: str | None) -> GrantedScope:
    """The client's default scopes, and those optional ones that were asked for. Raises UnknownScopes."""
    names = list(dict.fromkeys((asked or "").split()))
    organization = next((name for name in names if name.split(":", 1)[0] == ORGANIZATION), None)
    by_name = {scope.name: scope for scope in (*client.default_scopes, *client.optional_scopes)}
    base = [ORGANIZATION if name == organization else name for name in names if name != "openid"]
    unknown = [name for name in base if name not in by_name]
    if unknown:
        raise UnknownScopes(unknown)
    active = {scope.name: scope for scope in client.default_scopes}
    active |= {name: by_name[name] for name in base}
    if ORGANIZATION in active and organization is None:
        organization = ORGANIZATION
    shown = [
        organization if scope.name == ORGANIZATION and organization else scope.name
        for scope in active.values()
        if scope.in_token
    ]
    openid = "openid" in names
    return GrantedScope(
        text=" ".join((["openid"] if openid else []) + shown),
        openid=openid,
        client_scopes=tuple(active.values()),
        organization=organization,
    )


def mapped_claims(token: str, client: Client, account: Account, scope: GrantedScope) -> Claims:
    """The claims that mappers put into one kind of token (access, id or userinfo)."""
    claims: Claims = {}
    for mapper in (*client.mappers, *(m for s in scope.client_scopes for m in s.mappers)):
        if mapper.goes_into(token):
            _map(mapper, client, account, scope, claims)
    return claims


def _map(mapper: Mapper, client: Client, account: Account, scope: GrantedScope, claims: Claims) -> None:
    match mapper.kind:
        case MapperKind.SUBJECT:
            claims["sub"] = account.id
        case MapperKind.AUDIENCE:
            _add_audience(claims, mapper.config["included.custom.audience"])
        case MapperKind.ATTRIBUTE:
            value = account.attributes.get(mapper.config["user.attribute"])
            if value is not None:
                _put(claims, mapper, value)
        case MapperKind.REALM_ROLES:
            _put(claims, mapper, list(account.roles))
        case MapperKind.CLIENT_ROLES:
            roles = account.client_roles.get(mapper.config["usermodel.clientRoleMapping.clientId"])
            if roles:
                _put(claims, mapper, list(roles))
        case MapperKind.ORGANIZATION:
            departments = _visible_departments(account, scope.organization)
            if departments:
                _put(claims, mapper, list(departments))
        case MapperKind.SESSION_NOTE:
            # The only note that the realm asks for; Keycloak keeps it for a client that acts for itself.
            if mapper.config["user.session.note"] == "client_id" and account.client_id == client.id:
                _put(claims, mapper, client.id)
        case MapperKind.FIXED:
            value = mapper.config["claim.value"]
            _put(
                claims, mapper, json.loads(value) if mapper.config.get("jsonType.label") == "JSON" else value
            )


def _visible_departments(account: Account, asked: str | None) -> tuple[DepartmentId, ...]:
    """Keycloak's rule: `organization` alone says nothing about who belongs to several, `:*` names all."""
    if asked is None:
        return ()
    if asked == ORGANIZATION:
        return account.departments if len(account.departments) == 1 else ()
    wanted = asked.split(":", 1)[1]
    return tuple(d for d in account.departments if wanted in ("*", d))


def _put(claims: Claims, mapper: Mapper, value: object) -> None:
    """A dot in the claim's name makes an object: `realm_access.roles`."""
    *path, last = mapper.config["claim.name"].split(".")
    place = claims
    for name in path:
        inner = place.setdefault(name, {})
        assert isinstance(inner, dict)
        place = inner
    place[last] = value


def _add_audience(claims: Claims, audience: str) -> None:
    """One audience is a text, several are a list (RFC 7519, section 4.1.3)."""
    present = claims.get("aud")
    if present is None:
        claims["aud"] = audience
    else:
        claims["aud"] = [*(present if isinstance(present, list) else [present]), audience]
