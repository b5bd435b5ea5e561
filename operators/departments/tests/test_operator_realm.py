"""What of the realm file goes into a city's Keycloak, and how requests to the storage are signed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from plaza_kit.identity.realm_file import REALM_FILE, required_variables
from plaza_operator.external.sigv4 import signed
from plaza_operator.realm.definition import RealmDefinition, SecretsMissing, define

TEXT = REALM_FILE.read_text(encoding="utf-8")
SECRETS = {name: f"secret of {name}" for name in required_variables()}


def defined(**changes: Any) -> RealmDefinition:
    options: dict[str, Any] = {"console_urls": ["https://plaza.city.example/*"], "second_factor": True}
    return define(TEXT, SECRETS, name="plaza", **{**options, **changes})


def test_nobody_of_the_demo_city_comes_along() -> None:
    found = defined()
    clients = {client["clientId"]: role for client, role in found.clients}
    assert {name for name, role in clients.items() if role is None} == {"plaza-cli", "plaza-console"}
    assert {role for role in clients.values() if role} == {"plaza-service"}
    assert "plaza-demo" not in json.dumps([found.settings, *(c for c, _ in found.clients)])
    assert not {"users", "organizations", "clients"} & found.settings.keys()


def test_settings_are_the_files_and_a_password_policy_that_a_city_needs() -> None:
    found = defined()
    assert found.settings["organizationsEnabled"] is True
    assert found.settings["bruteForceProtected"] is True
    assert found.settings["accessTokenLifespan"] == 300
    assert "length(12)" in found.settings["passwordPolicy"]


def test_secrets_come_from_outside_and_none_is_left_a_placeholder() -> None:
    secrets = {c["clientId"]: c["secret"] for c, _ in defined().clients if "secret" in c}
    assert secrets["plaza-catalogue"] == "secret of PLAZA_SECRET_PLAZA_CATALOGUE"
    assert not [value for value in secrets.values() if "${" in value]


def test_all_missing_secrets_are_named_at_once() -> None:
    with pytest.raises(SecretsMissing) as caught:
        define(TEXT, {}, name="plaza", console_urls=[], second_factor=True)
    assert "PLAZA_SECRET_PLAZA_CATALOGUE" in str(caught.value)
    assert "PLAZA_SECRET_PLAZA_GATEWAY" in str(caught.value)
    assert "ECOLOGY" not in str(caught.value)


def test_the_console_sends_codes_to_the_citys_own_addresses_only() -> None:
    (console,) = (c for c, _ in defined().clients if c["clientId"] == "plaza-console")
    assert console["redirectUris"] == ["https://plaza.city.example/*"]
    (shut,) = (c for c, _ in defined(console_urls=[]).clients if c["clientId"] == "plaza-console")
    assert shut["redirectUris"] == []


def test_rights_over_the_realm_are_securitys_alone_and_only_to_look() -> None:
    assert defined().issuer_roles == {"plaza-security": {"view-clients", "view-events", "view-users"}}


def test_changes_of_accounts_are_logged_for_half_a_year() -> None:
    settings = defined().settings
    assert (settings["adminEventsEnabled"], settings["adminEventsDetailsEnabled"]) == (True, False)
    assert int(settings["attributes"]["adminEventsExpiration"]) >= 184 * 86_400


def test_signature_of_the_published_example() -> None:
    """Amazon S3 API Reference, "Signature calculations … GET bucket (list objects)"."""
    address, headers = signed(
        "GET",
        "https://examplebucket.s3.amazonaws.com/",
        {"max-keys": "2", "prefix": "J"},
        b"",
        access="AKIAIOSFODNN7EXAMPLE",
        secret="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region="us-east-1",
        at=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert address == "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"
    assert headers["authorization"].endswith(
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )
