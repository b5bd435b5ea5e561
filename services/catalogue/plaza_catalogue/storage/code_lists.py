"""Tables `code_list_versions` and `codes`.

The newest version of a list is the city's own newest if it has one, else the newest that was shipped: an upgrade of
Plaza does not put another list in the place of the city's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.json_format import ParseDict
from plaza.catalogue.v1 import code_lists_pb2 as pb
from plaza_kit.db import Reader
from plaza_kit.search_words import normalise
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain.code_lists import Code, CodeListName, sha256_of
from plaza_catalogue.storage.rows import Row, json_of, moment

_COLUMNS = ("code", "name", "name_en", "parent", "valid_from", "valid_to")


@dataclass(frozen=True, slots=True)
class Making:
    """Who makes a version, when."""

    principal: str
    author: str
    """Empty for shipped ones."""
    now: datetime
    shipped: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """Which codes are looked for; empty members say nothing."""

    prefix: str = ""
    parent: str = ""
    words: Sequence[str] = ()
    """Normalised."""
    day: str = ""
    """Valid on this day, `YYYY-MM-DD`."""


async def insert(
    connection: AsyncConnection,
    name: CodeListName,
    facts: pb.CodeListVersion,
    codes: Sequence[Code],
    making: Making,
) -> bool:
    """A version with its codes. Answers False when the list has a version of this id."""
    key = {"code_list": name.code_list, "version": name.version}
    # One after the other, so that numbers follow each other and the second of two replicas finds the first one's.
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('code_list/' || CAST(:code_list AS text), 0))"),
        key,
    )
    inserted = await connection.execute(
        text(
            "INSERT INTO code_list_versions (code_list, version, number, facts, sha256, code_count, shipped,"
            " principal, author, create_time) SELECT :code_list, :version, coalesce(max(number), 0) + 1,"
            " CAST(:facts AS jsonb), :sha256, :count, :shipped, :principal, :author, :now"
            " FROM code_list_versions WHERE code_list = :code_list"
            " ON CONFLICT (code_list, version) DO NOTHING RETURNING 1"
        ),
        key
        | {
            "facts": json_of(facts),
            "sha256": sha256_of(codes),
            "count": len(codes),
            "shipped": making.shipped,
            "principal": making.principal,
            "author": making.author,
            "now": making.now,
        },
    )
    if inserted.first() is None:
        return False
    # One statement for thousands of rows: each column is an array.
    columns: dict[str, list[str]] = {name: [getattr(code, name) for code in codes] for name in _COLUMNS}
    columns["words"] = [_words(code) for code in codes]
    arrays = ", ".join(f"CAST(:{name} AS text[])" for name in columns)
    await connection.execute(
        text(
            f"INSERT INTO codes (code_list, version, position, {', '.join(columns)})"  # noqa: S608  # column names
            f" SELECT :code_list, :version, n, {', '.join(f'c.{name}' for name in columns)}"
            f" FROM unnest({arrays}) WITH ORDINALITY AS c ({', '.join(columns)}, n)"
        ),
        key | columns,
    )
    return True


def _words(code: Code) -> str:
    return "\n".join(normalise(each) for each in (code.code, code.name, code.name_en))


async def version(reader: Reader, name: CodeListName) -> pb.CodeListVersion | None:
    """The version, or the newest one when the name says none."""
    found = await reader.rows(
        "SELECT * FROM code_list_versions WHERE code_list = :code_list"
        " AND (:version = '' OR version = :version) ORDER BY shipped, number DESC LIMIT 1",
        {"code_list": name.code_list, "version": name.version},
    )
    return _version_of(found[0]) if found else None


async def version_count(reader: Reader, code_list: str) -> int:
    """How many versions a list has; none: it is not there."""
    [row] = await reader.rows(
        "SELECT count(*) AS count FROM code_list_versions WHERE code_list = :code_list",
        {"code_list": code_list},
    )
    return int(row["count"])


async def versions(
    reader: Reader, code_list: str, after: tuple[int, int], limit: int
) -> list[tuple[pb.CodeListVersion, tuple[int, int]]]:
    """Newest first, each with its place; those behind the place `after`: 1 for shipped ones, and the number."""
    found = await reader.rows(
        "SELECT * FROM code_list_versions WHERE code_list = :code_list"
        " AND (CAST(shipped AS int), -number) > (:shipped, -:number) ORDER BY shipped, number DESC LIMIT :limit",
        {"code_list": code_list, "shipped": after[0], "number": after[1], "limit": limit},
    )
    return [(_version_of(row), (int(row["shipped"]), row["number"])) for row in found]


async def lists(reader: Reader, after: str, limit: int) -> list[pb.CodeList]:
    """By id, those behind `after`."""
    found = await reader.rows(
        "SELECT DISTINCT ON (code_list) *, count(*) OVER (PARTITION BY code_list) AS version_count"
        " FROM code_list_versions WHERE code_list > :after ORDER BY code_list, shipped, number DESC LIMIT :limit",
        {"after": after, "limit": limit},
    )
    return [
        pb.CodeList(
            name=f"codeLists/{row['code_list']}",
            latest_version=_version_of(row),
            version_count=row["version_count"],
        )
        for row in found
    ]


async def known(reader: Reader) -> set[CodeListName]:
    """The names of all versions."""
    found = await reader.rows("SELECT code_list, version FROM code_list_versions", {})
    return {CodeListName(row["code_list"], row["version"]) for row in found}


async def missing(reader: Reader, names: Collection[CodeListName]) -> list[CodeListName]:
    """Those of some names that are not there."""
    there = await known(reader)
    there |= {CodeListName(name.code_list) for name in there}
    return [name for name in names if name not in there]


async def codes(
    reader: Reader, name: CodeListName, wanted: Filter, after: int, limit: int
) -> list[tuple[int, pb.Code]]:
    """In the order of the list, those behind the position `after`, with their positions."""
    found = await reader.rows(
        "SELECT * FROM codes WHERE code_list = :code_list AND version = :version AND position > :after"
        " AND (:prefix = '' OR starts_with(code, :prefix)) AND (:parent = '' OR parent = :parent)"
        " AND NOT EXISTS (SELECT 1 FROM unnest(CAST(:words AS text[])) AS w WHERE strpos(words, w) = 0)"
        # A day that is written as a year or month stands for its whole length.
        " AND (:day = '' OR ((valid_from = '' OR valid_from <= left(:day, length(valid_from)))"
        " AND (valid_to = '' OR valid_to >= left(:day, length(valid_to)))))"
        " ORDER BY position LIMIT :limit",
        {
            "code_list": name.code_list,
            "version": name.version,
            "after": after,
            "prefix": wanted.prefix,
            "parent": wanted.parent,
            "words": list(wanted.words),
            "day": wanted.day,
            "limit": limit,
        },
    )
    return [(row["position"], pb.Code(**{name: row[name] for name in _COLUMNS})) for row in found]


def _version_of(row: Row) -> pb.CodeListVersion:
    made: pb.CodeListVersion = ParseDict(row["facts"], pb.CodeListVersion(), ignore_unknown_fields=True)
    made.name = f"codeLists/{row['code_list']}/versions/{row['version']}"
    made.sha256 = row["sha256"]
    made.code_count = row["code_count"]
    made.shipped = row["shipped"]
    made.author = row["author"]
    made.create_time.CopyFrom(moment(row["create_time"]))
    return made
