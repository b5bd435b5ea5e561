"""Table `search`: GIN indexes over words made in the application (no extension is needed), and facet values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Reader, Row
from plaza_kit.grade_words import city_level_word, sharing_class_word
from plaza_kit.names import DatasetName
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain.known_matches import Words
from plaza_catalogue.domain.search_columns import SINGLE, Ints, Item
from plaza_catalogue.domain.search_words import search_entry
from plaza_catalogue.storage import datasets, rows

_NONE = np.empty(0, np.int32)
_VALUES = (
    "title", "title_en", "title_tokens", "tokens", "content",
    "category", "format", "licence", "sharing_class", "city_level", "update_cycle", "keywords",
)  # fmt: skip
_PUT = (
    f"INSERT INTO search (department, dataset, {', '.join(_VALUES)}, changed)"  # noqa: S608  # names of columns
    f" VALUES (:department, :dataset, {', '.join(':' + name for name in _VALUES)}, pg_current_xact_id())"
    " ON CONFLICT (department, dataset) DO UPDATE SET changed = excluded.changed, "
    + ", ".join(f"{name} = excluded.{name}" for name in _VALUES)
)
_ITEM = f"SELECT number, title, title_en, keywords, {', '.join(SINGLE)} FROM search"  # noqa: S608
_CHANGED = (
    _ITEM + " WHERE changed >= pg_snapshot_xmin(CAST(:snapshot AS pg_snapshot))"
    " AND NOT pg_visible_in_snapshot(changed, CAST(:snapshot AS pg_snapshot))"
    " ORDER BY number"
)
# In lists, only what a list shows: contracts may be long.
_LISTED = (
    datasets.SELECT.replace("c.contract", "CAST('{}' AS jsonb) AS contract, s.number", 1)
    + " JOIN search s ON s.department = d.department AND s.dataset = d.dataset"
    " WHERE s.number = ANY(CAST(:numbers AS int[]))"
)


@dataclass(frozen=True, slots=True)
class Matches:
    """Numbers of datasets; each set holds the ones behind it."""

    anywhere: Ints
    """All words are somewhere."""
    in_title: Ints
    """All words are in the titles."""
    exact: Ints
    """The words are the title."""


async def put(connection: AsyncConnection, name: DatasetName, dataset: pb.Dataset) -> None:
    """What a dataset is found by from now on. `dataset` as a caller sees it, with its provider."""
    await put_many(connection, [(name, dataset)])


async def put_many(connection: AsyncConnection, found: Sequence[tuple[DatasetName, pb.Dataset]]) -> None:
    """`put`, for many at once."""
    if found:
        await connection.execute(text(_PUT), [_row(name, dataset) for name, dataset in found])


def _row(name: DatasetName, dataset: pb.Dataset) -> dict[str, object]:
    entry = search_entry(dataset)
    cycle = pb.UpdateCycle.Name(dataset.update_cycle).removeprefix("UPDATE_CYCLE_").lower()
    return {
        "department": name.department,
        "dataset": name.dataset,
        "title": entry.title,
        "title_en": entry.title_en,
        "title_tokens": entry.title_tokens,
        "tokens": entry.tokens,
        "content": entry.text,
        "category": dataset.category,
        "format": dataset.format,
        "licence": dataset.licence,
        "sharing_class": sharing_class_word(getattr(dataset.sharing, "class")),
        "city_level": city_level_word(dataset.city_level),
        "update_cycle": "" if cycle == "unspecified" else cycle,
        "keywords": list(dataset.keywords),
    }


async def snapshot(reader: Reader) -> str:
    """What is visible at this moment, for `changed_since`."""
    found = await reader.rows("SELECT CAST(pg_current_snapshot() AS text) AS now", {})
    return str(found[0]["now"])


async def items_after(reader: Reader, number: int, limit: int) -> list[Item]:
    """By number, those with a greater one."""
    found = await reader.rows(
        _ITEM + " WHERE number > :number ORDER BY number LIMIT :limit", {"number": number, "limit": limit}
    )
    return [_item(row) for row in found]


async def changed_since(reader: Reader, before: str) -> tuple[list[Item], str]:
    """What was committed since an earlier snapshot, however long that took; and the snapshot now."""
    found = await reader.rows(
        "SELECT CAST(pg_current_snapshot() AS text) AS now, c.*"  # noqa: S608  # constant texts
        f" FROM (SELECT 1) AS one LEFT JOIN ({_CHANGED}) AS c ON true",
        {"snapshot": before},
    )
    return [_item(row) for row in found if row["number"] is not None], str(found[0]["now"])


def _item(row: Row) -> Item:
    return Item(
        number=row["number"],
        title=row["title"],
        title_en=row["title_en"],
        values=tuple(row[facet] for facet in SINGLE),
        keywords=tuple(row["keywords"]),
    )


async def words(reader: Reader, numbers: Sequence[int]) -> dict[int, Words]:
    """All tokens of some datasets, by number."""
    # As one text each: tokens hold no blanks, and an array takes several times as long to read.
    found = await reader.rows(
        "SELECT number, array_to_string(tokens, ' ') AS tokens, array_to_string(title_tokens, ' ') AS title_tokens"
        " FROM search WHERE number = ANY(CAST(:numbers AS int[]))",
        {"numbers": list(numbers)},
    )
    return {
        row["number"]: Words(frozenset(row["tokens"].split()), frozenset(row["title_tokens"].split()))
        for row in found
    }


async def matches(reader: Reader, tokens: Sequence[str], title: str) -> Matches:
    """Datasets with all of some tokens, and those with this normalised title. Without tokens only the latter."""
    if not tokens:
        exact = await reader.rows(
            "SELECT number FROM search WHERE title = :title OR title_en = :title", {"title": title}
        )
        return Matches(_NONE, _NONE, np.fromiter((row["number"] for row in exact), np.int32, len(exact)))
    found = await reader.rows(
        "SELECT anywhere, in_title, exact FROM search_matches(CAST(:tokens AS text[]), :title)",
        {"tokens": list(tokens), "title": title},
    )
    return Matches(*(_numbers(found[0][each]) for each in ("anywhere", "in_title", "exact")))


def _numbers(sent: bytes | None) -> Ints:
    return np.frombuffer(sent, ">i4").astype(np.int32) if sent else _NONE


async def page(reader: Reader, numbers: Sequence[int]) -> list[pb.Dataset]:
    """The datasets with these numbers, in this order, without their contracts."""
    found = await reader.rows(_LISTED, {"numbers": list(numbers)}) if numbers else []
    by_number = {row["number"]: rows.dataset_of(row) for row in found}
    return [by_number[number] for number in numbers if number in by_number]


async def titles(reader: Reader, numbers: Sequence[int]) -> list[tuple[str, str, str]]:
    """Name, Chinese and English title of the datasets with these numbers, in this order."""
    found = await reader.rows(
        "SELECT s.number, s.department, s.dataset, d.metadata->>'display_name' AS title,"
        " coalesce(d.metadata->>'display_name_en', '') AS title_en"
        " FROM search s JOIN datasets d ON d.department = s.department AND d.dataset = s.dataset"
        " WHERE s.number = ANY(CAST(:numbers AS int[]))",
        {"numbers": list(numbers)},
    )
    by_number = {row["number"]: (str(rows.name_of(row)), row["title"], row["title_en"]) for row in found}
    return [by_number[number] for number in numbers if number in by_number]


async def departments(reader: Reader, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Names of some departments by id, Chinese and English."""
    found = await reader.rows(
        "SELECT department, display_name, display_name_en FROM departments"
        " WHERE department = ANY(CAST(:ids AS text[]))",
        {"ids": list(ids)},
    )
    return {row["department"]: (row["display_name"], row["display_name_en"]) for row in found}
