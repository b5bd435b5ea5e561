"""Loads the realm file that Keycloak imports too, and says all at once what does not hold together."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from plaza_kit.errors import FailedPrecondition, NotFound
from plaza_kit.identity.realm_file import PLACEHOLDER, REALM_FILE, required_variables, secret_variable
from pydantic import ValidationError

from .model import (
    ISSUERS_OWN,
    Account,
    AccountId,
    Client,
    ClientId,
    ClientScope,
    Department,
    DepartmentId,
    Lifetimes,
    Lockout,
    Mapper,
    MapperKind,
    Realm,
)
from .representation import (
    ClientRepresentation,
    MapperRepresentation,
    RealmRepresentation,
    ScopeRepresentation,
    UserRepresentation,
)

__all__ = [
    "REALM_FILE",
    "RealmIncomplete",
    "RealmInvalid",
    "load_realm",
    "required_variables",
    "secret_variable",
]


class RealmIncomplete(FailedPrecondition):
    """The realm file names variables that the environment does not have."""

    def __init__(self, path: Path, missing: tuple[str, ...]) -> None:
        super().__init__(
            f"The realm file {path} needs {len(missing)} variable(s) that are not set: {', '.join(missing)}.",
            remedy="Set each to a random text of its own; `plaza up` makes and keeps them by itself.",
            facts={"missing": " ".join(missing)},
        )
        self.missing = missing


class RealmInvalid(FailedPrecondition):
    """The realm file does not hold together; all that was found is named."""

    def __init__(self, path: Path, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            f"The realm file {path} cannot be used:\n" + "\n".join(f"  - {p}" for p in self.problems),
            remedy="Mend the file; Keycloak would import it with these faults in silence.",
        )


class UnknownName(NotFound):
    """Nobody in the realm is called so."""


def require_known(name: str, path: Path = REALM_FILE) -> None:
    """That a person has this log-in name, or a client this id. Raises UnknownName."""
    realm = RealmRepresentation.model_validate_json(path.read_text(encoding="utf-8"))
    people = {user.username for user in realm.users if user.service_account_client_id is None}
    clients = {client.client_id for client in realm.clients}
    if name not in people | clients:
        raise UnknownName(
            f"The realm has no person and no client called {name}.",
            remedy=f"One of: {', '.join(sorted(people))}; {', '.join(sorted(clients))}.",
        )


def load_realm(path: Path = REALM_FILE, environ: Mapping[str, str] = os.environ) -> Realm:
    """The realm in `path`, with `${PLAZA_…}` taken from `environ` as Keycloak takes them.

    Raises RealmIncomplete naming every missing variable, RealmInvalid naming every fault.
    """
    missing = tuple(name for name in required_variables(path) if not environ.get(name))
    if missing:
        raise RealmIncomplete(path, missing)
    # Values go into JSON texts; a quote in a secret must not end the text.
    text = PLACEHOLDER.sub(lambda found: _json_inner(environ[found[1]]), path.read_text(encoding="utf-8"))
    try:
        representation = RealmRepresentation.model_validate_json(text)
    except ValidationError as error:
        places = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise RealmInvalid(path, places) from None
    problems = list(_problems(representation))
    if problems:
        raise RealmInvalid(path, problems)
    return _realm(representation)


def _json_inner(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _problems(realm: RealmRepresentation) -> Iterable[str]:
    yield from _duplicates("client", (c.client_id for c in realm.clients))
    yield from _duplicates("user", (u.username for u in realm.users))
    yield from _duplicates("user id", (u.id for u in realm.users))
    yield from _duplicates("organization", (o.alias for o in realm.organizations))
    yield from _duplicates("client scope", (s.name for s in realm.client_scopes))
    if not realm.organizations_enabled:
        yield "organizationsEnabled must be true: departments are organizations"
    scopes = {s.name for s in realm.client_scopes}
    roles = {r.name for r in realm.roles.realm}
    clients = {c.client_id: c for c in realm.clients}
    people = {u.username for u in realm.users if u.service_account_client_id is None}
    for client in realm.clients:
        for name in (*client.default_client_scopes, *client.optional_client_scopes):
            if name not in scopes:
                yield f"client {client.client_id}: unknown client scope {name}"
        if not client.public_client and not client.secret:
            yield f"client {client.client_id}: neither public nor with a secret"
        if client.standard_flow_enabled and client.attributes.get("pkce.code.challenge.method") != "S256":
            yield f"client {client.client_id}: the standard flow needs pkce.code.challenge.method S256"
        yield from _mapper_problems(f"client {client.client_id}", client.protocol_mappers)
    for scope in realm.client_scopes:
        yield from _mapper_problems(f"client scope {scope.name}", scope.protocol_mappers)
    for user in realm.users:
        for role in user.realm_roles:
            if role not in roles:
                yield f"user {user.username}: unknown role {role}"
        for client_id in user.client_roles.keys() - {ISSUERS_OWN}:
            yield f"user {user.username}: the issuer knows no roles of the client {client_id}"
        owner = user.service_account_client_id
        if owner is not None and (owner not in clients or not clients[owner].service_accounts_enabled):
            yield f"user {user.username}: {owner} is no client with a service account"
    accounts_of = {u.service_account_client_id for u in realm.users}
    for client in realm.clients:
        if client.service_accounts_enabled and client.client_id not in accounts_of:
            yield f"client {client.client_id}: no user is its service account"
    for organization in realm.organizations:
        for member in organization.members:
            if member.username not in people:
                yield f"organization {organization.alias}: unknown member {member.username}"


def _duplicates(kind: str, names: Iterable[str]) -> Iterable[str]:
    return (f"{kind} {name} appears {count} times" for name, count in Counter(names).items() if count > 1)


def _mapper_problems(place: str, mappers: list[MapperRepresentation]) -> Iterable[str]:
    known = {kind.value for kind in MapperKind}
    for mapper in mappers:
        if mapper.protocol_mapper not in known:
            yield f"{place}: the issuer does not know the mapper {mapper.protocol_mapper} ({mapper.name})"


def _realm(realm: RealmRepresentation) -> Realm:
    scopes = {s.name: _scope(s) for s in realm.client_scopes}
    departments = {
        DepartmentId(o.alias): Department(
            DepartmentId(o.alias), o.name, o.enabled, frozenset(m.username for m in o.members)
        )
        for o in realm.organizations
    }
    accounts = [_account(user, departments.values()) for user in realm.users]
    return Realm(
        name=realm.realm,
        display_name=realm.display_name,
        lifetimes=Lifetimes(
            access_token=realm.access_token_lifespan,
            session_idle=realm.sso_session_idle_timeout,
            session_max=realm.sso_session_max_lifespan,
            device_code=realm.oauth2_device_code_lifespan,
            device_interval=realm.oauth2_device_polling_interval,
        ),
        lockout=Lockout(
            failures=realm.failure_factor,
            wait_step=realm.wait_increment_seconds,
            wait_max=realm.max_failure_wait_seconds,
            forget_after=realm.max_delta_time_seconds,
        ),
        departments=departments,
        clients={ClientId(c.client_id): _client(c, scopes) for c in realm.clients},
        accounts={a.id: a for a in accounts},
        by_username={a.username: a for a in accounts},
        service_accounts={a.client_id: a for a in accounts if a.client_id is not None},
    )


def _mappers(mappers: list[MapperRepresentation]) -> tuple[Mapper, ...]:
    return tuple(Mapper(m.name, MapperKind(m.protocol_mapper), m.config) for m in mappers)


def _scope(scope: ScopeRepresentation) -> ClientScope:
    in_token = scope.attributes.get("include.in.token.scope", "true") == "true"
    return ClientScope(scope.name, in_token, _mappers(scope.protocol_mappers))


def _client(client: ClientRepresentation, scopes: Mapping[str, ClientScope]) -> Client:
    return Client(
        id=ClientId(client.client_id),
        name=client.name or client.client_id,
        enabled=client.enabled,
        secret=None if client.public_client else client.secret,
        device_flow=client.attributes.get("oauth2.device.authorization.grant.enabled") == "true",
        standard_flow=client.standard_flow_enabled,
        redirect_uris=tuple(client.redirect_uris),
        post_logout_redirect_uris=_after_logout(client),
        service_account=client.service_accounts_enabled,
        default_scopes=tuple(scopes[name] for name in client.default_client_scopes),
        optional_scopes=tuple(scopes[name] for name in client.optional_client_scopes),
        mappers=_mappers(client.protocol_mappers),
    )


def _after_logout(client: ClientRepresentation) -> tuple[str, ...]:
    """Keycloak's attribute: addresses joined by `##`; `+` alone means those after log-in; absent, none."""
    named = client.attributes.get("post.logout.redirect.uris", "")
    if named == "+":
        return tuple(client.redirect_uris)
    return tuple(one for one in named.split("##") if one)


def _account(user: UserRepresentation, departments: Iterable[Department]) -> Account:
    attributes = {name: values[0] for name, values in user.attributes.items() if values}
    attributes["username"] = user.username
    if user.email:
        attributes["email"] = user.email
    owner = user.service_account_client_id
    passwords = [c.value for c in user.credentials if c.type == "password" and c.value]
    return Account(
        id=AccountId(user.id),
        username=user.username,
        enabled=user.enabled,
        attributes=attributes,
        roles=tuple(user.realm_roles),
        client_roles={client: tuple(roles) for client, roles in user.client_roles.items()},
        departments=tuple(d.id for d in departments if d.enabled and user.username in d.members),
        password=passwords[0] if passwords and owner is None else None,
        client_id=ClientId(owner) if owner is not None else None,
    )
