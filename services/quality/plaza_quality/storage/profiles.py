"""Table `profiles`, and what the history of versions tells about a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from plaza.quality.v1 import profiles_pb2 as pb
from plaza.quality.v1 import suggestions_pb2
from plaza_kit.names import DatasetName
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.profiles import ColumnFigures, VersionFigures

STALE: Final = timedelta(minutes=15)
"""So long after it was asked for a profile that is not there is asked for again."""
_STATES: Final = {
    "queued": pb.PROFILE_STATE_QUEUED,
    "succeeded": pb.PROFILE_STATE_SUCCEEDED,
    "failed": pb.PROFILE_STATE_FAILED,
}


@dataclass(frozen=True, slots=True)
class MadeProfile:
    """A profile with what was drawn from it."""

    profile: pb.Profile
    suggestions: Sequence[suggestions_pb2.RuleSuggestion] = ()
    time: datetime = field(kw_only=True)


def _key(name: DatasetName) -> dict[str, Any]:
    return {"department": name.department, "dataset": name.dataset}


async def request(connection: AsyncConnection, name: DatasetName, version: int, now: datetime) -> bool:
    """Notes that a profile is wanted. Answers whether it is to be made: there is none, it failed, or it was asked for
    long ago and nothing came of it."""
    noted = await connection.execute(
        text(
            "INSERT INTO profiles (department, dataset, version, state, request_time)"
            " VALUES (:department, :dataset, :version, 'queued', :now)"
            " ON CONFLICT (department, dataset, version) DO UPDATE SET state = 'queued', error = '',"
            " request_time = excluded.request_time WHERE profiles.state = 'failed'"
            " OR (profiles.state = 'queued' AND profiles.request_time < :stale) RETURNING 1"
        ),
        _key(name) | {"version": version, "now": now, "stale": now - STALE},
    )
    return noted.first() is not None


async def is_made(connection: AsyncConnection, name: DatasetName, version: int) -> bool:
    found = await connection.execute(
        text(
            "SELECT 1 FROM profiles WHERE department = :department AND dataset = :dataset"
            " AND version = :version AND state = 'succeeded'"
        ),
        _key(name) | {"version": version},
    )
    return found.first() is not None


async def put(connection: AsyncConnection, name: DatasetName, version: int, made: MadeProfile) -> None:
    """Keeps it; one that was made in the meantime stays."""
    suggestions = suggestions_pb2.ListRuleSuggestionsResponse(suggestions=made.suggestions)
    figures = {
        each.field: [each.nulls, each.mean if each.HasField("mean") else None]
        for each in made.profile.columns
    }
    await connection.execute(
        text(
            'INSERT INTO profiles (department, dataset, version, state, request_time, create_time, "rows",'
            " profile, suggestions, figures) VALUES (:department, :dataset, :version, 'succeeded', :time, :time,"
            " :rows, :profile, :suggestions, CAST(:figures AS jsonb))"
            " ON CONFLICT (department, dataset, version) DO UPDATE SET state = 'succeeded', error = '',"
            ' create_time = excluded.create_time, "rows" = excluded."rows", profile = excluded.profile,'
            " suggestions = excluded.suggestions, figures = excluded.figures"
            " WHERE profiles.state <> 'succeeded'"
        ),
        _key(name)
        | {
            "version": version,
            "time": made.time,
            "rows": made.profile.rows,
            "profile": made.profile.SerializeToString(),
            "suggestions": suggestions.SerializeToString(),
            "figures": orjson.dumps(figures).decode(),
        },
    )


async def fail(
    connection: AsyncConnection, name: DatasetName, version: int, error: str, now: datetime
) -> None:
    """Notes why it cannot be made."""
    await connection.execute(
        text(
            "INSERT INTO profiles (department, dataset, version, state, error, request_time)"
            " VALUES (:department, :dataset, :version, 'failed', :error, :now)"
            " ON CONFLICT (department, dataset, version) DO UPDATE SET state = 'failed', error = excluded.error"
            " WHERE profiles.state <> 'succeeded'"
        ),
        _key(name) | {"version": version, "error": error, "now": now},
    )


async def find(connection: AsyncConnection, name: DatasetName, version: int) -> pb.Profile | None:
    """As it is kept: all columns."""
    found = await connection.execute(
        text(
            "SELECT * FROM profiles WHERE department = :department AND dataset = :dataset AND version = :version"
        ),
        _key(name) | {"version": version},
    )
    row = found.first()
    return _profile(name, row) if row is not None else None


async def newest_suggestions(
    connection: AsyncConnection, name: DatasetName
) -> list[suggestions_pb2.RuleSuggestion] | None:
    """Of the newest version that has a profile; None when there is none."""
    found = await connection.execute(
        text(
            "SELECT suggestions FROM profiles WHERE department = :department AND dataset = :dataset"
            " AND state = 'succeeded' ORDER BY version DESC LIMIT 1"
        ),
        _key(name),
    )
    row = found.first()
    if row is None:
        return None
    kept = suggestions_pb2.ListRuleSuggestionsResponse.FromString(row.suggestions)
    return list(kept.suggestions)


async def history(connection: AsyncConnection, name: DatasetName, limit: int) -> list[VersionFigures]:
    """Rows and scores of the newest versions that were assessed or profiled, oldest first."""
    found = await connection.execute(
        text(
            'SELECT version, coalesce(p."rows", a."rows") AS "rows", a.score, p.figures FROM'
            " (SELECT * FROM assessments WHERE department = :department AND dataset = :dataset"
            " ORDER BY version DESC LIMIT :limit) a FULL JOIN"
            " (SELECT * FROM profiles WHERE department = :department AND dataset = :dataset"
            " AND state = 'succeeded' ORDER BY version DESC LIMIT :limit) p USING (version)"
            " ORDER BY version DESC LIMIT :limit"
        ),
        _key(name) | {"limit": limit},
    )
    return [_figures(row) for row in reversed(found.all())]


async def newest_committed(connection: AsyncConnection, name: DatasetName) -> int:
    """Number of the newest version that ingestion told of; 0 before the first."""
    found = await connection.execute(
        text(
            "SELECT coalesce(max(version), 0) AS newest FROM versions"
            " WHERE department = :department AND dataset = :dataset"
        ),
        _key(name),
    )
    return int(found.one().newest)


def _profile(name: DatasetName, row: Row[Any]) -> pb.Profile:
    made = pb.Profile.FromString(row.profile) if row.profile is not None else pb.Profile()
    made.name = f"{name}/versions/{row.version}/profile"
    made.version = row.version
    made.state = _STATES[row.state]
    made.error = row.error
    if row.create_time is not None:
        made.create_time.FromDatetime(row.create_time)
    return made


def _figures(row: Row[Any]) -> VersionFigures:
    kept: Mapping[str, tuple[int, float | None]] = row.figures or {}
    rows = int(row.rows)
    return VersionFigures(
        version=row.version,
        rows=rows,
        score=float(row.score) if row.score is not None else None,
        columns={
            field: ColumnFigures(100 * nulls / rows if rows else None, mean)
            for field, (nulls, mean) in kept.items()
        },
    )
