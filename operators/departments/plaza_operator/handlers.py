"""What kopf calls: one daemon a department, a bell for every change, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import kopf
import structlog
from prometheus_client import start_http_server

from plaza_operator import deletion, metrics
from plaza_operator.domain.spec import FINALIZER, GROUP, PLURAL, VERSION
from plaza_operator.realm.keeping import keep_for_ever
from plaza_operator.reconcile import Reconciler
from plaza_operator.settings import OperatorSettings
from plaza_operator.watching import Bells, watch_children, watch_work
from plaza_operator.world import World, build

DEBOUNCE_SECONDS = 0.2
_RESOURCE = (GROUP, VERSION, PLURAL)
_log = structlog.get_logger("plaza_operator")


class _NothingKept(kopf.DiffBaseStorage):
    """The state that kopf would keep in an annotation: a reconcile by levels has no use for it."""

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return self.build(body=body)

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return


class Operator:
    """The handlers and what they share, registered with `register`."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._settings = settings
        self._bells = Bells()
        self._generations: dict[str, tuple[int, str | None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._world: World | None = None
        self._reconciler: Reconciler | None = None

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Tells kopf whom to call."""
        kopf.on.login(registry=registry)(_log_in)
        kopf.on.startup(registry=registry)(self._start)
        kopf.on.cleanup(registry=registry)(self._stop)
        kopf.on.event(*_RESOURCE, registry=registry)(self._heard)
        kopf.daemon(
            *_RESOURCE, registry=registry, cancellation_backoff=0.5, cancellation_timeout=5.0, id="tend"
        )(self._tend)
        kopf.on.delete(*_RESOURCE, registry=registry, id="end")(self._end)

    async def _start(self, settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        self._world = world = build(self._settings)
        self._reconciler = reconciler = Reconciler(world)
        if self._settings.metrics_port:
            start_http_server(self._settings.metrics_port)
        work = [watch_children(world.kube, self._bells)]
        if self._settings.ask_for_work:
            work.append(watch_work(world, reconciler, self._bells))
        if self._settings.keep_realm:
            work.append(keep_for_ever(world.keycloak, self._settings))
        self._tasks = [asyncio.create_task(one) for one in work]

    async def _stop(self, **_: Any) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._world is not None:
            await self._world.close()

    async def _heard(self, name: str, meta: kopf.Meta, event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] == "DELETED":
            self._generations.pop(name, None)
            self._bells.remove(name)
            self._worker().forget(name)
            return
        # Our own status and finalizer leave the generation as it is.
        now = (int(meta.get("generation", 0)), meta.get("deletionTimestamp"))
        if self._generations.get(name) != now:
            self._generations[name] = now
            self._bells.ring(name)

    async def _tend(self, name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        """Until the department goes: looks, then waits for a bell or for the time."""
        bell, pause = self._bells.of(name), 0.0
        while not stopped:
            bell.clear()
            try:
                again = await self._worker().reconcile(name)
            except Exception:
                # A fault of ours in one department must neither end its daemon nor go unseen.
                metrics.RECONCILES.labels("fault").inc()
                _log.exception("fault while reconciling", department=name)
                again = 10.0
            if again is None:
                return
            pause = again
            await _first(pause, bell.wait(), stopped.wait())
            if not stopped and bell.is_set():
                await asyncio.sleep(DEBOUNCE_SECONDS)

    async def _end(self, name: str, **_: Any) -> None:
        async with self._worker().lock(name):
            assert self._world is not None
            await deletion.finish(self._world, name)

    def _worker(self) -> Reconciler:
        assert self._reconciler is not None, "kopf calls the start-up handlers first"
        return self._reconciler


async def _first(seconds: float, *waits: Any) -> None:
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """In a pod by its ServiceAccount, elsewhere by kubeconfig: the same as lightkube does."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def configure(settings: kopf.OperatorSettings) -> None:
    """kopf without peering, scanning, webhooks, and with marks of our own only."""
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="plaza.city")
    settings.persistence.diffbase_storage = _NothingKept()
    settings.execution.default_backoff = 5.0
    settings.watching.server_timeout = 300
    settings.watching.reconnect_backoff = 1.0
    settings.background.cancellation_polling = 1.0


def quieten() -> None:
    """Libraries tell every request and every call of ours; the metrics count them."""
    for name in ("httpx", "httpx2", "kopf.objects", "kopf.activities"):
        logging.getLogger(name).setLevel(logging.WARNING)


async def run(settings: OperatorSettings) -> None:
    """Until a signal."""
    quieten()
    registry = kopf.OperatorRegistry()
    Operator(settings).register(registry)
    liveness = f"http://0.0.0.0:{settings.health_port}/healthz" if settings.health_port else None
    await kopf.operator(registry=registry, standalone=True, clusterwide=True, liveness_endpoint=liveness)
