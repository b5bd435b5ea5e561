"""Administrators log in with a second factor: a browser flow of our own, in which the role asks for a one-time code.

Whoever has the role and no code device yet is led through setting one up (Keycloak's action CONFIGURE_TOTP).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from plaza_operator.external.keycloak import Exists, Keycloak
from plaza_operator.realm.definition import ADMINISTRATOR, ADMINISTRATORS_FLOW, BROWSER_FLOW, FORMS_FLOW

_CONDITION = "conditional-user-role"
_CODE = "auth-otp-form"
_CONFIG = {"condUserRole": ADMINISTRATOR, "negate": "false"}
_REQUIREMENTS = {ADMINISTRATORS_FLOW: "CONDITIONAL", _CONDITION: "REQUIRED", _CODE: "REQUIRED"}
Rep = dict[str, Any]


async def ensure_second_factor(keycloak: Keycloak) -> list[str]:
    """The flow is there, as it must be, and the realm uses it; answers what had to be done."""
    changes = []
    flows = {one["alias"] for one in await keycloak.get("authentication/flows")}
    if BROWSER_FLOW not in flows:
        await keycloak.post("authentication/flows/browser/copy", {"newName": BROWSER_FLOW})
        changes.append(f"flow {BROWSER_FLOW} made")
    steps = await _steps(keycloak)
    if ADMINISTRATORS_FLOW not in {one.get("displayName") for one in steps}:
        await _add(
            keycloak, FORMS_FLOW, "flow", {"alias": ADMINISTRATORS_FLOW, "type": "basic-flow", "provider": ""}
        )
        changes.append("second factor of administrators made")
        steps = await _steps(keycloak)
    have = _own(steps)
    for provider in (_CONDITION, _CODE):
        if provider not in have:
            await _add(keycloak, ADMINISTRATORS_FLOW, "execution", {"provider": provider})
            changes.append(f"step {provider} made")
    have = _own(await _steps(keycloak))
    for name, wanted in _REQUIREMENTS.items():
        if have[name]["requirement"] != wanted:
            await keycloak.put(
                f"authentication/flows/{quote(BROWSER_FLOW)}/executions",
                {**have[name], "requirement": wanted},
            )
            changes.append(f"step {name} is {wanted.lower()}")
    changes += await _condition(keycloak, have[_CONDITION])
    realm = await keycloak.get("")
    if realm.get("browserFlow") != BROWSER_FLOW:
        await keycloak.put("", {"browserFlow": BROWSER_FLOW})
        changes.append(f"the realm logs in by {BROWSER_FLOW}")
    return changes


async def _condition(keycloak: Keycloak, step: Rep) -> list[str]:
    config = step.get("authenticationConfig")
    wanted = {"alias": ADMINISTRATORS_FLOW, "config": _CONFIG}
    if config is None:
        await keycloak.post(f"authentication/executions/{step['id']}/config", wanted)
        return ["condition of the second factor set"]
    live = await keycloak.get(f"authentication/config/{config}")
    if live.get("config") == _CONFIG:
        return []
    await keycloak.put(f"authentication/config/{config}", {**live, **wanted})
    return ["condition of the second factor put right"]


async def _steps(keycloak: Keycloak) -> list[Rep]:
    found = await keycloak.get(f"authentication/flows/{quote(BROWSER_FLOW)}/executions")
    return [dict(one) for one in found]


def _own(steps: list[Rep]) -> dict[str, Rep]:
    """The administrators' subflow and the steps in it: they follow it, one level deeper."""
    own: dict[str, Rep] = {}
    level = None
    for step in steps:
        if level is not None:
            if step["level"] <= level:
                break
            own[str(step.get("providerId"))] = step
        elif step.get("displayName") == ADMINISTRATORS_FLOW:
            level = step["level"]
            own[ADMINISTRATORS_FLOW] = step
    return own


async def _add(keycloak: Keycloak, flow: str, what: str, body: Rep) -> None:
    try:
        await keycloak.post(f"authentication/flows/{quote(flow)}/executions/{what}", body)
    except Exists:
        return
