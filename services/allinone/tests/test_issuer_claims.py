"""Scopes and claims, as Keycloak 26.4 makes them of the same realm file."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plaza_issuer.claims import UnknownScopes, grant_scope, mapped_claims
from plaza_issuer.model import ClientId, DepartmentId
from plaza_issuer.realm import load_realm, required_variables

REALM = load_realm(environ=dict.fromkeys(required_variables(), "x"))
CLI = REALM.clients[ClientId("plaza-cli")]
OFFICER = REALM.by_username["ecology-officer"]
IN_TWO = replace(OFFICER, departments=(DepartmentId("ecology"), DepartmentId("health")))


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, "profile organization"),
        ("openid", "openid profile organization"),
        ("openid organization:*", "openid profile organization:*"),
        ("openid profile organization:* profile", "openid profile organization:*"),
    ],
)
def test_granted_scope_names_what_was_given(asked: str | None, granted: str) -> None:
    assert grant_scope(CLI, asked).text == granted
    assert grant_scope(CLI, granted).text == granted, "asking for it again grants the same"


@pytest.mark.parametrize("asked", ["admin", "openid groups:*", "profile:*"])
def test_unknown_scopes_are_refused(asked: str) -> None:
    with pytest.raises(UnknownScopes):
        grant_scope(CLI, asked)


def test_scopes_belong_to_clients() -> None:
    gateway = REALM.clients[ClientId("plaza-gateway")]
    with pytest.raises(UnknownScopes):
        grant_scope(gateway, "organization:*")


@pytest.mark.parametrize(
    ("asked", "departments"),
    [
        ("openid", None),
        ("organization", None),
        ("organization:*", ["ecology", "health"]),
        ("organization:health", ["health"]),
        ("organization:market", None),
    ],
)
def test_who_belongs_to_two_departments_has_to_ask_for_them(
    asked: str, departments: list[str] | None
) -> None:
    claims = mapped_claims("access", CLI, IN_TWO, grant_scope(CLI, asked))
    assert claims.get("organization") == departments


def test_access_claims_of_a_person() -> None:
    assert mapped_claims("access", CLI, OFFICER, grant_scope(CLI, "openid")) == {
        "aud": "plaza",
        "sub": OFFICER.id,
        "preferred_username": "ecology-officer",
        "name": "林清源",
        "realm_access": {"roles": ["data-officer"]},
        "organization": ["ecology"],
    }


def test_roles_and_audience_stay_out_of_the_id_token() -> None:
    claims = mapped_claims("id", CLI, OFFICER, grant_scope(CLI, "openid"))
    assert set(claims) == {"preferred_username", "name", "organization"}


def test_access_claims_of_a_department_machine() -> None:
    worker = REALM.clients[ClientId("health-worker")]
    account = REALM.service_accounts[worker.id]
    assert mapped_claims("access", worker, account, grant_scope(worker, None)) == {
        "aud": "plaza",
        "sub": account.id,
        "preferred_username": "service-account-health-worker",
        "realm_access": {"roles": ["department-machine"]},
        "organization": ["health"],
        "client_id": "health-worker",
    }
