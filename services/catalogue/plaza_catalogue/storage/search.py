"""Table `search`: a GIN index over tokens made in the application, so PostgreSQL needs no extension."""

from __future__ import annotations

from collections.abc import Sequence

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.names import DatasetName
from plaza_kit.search_words import SearchEntry, normalise, phrases, query_tokens
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain.datasets import search_entry
from plaza_catalogue.storage import datasets, rows

MATCHES = (
    "s.tokens @> CAST(:tokens AS text[])"
    " AND NOT EXISTS (SELECT 1 FROM unnest(CAST(:phrases AS text[])) AS p WHERE strpos(s.content, p) = 0)"
)
_JOIN = " JOIN search s ON s.department = d.department AND s.dataset = d.dataset WHERE "
_ORDER = (
    " ORDER BY (s.title = :exact OR (s.title_en = :exact AND s.title_en <> '')) DESC,"
    " s.title_tokens @> CAST(:tokens AS text[]) DESC, d.department, d.dataset LIMIT :limit OFFSET :offset"
)


async def put(connection: AsyncConnection, name: DatasetName, dataset: pb.Dataset) -> None:
    """What a dataset is found by from now on. `dataset` as a caller sees it, with its provider."""
    await put_many(connection, [(name, dataset)])


async def put_many(connection: AsyncConnection, found: Sequence[tuple[DatasetName, pb.Dataset]]) -> None:
    """`put`, for many at once."""
    if not found:
        return
    await connection.execute(
        text(
            "INSERT INTO search (department, dataset, title, title_en, title_tokens, tokens, content)"
            " VALUES (:department, :dataset, :title, :title_en, :title_tokens, :tokens, :content)"
            " ON CONFLICT (department, dataset) DO UPDATE SET title = excluded.title,"
            " title_en = excluded.title_en, title_tokens = excluded.title_tokens,"
            " tokens = excluded.tokens, content = excluded.content"
        ),
        [_row(name, search_entry(dataset)) for name, dataset in found],
    )


def _row(name: DatasetName, entry: SearchEntry) -> dict[str, object]:
    return {
        "department": name.department,
        "dataset": name.dataset,
        "title": entry.title,
        "title_en": entry.title_en,
        "title_tokens": entry.title_tokens,
        "tokens": entry.tokens,
        "content": entry.text,
    }


async def find(
    connection: AsyncConnection, query: str, offset: int, limit: int
) -> tuple[list[pb.Dataset], int]:
    """A page, best first, and how many there are in all."""
    exact = normalise(query)
    tokens = query_tokens(query)
    if exact and not tokens:
        return [], 0  # nothing but punctuation
    bound = {"tokens": tokens, "phrases": phrases(query)}
    total = await connection.execute(text(f"SELECT count(*) FROM search s WHERE {MATCHES}"), bound)  # noqa: S608
    found = await connection.execute(
        text(datasets.SELECT + _JOIN + MATCHES + _ORDER),
        bound | {"exact": exact, "limit": limit, "offset": offset},
    )
    return [rows.dataset_of(row._mapping) for row in found], int(total.scalar_one())
