"""Durable jobs in a service's own schema (procrastinate): any process takes over a dead one's job.

Steps must be idempotent: a job may run again from the start after a kill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
import procrastinate
import psycopg
from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_kit import telemetry

_log = telemetry.log("jobs")

TAKEOVER_SECONDS = 8.0
"""A process silent for this long is dead; its jobs are taken over."""

_OFTEN: Final = 15
"""Attempts."""
_TRACE = "traceparent"
"""Argument beside a job's own: the trace (W3C) in which it was put into the queue."""


def create_tables(connection: Connection) -> None:
    """Create the job tables in a service's schema, for its first migration."""
    # By the driver's own cursor: the many statements hold `%` and `:`, which are no parameters here.
    connection.connection.cursor().execute(str(SchemaManager.get_schema()))


def pause_seconds(attempts: int) -> int:
    """How long to wait after so many failed attempts: 1, 2, 4, 8 seconds, then ten for two minutes (whoever was
    away is mostly back by then, and people wait for the outcome), then a minute."""
    return 1 << attempts if attempts < 4 else 10 if attempts < _OFTEN else 60


class _Patient(procrastinate.BaseRetryStrategy):
    """Try again, ever more seldom."""

    def __init__(self, max_attempts: int) -> None:
        self._max_attempts = max_attempts

    def get_retry_decision(
        self, *, exception: BaseException, job: procrastinate.jobs.Job
    ) -> procrastinate.RetryDecision | None:
        if job.attempts >= self._max_attempts:
            return None
        return procrastinate.RetryDecision(retry_in={"seconds": pause_seconds(job.attempts)})


class Jobs:
    """One service's jobs."""

    def __init__(
        self,
        database_url: str,
        schema: str,
        *,
        concurrency: int = 2,
        takeover_seconds: float = TAKEOVER_SECONDS,
    ) -> None:
        self._concurrency = concurrency
        self._takeover = takeover_seconds
        self._heartbeat = takeover_seconds / 4
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(
                conninfo=database_url, kwargs={"options": f"-c search_path={schema}"}, min_size=1, max_size=6
            )
        )
        self._tasks: dict[str, Any] = {}

    def register(self, name: str, run: Callable[..., Awaitable[None]], *, max_attempts: int = 20) -> None:
        """Name a coroutine function as a job; failures are retried with growing pauses (1 to 60 s).

        It runs in the trace of whoever put it into the queue.
        """

        async def traced(**arguments: Any) -> None:
            carrier = {"traceparent": arguments.pop(_TRACE, "")}
            with telemetry.tracer().start_as_current_span(f"job {name}", telemetry.extract(carrier)):
                await run(**arguments)

        self._tasks[name] = self._app.task(name=name, retry=_Patient(max_attempts))(traced)

    async def defer(self, name: str, arguments: Mapping[str, Any], *, lock: str | None = None) -> None:
        """Put a job into the queue. Jobs with the same lock run one after the other."""
        await self._tasks[name].configure(lock=lock).defer_async(**_with_trace(arguments))

    async def run(self) -> None:
        """Work for ever: run jobs, and take over those of dead workers."""
        async with self._app.open_async(), asyncio.TaskGroup() as group:
            group.create_task(self._adopt_orphans())
            group.create_task(
                self._app.run_worker_async(
                    concurrency=self._concurrency,
                    install_signal_handlers=False,
                    fetch_job_polling_interval=1.0,
                    update_heartbeat_interval=self._heartbeat,
                    stalled_worker_timeout=self._takeover,
                    shutdown_graceful_timeout=5.0,
                )
            )

    async def _adopt_orphans(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            try:
                for job in await self._app.job_manager.get_stalled_jobs(
                    seconds_since_heartbeat=self._takeover
                ):
                    _log.warning("taking over a dead worker's job", job=job.id, task=job.task_name)
                    await self._app.job_manager.retry_job(job)
            except (psycopg.Error, procrastinate.exceptions.ProcrastinateException) as error:
                _log.warning("cannot look for stalled jobs", error=repr(error))


async def defer_in(
    connection: AsyncConnection,
    name: str,
    arguments: Mapping[str, Any],
    *,
    lock: str | None = None,
    priority: int = 0,
) -> None:
    """Put a job into the queue inside a transaction: it exists if and only if the transaction commits. Jobs of a
    greater priority are begun first."""
    await connection.execute(
        text(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, args, status, attempts)"
            " VALUES ('default', :name, :priority, :lock, CAST(:args AS jsonb), 'todo', 0)"
        ),
        {
            "name": name,
            "priority": priority,
            "lock": lock,
            "args": orjson.dumps(_with_trace(arguments)).decode(),
        },
    )


def _with_trace(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {**arguments, _TRACE: telemetry.inject().get("traceparent", "")}
