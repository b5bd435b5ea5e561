"""One level-triggered `reconcile(name)`: reads what is wanted, makes it so everywhere, and says how it stands.

It keeps nothing that cannot be lost: what it remembers only saves requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from plaza_operator import events, faults, metrics, status
from plaza_operator.domain import pacing
from plaza_operator.domain.children import DEPARTMENT, NAMESPACE, POD, SECRET, Child, belongs_to
from plaza_operator.domain.conditions import Condition
from plaza_operator.domain.errors import (
    BadDepartment,
    NamespaceTaken,
    NamespaceTerminating,
    PermanentError,
    ReconcileError,
)
from plaza_operator.domain.pacing import EMPTY, Queue
from plaza_operator.domain.spec import Department, DepartmentName, parse
from plaza_operator.owned import (
    access,
    credentials,
    exchange_database,
    identity,
    limit_range,
    namespace,
    network_policies,
    resource_quota,
    worker,
    worker_certificate,
)
from plaza_operator.owned.credentials import Credentials
from plaza_operator.world import World

GONE = None
_READY_RECHECK = 2.0


@dataclass(slots=True)
class _Seen:
    """What is remembered of a department between two reconciles."""

    external_at: float = float("-inf")
    external_for: tuple[int, str] = (0, "")
    """Generation and credentials that the systems outside were last put right for."""
    external: tuple[Condition, ...] = ()
    failures: int = 0
    workers: int | None = None
    """That shall run; None after a start."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class _Round:
    """What one reconcile found."""

    conditions: list[Condition] = field(default_factory=list)
    repaired: list[tuple[str, str]] = field(default_factory=list)
    errors: list[ReconcileError] = field(default_factory=list)

    async def part(
        self, name: str, work: Callable[[], Awaitable[list[str]]], reason: str = "InOrder"
    ) -> bool:
        """Runs a part; its error becomes its condition. Other parts go on."""
        try:
            changes = await work()
        except ReconcileError as error:
            self.errors.append(error)
            self.conditions.append(Condition(f"{name}Ready", False, error.reason, str(error)))
            return False
        self.repaired += [(name, change) for change in changes]
        self.conditions.append(Condition(f"{name}Ready", True, reason))
        return True

    def wait(self, names: tuple[str, ...], for_what: str) -> None:
        """Parts that could not begin."""
        self.conditions += [Condition(f"{n}Ready", False, "Waiting", f"waits for {for_what}") for n in names]


class Reconciler:
    """Brings departments into order, each by itself, several at a time."""

    def __init__(self, world: World, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._world = world
        self._monotonic = monotonic
        self._seen: dict[str, _Seen] = {}
        self.queues: Mapping[str, Queue] = {}
        """Departments with work, and how much; told by whoever asks ingestion."""

    def lock(self, name: str) -> asyncio.Lock:
        """Held while a department is worked on."""
        return self._seen.setdefault(name, _Seen()).lock

    def forget(self, name: str) -> None:
        """Of a department that is gone."""
        self._seen.pop(name, None)

    def with_workers(self) -> frozenset[str]:
        """Departments whose workers run: somebody must see when they have nothing to do."""
        return frozenset(name for name, seen in self._seen.items() if seen.workers)

    async def reconcile(self, name: str) -> float | None:
        """Answers after how many seconds to look again, None when the department is gone or going."""
        async with self.lock(name):
            with metrics.SECONDS.time():
                return await self._reconcile(name, self._seen[name])

    async def _reconcile(self, name: str, seen: _Seen) -> float | None:
        try:
            body = await self._world.kube.get(DEPARTMENT, name)
        except ReconcileError:
            return self._failed(seen, permanent=False)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return GONE
        try:
            department = parse(body)
        except BadDepartment:
            metrics.RECONCILES.labels("refused").inc()
            return self._world.settings.external_seconds
        found = _Round()
        with faults.armed(body, allowed=self._world.settings.die_on_demand):
            await self._bring_into_order(department, seen, found)
            for part, _ in found.repaired:
                metrics.REPAIRS.labels(part).inc()
            try:
                await status.write(self._world, department, body, found.conditions, seen.workers or 0)
                await events.tell(self._world.kube, department, body, found.conditions, found.repaired)
            except ReconcileError as error:
                found.errors.append(error)
        if found.errors:
            return self._failed(seen, permanent=all(isinstance(e, PermanentError) for e in found.errors))
        seen.failures = 0
        metrics.RECONCILES.labels("ok").inc()
        if any(not one.holds for one in found.conditions):
            return _READY_RECHECK
        return pacing.spread(name, self._world.settings.external_seconds)

    def _failed(self, seen: _Seen, *, permanent: bool) -> float:
        metrics.RECONCILES.labels("refused" if permanent else "failed").inc()
        seen.failures += 1
        return self._world.settings.external_seconds if permanent else pacing.backoff(seen.failures)

    async def _bring_into_order(self, department: Department, seen: _Seen, found: _Round) -> None:
        rest = ("Credentials", "Database", "Identity", "Storage", "Catalogue", "Worker")
        if not await found.part("Namespace", lambda: self._namespace(department)):
            found.wait(rest, "the namespace")
            return
        have: list[Credentials] = []

        async def secrets() -> list[str]:
            known, changes = await self._credentials(department)
            have.append(known)
            return changes

        if not await found.part("Credentials", secrets):
            found.wait(rest[1:], "the secrets")
            return
        await asyncio.gather(
            self._outside(department, have[0], seen, found),
            found.part("Worker", lambda: self._worker(department, have[0], seen)),
        )

    # Kubernetes

    async def _namespace(self, department: Department) -> list[str]:
        kube, platform = self._world.kube, self._world.platform
        live = await kube.get(NAMESPACE, department.namespace)
        if live is not None and not belongs_to(live, department):
            raise NamespaceTaken(
                f"the namespace {department.namespace} exists and does not bear the label "
                f"plaza.city/department={department.name}; remove it, or set the label if it is the department's"
            )
        if live is not None and live["metadata"].get("deletionTimestamp"):
            raise NamespaceTerminating(f"the namespace {department.namespace} is still being removed")
        # A lost label would make the namespace nobody's, so it is put right before all else.
        changes = await self._apply(namespace.desired(department))
        binding = access.operator_binding(department, platform)
        if binding is not None:
            changes += await self._apply(binding)
        *accounts_and_role, binding_of_people = access.desired(department, platform)
        changes += await self._apply(
            resource_quota.desired(department),
            limit_range.desired(department),
            *network_policies.desired(department, platform),
            *accounts_and_role,
        )
        # Kubernetes refuses a binding to a Role that is not there yet.
        return changes + await self._apply(binding_of_people)

    async def _credentials(self, department: Department) -> tuple[Credentials, list[str]]:
        kube, platform = self._world.kube, self._world.platform
        found = await asyncio.gather(*(kube.get(SECRET, n, department.namespace) for n in credentials.NAMES))
        live = dict(zip(credentials.NAMES, found, strict=True))
        have = credentials.read(live, department, own_keys=self._world.buckets.makes_keys)
        wanted = credentials.desired(department, platform, have)
        todo = [child for child in wanted if not credentials.as_wanted(live[child.name], child)]
        await self._apply(*todo)
        return have, [f"secret {child.name} written" for child in todo]

    async def _worker(self, department: Department, have: Credentials, seen: _Seen) -> list[str]:
        changes = await worker_certificate.ensure(self._world.kube, self._world.signer, department)
        seen.workers = await self._workers(department, seen.workers)
        deployment = worker.desired(department, self._world.platform, seen.workers, have.fingerprint)
        return changes + await self._apply(deployment)

    async def _workers(self, department: Department, current: int | None) -> int:
        most = department.worker.max_replicas
        if not self._world.settings.ask_for_work:
            return most
        if current is None:
            # After a restart: what runs now is what we wanted before.
            live = await self._world.kube.get(worker.KIND, worker.NAME, department.namespace)
            current = int((live or {}).get("spec", {}).get("replicas", 0))
        queue, idle = self.queues.get(department.name, EMPTY), False
        if current and queue == EMPTY:
            idle = pacing.all_idle(await self._world.kube.list(POD, department.namespace, worker.SELECTOR))
        return pacing.scale(current, queue, idle=idle, most=most)

    async def _apply(self, *children: Child) -> list[str]:
        changed = await asyncio.gather(*(self._world.kube.apply(child) for child in children))
        return [
            f"{child.kind.name} {child.name} put right"
            for child, was in zip(children, changed, strict=True)
            if was
        ]

    # The systems outside

    async def _outside(self, department: Department, have: Credentials, seen: _Seen, found: _Round) -> None:
        """All at once, when something changed or the time is up; else the conditions of the last time stand."""
        world, now = self._world, self._monotonic()
        wanted_for = (department.generation, have.fingerprint)
        # Half a second early: the timer that woke us is this very one.
        due = now - seen.external_at >= pacing.spread(department.name, world.settings.external_seconds) - 0.5
        if not due and seen.external_for == wanted_for:
            found.conditions += seen.external
            return
        seen.external_for = (0, "")
        outside = _Round()
        bucket = world.platform.bucket(department)
        parts = [
            outside.part(
                "Database",
                lambda: exchange_database.ensure(world.exchange, department, have.database_password),
            ),
            outside.part(
                "Identity",
                lambda: identity.ensure(
                    world.keycloak, department, have.client_secret, world.platform.organization_domain
                ),
            ),
            outside.part("Storage", lambda: world.buckets.ensure(bucket, have.access_key, have.secret_key)),
        ]
        if world.settings.catalogue_address:
            parts.append(outside.part("Catalogue", lambda: world.plaza.ensure_entry(department)))
        await asyncio.gather(*parts)
        found.conditions += outside.conditions
        found.repaired += outside.repaired
        found.errors += outside.errors
        if not outside.errors:
            seen.external_at, seen.external_for = now, wanted_for
            seen.external = tuple(outside.conditions)


def department_of(labels: dict[str, str]) -> DepartmentName | None:
    """Whose child an object with these labels is."""
    found = labels.get("plaza.city/department")
    return DepartmentName(found) if found else None
