"""Search with PostgreSQL: filters, facets, order, pages, suggestions, and that what is committed is found at once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import grades_pb2
from plaza_catalogue.domain.known_matches import KnownMatches
from plaza_catalogue.storage import search_columns
from plaza_catalogue.storage.search_columns import LiveColumns
from plaza_kit.db import Scope
from plaza_kit.paging import BadPageToken
from sqlalchemy import text

pytestmark = pytest.mark.integration
RPC = cast(Any, None)
New = Callable[..., pb.Dataset]
DEPARTMENT, FORMAT, KEYWORD, SHARING = (
    pb.SEARCH_FACET_DEPARTMENT,
    pb.SEARCH_FACET_FORMAT,
    pb.SEARCH_FACET_KEYWORD,
    pb.SEARCH_FACET_SHARING_CLASS,
)


async def register(catalogue: Any, department: str, dataset: pb.Dataset, id: str) -> pb.Dataset:
    request = pb.CreateDatasetRequest(parent=f"departments/{department}", dataset_id=id, dataset=dataset)
    created: pb.Dataset = await catalogue.api.CreateDataset(request, RPC)
    return created


async def search(catalogue: Any, query: str = "", **fields: Any) -> pb.SearchDatasetsResponse:
    found: pb.SearchDatasetsResponse = await catalogue.api.SearchDatasets(
        pb.SearchDatasetsRequest(query=query, **fields), RPC
    )
    return found


def ids(found: pb.SearchDatasetsResponse) -> list[str]:
    return [each.name.rsplit("/", 1)[1] for each in found.datasets]


@pytest.fixture
def word() -> str:
    """A word of this test alone: other tests register datasets in the same database."""
    return f"w{uuid.uuid4().hex[:12]}"


async def test_filters_and_facets(catalogue: Any, department: str, new_dataset: New, word: str) -> None:
    for number, (form, keywords) in enumerate(
        [("CSV", ["气象"]), ("CSV", ["气象", "水文"]), ("XLSX", ["水文"]), ("", [])], 1
    ):
        dataset = new_dataset(f"测试{number} {word}", format=form)
        dataset.keywords[:] = keywords
        if number == 3:
            setattr(dataset.sharing, "class", grades_pb2.SHARING_CLASS_CONDITIONAL)
        await register(catalogue, department, dataset, f"d{number}")

    found = await search(catalogue, word, facets=[FORMAT, KEYWORD, SHARING, DEPARTMENT])
    assert ids(found) == ["d4", "d3", "d2", "d1"]
    by_facet = {each.facet: each for each in found.facets}
    assert [each.facet for each in found.facets] == [FORMAT, KEYWORD, SHARING, DEPARTMENT]
    assert [(v.value, v.count) for v in by_facet[FORMAT].values] == [("CSV", 2), ("XLSX", 1)]
    assert [(v.value, v.count) for v in by_facet[KEYWORD].values] == [("气象", 2), ("水文", 2)]
    owner = by_facet[DEPARTMENT].values[0]
    assert (owner.value, owner.display_name, owner.count) == (f"departments/{department}", "生态环境局", 4)

    # Each facet is counted with the other filters, so that one may still change one's mind.
    narrow = await search(
        catalogue,
        word,
        format=["CSV"],
        sharing_class=[grades_pb2.SHARING_CLASS_UNCONDITIONAL],
        facets=[FORMAT, SHARING],
    )
    assert ids(narrow) == ["d2", "d1"]
    assert [(v.value, v.count, v.selected) for v in narrow.facets[0].values] == [("CSV", 2, True)]
    assert [(v.value, v.count, v.selected) for v in narrow.facets[1].values] == [
        ("SHARING_CLASS_UNCONDITIONAL", 2, True)
    ]
    either = await search(catalogue, word, keyword=["气象", "没有"], facets=[KEYWORD], facet_limit=1)
    assert ids(either) == ["d2", "d1"]
    assert {v.value for v in either.facets[0].values if v.selected} >= {"没有"}
    assert either.facets[0].value_count == 2
    assert ids(await search(catalogue, word, department=["departments/elsewhere"])) == []
    assert ids(await search(catalogue, word, update_cycle=[pb.UPDATE_CYCLE_DAILY])) == []


async def test_what_is_committed_is_found_at_once(
    catalogue: Any, department: str, new_dataset: New, word: str
) -> None:
    assert ids(await search(catalogue, word)) == []
    created = await register(catalogue, department, new_dataset(f"先 {word}", format="CSV"), "first")
    assert ids(await search(catalogue, word, format=["CSV"])) == ["first"]
    change = pb.Dataset(name=created.name, format="JSON")
    request = pb.UpdateDatasetRequest(dataset=change)
    request.update_mask.paths.append("format")
    await catalogue.api.UpdateDataset(request, RPC)
    assert ids(await search(catalogue, word, format=["CSV"])) == []
    assert ids(await search(catalogue, word, format=["JSON"])) == ["first"]


async def test_a_transaction_that_ends_late_is_not_missed(
    catalogue: Any, department: str, new_dataset: New, word: str
) -> None:
    await register(catalogue, department, new_dataset(f"早 {word}", format="CSV"), "early")
    async with catalogue.world.database.transaction(Scope.everything()) as slow:
        await slow.execute(
            text("UPDATE search SET format = 'SLOW', changed = pg_current_xact_id() WHERE department = :d"),
            {"d": department},
        )
        # Begun later and ended sooner: the columns have seen a newer transaction than the slow one.
        await register(catalogue, department, new_dataset(f"晚 {word}", format="CSV"), "late")
        assert ids(await search(catalogue, word, format=["CSV"])) == ["late", "early"]
    assert ids(await search(catalogue, word, format=["SLOW"])) == ["early"]
    assert ids(await search(catalogue, word, format=["CSV"])) == ["late"]


async def test_remembered_words_see_every_change(
    catalogue: Any, department: str, new_dataset: New, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveColumns(catalogue.world.database, KnownMatches(frequent=1))
    asked: list[tuple[str, ...]] = []
    real = search_columns.search.matches

    async def watched(reader: Any, tokens: Any, title: str) -> Any:
        asked.append(tuple(tokens))
        return await real(reader, tokens, title)

    monkeypatch.setattr(search_columns.search, "matches", watched)

    async def titles(*tokens: str) -> tuple[list[str], list[str]]:
        columns, found, _ = await live.matches(tokens, " ".join(tokens))
        places = [
            [columns.items[at].title for at in mask.nonzero()[0]] for mask in (found.anywhere, found.in_title)
        ]
        return sorted(places[0]), sorted(places[1])

    one = await register(catalogue, department, new_dataset(f"甲 {word}"), "one")
    await live.now()  # what is found while datasets change is not remembered
    assert await titles(word) == ([f"甲 {word}"], [f"甲 {word}"])
    await register(catalogue, department, new_dataset(f"乙 {word}"), "two")
    assert await titles(word) == ([f"乙 {word}", f"甲 {word}"],) * 2
    change = pb.UpdateDatasetRequest(dataset=pb.Dataset(name=one.name, display_name="丙", keywords=[word]))
    change.update_mask.paths.extend(["display_name", "keywords"])
    await catalogue.api.UpdateDataset(change, RPC)
    assert await titles(word) == (["丙", f"乙 {word}"], [f"乙 {word}"])
    assert await titles("乙", word) == ([f"乙 {word}"], [f"乙 {word}"])
    assert asked == [(word,), (), (), ("乙",)]
    # More changes at once than are looked at one by one.
    monkeypatch.setattr(search_columns, "_LOOKED_AT_AGAIN", 0)
    await register(catalogue, department, new_dataset(f"丁 {word}"), "three")
    assert await titles(word) == ([f"丁 {word}", "丙", f"乙 {word}"], [f"丁 {word}", f"乙 {word}"])


async def test_order_and_pages_hold_while_datasets_come(
    catalogue: Any, department: str, new_dataset: New, word: str
) -> None:
    rest = new_dataset("别的")
    rest.description = f"关于 {word} 的说明"
    await register(catalogue, department, rest, "rest")
    await register(catalogue, department, new_dataset(word), "exact")
    for number in (1, 2, 3):
        await register(catalogue, department, new_dataset(f"第{number} {word}"), f"title{number}")
    expected = ["exact", "title3", "title2", "title1", "rest"]
    assert ids(await search(catalogue, word)) == expected
    assert ids(await search(catalogue, word.upper())) == expected

    page = await search(catalogue, word, page_size=1)
    seen = ids(page)
    while page.next_page_token:
        # What comes in between neither repeats nor hides what was there before.
        await register(catalogue, department, new_dataset(f"新 {word}"), f"new{len(seen)}")
        page = await search(catalogue, word, page_size=1, page_token=page.next_page_token)
        seen += ids(page)
    assert [each for each in seen if not each.startswith("new")] == expected
    assert len(set(seen)) == len(seen)
    first = await search(catalogue, word, page_size=1)
    with pytest.raises(BadPageToken):
        await search(catalogue, word, page_size=1, page_token=first.next_page_token, format=["CSV"])


async def test_suggestions(catalogue: Any, department: str, new_dataset: New, word: str) -> None:
    def titled(title: str, english: str) -> pb.Dataset:
        dataset = new_dataset(title)
        dataset.display_name_en = english
        return dataset

    await register(catalogue, department, titled(f"龘靐空气 {word}", f"Zyx {word} hourly"), "a")
    await register(catalogue, department, titled(f"河流龘靐 {word}", ""), "b")
    await register(catalogue, department, titled(f"河流龘靐 {word}", ""), "same")

    async def suggest(query: str, limit: int = 0) -> list[str]:
        answer = await catalogue.api.SuggestDatasets(pb.SuggestDatasetsRequest(query=query, limit=limit), RPC)
        return [each.dataset.rsplit("/", 1)[1] for each in answer.suggestions]

    assert await suggest(f"{word[:9]}") == ["a", "b"]
    assert (await suggest("龘"))[0] == "a"
    assert await suggest(f"河流龘靐 {word}") == ["b"]
    assert await suggest(f"zyx {word} hou") == ["a"]
    assert await suggest(f"hourly {word}") == ["a"]
    assert await suggest(word, 1) == ["a"]
    assert await suggest("！") == []


async def test_many_searches_while_datasets_come(
    catalogue: Any, department: str, new_dataset: New, word: str
) -> None:
    async def come() -> None:
        for number in range(10):
            await register(catalogue, department, new_dataset(f"{number} {word}", format="CSV"), f"x{number}")

    async def look() -> None:
        for _ in range(10):
            found = await search(catalogue, word, facets=[FORMAT, KEYWORD], page_size=200)
            assert found.total_size == len(found.datasets)
            assert sum(each.count for each in found.facets[0].values) == found.total_size

    await asyncio.gather(come(), look(), look())
    assert (await search(catalogue, word)).total_size == 10
