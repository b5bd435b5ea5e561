"""The whole reconcile over systems kept in memory: what it makes, what it survives, how a department goes."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from plaza_operator import deletion
from plaza_operator.domain.children import Child, Kind
from plaza_operator.domain.errors import BucketTaken, KeycloakUnavailable
from plaza_operator.domain.pacing import EMPTY, Queue
from plaza_operator.domain.platform import Platform
from plaza_operator.domain.spec import Department
from plaza_operator.owned import exchange_database, identity
from plaza_operator.owned.worker_certificate import Signer
from plaza_operator.reconcile import Reconciler
from plaza_operator.world import World


def resource(name: str = "ecology", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": 3},
        "spec": {"displayName": {"zh": "生态环境局"}, **spec},
    }


class Crash(BaseException):
    """The process dies here."""


class Everything:
    """Kubernetes, Keycloak, PostgreSQL and the storage as dicts. `die_after` changes the process dies."""

    makes_keys = True

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str | None, str], dict[str, Any]] = {}
        self.roles: dict[str, str] = {}
        self.clients: dict[str, str] = {}
        self.entries: dict[str, str] = {}
        self.buckets: dict[str, tuple[str, str]] = {}
        self.events: list[str] = []
        self.changes = 0
        self.die_after: int | None = None
        self.keycloak_away = False

    def changed(self) -> None:
        self.changes += 1
        if self.die_after is not None and self.changes > self.die_after:
            raise Crash

    # Kubernetes

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        return copy.deepcopy(self.objects.get((kind.name, namespace, name)))

    async def apply(self, child: Child) -> bool:
        key = (child.kind.name, child.namespace, child.name)
        before = self.objects.get(key)
        if before != child.body:
            self.objects[key] = copy.deepcopy(dict(child.body))
            self.changed()
        return before is not None and before != child.body

    async def patch_status(self, kind: Kind, name: str, status: dict[str, Any]) -> None:
        self.objects[(kind.name, None, name)].setdefault("status", {}).update(copy.deepcopy(status))
        self.changed()

    async def create(self, kind: Kind, body: dict[str, Any], namespace: str) -> None:
        self.events.append(body["reason"])

    async def list(self, *_: Any) -> list[dict[str, Any]]:
        return []

    async def scale_to_zero(self, kind: Kind, name: str, namespace: str) -> None:
        self.objects[(kind.name, namespace, name)]["spec"]["replicas"] = 0
        self.changed()

    async def delete(self, kind: Kind, name: str, namespace: str | None = None) -> bool:
        self.objects = {
            k: v for k, v in self.objects.items() if (k[1] != name and k[2] != name) or k[0] == "Department"
        }
        self.changed()
        return True

    def forget(self, namespace: str) -> None:
        pass

    # The systems outside

    async def ensure(self, bucket: str, access: str, secret: str) -> list[str]:
        owner, _ = self.buckets.get(bucket, (access, ""))
        if owner != access:
            raise BucketTaken(f"the bucket {bucket} belongs to {owner}")
        if self.buckets.get(bucket) == (access, secret):
            return []
        self.buckets[bucket] = (access, secret)
        self.changed()
        return ["bucket made"]

    async def remove(self, bucket: str, access: str) -> None:
        if self.buckets.get(bucket, ("", ""))[0] == access:
            del self.buckets[bucket]
            self.changed()

    async def ensure_role(self, _: Any, department: Department, password: str) -> list[str]:
        return self._set(self.roles, department.database_role, password)

    async def ensure_identity(self, _: Any, department: Department, secret: str, domain: str) -> list[str]:
        if self.keycloak_away:
            raise KeycloakUnavailable("Keycloak does not answer")
        return self._set(self.clients, department.client_id, secret)

    async def ensure_entry(self, department: Department) -> list[str]:
        return self._set(self.entries, department.name, "active")

    async def archive_entry(self, department: Department) -> None:
        self._set(self.entries, department.name, "archived")

    async def remove_role(self, _: Any, department: Department) -> None:
        self.roles.pop(department.database_role, None)

    async def remove_identity(self, _: Any, department: Department) -> None:
        if self.keycloak_away:
            raise KeycloakUnavailable("Keycloak does not answer")
        self.clients.pop(department.client_id, None)

    def _set(self, where: dict[str, str], name: str, value: str) -> list[str]:
        if where.get(name) == value:
            return []
        where[name] = value
        self.changed()
        return [f"{name} made"]

    # For the tests

    def department(self, name: str = "ecology") -> dict[str, Any]:
        return self.objects[("Department", None, name)]

    def condition(self, kind: str, name: str = "ecology") -> dict[str, Any]:
        return next(c for c in self.department(name)["status"]["conditions"] if c["type"] == kind)


class Settings:
    external_seconds = 30.0
    catalogue_address = ""
    ask_for_work = False
    deletion_limit_seconds = 600.0
    die_on_demand = False


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> Iterator[Everything]:
    made = Everything()
    made.objects[("Department", None, "ecology")] = resource()
    monkeypatch.setattr(exchange_database, "ensure", made.ensure_role)
    monkeypatch.setattr(exchange_database, "remove", made.remove_role)
    monkeypatch.setattr(identity, "ensure", made.ensure_identity)
    monkeypatch.setattr(identity, "remove", made.remove_identity)
    return made


@pytest.fixture
def world(everything: Everything, platform: Platform, signer: Signer) -> World:
    fake: Any = everything
    settings: Any = Settings()
    fakes = {"kube": fake, "keycloak": fake, "exchange": fake, "buckets": fake, "plaza": fake}
    return World(settings, platform, **fakes, signer=signer)


async def test_ten_lines_become_a_tenant_and_the_second_look_writes_nothing(
    everything: Everything, world: World
) -> None:
    await Reconciler(world).reconcile("ecology")
    assert everything.condition("Ready")["status"] == "True"
    assert everything.department()["status"]["observedGeneration"] == 3
    kinds = {kind for kind, namespace, _ in everything.objects if namespace == "dept-ecology"}
    assert kinds == {
        "ResourceQuota",
        "LimitRange",
        "NetworkPolicy",
        "Secret",
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "Deployment",
    }
    before = everything.changes
    await Reconciler(world).reconcile("ecology")  # as after a restart
    assert everything.changes == before
    assert everything.events.count("Provisioned") == len(everything.events)


async def test_killed_after_every_change_it_ends_in_the_same_state(
    everything: Everything, world: World
) -> None:
    await Reconciler(world).reconcile("ecology")
    changes = everything.changes
    assert changes > 15
    start = {("Department", None, "ecology"): resource()}
    for death in range(changes):
        everything.objects, everything.roles = copy.deepcopy(start), {}
        everything.clients, everything.buckets = {}, {}
        everything.changes, everything.die_after = 0, death
        with pytest.raises(Crash):
            await Reconciler(world).reconcile("ecology")
        everything.die_after = None
        await Reconciler(world).reconcile("ecology")
        assert everything.condition("Ready")["status"] == "True", death
        secret = everything.objects[("Secret", "dept-ecology", "worker")]["data"]["client-secret"]
        assert len(everything.clients) == len(everything.roles) == len(everything.buckets) == 1
        assert everything.clients["ecology-worker"] == base64.b64decode(secret).decode()


async def test_one_system_away_leaves_the_others_going(everything: Everything, world: World) -> None:
    everything.keycloak_away = True
    reconciler = Reconciler(world)
    assert [await reconciler.reconcile("ecology") for _ in range(3)] == [0.5, 1, 2]
    assert everything.condition("IdentityReady")["reason"] == "KeycloakUnavailable"
    assert everything.condition("DatabaseReady")["status"] == "True"
    assert everything.condition("Ready")["message"] == "Identity: Keycloak does not answer"
    assert everything.events.count("KeycloakUnavailable") == 1
    everything.objects[("ResourceQuota", "dept-ecology", "department")]["spec"] = {}
    await reconciler.reconcile("ecology")
    assert everything.events[-1] == "Repaired", "what is in reach is repaired, and told as that"
    everything.keycloak_away = False
    again = await reconciler.reconcile("ecology")
    assert everything.condition("Ready")["status"] == "True"
    assert again is not None
    assert again > 20


async def test_a_namespace_of_somebody_else_is_never_taken(everything: Everything, world: World) -> None:
    everything.objects[("Namespace", None, "dept-ecology")] = {"metadata": {"name": "dept-ecology"}}
    await Reconciler(world).reconcile("ecology")
    assert everything.condition("Ready")["reason"] == "NamespaceTaken"
    assert not everything.clients
    assert not everything.roles
    await gone(everything, world, deletionPolicy="Delete", deletionGraceSeconds=0)
    assert ("Namespace", None, "dept-ecology") in everything.objects


async def test_a_bucket_of_another_department_is_never_opened(everything: Everything, world: World) -> None:
    everything.objects[("Department", None, "thief")] = resource("thief", storage={"bucket": "plaza-ecology"})
    reconciler = Reconciler(world)
    await reconciler.reconcile("ecology")
    await reconciler.reconcile("thief")
    assert everything.condition("StorageReady", "thief")["reason"] == "BucketTaken"
    assert everything.buckets["plaza-ecology"][0] == "dept-ecology"


async def test_a_lost_secret_is_a_rotation_everywhere(everything: Everything, world: World) -> None:
    reconciler = Reconciler(world)
    await reconciler.reconcile("ecology")
    before = everything.clients["ecology-worker"]
    pods = everything.objects[("Deployment", "dept-ecology", "worker")]["spec"]["template"]
    del everything.objects[("Secret", "dept-ecology", "worker")]
    await reconciler.reconcile("ecology")
    assert everything.clients["ecology-worker"] != before
    assert everything.objects[("Deployment", "dept-ecology", "worker")]["spec"]["template"] != pods


async def test_as_many_workers_as_there_is_work_up_to_the_limit(
    everything: Everything, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "ask_for_work", True)
    everything.department()["spec"]["worker"] = {"maxReplicas": 3}
    reconciler = Reconciler(world)

    async def workers(queue: Queue) -> int:
        reconciler.queues = {"ecology": queue}
        await reconciler.reconcile("ecology")
        assert everything.department()["status"]["workers"] == deployed()
        return deployed()

    def deployed() -> int:
        return int(everything.objects[("Deployment", "dept-ecology", "worker")]["spec"]["replicas"])

    assert await workers(EMPTY) == 0
    assert await workers(Queue(2, 0)) == 2
    assert await workers(Queue(4, 2)) == 3
    assert await workers(Queue(0, 1)) == 3
    assert await workers(EMPTY) == 3  # no pod has said that it has nothing to do
    reconciler = Reconciler(world)  # as after a restart
    assert await workers(EMPTY) == 3


async def gone(everything: Everything, world: World, **spec: Any) -> None:
    body = everything.department()
    body["spec"] = {**body["spec"], **spec}
    body["metadata"]["deletionTimestamp"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    await deletion.finish(world, "ecology")


async def test_retain_stops_the_worker_and_keeps_all_else(
    everything: Everything, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    disabled: list[str] = []

    async def disable(_: Any, department: Department) -> None:
        disabled.append(department.client_id)

    monkeypatch.setattr(identity, "disable", disable)
    await Reconciler(world).reconcile("ecology")
    await gone(everything, world, deletionPolicy="Retain")
    assert disabled == ["ecology-worker"]
    assert everything.objects[("Deployment", "dept-ecology", "worker")]["spec"]["replicas"] == 0
    assert everything.roles
    assert everything.buckets


async def test_delete_leaves_nothing(
    everything: Everything, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "backoff", lambda _: 0.0)
    monkeypatch.setattr(Settings, "catalogue_address", "catalogue:1")
    await Reconciler(world).reconcile("ecology")
    assert everything.entries == {"ecology": "active"}
    await gone(everything, world, deletionPolicy="Delete", deletionGraceSeconds=0)
    assert everything.entries == {"ecology": "archived"}
    assert [key for key in everything.objects if key[0] != "Department"] == []
    assert not everything.roles
    assert not everything.clients
    assert not everything.buckets


async def test_a_deletion_that_cannot_end_ends_and_says_what_is_left(
    everything: Everything, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "backoff", lambda _: 0.0)
    monkeypatch.setattr(Settings, "deletion_limit_seconds", 0.05)
    await Reconciler(world).reconcile("ecology")
    everything.keycloak_away = True
    await gone(everything, world, deletionPolicy="Delete", deletionGraceSeconds=0)
    assert everything.events[-1] == "Abandoned"
    assert everything.condition("Terminating")["message"] == "waits for Identity: Keycloak does not answer"
