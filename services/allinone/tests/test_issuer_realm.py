"""The realm file: what it promises, and how faults in it are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from plaza_issuer.model import ClientId, DepartmentId, Realm
from plaza_issuer.realm import (
    REALM_FILE,
    RealmIncomplete,
    RealmInvalid,
    load_realm,
    required_variables,
    secret_variable,
)

SECRETS = {name: f"secret of {name}" for name in required_variables()}
SERVICES = ("gateway", "catalogue", "ingestion", "quality", "sharing", "open-data", "security", "supervisor")
DEPARTMENTS = {
    "ecology": "生态环境局",
    "transport": "交通运输局",
    "health": "卫生健康委",
    "market": "市场监管局",
    "data-bureau": "数据局",
}


def realm() -> Realm:
    return load_realm(environ=SECRETS)


def changed(tmp_path: Path, change: Any) -> Path:
    content = json.loads(REALM_FILE.read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "realm.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_departments_are_organizations_with_their_names() -> None:
    assert {d.id: d.display_name for d in realm().departments.values()} == DEPARTMENTS


@pytest.mark.parametrize("department", ["ecology", "transport", "health", "market"])
def test_each_sector_department_has_officer_steward_and_reader(department: str) -> None:
    loaded = realm()
    for suffix, role in (("officer", "data-officer"), ("steward", "steward"), ("reader", "reader")):
        person = loaded.by_username[f"{department}-{suffix}"]
        assert (person.departments, person.roles, person.password) == ((department,), (role,), "plaza-demo")
        assert 2 <= len(person.display_name) <= 4


def test_the_bureau_has_administrator_auditor_and_officer() -> None:
    loaded = realm()
    for suffix, role in (
        ("admin", "city-administrator"),
        ("auditor", "auditor"),
        ("officer", "data-officer"),
    ):
        person = loaded.by_username[f"bureau-{suffix}"]
        assert (person.departments, person.roles) == (("data-bureau",), (role,))


def test_services_and_machines_have_an_account_and_a_secret_of_their_own() -> None:
    loaded = realm()
    expected = {f"plaza-{name}": "plaza-service" for name in SERVICES}
    expected |= {f"{department}-worker": "department-machine" for department in DEPARTMENTS}
    assert {c: a.roles for c, a in loaded.service_accounts.items()} == {c: (r,) for c, r in expected.items()}
    for client_id in expected:
        assert loaded.clients[ClientId(client_id)].secret == SECRETS[secret_variable(client_id)]
    assert {secret_variable(c) for c in expected} == set(required_variables())
    assert "secret of" not in repr(loaded)
    assert "plaza-demo" not in repr(loaded)


def test_public_clients_have_no_secret_and_keycloak_takes_no_passwords_directly() -> None:
    clients = {c["clientId"]: c for c in json.loads(REALM_FILE.read_text(encoding="utf-8"))["clients"]}
    assert all(c["directAccessGrantsEnabled"] is False for c in clients.values())
    public = {name for name, c in clients.items() if c["publicClient"]}
    assert public == {"plaza-cli", "plaza-console"}
    assert all("secret" not in clients[name] for name in public)
    assert clients["plaza-console"]["attributes"]["pkce.code.challenge.method"] == "S256"


def test_every_client_is_meant_for_plaza() -> None:
    for client in realm().clients.values():
        assert [m.config["included.custom.audience"] for m in client.mappers if "audience" in m.kind] == [
            "plaza"
        ]


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(RealmIncomplete) as error:
        load_realm(environ={"PLAZA_SECRET_PLAZA_GATEWAY": "x", "PLAZA_SECRET_PLAZA_QUALITY": ""})
    assert error.value.missing == tuple(n for n in required_variables() if n != "PLAZA_SECRET_PLAZA_GATEWAY")
    assert all(name in error.value.message for name in error.value.missing)
    assert len(error.value.missing) == 12


def test_a_secret_may_hold_any_character() -> None:
    odd = 'a"b\\c\n密'
    loaded = load_realm(environ=SECRETS | {"PLAZA_SECRET_PLAZA_GATEWAY": odd})
    assert loaded.clients[ClientId("plaza-gateway")].secret == odd


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["organizationsEnabled"] = False
        content["users"][0]["realmRoles"] = ["king"]
        content["organizations"][0]["members"].append({"username": "nobody"})
        content["clients"][0]["defaultClientScopes"].append("nonsense")
        content["clients"][1]["protocolMappers"][0]["protocolMapper"] = "oidc-script-mapper"
        content["clients"].append(content["clients"][2])
        content["users"] = [u for u in content["users"] if u["username"] != "service-account-ecology-worker"]

    with pytest.raises(RealmInvalid) as error:
        load_realm(changed(tmp_path, change), SECRETS)
    for word in (
        "organizationsEnabled",
        "king",
        "nobody",
        "nonsense",
        "oidc-script-mapper",
        "appears 2 times",
    ):
        assert word in error.value.message
    assert "ecology-worker: no user is its service account" in error.value.message
    assert len(error.value.problems) == 7


def test_a_file_of_another_shape_is_told_by_place(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        del content["accessTokenLifespan"]
        content["clients"][0]["publicClient"] = "yes"

    with pytest.raises(RealmInvalid) as error:
        load_realm(changed(tmp_path, change), SECRETS)
    assert "accessTokenLifespan: Field required" in error.value.message
    assert "clients.0.publicClient" in error.value.message


def test_a_disabled_department_is_nobodys(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda content: content["organizations"][0].update(enabled=False))
    loaded = load_realm(path, SECRETS)
    assert not loaded.departments[DepartmentId("ecology")].enabled
    assert loaded.by_username["ecology-officer"].departments == ()
