"""How a department goes: by its policy, saying why it waits, and never for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from plaza_operator import events, metrics, status
from plaza_operator.domain.children import DEPARTMENT, NAMESPACE, belongs_to
from plaza_operator.domain.conditions import TERMINATING, Condition, stamp
from plaza_operator.domain.errors import BadDepartment, ReconcileError
from plaza_operator.domain.pacing import backoff
from plaza_operator.domain.spec import DeletionPolicy, Department, parse
from plaza_operator.owned import exchange_database, identity, worker
from plaza_operator.world import World

_LOOK_SECONDS = 15.0
"""In the grace period the resource is read again this often: the policy can still be changed."""


class _Still(ReconcileError):
    """Asked for, and not yet gone."""


async def finish(world: World, name: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Comes back when the finalizer may go: all is done, or the limit is over and a warning names what is left.

    Level-triggered like everything else: after a restart it begins again and finds done what is done.
    """
    failures, started = 0, None
    while True:
        try:
            body = await world.kube.get(DEPARTMENT, name)
            if body is None:
                return
            department = parse(body)
        except BadDepartment:
            return  # never became anything
        except ReconcileError:
            failures += 1
            await asyncio.sleep(backoff(failures))
            continue
        until = grace_ends(department)
        if until is not None and datetime.now(UTC) < until:
            text = (
                f"all data are destroyed at {stamp(until)}; until then "
                "`kubectl patch department … spec.deletionPolicy=Retain` keeps them"
            )
            await _say(world, department, Condition(TERMINATING, True, "GracePeriod", text))
            await asyncio.sleep(min(_LOOK_SECONDS, max(0.2, (until - datetime.now(UTC)).total_seconds())))
            continue
        started = monotonic() if started is None else started
        left = await _once(world, department)
        if not left:
            world.kube.forget(department.namespace)
            return
        failures += 1
        text = "; ".join(f"{part}: {error}" for part, error in left.items())
        if monotonic() - started > world.settings.deletion_limit_seconds:
            metrics.GAVE_UP.inc()
            await _tell(
                world, department, "Abandoned", f"the department is gone, but not all that it had: {text}"
            )
            return
        await _say(world, department, Condition(TERMINATING, True, "Removing", f"waits for {text}"))
        await asyncio.sleep(min(2.0, backoff(failures)))


def grace_ends(department: Department) -> datetime | None:
    """When a deletion that destroys may begin; None for one that retains."""
    if department.deletion_policy is DeletionPolicy.RETAIN or department.deleted_at is None:
        return None
    return department.deleted_at + timedelta(seconds=department.deletion_grace_seconds)


async def _once(world: World, department: Department) -> dict[str, ReconcileError]:
    """One attempt at all that must be done; answers what could not be, by part."""
    try:
        live = await world.kube.get(NAMESPACE, department.namespace)
    except ReconcileError as error:
        return {"Namespace": error}
    # Somebody else's namespace: this department never came to be, so nothing outside is its own either.
    if live is not None and not belongs_to(live, department):
        return {}
    # In a namespace on its way out there is nothing to stop, and no right left to look.
    stands = live is not None and not live["metadata"].get("deletionTimestamp")
    stop = {"Worker": lambda: _stop_worker(world, department)} if stands else {}
    if department.deletion_policy is DeletionPolicy.RETAIN:
        return await _all({**stop, "Identity": lambda: identity.disable(world.keycloak, department)})
    # First the doors, then what lies behind them. Ledger, versions and releases cite the directory entry: it stays.
    left = await _all(stop)
    archive = {"Catalogue": lambda: world.plaza.archive_entry(department)}
    if not world.settings.catalogue_address:
        archive = {}
    left |= await _all(
        {
            "Identity": lambda: identity.remove(world.keycloak, department),
            "Database": lambda: exchange_database.remove(world.exchange, department),
            "Storage": lambda: world.buckets.remove(world.platform.bucket(department), department.namespace),
            **archive,
        }
    )
    # The namespace goes last: its mark is what says that the rest is this department's.
    return left or await _all({"Namespace": lambda: _remove_namespace(world, department)})


async def _all(steps: Mapping[str, Callable[[], Awaitable[None]]]) -> dict[str, ReconcileError]:
    outcomes = await asyncio.gather(*(_try(step) for step in steps.values()))
    return {part: error for part, error in zip(steps, outcomes, strict=True) if error is not None}


async def _try(step: Callable[[], Awaitable[None]]) -> ReconcileError | None:
    try:
        await step()
    except ReconcileError as error:
        return error
    return None


async def _stop_worker(world: World, department: Department) -> None:
    live = await world.kube.get(worker.KIND, worker.NAME, department.namespace)
    if live is not None and live["spec"].get("replicas") != 0:
        await world.kube.scale_to_zero(worker.KIND, worker.NAME, department.namespace)


async def _remove_namespace(world: World, department: Department) -> None:
    live = await world.kube.get(NAMESPACE, department.namespace)
    if live is None:
        return
    if not live["metadata"].get("deletionTimestamp"):
        await world.kube.delete(NAMESPACE, department.namespace)
    reasons = [
        str(one.get("message", ""))
        for one in (live.get("status") or {}).get("conditions", ())
        if one.get("status") == "True"
    ]
    raise _Still(f"the namespace {department.namespace} is being removed. {' '.join(reasons)}".strip())


async def _say(world: World, department: Department, said: Condition) -> None:
    try:
        body = await world.kube.get(DEPARTMENT, department.name)
        if body is not None:
            known = {one["type"]: one for one in (body.get("status") or {}).get("conditions", ())}
            await status.write_terminating(world, department, body, said)
            if known.get(said.type, {}).get("reason") != said.reason:
                await _tell(world, department, said.reason, said.message)
    except ReconcileError:
        return  # saying it is not the work


async def _tell(world: World, department: Department, reason: str, message: str) -> None:
    try:
        await events.post(world.kube, department, reason, message, warning=True)
    except ReconcileError:
        return
