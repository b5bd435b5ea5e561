"""Whatever somebody changes by hand comes back, and the Department tells it.

Kubernetes' own in two seconds, for it is watched; the systems outside within a minute, for they are looked at again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cluster import Cluster, kubectl
from cluster_full.machine import Machine
from cluster_full.tenants import Operator, Tenants, done_about, forget, found, sql, table, tenant, within
from keycloak import KeycloakAdmin

pytestmark = pytest.mark.e2e

NAME = "drifting"
NAMESPACE, ROLE, CLIENT, BUCKET = "dept-drifting", "dept_drifting", "drifting-worker", "plaza-drifting"
WATCHED_SECONDS, OUTSIDE_SECONDS = 2.0, 60.0
_SLACK = 3.0
"""Each look of a test at the cluster takes a while of its own."""


@dataclass
class Drift:
    """The department, and what was measured of it."""

    plaza: Cluster
    operator: Operator
    rows: list[tuple[str, str, str]]

    def repaired(
        self, what: str, part: str, change: Callable[[], Any], is_back: Callable[[], bool], most: float
    ) -> None:
        """Changes by hand, waits until it is back and told."""
        assert is_back(), f"{what}: before"
        before = done_about(NAME, part)
        change()
        begun = time.monotonic()
        within(most + _SLACK, is_back, f"{what} is back")
        seconds = time.monotonic() - begun
        told: list[str] = []

        def is_told() -> bool:
            now = done_about(NAME, part)
            told.extend(
                message for event, (count, message) in now.items() if before.get(event) != (count, message)
            )
            return bool(told)

        within(10, is_told, f"{what}: an event on the Department")
        event = told[-1]
        self.rows.append((what, f"{seconds:.1f} s", event))
        print(f"  {what}: {seconds:.1f} s, {event}")

    @property
    def admin(self) -> KeycloakAdmin:
        return self.plaza.admin()


@pytest.fixture(scope="module")
def drift(plaza: Cluster, tenants: Tenants, operator: Operator) -> Iterator[Drift]:
    tenants.apply(tenant(NAME, worker={"maxReplicas": 0}))
    tenants.ready([NAME])
    made = Drift(plaza, operator, [])
    yield made
    table("Changed by hand, and back:", made.rows)


def change(kind: str, name: str, patch: dict[str, Any], namespace: str = NAMESPACE) -> None:
    kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(patch), namespace=namespace)


def in_place(kind: str, name: str, holds: Callable[[dict[str, Any]], bool] = lambda _: True) -> bool:
    live = found(kind, name, NAMESPACE)
    return live is not None and not live["metadata"].get("deletionTimestamp") and holds(live)


def as_before(kind: str, name: str, *members: str) -> Callable[[], bool]:
    """Whether an object is there with those of its members as they are now."""
    before = found(kind, name, NAMESPACE)
    assert before is not None
    return lambda: in_place(kind, name, lambda live: all(live.get(m) == before.get(m) for m in members))


def test_network_policies(drift: Drift) -> None:
    for name in ("deny-all", "worker"):
        drift.repaired(
            f"network policy {name} deleted", "Namespace",
            lambda name=name: kubectl("delete", "networkpolicy", name, namespace=NAMESPACE),  # type: ignore[misc]
            as_before("networkpolicy", name, "spec"), WATCHED_SECONDS,
        )  # fmt: skip
    drift.repaired(
        "network policy widened", "Namespace",
        lambda: change("networkpolicy", "deny-all", {"spec": {"egress": [{}]}}),
        as_before("networkpolicy", "deny-all", "spec"), WATCHED_SECONDS,
    )  # fmt: skip


def test_quota_and_limits(drift: Drift) -> None:
    drift.repaired(
        "quota edited", "Namespace",
        lambda: change("resourcequota", "department", {"spec": {"hard": {"pods": "99"}}}),
        as_before("resourcequota", "department", "spec"), WATCHED_SECONDS,
    )  # fmt: skip
    drift.repaired(
        "limits deleted", "Namespace",
        lambda: kubectl("delete", "limitrange", "department", namespace=NAMESPACE),
        as_before("limitrange", "department", "spec"), WATCHED_SECONDS,
    )  # fmt: skip


def test_rights(drift: Drift) -> None:
    more = {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    drift.repaired(
        "role of the people widened", "Namespace", lambda: change("role", "department", more),
        as_before("role", "department", "rules"), WATCHED_SECONDS,
    )  # fmt: skip
    strangers = {
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "everybody"}]
    }
    drift.repaired(
        "others bound to the role", "Namespace", lambda: change("rolebinding", "department", strangers),
        as_before("rolebinding", "department", "subjects"), WATCHED_SECONDS,
    )  # fmt: skip


def test_namespace_and_worker(drift: Drift) -> None:
    level = "pod-security.kubernetes.io/enforce"
    drift.repaired(
        "Pod Security lowered", "Namespace",
        lambda: kubectl("label", "--overwrite", "namespace", NAMESPACE, f"{level}=privileged"),
        lambda: in_place("namespace", NAMESPACE, lambda live: live["metadata"]["labels"].get(level) == "restricted"),
        WATCHED_SECONDS,
    )  # fmt: skip
    drift.repaired(
        "worker scaled by hand", "Worker",
        lambda: change("deployment", "worker", {"spec": {"replicas": 3, "revisionHistoryLimit": 9}}),
        as_before("deployment", "worker", "spec"), WATCHED_SECONDS,
    )  # fmt: skip


def test_a_deleted_secret_is_a_rotation(drift: Drift) -> None:
    before = drift.plaza.secret("worker", "client-secret", NAMESPACE)
    drift.repaired(
        "secret of the worker deleted", "Credentials",
        lambda: kubectl("delete", "secret", "worker", namespace=NAMESPACE),
        lambda: in_place("secret", "worker") and logs_in(drift), OUTSIDE_SECONDS,
    )  # fmt: skip
    assert drift.plaza.secret("worker", "client-secret", NAMESPACE) != before
    assert not logs_in(drift, before), "what was lost opens nothing any more"


def logs_in(drift: Drift, secret: str = "") -> bool:
    """Whether the machine client gets a token."""
    return Machine(drift.plaza, NAME).token(secret) is not None


def test_postgresql(drift: Drift) -> None:
    def facts() -> str:
        return sql(
            "exchange",
            "SELECT rolcanlogin, rolcreatedb, rolconnlimit, pg_get_userbyid(nspowner) FROM pg_roles"
            f" JOIN pg_namespace ON nspname = rolname WHERE rolname = '{ROLE}'",
        )

    right = facts()
    assert right.startswith("t|f|")

    password = drift.plaza.secret("exchange-database", "password", NAMESPACE)
    try_it = f"""
import os, psycopg
try:
    psycopg.connect(os.environ["PLAZA_EXCHANGE_DATABASE_URL"], user="{ROLE}", password="{password}").close()
    print("opens")
except psycopg.OperationalError:
    pass
"""
    for what, statement in (
        ("role may make databases", f"ALTER ROLE {ROLE} CREATEDB"),
        ("role may not log in", f"ALTER ROLE {ROLE} NOLOGIN"),
        ("schema given to another", f"ALTER SCHEMA {ROLE} OWNER TO operator"),
        (
            "role dropped with its schema",
            f"DROP SCHEMA {ROLE} CASCADE; DROP OWNED BY {ROLE}; DROP ROLE {ROLE}",
        ),
    ):
        drift.repaired(
            f"PostgreSQL: {what}", "Database", lambda s=statement: sql("exchange", s),  # type: ignore[misc]
            lambda: facts() == right, OUTSIDE_SECONDS,
        )  # fmt: skip
    drift.repaired(
        "PostgreSQL: password changed", "Database",
        lambda: sql("exchange", f"ALTER ROLE {ROLE} PASSWORD 'another'"),
        lambda: drift.operator.python(try_it).strip() == "opens", OUTSIDE_SECONDS,
    )  # fmt: skip


def test_storage(drift: Drift) -> None:
    everybody = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{BUCKET}/*",
            }
        ],
    }
    put = f"print(ask('PUT', '/{BUCKET}', {json.dumps(everybody).encode()!r}, policy='').raise_for_status())"
    drift.repaired(
        "S3: bucket opened to everybody", "Storage", lambda: drift.operator.storage(put),
        lambda: drift.operator.storage(f"print(ask('GET', '/{BUCKET}', policy='').status_code)") == "404",
        OUTSIDE_SECONDS,
    )  # fmt: skip
    users = f"print('<Access>{NAMESPACE}</Access>' in ask('PATCH', '/list-users').text)"
    drift.repaired(
        "S3: user removed", "Storage",
        lambda: drift.operator.storage(f"ask('PATCH', '/delete-user', access='{NAMESPACE}').raise_for_status()"),
        lambda: drift.operator.storage(users) == "True", OUTSIDE_SECONDS,
    )  # fmt: skip


def test_keycloak(drift: Drift) -> None:
    admin = drift.admin

    def client() -> str:
        return str(admin.get_client_id(CLIENT))

    def account() -> str:
        return str(admin.get_client_service_account_user(client())["id"])

    def roles() -> set[str]:
        if admin.get_client_id(CLIENT) is None:
            return set()
        return {one["name"] for one in admin.get_realm_roles_of_user(account())} - {"default-roles-plaza"}

    right = {"department-machine"}
    drift.repaired(
        "Keycloak: client deleted", "Identity", lambda: admin.delete_client(client()),
        lambda: roles() == right and logs_in(drift), OUTSIDE_SECONDS,
    )  # fmt: skip
    drift.repaired(
        "Keycloak: a mightier role given", "Identity",
        lambda: admin.assign_realm_roles(account(), [admin.get_realm_role("city-administrator")]),
        lambda: roles() == right, OUTSIDE_SECONDS,
    )  # fmt: skip
    drift.repaired(
        "Keycloak: role taken away", "Identity",
        lambda: admin.delete_realm_roles_of_user(account(), [admin.get_realm_role("department-machine")]),
        lambda: roles() == right, OUTSIDE_SECONDS,
    )  # fmt: skip

    def group() -> dict[str, Any]:
        return dict(admin.get_group_by_path(f"/{NAMESPACE}/readers"))

    def of_readers() -> set[str]:
        return {one["name"] for one in admin.get_group_realm_roles(group()["id"])}

    drift.repaired(
        "Keycloak: readers made officers", "Identity",
        lambda: admin.assign_group_realm_roles(group()["id"], [admin.get_realm_role("data-officer")]),
        lambda: of_readers() == {"reader"}, OUTSIDE_SECONDS,
    )  # fmt: skip

    def organization() -> dict[str, Any] | None:
        return next((one for one in admin.get_organizations() if one["alias"] == NAME), None)

    drift.repaired(
        "Keycloak: organization deleted", "Identity",
        lambda: admin.delete_organization((organization() or {})["id"]),
        lambda: organization() is not None, OUTSIDE_SECONDS,
    )  # fmt: skip


def test_directory(drift: Drift) -> None:
    def entry() -> str:
        return sql("plaza", f"SELECT display_name FROM catalogue.departments WHERE department = '{NAME}'")

    right = entry()
    drift.repaired(
        "directory: name changed", "Catalogue",
        lambda: sql("plaza", f"UPDATE catalogue.departments SET display_name = 'x' WHERE department = '{NAME}'"),
        lambda: entry() == right, OUTSIDE_SECONDS,
    )  # fmt: skip
    drift.repaired(
        "directory: entry deleted", "Catalogue",
        lambda: forget(NAME),
        lambda: entry() == right, OUTSIDE_SECONDS,
    )  # fmt: skip
