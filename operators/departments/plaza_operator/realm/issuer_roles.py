"""Rights over the realm itself: who of the services has which, and that no other has any.

Whoever may manage users could make himself anybody; so what a hand gives in passing is taken away again.
"""

from __future__ import annotations

from collections.abc import Set

from plaza_operator.external.keycloak import Keycloak
from plaza_operator.realm.definition import ISSUERS_OWN


async def ensure_issuer_roles(keycloak: Keycloak, client_id: str, wanted: Set[str]) -> list[str]:
    """The service account of this client has these roles of Keycloak's own client, and no others."""
    (client,) = await keycloak.get("clients", clientId=client_id)
    account = await keycloak.get(f"clients/{client['id']}/service-account-user")
    mapped = (await keycloak.get(f"users/{account['id']}/role-mappings")).get("clientMappings", {})
    held = {one["name"]: one for one in mapped.get(ISSUERS_OWN, {}).get("mappings", [])}
    if held.keys() == wanted:
        return []
    (own,) = await keycloak.get("clients", clientId=ISSUERS_OWN)
    path = f"users/{account['id']}/role-mappings/clients/{own['id']}"
    changes = []
    if missing := sorted(wanted - held.keys()):
        known = {one["name"]: one for one in await keycloak.get(f"clients/{own['id']}/roles")}
        await keycloak.post(path, [known[name] for name in missing])
        changes.append(f"rights of {client_id} over the realm given: {', '.join(missing)}")
    if surplus := sorted(held.keys() - wanted):
        await keycloak.delete(path, [held[name] for name in surplus])
        changes.append(f"rights of {client_id} over the realm taken away: {', '.join(surplus)}")
    return changes
