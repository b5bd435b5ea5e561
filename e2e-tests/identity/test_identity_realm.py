"""The realm in a real Keycloak, as the operator's reconciler makes and keeps it."""

from __future__ import annotations

import pytest
from identity_servers import ON_KEYCLOAK, City
from plaza_operator import metrics
from plaza_operator.realm.definition import ADMINISTRATORS_FLOW
from plaza_operator.realm.keeping import ensure_realm

pytestmark = [pytest.mark.e2e, ON_KEYCLOAK]


def writes() -> float:
    return float(metrics.WRITES.labels("keycloak")._value.get())


async def test_a_second_run_writes_nothing(city: City) -> None:
    await ensure_realm(city.keycloak, city.definition)
    before = writes()
    assert await ensure_realm(city.keycloak, city.definition) == []
    assert writes() == before


async def put_right(city: City, *words: str) -> None:
    """One run puts right what was changed and says so; the next finds nothing to do."""
    changes = await ensure_realm(city.keycloak, city.definition)
    assert changes
    for word in words:
        assert any(word in change for change in changes), changes
    assert await ensure_realm(city.keycloak, city.definition) == []


async def test_settings_and_policies_come_back(city: City) -> None:
    await city.keycloak.put(
        "",
        {
            "passwordPolicy": "length(3)",
            "bruteForceProtected": False,
            "adminEventsEnabled": False,
            "accessTokenLifespan": 36_000,
            "browserFlow": "browser",
        },
    )
    await put_right(city, "passwordPolicy", "bruteForceProtected", "adminEventsEnabled", "logs in by")
    realm = await city.keycloak.get("")
    assert (realm["accessTokenLifespan"], realm["browserFlow"]) == (300, "plaza browser")


async def test_roles_scopes_and_mappers_come_back(city: City) -> None:
    kc = city.keycloak
    role = await kc.get("roles/steward")
    await kc.put("roles/steward", {**role, "description": "may do everything"})
    scopes = {one["name"]: one for one in await kc.get("client-scopes")}
    (organization,) = scopes["organization"]["protocolMappers"]
    await kc.put(
        f"client-scopes/{scopes['organization']['id']}/protocol-mappers/models/{organization['id']}",
        {**organization, "config": {**organization["config"], "claim.name": "departments"}},
    )
    gateway = await city.client("plaza-gateway")
    (audience,) = gateway["protocolMappers"]
    await kc.delete(f"clients/{gateway['id']}/protocol-mappers/models/{audience['id']}")
    await kc.delete(f"clients/{gateway['id']}/default-client-scopes/{scopes['roles']['id']}")
    await put_right(city, "role steward", "mapper organization", "client plaza-gateway")
    token = (await city.client_token("plaza-gateway")).json()
    assert "access_token" in token


async def test_a_client_that_was_changed_or_deleted_comes_back(city: City) -> None:
    kc = city.keycloak
    console = await city.client("plaza-console")
    await kc.put(
        f"clients/{console['id']}",
        {**console, "redirectUris": ["https://evil.example/*"], "directAccessGrantsEnabled": True},
    )
    catalogue = await city.client("plaza-catalogue")
    await kc.delete(f"clients/{catalogue['id']}")
    await put_right(city, "client plaza-console put right", "client plaza-catalogue made")
    assert (await city.client("plaza-console"))["redirectUris"] == ["http://127.0.0.1:8080/*"]
    assert (await city.client_token("plaza-catalogue")).status_code == 200


async def test_rights_over_the_realm_are_given_and_taken_away(city: City) -> None:
    kc = city.keycloak
    (own,) = await kc.get("clients", clientId="realm-management")
    roles = {one["name"]: one for one in await kc.get(f"clients/{own['id']}/roles")}
    for client_id, verb, role in (
        ("plaza-gateway", kc.post, "manage-users"),
        ("plaza-security", kc.post, "realm-admin"),
        ("plaza-security", kc.delete, "view-users"),
    ):
        uuid = (await city.client(client_id))["id"]
        account = await kc.get(f"clients/{uuid}/service-account-user")
        await verb(f"users/{account['id']}/role-mappings/clients/{own['id']}", [roles[role]])
    await put_right(
        city,
        "rights of plaza-gateway over the realm taken away: manage-users",
        "rights of plaza-security over the realm given: view-users",
        "rights of plaza-security over the realm taken away: realm-admin",
    )


async def test_a_service_has_its_role_and_no_other(city: City) -> None:
    kc = city.keycloak
    uuid = (await city.client("plaza-quality"))["id"]
    account = await kc.get(f"clients/{uuid}/service-account-user")
    path = f"users/{account['id']}/role-mappings/realm"
    await kc.delete(path, [await kc.get("roles/plaza-service")])
    await kc.post(path, [await kc.get("roles/city-administrator")])
    await put_right(city, "role of plaza-quality given", "surplus roles of plaza-quality")


async def test_the_second_factor_of_administrators_comes_back(city: City) -> None:
    kc = city.keycloak
    steps = await kc.get("authentication/flows/plaza%20browser/executions")
    (step,) = [one for one in steps if one.get("displayName") == ADMINISTRATORS_FLOW]
    await kc.put("authentication/flows/plaza%20browser/executions", {**step, "requirement": "DISABLED"})
    await put_right(city, f"step {ADMINISTRATORS_FLOW} is conditional")
