"""Finding datasets: words, facets, suggestions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit import telemetry
from plaza_kit.db import Reader, Scope
from plaza_kit.errors import Unavailable
from plaza_kit.grade_words import city_level_word, sharing_class_word
from plaza_kit.names import parse_department
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from plaza_kit.search_words import normalise

from plaza_catalogue.domain.search_columns import Columns, Counts, Facet, Filters, Mask
from plaza_catalogue.domain.search_words import query_tokens
from plaza_catalogue.storage import search
from plaza_catalogue.storage.search_columns import LiveColumns
from plaza_catalogue.usecases.ports import World

_log = telemetry.log("search")

_EXACT, _IN_TITLE, _ANYWHERE = range(3)
_FIRST = (_EXACT, 2**31 - 1)
"""Before everything: the newest number of the best class is smaller."""
_SUGGESTIONS = 10
_FACET_VALUES = 20
_WARM_SECONDS = 30.0
_ENUMS = frozenset({Facet.SHARING_CLASS, Facet.CITY_LEVEL, Facet.UPDATE_CYCLE})
_CYCLES = {
    number: name.removeprefix("UPDATE_CYCLE_").lower() for name, number in pb.UpdateCycle.items() if number
}


@dataclass(frozen=True, slots=True)
class Found:
    """Datasets by how well the words fit; the sets do not overlap."""

    classes: tuple[Mask, Mask, Mask]

    @property
    def all(self) -> Mask:
        exact, in_title, anywhere = self.classes
        return exact | in_title | anywhere

    def narrowed(self, columns: Columns, filters: Filters) -> Found:
        """Those of them for which all filters hold."""
        keep = columns.narrowed(self.all, filters)
        exact, in_title, anywhere = self.classes
        return Found((exact & keep, in_title & keep, anywhere & keep))


class Search:
    """Use cases of those who look for data."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._live = LiveColumns(world.database)

    async def keep_warm(self) -> None:
        """Reads the directory before the first search does, and what changed when nobody searches. Never ends."""
        while True:
            try:
                await self._live.now()
            except Unavailable as error:
                _log.warning("the directory cannot be read", error=str(error))
            await asyncio.sleep(_WARM_SECONDS)

    async def search(self, request: pb.SearchDatasetsRequest) -> pb.SearchDatasetsResponse:
        """What was committed before the call is found. Raises BadPageToken."""
        scope = self._scope()
        reader = self._world.database.reader(scope)
        filters = _filters(request)
        page = Page.of(
            "search", _mark(request.query, filters), request.page_size, request.page_token, _FIRST, default=20
        )
        found, columns = await self._found(request.query)
        # The columns may grow with the next await: everything is counted before.
        narrowed = found.narrowed(columns, filters)
        after = (int(page.start[0]), int(page.start[1]))
        places, more = page.cut(list(_places(columns, narrowed, after, page.size + 1)))
        facets = [_facet(wanted) for wanted in request.facets]
        counts = columns.counts(found.all, filters, facets, request.facet_limit or _FACET_VALUES)
        total = int(narrowed.all.sum())
        shown, names = await asyncio.gather(
            search.page(reader, [number for _, number in places]), _department_names(reader, facets, counts)
        )
        return pb.SearchDatasetsResponse(
            datasets=shown,
            next_page_token=page.token(places[-1]) if more else "",
            total_size=total,
            facets=[
                _facet_counts(wanted, facet, counted, filters.get(facet, ()), names)
                for wanted, facet, counted in zip(request.facets, facets, counts, strict=True)
            ],
        )

    async def _found(self, query: str) -> tuple[Found, Columns]:
        # PostgreSQL's texts hold no NUL, so none is there to be found.
        words = normalise(query.replace("\x00", " "))
        tokens = query_tokens(words)
        if not tokens:
            columns = await self._live.now()
            everything = columns.everything()
            return Found((~everything, ~everything, everything if not words else ~everything)), columns
        columns, matches, exact = await self._live.matches(tokens, words)
        in_title, anywhere = matches.in_title, matches.anywhere
        return Found((exact & anywhere, in_title & ~exact, anywhere & ~in_title & ~exact)), columns

    async def suggest(self, request: pb.SuggestDatasetsRequest) -> pb.SuggestDatasetsResponse:
        """Titles that begin so, then titles that hold the words, no title twice."""
        scope = self._scope()
        words = normalise(request.query.replace("\x00", " "))
        columns, titles = await self._live.titles()
        positions = chain(titles.beginning_with(words), titles.holding(words.split()))
        numbers = _different(columns, positions, request.limit or _SUGGESTIONS)
        shown = await search.titles(self._world.database.reader(scope), numbers)
        return pb.SuggestDatasetsResponse(
            suggestions=[
                pb.Suggestion(display_name=zh, display_name_en=en, dataset=dataset)
                for dataset, zh, en in shown
            ]
        )

    def _scope(self) -> Scope:
        return Scope.of(self._world.policy.authorize("directory.read", Resource.system()))


def _filters(request: pb.SearchDatasetsRequest) -> Filters:
    given: dict[Facet, list[str]] = {
        Facet.DEPARTMENT: [parse_department(name) for name in request.department],
        Facet.CATEGORY: list(request.category),
        Facet.SHARING_CLASS: [sharing_class_word(each) for each in request.sharing_class],
        Facet.CITY_LEVEL: [city_level_word(each) for each in request.city_level],
        Facet.FORMAT: list(request.format),
        Facet.UPDATE_CYCLE: [_CYCLES[each] for each in request.update_cycle],
        Facet.LICENCE: list(request.licence),
        Facet.KEYWORD: list(request.keyword),
    }
    return {facet: values for facet, values in given.items() if values}


def _facet(wanted: pb.SearchFacet.ValueType) -> Facet:
    return Facet(pb.SearchFacet.Name(wanted).removeprefix("SEARCH_FACET_").lower())


def _mark(query: str, filters: Filters) -> tuple[str, ...]:
    return (query, *(f"{facet}={value}" for facet, values in filters.items() for value in values))


def _places(columns: Columns, found: Found, after: tuple[int, int], limit: int) -> Iterator[tuple[int, int]]:
    """Class and number of the next datasets in the order of the answer, behind a place."""
    left = limit
    for grade in range(after[0], len(found.classes)):
        numbers = columns.numbers(found.classes[grade])
        if grade == after[0]:
            numbers = numbers[numbers < after[1]]
        for number in numbers[:left]:
            yield grade, int(number)
        left -= min(left, len(numbers))


def _different(columns: Columns, positions: Iterator[int], limit: int) -> list[int]:
    numbers: dict[tuple[str, str], int] = {}
    for position in positions:
        if len(numbers) == limit:
            break
        item = columns.items[position]
        numbers.setdefault((item.title, item.title_en), item.number)
    return list(numbers.values())


async def _department_names(
    reader: Reader, facets: Sequence[Facet], counts: Sequence[Counts]
) -> Mapping[str, tuple[str, str]]:
    ids = [
        each.value
        for facet, counted in zip(facets, counts, strict=True)
        for each in counted.values
        if facet is Facet.DEPARTMENT
    ]
    return await search.departments(reader, ids) if ids else {}


def _facet_counts(
    wanted: pb.SearchFacet.ValueType,
    facet: Facet,
    counted: Counts,
    selected: Sequence[str],
    names: Mapping[str, tuple[str, str]],
) -> pb.FacetCounts:
    told = names if facet is Facet.DEPARTMENT else {}
    values = [
        pb.FacetValue(
            value=_outside(facet, each.value),
            display_name=told.get(each.value, ("", ""))[0],
            display_name_en=told.get(each.value, ("", ""))[1],
            count=each.count,
            selected=each.value in selected,
        )
        for each in counted.values
    ]
    return pb.FacetCounts(facet=wanted, values=values, value_count=counted.different)


def _outside(facet: Facet, value: str) -> str:
    """A value as requests and answers write it."""
    if facet is Facet.DEPARTMENT:
        return f"departments/{value}"
    if facet in _ENUMS:
        return f"{facet.upper()}_{value.upper()}"
    return value
