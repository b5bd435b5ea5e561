"""The department in Keycloak: its Organization, its group with the three roles of its people, its machine client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plaza_operator.domain.children import DEPARTMENT_LABEL
from plaza_operator.domain.errors import NameTaken
from plaza_operator.domain.spec import Department
from plaza_operator.external.keycloak import Exists, Keycloak, Missing

MACHINE_ROLE = "department-machine"
SUBGROUPS = {"officers": "data-officer", "stewards": "steward", "readers": "reader"}
"""Below the department's group: who is in one has this realm role."""
Rep = dict[str, Any]


def organization(department: Department, domain: str) -> Rep:
    """The alias is the name and cannot be changed; the Chinese name is what people see."""
    return {
        "name": department.display_name,
        "alias": str(department.name),
        "enabled": True,
        "description": department.display_name_en,
        "domains": [{"name": f"{department.name}.{domain}", "verified": False}],
    }


def client(department: Department, secret: str) -> Rep:
    """The worker's client: the same as those of the demo departments in the realm file."""
    in_tokens = {"access.token.claim": "true", "introspection.token.claim": "true"}
    return {
        "clientId": department.client_id,
        "name": f"Ingestion worker of {department.display_name}",
        "enabled": True,
        "protocol": "openid-connect",
        "publicClient": False,
        "clientAuthenticatorType": "client-secret",
        "secret": secret,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": True,
        "consentRequired": False,
        "fullScopeAllowed": True,
        "redirectUris": [],
        "webOrigins": [],
        "attributes": {
            "oauth2.device.authorization.grant.enabled": "false",
            "client_credentials.use_refresh_token": "false",
        },
        "defaultClientScopes": ["basic", "profile", "roles", "service_account"],
        "optionalClientScopes": [],
        "protocolMappers": [
            {
                "name": "audience plaza",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-audience-mapper",
                "config": {"included.custom.audience": "plaza", **in_tokens},
            },
            {
                "name": "department",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-hardcoded-claim-mapper",
                "config": {
                    "claim.name": "organization",
                    "claim.value": json.dumps([department.name]),
                    "jsonType.label": "JSON",
                    **in_tokens,
                },
            },
        ],
    }


def differs(live: Any, wanted: Any) -> bool:
    """Does anything that we want stand otherwise? What Keycloak adds of its own does not count.

    Lists of things with names are compared by name and must have no others; other lists as sets.
    """
    if isinstance(wanted, Mapping):
        return not isinstance(live, Mapping) or any(differs(live.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(live, list) or len(live) != len(wanted):
            return bool(wanted or live)
        if wanted and isinstance(wanted[0], Mapping):
            by_name = {one.get("name"): one for one in live}
            return any(differs(by_name.get(one["name"]), one) for one in wanted)
        return sorted(map(str, live)) != sorted(map(str, wanted))
    return bool((live or "") != (wanted or ""))


async def ensure(keycloak: Keycloak, department: Department, secret: str, domain: str) -> list[str]:
    """Puts right what stands otherwise; answers what that was.

    Raises KeycloakUnavailable, KeycloakRefused, NameTaken.
    """
    return [
        *await _ensure_organization(keycloak, department, domain),
        *await _ensure_groups(keycloak, department),
        *await ensure_client(keycloak, client(department, secret), MACHINE_ROLE),
    ]


async def _ensure_organization(keycloak: Keycloak, department: Department, domain: str) -> list[str]:
    wanted = organization(department, domain)
    live = await _organization(keycloak, department)
    try:
        if live is None:
            await keycloak.post("organizations", wanted)
            return ["organization made"]
        if differs(live, wanted):
            await keycloak.put(f"organizations/{live['id']}", {**live, **wanted})
            return ["organization put right"]
    except Exists as error:
        raise NameTaken(
            f"another organization in Keycloak is called {department.display_name!r} or holds the domain "
            f"{wanted['domains'][0]['name']}; rename one of them"
        ) from error
    return []


async def _organization(keycloak: Keycloak, department: Department) -> Rep | None:
    # The search looks into names and domains, never into aliases; the domain begins with the department's name.
    for query in ({"search": department.display_name, "exact": "true"}, {"search": f"{department.name}."}):
        found = await keycloak.get("organizations", briefRepresentation="false", max="100", **query)
        for one in found:
            if one.get("alias") == department.name:
                return dict(one)
    return None


async def _ensure_groups(keycloak: Keycloak, department: Department) -> list[str]:
    changes = []
    marks = {DEPARTMENT_LABEL: [str(department.name)]}
    live = await _group(keycloak, department)
    if live is None:
        group_id = await keycloak.post("groups", {"name": department.group, "attributes": marks})
        changes.append("group made")
    else:
        group_id = live["id"]
    children = await keycloak.get(f"groups/{group_id}/children", briefRepresentation="false", max="100")
    known = {one["name"]: one for one in children}
    for name, role in SUBGROUPS.items():
        if name not in known:
            known[name] = {
                "id": await keycloak.post(f"groups/{group_id}/children", {"name": name}),
                "realmRoles": [],
            }
            changes.append(f"group {name} made")
        if role not in known[name].get("realmRoles", []):
            found = await keycloak.get(f"roles/{role}")
            await keycloak.post(f"groups/{known[name]['id']}/role-mappings/realm", [found])
            changes.append(f"role of {name} given")
        for other in set(known[name].get("realmRoles", [])) - {role}:
            found = await keycloak.get(f"roles/{other}")
            await keycloak.delete(f"groups/{known[name]['id']}/role-mappings/realm", [found])
            changes.append(f"role {other} of {name} taken away")
    return changes


async def _group(keycloak: Keycloak, department: Department) -> Rep | None:
    found = await keycloak.get("groups", search=department.group, exact="true", max="10")
    return next((dict(one) for one in found if one["name"] == department.group), None)


async def ensure_client(keycloak: Keycloak, wanted: Rep, role: str | None) -> list[str]:
    """A client with its mappers, scopes and, for one with a service account, exactly one realm role of its own.

    It opens only when it has its role: a token without one would be kept for minutes by whoever was quick to ask.
    """
    client_id, changes = wanted["clientId"], []
    wanted = wanted | {"enabled": True}
    found = await keycloak.get("clients", clientId=client_id)
    if found:
        live = found[0]
    else:
        live = wanted | {"enabled": role is None}
        live["id"] = await keycloak.post("clients", live)
        changes.append(f"client {client_id} made")
    if role is not None and wanted.get("serviceAccountsEnabled"):
        changes += await _ensure_machine_role(keycloak, live["id"], client_id, role)
    if found and differs(live, wanted):
        changes.append(f"client {client_id} put right")
        await _put_client(keycloak, live["id"], live, wanted)
    elif not found and role is not None:
        await keycloak.put(f"clients/{live['id']}", {"clientId": client_id, "enabled": True})
    return changes


async def _put_client(keycloak: Keycloak, uuid: str, live: Rep, wanted: Rep) -> None:
    """A PUT leaves mappers and scopes of an existing client as they are: those are put right one by one."""
    await keycloak.put(
        f"clients/{uuid}", {**live, **wanted, "id": uuid, "protocolMappers": live.get("protocolMappers", [])}
    )
    await ensure_mappers(
        keycloak, f"clients/{uuid}", live.get("protocolMappers", []), wanted["protocolMappers"]
    )
    for kind in ("default", "optional"):
        listed = await keycloak.get(f"clients/{uuid}/{kind}-client-scopes")
        known = {one["name"]: one["id"] for one in listed}
        names = wanted[f"{kind}ClientScopes"]
        for name in known.keys() - set(names):
            await keycloak.delete(f"clients/{uuid}/{kind}-client-scopes/{known[name]}")
        if missing := set(names) - known.keys():
            scopes = {one["name"]: one["id"] for one in await keycloak.get("client-scopes")}
            for name in missing:
                await keycloak.put(f"clients/{uuid}/{kind}-client-scopes/{scopes[name]}", {})


async def ensure_mappers(keycloak: Keycloak, owner: str, live: list[Rep], wanted: list[Rep]) -> list[str]:
    """The mappers of a client or client scope (`owner`: its path), and no others."""
    changes = []
    known = {one["name"]: one for one in live}
    for one in wanted:
        have = known.pop(one["name"], None)
        if have is None:
            await keycloak.post(f"{owner}/protocol-mappers/models", one)
            changes.append(f"mapper {one['name']} made")
        elif differs(have, one):
            await keycloak.put(f"{owner}/protocol-mappers/models/{have['id']}", {**have, **one})
            changes.append(f"mapper {one['name']} put right")
    for name, extra in known.items():
        await keycloak.delete(f"{owner}/protocol-mappers/models/{extra['id']}")
        changes.append(f"mapper {name} taken away")
    return changes


async def _ensure_machine_role(keycloak: Keycloak, uuid: str, client_id: str, role: str) -> list[str]:
    account = await keycloak.get(f"clients/{uuid}/service-account-user")
    held = await keycloak.get(f"users/{account['id']}/role-mappings/realm")
    changes = []
    if not account.get("enabled"):
        await keycloak.put(f"users/{account['id']}", {**account, "enabled": True})
        changes.append(f"account of {client_id} enabled")
    names = {one["name"] for one in held}
    if role not in names:
        found = await keycloak.get(f"roles/{role}")
        await keycloak.post(f"users/{account['id']}/role-mappings/realm", [found])
        changes.append(f"role of {client_id} given")
    # Keycloak gives every account the realm's default role; any other would be a way up.
    surplus = [one for one in held if one["name"] != role and not one["name"].startswith("default-roles-")]
    if surplus:
        await keycloak.delete(f"users/{account['id']}/role-mappings/realm", surplus)
        changes.append(f"surplus roles of {client_id} taken away")
    return changes


async def disable(keycloak: Keycloak, department: Department) -> None:
    """The machine client stands but gets no tokens. For a department that is gone under Retain."""
    found = await keycloak.get("clients", clientId=department.client_id)
    if found and found[0].get("enabled"):
        await keycloak.put(f"clients/{found[0]['id']}", {**found[0], "enabled": False})


async def remove(keycloak: Keycloak, department: Department) -> None:
    """Client, group and organization; the people stay, for they may belong elsewhere too."""
    found = await keycloak.get("clients", clientId=department.client_id)
    for path in [f"clients/{one['id']}" for one in found]:
        await _delete(keycloak, path)
    group = await _group(keycloak, department)
    if group is not None:
        await _delete(keycloak, f"groups/{group['id']}")
    live = await _organization(keycloak, department)
    if live is not None:
        await _delete(keycloak, f"organizations/{live['id']}")


async def _delete(keycloak: Keycloak, path: str) -> None:
    try:
        await keycloak.delete(path)
    except Missing:
        return
