"""Carries the realm's definition into Keycloak: at start, by timer, or once. A realm import would never update."""

from __future__ import annotations

import asyncio
import os

import structlog
from plaza_kit.identity.realm_file import REALM_FILE

from plaza_operator import metrics, world
from plaza_operator.domain.errors import KeycloakUnavailable, ReconcileError
from plaza_operator.domain.pacing import backoff
from plaza_operator.external.keycloak import Exists, Keycloak, Missing
from plaza_operator.owned.identity import differs, ensure_client, ensure_mappers
from plaza_operator.realm.definition import RealmDefinition, Rep, define
from plaza_operator.realm.issuer_roles import ensure_issuer_roles
from plaza_operator.realm.second_factor import ensure_second_factor
from plaza_operator.settings import RealmSettings

_log = structlog.get_logger("plaza_operator.realm")


def definition(settings: RealmSettings) -> RealmDefinition:
    """The realm file with the secrets of the environment. Raises SecretsMissing."""
    return define(
        REALM_FILE.read_text(encoding="utf-8"),
        os.environ,
        name=settings.realm,
        console_urls=settings.console_urls,
        second_factor=settings.administrators_second_factor,
    )


async def once(settings: RealmSettings) -> None:
    """`python -m plaza_operator realm`. Raises ReconcileError."""
    keycloak = world.keycloak(settings)
    try:
        for change in await ensure_realm(keycloak, definition(settings)):
            print(change)
    finally:
        await keycloak.close()


async def keep_for_ever(keycloak: Keycloak, settings: RealmSettings) -> None:
    """At once, then by timer; what fails is tried again sooner."""
    failures = 0
    while True:
        try:
            changes = await ensure_realm(keycloak, definition(settings))
        except ReconcileError as error:
            failures += 1
            metrics.REALM.set(0)
            _log.warning("the realm is not in order", reason=error.reason, error=str(error))
            pause = backoff(failures) if isinstance(error, KeycloakUnavailable) else settings.realm_seconds
        else:
            failures, pause = 0, settings.realm_seconds
            metrics.REALM.set(1)
            if changes:
                _log.info("realm put right", changes=changes)
        await asyncio.sleep(pause)


async def ensure_realm(keycloak: Keycloak, wanted: RealmDefinition) -> list[str]:
    """Puts right what stands otherwise; answers what that was. Raises KeycloakUnavailable, KeycloakRefused."""
    changes = await _settings(keycloak, wanted)
    changes += await _roles(keycloak, wanted)
    changes += await _scopes(keycloak, wanted)
    changes += await _profile(keycloak, wanted)
    for client, role in wanted.clients:
        changes += await ensure_client(keycloak, client, role)
        if role is not None:
            rights = wanted.issuer_roles.get(client["clientId"], frozenset())
            changes += await ensure_issuer_roles(keycloak, client["clientId"], rights)
    if wanted.second_factor:
        changes += await ensure_second_factor(keycloak)
    return changes


async def _settings(keycloak: Keycloak, wanted: RealmDefinition) -> list[str]:
    changes = []
    try:
        live = await keycloak.get("")
    except Missing:
        try:
            await keycloak.create_realm({"realm": wanted.name, **wanted.settings})
            changes.append(f"realm {wanted.name} made")
        except Exists:
            pass
        try:
            live = await keycloak.get("")
        except Missing as error:
            # Keys take their time: an earlier try, whose answer we did not wait for, is still making it.
            raise KeycloakUnavailable(f"the realm {wanted.name} is being made") from error
    if differs(live, wanted.settings):
        await keycloak.put("", wanted.settings)
        changes.append(
            "settings put right: "
            + ", ".join(k for k, v in wanted.settings.items() if differs(live.get(k), v))
        )
    return changes


async def _roles(keycloak: Keycloak, wanted: RealmDefinition) -> list[str]:
    changes = []
    known = {one["name"]: one for one in await keycloak.get("roles", max="1000")}
    for role in wanted.roles:
        live = known.get(role["name"])
        if live is None:
            await keycloak.post("roles", role)
            changes.append(f"role {role['name']} made")
        elif differs(live, role):
            await keycloak.put(f"roles/{role['name']}", {**live, **role})
            changes.append(f"role {role['name']} put right")
    return changes


async def _scopes(keycloak: Keycloak, wanted: RealmDefinition) -> list[str]:
    changes = []
    known: dict[str, Rep] = {one["name"]: one for one in await keycloak.get("client-scopes")}
    for scope in wanted.scopes:
        live = known.get(scope["name"])
        if live is None:
            known[scope["name"]] = {"id": await keycloak.post("client-scopes", scope)}
            changes.append(f"scope {scope['name']} made")
            continue
        plain = {k: v for k, v in scope.items() if k != "protocolMappers"}
        if differs(live, plain):
            await keycloak.put(f"client-scopes/{live['id']}", {**live, **plain})
            changes.append(f"scope {scope['name']} put right")
        mappers = live.get("protocolMappers", [])
        changed = await ensure_mappers(
            keycloak, f"client-scopes/{live['id']}", mappers, scope["protocolMappers"]
        )
        changes += [f"scope {scope['name']}: {what}" for what in changed]
    wanted_ids = {known[name]["id"] for name in wanted.default_scopes}
    for kind, ids in (("optional", set()), ("default", wanted_ids)):
        path = f"default-{kind}-client-scopes"
        have = {one["id"] for one in await keycloak.get(path)}
        for extra in have - ids:
            await keycloak.delete(f"{path}/{extra}")
        for missing in ids - have:
            await keycloak.put(f"{path}/{missing}", {})
        if have != ids:
            changes.append(f"{kind} scopes of new clients put right")
    return changes


async def _profile(keycloak: Keycloak, wanted: RealmDefinition) -> list[str]:
    live = await keycloak.get("users/profile")
    if not differs(live, wanted.user_profile):
        return []
    await keycloak.put("users/profile", wanted.user_profile)
    return ["user profile put right"]
