"""Who wakes whom: changed children wake their department, and so does work that waits."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import structlog

from plaza_operator.domain.children import WATCHED, Kind
from plaza_operator.domain.errors import ReconcileError
from plaza_operator.kube import Kube
from plaza_operator.reconcile import Reconciler, department_of
from plaza_operator.world import World

_AGAIN_SECONDS = 1.0
_log = structlog.get_logger("plaza_operator")


class Bells:
    """One bell a department, rung by whoever saw something and heard by the department's daemon."""

    def __init__(self) -> None:
        self._bells: dict[str, asyncio.Event] = {}

    def of(self, name: str) -> asyncio.Event:
        """The department's bell."""
        return self._bells.setdefault(name, asyncio.Event())

    def ring(self, name: str) -> None:
        """Somebody should look."""
        if name in self._bells:
            self._bells[name].set()

    def remove(self, name: str) -> None:
        """Nobody listens any more."""
        self._bells.pop(name, None)


async def watch_children(kube: Kube, bells: Bells) -> None:
    """For ever, one stream a kind."""
    await asyncio.gather(*(_watch(kube, kind, bells) for kind in WATCHED))


async def _watch(kube: Kube, kind: Kind, bells: Bells) -> None:
    known: dict[str, str] = {}
    while True:
        first = not known
        listed: set[str] = set()
        try:
            async for change, body in kube.watch(kind):
                uid, mark = str(body["metadata"]["uid"]), fingerprint(body)
                department = department_of(body["metadata"].get("labels") or {})
                listed.add(uid)
                same = known.get(uid) == mark
                if change == "DELETED":
                    known.pop(uid, None)
                else:
                    known[uid] = mark
                # What is there when we start is looked at by the daemons anyway.
                if department and not (same and change != "DELETED") and not (first and change == "LISTED"):
                    bells.ring(department)
        except ReconcileError as error:
            _log.debug("watch ended", kind=kind.name, error=str(error))
        # What went away while nobody watched is not told: the next listing lacks it.
        known = {uid: mark for uid, mark in known.items() if uid in listed}
        await asyncio.sleep(_AGAIN_SECONDS)


def fingerprint(body: Mapping[str, Any]) -> str:
    """What an object says, without what the cluster notes about it: a new status alone wakes nobody."""
    metadata = body.get("metadata", {})
    said = {k: v for k, v in body.items() if k not in ("metadata", "status")}
    said["labels"] = metadata.get("labels")
    said["going"] = metadata.get("deletionTimestamp")
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


async def watch_work(world: World, reconciler: Reconciler, bells: Bells) -> None:
    """For ever: asks ingestion how much work each department has, in one call for all."""
    while True:
        try:
            queues = await world.plaza.queues()
        except ReconcileError as error:
            _log.warning("cannot ask for waiting work", error=str(error))
        else:
            reconciler.queues = queues
            for name in queues.keys() | reconciler.with_workers():
                bells.ring(name)
        await asyncio.sleep(world.settings.worker_poll_seconds)
