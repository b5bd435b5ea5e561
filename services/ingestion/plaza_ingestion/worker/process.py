"""The worker process: lease work, do it in a thread while the lease is kept, hand the result back."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import uvloop
from plaza.ingestion.v1 import ingestion_pb2, worker_pb2
from plaza_kit import telemetry
from plaza_kit.errors import InvalidArgument, PlazaError
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers

from plaza_ingestion.worker import load, translate
from plaza_ingestion.worker.client import IngestionAway, IngestionRefuses, LeaseLost, WorkerClient, moment
from plaza_ingestion.worker.infer import infer
from plaza_ingestion.worker.places import SEND_AGAIN, Place, place_at
from plaza_ingestion.worker.pull import pull
from plaza_ingestion.worker.pull_secrets import Secrets
from plaza_ingestion.worker.settings import WorkerSettings
from plaza_ingestion.worker.source import SourceChanged

_log = telemetry.log("worker")

_LONGEST_WAIT_SECONDS: Final = 20.0
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
_OFTEN_SECONDS: Final = 1.0
"""A lease is renewed at least so often: people watch the progress."""
_SELDOM_SECONDS: Final = 0.1


class WorkerStep(StrEnum):
    """Points of a load or a pull at which a test may end the process."""

    LEASED = "leased"
    STAGED = "staged"
    """The files are written; ingestion does not know yet."""
    ACKNOWLEDGED = "acknowledged"
    """Ingestion has taken the manifest."""
    FETCHED = "fetched"
    """The file of a pull is there; ingestion does not know yet."""
    BROUGHT = "brought"
    """Ingestion has taken the file of a pull."""


OnStep = Callable[[WorkerStep], None]
Result = worker_pb2.CompleteLoadRequest | worker_pb2.CompletePullRequest | ingestion_pb2.Proposal
_STEPS: Final = {
    worker_pb2.CompleteLoadRequest: (WorkerStep.STAGED, WorkerStep.ACKNOWLEDGED),
    worker_pb2.CompletePullRequest: (WorkerStep.FETCHED, WorkerStep.BROUGHT),
}
"""Reached before and behind the handing back of a result."""


_NO_SECRETS: Final = Secrets(None)


class UnknownWork(InvalidArgument):
    """This worker does not know how to do such work."""


def run(settings: WorkerSettings, *, on_step: OnStep = lambda _: None) -> None:
    """Work until SIGTERM or SIGINT, or until nothing came for `idle_seconds`. Then all of it has ended.

    Raises `ClientRefused` when the issuer refuses the department's client.
    """
    telemetry.configure("worker", log_level=settings.log_level, otlp_endpoint=settings.otlp_endpoint)
    uvloop.run(_run(settings, on_step))


async def _run(settings: WorkerSettings, on_step: OnStep) -> None:
    tokens = ServiceTokens(
        settings.issuer, settings.client_id, settings.client_secret, connect_to=settings.issuer_connect
    )
    peers = Peers({"ingestion": settings.ingestion_address}, settings.tls())
    client = WorkerClient(peers.channel("ingestion"), tokens, settings.department)
    worker = Worker(
        client,
        place_at(settings.staging_prefix, settings.s3()),
        secrets=Secrets(settings.secrets_dir),
        idle_seconds=settings.idle_seconds,
        on_step=on_step,
    )
    working = asyncio.create_task(worker.work())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    try:
        # Ended by a signal is ended well: the lease runs out by itself.
        with suppress(asyncio.CancelledError):
            await working
    finally:
        await peers.close()
        await tokens.aclose()


@dataclass(slots=True)
class _Order:
    """What the thread is told and tells while it works."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    progress: load.Progress | None = None

    def report(self, progress: load.Progress) -> None:
        self.progress = progress


class Worker:
    """Does one piece of work after the other."""

    def __init__(
        self,
        client: WorkerClient,
        place: Place,
        *,
        secrets: Secrets = _NO_SECRETS,
        idle_seconds: float = 0,
        on_step: OnStep = lambda _: None,
    ) -> None:
        """`place`: the department's, in which all paths of ingestion lie."""
        self._client = client
        self._place = place
        self._secrets = secrets
        self._idle_seconds = idle_seconds
        self._on_step = on_step

    async def work(self) -> None:
        """Until cancelled, or idle for too long. A cancelled load stops before this returns."""
        busy_at, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        while True:
            left = self._idle_seconds - (time.monotonic() - busy_at)
            if self._idle_seconds and left <= 0:
                _log.info("no work for a while, ending", idle_seconds=self._idle_seconds)
                return
            wait = min(left, _LONGEST_WAIT_SECONDS) if self._idle_seconds else _LONGEST_WAIT_SECONDS
            try:
                work = await self._client.lease(wait)
            except (IngestionAway, IngestionRefuses, LeaseLost) as error:
                _log.warning("no work could be leased", error=error.message, next_try_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _FIRST_PAUSE_SECONDS
            if work is None:
                await asyncio.sleep(_SELDOM_SECONDS)  # for a server that does not wait as asked
                continue
            await self._carry_out(work)
            busy_at = time.monotonic()

    async def _carry_out(self, work: worker_pb2.Work) -> None:
        _log.info("leased", run=work.run, kind=work.kind)
        if work.kind == ingestion_pb2.RUN_KIND_LOAD:
            self._on_step(WorkerStep.LEASED)
        try:
            result = await self._done_under_lease(work)
        except LeaseLost as error:
            _log.warning("the lease was lost, stopped", run=work.run, error=error.message)
        except Exception as error:
            if isinstance(error, PlazaError):
                _log.info("the work cannot be done", run=work.run, reason=error.reason, error=error.message)
            else:
                _log.error("the work failed unexpectedly", run=work.run, exc_info=error)
            await self._hand_back(work, translate.error_message(error))
        else:
            await self._hand_back(work, result)

    async def _done_under_lease(self, work: worker_pb2.Work) -> Result:
        """The result. Whatever ends this, the thread has ended before. Raises what the work raises, `LeaseLost`."""
        order = _Order()
        doing = asyncio.create_task(asyncio.to_thread(self._do, work, order))
        keeping = asyncio.create_task(self._keep_lease(work, order))
        try:
            await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
        finally:
            keeping.cancel()
            order.cancelled.set()
            await asyncio.wait({doing, keeping})
            if not doing.cancelled():
                doing.exception()  # looked at, so that a cancelled load is not reported as lost
        return doing.result()

    async def _keep_lease(self, work: worker_pb2.Work, order: _Order) -> None:
        """Renews for ever. Raises `LeaseLost`."""
        expires = moment(work.expire_time)
        while True:
            left = (expires - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(max(min(left / 3, _OFTEN_SECONDS), _SELDOM_SECONDS))
            try:
                expires = await self._client.renew(work.lease, translate.progress_message(order.progress))
            except (IngestionAway, IngestionRefuses) as error:
                # The work goes on: whether the lease still holds is known when ingestion is back.
                _log.warning("the lease could not be renewed", run=work.run, error=error.message)
                await asyncio.sleep(_FIRST_PAUSE_SECONDS)

    async def _hand_back(self, work: worker_pb2.Work, outcome: Result | ingestion_pb2.RunError) -> None:
        """Tell ingestion, as often as it takes; it forgets the lease in the end, which ends this too."""
        steps = _STEPS.get(type(outcome))
        if steps:
            self._on_step(steps[0])
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._tell(work.lease, outcome)
            except IngestionAway as error:
                _log.warning("the result could not be handed back yet", run=work.run, error=error.message)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                continue
            except LeaseLost as error:
                _log.warning("the lease was lost, result dropped", run=work.run, error=error.message)
            except IngestionRefuses as error:
                _log.error("ingestion does not take the result", run=work.run, error=error.message)
                if not isinstance(outcome, ingestion_pb2.RunError):
                    await self._hand_back(work, translate.error_message(error))
            else:
                _log.info("handed back", run=work.run, outcome=type(outcome).__name__)
                if steps:
                    self._on_step(steps[1])
            return

    def _tell(self, lease: str, outcome: Result | ingestion_pb2.RunError) -> Awaitable[None]:
        match outcome:
            case worker_pb2.CompleteLoadRequest():
                return self._client.complete_load(outcome)
            case worker_pb2.CompletePullRequest():
                return self._client.complete_pull(outcome)
            case ingestion_pb2.Proposal():
                return self._client.complete_inference(lease, outcome)
            case ingestion_pb2.RunError():
                return self._client.fail(lease, outcome)

    def _do(self, work: worker_pb2.Work, order: _Order) -> Result:
        """The work itself, in a thread."""
        try:
            result = self._done(work, order)
            self._place.hand_over(file.path for file in _files_of(result))
            return result
        finally:
            self._place.clear()

    def _done(self, work: worker_pb2.Work, order: _Order) -> Result:
        out_dir = self._place.folder(work.output_path)
        if work.HasField("pull"):
            return pull(work, out_dir, self._secrets, progress=order.report, cancelled=order.cancelled.is_set)
        source = self._place.source(work.upload_path)
        match work.kind:
            case ingestion_pb2.RUN_KIND_LOAD:
                plan = translate.load_plan(work.contract, work.entry)
                manifest = load.run_load(
                    plan, source, out_dir, progress=order.report, cancelled=order.cancelled.is_set
                )
                _check_hash(manifest.source_sha256, work.upload_sha256)
                return translate.manifest_message(work.lease, work.output_path, manifest)
            case ingestion_pb2.RUN_KIND_INFER:
                with source.open("rb") as file:
                    _check_hash(hashlib.file_digest(file, "sha256").hexdigest(), work.upload_sha256)
                out_dir.mkdir(parents=True, exist_ok=True)
                proposal = infer(
                    source,
                    missing=work.missing_values,
                    scratch=out_dir,
                    entry=work.entry,
                    progress=order.report,
                    cancelled=order.cancelled.is_set,
                )
                return translate.proposal_message(proposal)
            case _:
                raise UnknownWork(
                    f"This worker does not know work of kind {work.kind}.",
                    remedy="Update the department's worker to the version of the platform.",
                )


def _files_of(result: Result) -> list[worker_pb2.StagedFile]:
    match result:
        case worker_pb2.CompleteLoadRequest():
            return [file for file in (result.accepted, result.positions, result.refused) if file.path]
        case worker_pb2.CompletePullRequest() if result.HasField("file"):
            return [result.file]
        case _:
            return []


def _check_hash(found: str, expected: str) -> None:
    if found != expected:
        raise SourceChanged(
            f"The file is not the one that was uploaded: its SHA-256 is {found}, not {expected}.",
            remedy=SEND_AGAIN,
            facts={"found": found, "expected": expected},
        )
