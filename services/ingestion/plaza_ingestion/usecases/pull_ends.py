"""What the end of a pull changes on its source, in the transaction that ends the run."""

from __future__ import annotations

from datetime import datetime

from plaza.ingestion.v1 import ingestion_pb2
from plaza.ingestion.v1 import sources_pb2 as pb
from plaza_kit.names import DepartmentId
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.schedules import after_failure
from plaza_ingestion.domain.sources import SourceId, SourceName, SourceState, cursor_after_pull
from plaza_ingestion.storage import sources
from plaza_ingestion.storage.runs import StoredRun
from plaza_ingestion.storage.sources import StoredSource


def source_of(run: StoredRun) -> SourceName:
    """The source that a run pulls."""
    return SourceName(DepartmentId(run.department), SourceId(run.source))


async def pull_succeeded(
    connection: AsyncConnection, run: StoredRun, told: pb.PullCursor, now: datetime
) -> None:
    """The cursor moves to what the worker told. Nothing for a run that is no pull."""
    if not run.source:
        return
    source = await sources.find(connection, source_of(run), lock=True)
    assert source is not None, "sources are not removed"
    await sources.save(
        connection,
        source.name,
        cursor=cursor_after_pull(told, source.cursor, run.contract_version),
        state=_unless_paused(source, SourceState.ACTIVE),
        failures=0,
        last_error=None,
        last_success_time=now,
    )


async def pull_failed(
    connection: AsyncConnection, run: StoredRun, error: ingestion_pb2.RunError, now: datetime
) -> None:
    """The cursor stays; the next try comes later. Nothing for a run that is no pull."""
    if run.source:
        source = await sources.find(connection, source_of(run), lock=True)
        assert source is not None, "sources are not removed"
        await mark_failing(connection, source, error, now)


async def mark_failing(
    connection: AsyncConnection, source: StoredSource, error: ingestion_pb2.RunError, now: datetime
) -> None:
    """Says on a source why it could not be pulled."""
    failures = source.failures + 1
    scheduled = source.definition.HasField("schedule") and source.state is not SourceState.PAUSED
    await sources.save(
        connection,
        source.name,
        state=_unless_paused(source, SourceState.FAILING),
        failures=failures,
        last_error=error,
        next_pull_time=after_failure(failures, now) if scheduled else None,
    )


def _unless_paused(source: StoredSource, state: SourceState) -> str:
    return (source.state if source.state is SourceState.PAUSED else state).value
