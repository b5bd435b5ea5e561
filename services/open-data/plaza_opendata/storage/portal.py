"""Table `portal`: the datasets with a published release, a GIN index over tokens made in the application."""

from __future__ import annotations

from collections.abc import Sequence

from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.names import DatasetName
from plaza_kit.search_words import normalise, phrases, query_tokens
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_opendata.domain.releases import ReleaseName
from plaza_opendata.domain.snapshot import search_entry
from plaza_opendata.storage import rows
from plaza_opendata.storage.releases import DATASET, FROM, SHOWN, key
from plaza_opendata.storage.rows import Row, key_of

# In lists, only what a list shows: contracts may be long.
_LISTED = f"SELECT {SHOWN}, r.snapshot - ARRAY['contract', 'rules', 'dimensions'] AS listed{FROM}"
_JOIN = " JOIN portal s ON s.department = r.department AND s.dataset = r.dataset AND s.number = r.number"
_MATCHES = (
    " WHERE (:department = '' OR s.department = :department) AND s.tokens @> CAST(:tokens AS text[])"
    " AND NOT EXISTS (SELECT 1 FROM unnest(CAST(:phrases AS text[])) AS p WHERE strpos(s.content, p) = 0)"
)
_ORDER = (
    " ORDER BY (s.title = :exact OR (s.title_en = :exact AND s.title_en <> '')) DESC,"
    " s.title_tokens @> CAST(:tokens AS text[]) DESC, s.department, s.dataset LIMIT :limit OFFSET :offset"
)


async def show(connection: AsyncConnection, name: DatasetName, number: int) -> None:
    """What the portal finds of a dataset from now on: the release of that number, or nothing for 0."""
    if not number:
        await connection.execute(
            text("DELETE FROM portal WHERE department = :department AND dataset = :dataset"), key_of(name)
        )
        return
    bound = key(ReleaseName(name, number))
    found = await connection.execute(
        text(f"SELECT r.snapshot FROM releases r{DATASET} AND r.number = :number"),  # noqa: S608
        bound,
    )
    entry = search_entry(rows.open_dataset_of(found.scalar_one()))
    await connection.execute(
        text(
            "INSERT INTO portal (department, dataset, number, title, title_en, title_tokens, tokens, content)"
            " VALUES (:department, :dataset, :number, :title, :title_en, :title_tokens, :tokens, :content)"
            " ON CONFLICT (department, dataset) DO UPDATE SET number = excluded.number,"
            " title = excluded.title, title_en = excluded.title_en, title_tokens = excluded.title_tokens,"
            " tokens = excluded.tokens, content = excluded.content"
        ),
        bound
        | {
            "title": entry.title,
            "title_en": entry.title_en,
            "title_tokens": entry.title_tokens,
            "tokens": entry.tokens,
            "content": entry.text,
        },
    )


async def find(
    connection: AsyncConnection, query: str, department: str, offset: int, limit: int
) -> tuple[list[pb.OpenDataset], int]:
    """A page, best first, and how many there are in all; an empty department means all."""
    exact = normalise(query)
    tokens = query_tokens(query)
    if exact and not tokens:
        return [], 0  # nothing but punctuation
    bound = {"tokens": tokens, "phrases": phrases(query), "department": department}
    total = await connection.execute(text(f"SELECT count(*) FROM portal s{_MATCHES}"), bound)  # noqa: S608
    found = await connection.execute(
        text(_LISTED + _JOIN + _MATCHES + _ORDER), bound | {"exact": exact, "limit": limit, "offset": offset}
    )
    return _listed([row._mapping for row in found]), int(total.scalar_one())


async def latest(connection: AsyncConnection, limit: int) -> list[pb.OpenDataset]:
    """The datasets whose published releases are the newest."""
    found = await connection.execute(
        text(_LISTED + _JOIN + " ORDER BY r.publish_time DESC, r.department, r.dataset LIMIT :limit"),
        {"limit": limit},
    )
    return _listed([row._mapping for row in found])


async def departments(connection: AsyncConnection) -> list[pb.DepartmentCount]:
    """Departments with open datasets, most first, named as in their newest release."""
    found = await connection.execute(
        text(
            "SELECT s.department, count(*) AS n,"  # noqa: S608
            " (array_agg(r.snapshot->>'department_display_name' ORDER BY r.publish_time DESC))[1] AS zh,"
            " (array_agg(r.snapshot->>'department_display_name_en' ORDER BY r.publish_time DESC))[1] AS en"
            f" FROM releases r{_JOIN} GROUP BY s.department ORDER BY n DESC, s.department"
        )
    )
    return [
        pb.DepartmentCount(
            department=f"departments/{row.department}",
            display_name=row.zh or "",
            display_name_en=row.en or "",
            count=row.n,
        )
        for row in found
    ]


async def ever_published(connection: AsyncConnection, name: DatasetName) -> list[pb.Release]:
    """All releases that the public could see once, newest first."""
    found = await connection.execute(
        text(f"SELECT {SHOWN}{FROM}{DATASET} AND r.publish_time IS NOT NULL ORDER BY r.number DESC"),
        key_of(name),
    )
    return [rows.release_of(row._mapping) for row in found]


async def detail(connection: AsyncConnection, name: ReleaseName) -> Row:
    """`snapshot` and `preview` of a release that exists."""
    found = await connection.execute(
        text(
            f"SELECT r.snapshot, r.preview FROM releases r{DATASET} AND r.number = :number"  # noqa: S608
        ),
        key(name),
    )
    return found.one()._mapping


def _listed(found: Sequence[Row]) -> list[pb.OpenDataset]:
    listed = []
    for row in found:
        shown = rows.open_dataset_of(row["listed"])
        shown.latest_release.CopyFrom(rows.release_of(row))
        listed.append(shown)
    return listed
