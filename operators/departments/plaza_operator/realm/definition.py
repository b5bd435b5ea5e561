"""What the realm must be: the realm file, less what belongs to the demo city, plus what a real city needs. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaza_kit.identity.realm_file import PLACEHOLDER

from plaza_operator.domain.errors import PermanentError
from plaza_operator.owned.identity import MACHINE_ROLE

Rep = dict[str, Any]
CONSOLE = "plaza-console"
ADMINISTRATOR = "city-administrator"
BROWSER_FLOW = "plaza browser"
FORMS_FLOW = f"{BROWSER_FLOW} forms"
"""Keycloak names the copies of subflows so."""
ADMINISTRATORS_FLOW = "plaza administrators"
ISSUERS_OWN = "realm-management"
"""Keycloak's client whose roles are rights over the realm itself."""
PASSWORD_POLICY = "length(12) and notUsername(undefined) and notEmail(undefined) and passwordHistory(5)"  # noqa: S105
REPLICAS_AT_ONCE = 2
"""How often the newest refresh token may be spent again: several replicas of the console renew the same session at the
same time (ADR 0012). An older one is good for nothing, as on one machine."""
_PARTS = frozenset(
    {
        "realm",
        "roles",
        "clientScopes",
        "defaultDefaultClientScopes",
        "defaultOptionalClientScopes",
        "clients",
        "users",
        "organizations",
        "components",
    }
)


class SecretsMissing(PermanentError):
    """Clients of services have no secret."""


@dataclass(frozen=True, slots=True)
class RealmDefinition:
    """The realm, part by part, as Keycloak's admin API speaks of them."""

    name: str
    settings: Rep
    roles: tuple[Rep, ...]
    scopes: tuple[Rep, ...]
    default_scopes: tuple[str, ...]
    clients: tuple[tuple[Rep, str | None], ...]
    """Each with the realm role of its service account."""
    issuer_roles: Mapping[str, frozenset[str]]
    """Rights over the realm itself, by client; who is not named has none."""
    user_profile: Rep
    second_factor: bool
    """Administrators must have one."""


def define(
    text: str, secrets: Mapping[str, str], *, name: str, console_urls: Sequence[str], second_factor: bool
) -> RealmDefinition:
    """From the realm file's text. Raises SecretsMissing naming every missing variable.

    Left out are people, organizations and the workers of departments: they come with Departments, or from the city.
    """
    content = json.loads(text)
    role_of = {
        user["serviceAccountClientId"]: user["realmRoles"][0]
        for user in content["users"]
        if "serviceAccountClientId" in user
    }
    clients = [one for one in content["clients"] if role_of.get(one["clientId"]) != MACHINE_ROLE]
    missing = sorted(
        {v for one in clients for v in PLACEHOLDER.findall(one.get("secret", "")) if not secrets.get(v)}
    )
    if missing:
        raise SecretsMissing(f"set {', '.join(missing)}: the secrets of the services' clients")
    profile = content["components"]["org.keycloak.userprofile.UserProfileProvider"][0]
    settings = {key: value for key, value in content.items() if key not in _PARTS}
    return RealmDefinition(
        name=name,
        settings=settings | {"passwordPolicy": PASSWORD_POLICY, "refreshTokenMaxReuse": REPLICAS_AT_ONCE},
        roles=tuple(content["roles"]["realm"]),
        scopes=tuple(content["clientScopes"]),
        default_scopes=tuple(content["defaultDefaultClientScopes"]),
        clients=tuple((_client(one, secrets, console_urls), role_of.get(one["clientId"])) for one in clients),
        issuer_roles={
            user["serviceAccountClientId"]: frozenset(user["clientRoles"][ISSUERS_OWN])
            for user in content["users"]
            if "clientRoles" in user
        },
        user_profile=json.loads(profile["config"]["kc.user.profile.config"][0]),
        second_factor=second_factor,
    )


def _client(written: Rep, secrets: Mapping[str, str], console_urls: Sequence[str]) -> Rep:
    made = dict(written)
    if "secret" in made:
        made["secret"] = PLACEHOLDER.sub(lambda found: secrets[found[1]], made["secret"])
    if made["clientId"] == CONSOLE:
        # The file's own addresses are those of one machine: in a city they would be a way out for codes.
        made["redirectUris"] = list(console_urls)
    return made
