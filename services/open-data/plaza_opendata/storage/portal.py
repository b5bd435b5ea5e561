"""Table `portal`: the datasets with a published release, a GIN index over tokens made in the application."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.names import DatasetName
from plaza_kit.search_words import normalise, phrases, query_tokens
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_opendata.domain.portal_facets import GROUPED, SEVERAL, Counts, Facet, Filters, Group, with_selected
from plaza_opendata.domain.releases import ReleaseName
from plaza_opendata.domain.snapshot import search_entry
from plaza_opendata.storage import rows
from plaza_opendata.storage.releases import DATASET, FROM, SHOWN, key
from plaza_opendata.storage.rows import Row, key_of

# In lists, only what a list shows: contracts may be long.
_LISTED = f"SELECT {SHOWN}, r.snapshot - ARRAY['contract', 'rules', 'dimensions'] AS listed{FROM}"
_JOIN = " JOIN portal s ON s.department = r.department AND s.dataset = r.dataset AND s.number = r.number"
_FORMATS = (
    "SELECT DISTINCT upper(substring(f.file_name FROM '[^.]*$')) FROM release_files f"
    " WHERE f.department = r.department AND f.dataset = r.dataset AND f.number = r.number ORDER BY 1"
)
_MATCHES = (
    " WHERE s.tokens @> CAST(:tokens AS text[])"
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
    shown = rows.open_dataset_of(found.scalar_one())
    entry = search_entry(shown)
    await connection.execute(
        text(
            "INSERT INTO portal (department, dataset, number, title, title_en, title_tokens, tokens, content,"  # noqa: S608
            " category, update_cycle, licence, formats, keywords)"
            " SELECT :department, :dataset, :number, :title, :title_en, :title_tokens, :tokens, :content,"
            f" :category, :update_cycle, r.licence, ARRAY({_FORMATS}), :keywords FROM releases r{DATASET}"
            " AND r.number = :number"
            " ON CONFLICT (department, dataset) DO UPDATE SET number = excluded.number,"
            " title = excluded.title, title_en = excluded.title_en, title_tokens = excluded.title_tokens,"
            " tokens = excluded.tokens, content = excluded.content, category = excluded.category,"
            " update_cycle = excluded.update_cycle, licence = excluded.licence, formats = excluded.formats,"
            " keywords = excluded.keywords"
        ),
        bound
        | {
            "title": entry.title,
            "title_en": entry.title_en,
            "title_tokens": entry.title_tokens,
            "tokens": entry.tokens,
            "content": entry.text,
            "category": shown.category,
            "update_cycle": shown.update_cycle.replace("UPDATE_CYCLE_UNSPECIFIED", ""),
            "keywords": list(dict.fromkeys(shown.keywords)),
        },
    )


@dataclass(frozen=True, slots=True)
class Words:
    """What is looked for."""

    exact: str
    tokens: list[str]
    phrases: list[str]

    @classmethod
    def of(cls, query: str) -> Words:
        """All words must occur; an empty query finds everything."""
        return cls(normalise(query), query_tokens(query), phrases(query))

    @property
    def nothing(self) -> bool:
        """Nothing but punctuation: nothing is found."""
        return bool(self.exact and not self.tokens)

    @property
    def bound(self) -> dict[str, object]:
        return {"tokens": self.tokens, "phrases": self.phrases}


async def find(
    connection: AsyncConnection, words: Words, filters: Filters, offset: int, limit: int
) -> list[pb.OpenDataset]:
    """A page, best first."""
    if words.nothing:
        return []
    conditions, bound = _narrowed(filters)
    found = await connection.execute(
        text(_LISTED + _JOIN + _MATCHES + conditions + _ORDER),
        bound | words.bound | {"exact": words.exact, "limit": limit, "offset": offset},
    )
    return _listed([row._mapping for row in found])


def _narrowed(filters: Filters) -> tuple[str, dict[str, object]]:
    """Conditions, and what is bound in them."""
    conditions = "".join(
        f" AND s.{facet} && CAST(:{facet} AS text[])"
        if facet in SEVERAL
        else f" AND s.{facet} = ANY(CAST(:{facet} AS text[]))"
        for facet in filters
    )
    return conditions, {str(facet): list(values) for facet, values in filters.items()}


async def groups(connection: AsyncConnection, words: Words, filters: Filters) -> list[Group]:
    """All that words and keywords find, by what else it can be narrowed down by."""
    if words.nothing:
        return []
    conditions, bound = _narrowed({f: values for f, values in filters.items() if f not in GROUPED})
    columns = ", ".join(f"s.{facet}" for facet in GROUPED)
    found = await connection.execute(
        text(f"SELECT {columns}, count(*) AS n FROM portal s{_MATCHES}{conditions} GROUP BY {columns}"),  # noqa: S608
        bound | words.bound,
    )
    return [
        Group({f: row._mapping[f] if f in SEVERAL else [row._mapping[f]] for f in GROUPED}, row._mapping["n"])
        for row in found
    ]


async def keywords(connection: AsyncConnection, words: Words, filters: Filters, limit: int) -> Counts:
    """Keywords of what words and all other filters find; see `portal_facets.counts`."""
    if words.nothing:
        return Counts((), 0)
    wanted = list(filters.get(Facet.KEYWORD, ()))
    conditions, bound = _narrowed({f: values for f, values in filters.items() if f in GROUPED})
    found = await connection.execute(
        text(
            "WITH counted AS (SELECT k, count(*) AS n,"  # noqa: S608
            ' row_number() OVER (ORDER BY count(*) DESC, k COLLATE "C") AS place'
            f" FROM portal s, unnest(s.keywords) AS u(k){_MATCHES}{conditions} GROUP BY k)"
            " SELECT k, n, place, (SELECT count(*) FROM counted) AS different FROM counted"
            " WHERE place <= :limit OR k = ANY(CAST(:wanted AS text[])) ORDER BY place"
        ),
        bound | words.bound | {"limit": limit, "wanted": wanted},
    )
    every = list(found)
    best = [(str(row.k), int(row.n)) for row in every if row.place <= limit]
    by_value = {str(row.k): int(row.n) for row in every}
    # Where nothing is found there is no row to say so.
    return with_selected(best, by_value, wanted, int(every[0].different) if every else 0)


async def suggest(connection: AsyncConnection, typed: str, limit: int) -> list[pb.OpenSuggestion]:
    """Titles that begin with a normalised text, then titles that hold it, no title twice."""
    found = await connection.execute(
        text(
            "SELECT s.department, s.dataset, r.snapshot->>'display_name' AS title,"
            " coalesce(r.snapshot->>'display_name_en', '') AS title_en"
            " FROM (SELECT DISTINCT ON (title, title_en) *,"
            " starts_with(title, :typed) OR starts_with(title_en, :typed) AS begins FROM portal"
            " WHERE strpos(title, :typed) > 0 OR strpos(' ' || title_en, ' ' || :typed) > 0"
            " ORDER BY title, title_en, department, dataset) s"
            " JOIN releases r USING (department, dataset, number)"
            " ORDER BY s.begins DESC, s.title, s.title_en LIMIT :limit"
        ),
        {"typed": typed, "limit": limit},
    )
    return [
        pb.OpenSuggestion(
            display_name=row.title,
            display_name_en=row.title_en,
            open_dataset=f"departments/{row.department}/datasets/{row.dataset}/openDataset",
        )
        for row in found
    ]


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
