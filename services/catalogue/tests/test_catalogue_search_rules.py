"""What is found and counted, without a database: words, columns, titles; by example and against a plain count."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_catalogue.domain.known_matches import Known, KnownMatches, Words
from plaza_catalogue.domain.search_columns import Columns, Facet, Filters, Item, Titles
from plaza_catalogue.domain.search_words import index_tokens, query_tokens

TOKENS = st.frozensets(st.sampled_from("abcd"))
TEXT = st.text(alphabet="空气质量监测水ab C1，-", max_size=12)
WORD = st.sampled_from(["", "甲", "乙", "丙", "丁"])
ITEMS = st.lists(
    st.builds(
        Item,
        number=st.integers(1, 40),
        title=st.just(""),
        title_en=st.just(""),
        values=st.tuples(*[WORD] * 7),
        keywords=st.lists(WORD, max_size=3).map(tuple),
    ),
    max_size=60,
)
FILTERS = st.dictionaries(
    st.sampled_from(list(Facet)), st.lists(st.sampled_from(["甲", "乙", "无"]), min_size=1, max_size=2)
)


@given(TEXT, TEXT, TEXT)
def test_a_part_of_a_text_is_always_found(before: str, query: str, after: str) -> None:
    # A Latin word is found whole: what is next to it must not make it longer.
    tokens = index_tokens([f"{before} {query} {after}"])
    assert set(query_tokens(query)) <= set(tokens)


def test_three_characters_must_stand_together() -> None:
    text = ["空气好", "气质", "质量"]
    assert set(query_tokens("空气")) <= set(index_tokens(text))
    assert not set(query_tokens("空气质")) <= set(index_tokens(text))
    assert query_tokens("医保") == ["医保"]
    assert query_tokens("空气质量 PM2.5") == ["5", "pm2", "气质量", "空气质"]


def _values(item: Item, facet: Facet) -> set[str]:
    if facet is Facet.KEYWORD:
        return {word for word in item.keywords if word}
    value = item.values[list(Facet).index(facet)]
    return {value} - {""}


def _holds(item: Item, filters: Filters) -> bool:
    return all(_values(item, facet) & set(values) for facet, values in filters.items())


@given(ITEMS, ITEMS, FILTERS, st.sets(st.integers(1, 45)), st.sampled_from(list(Facet)))
def test_columns_count_as_one_counts_by_hand(
    first: list[Item], then: list[Item], filters: dict[Facet, list[str]], numbers: set[int], facet: Facet
) -> None:
    columns = Columns()
    columns.put(first)
    columns.of_numbers(np.array([], np.int32))
    columns.put(then)
    directory = {item.number: item for item in [*first, *then]}
    found = {n: directory[n] for n in numbers if n in directory}

    mask = columns.of_numbers(np.array(sorted(numbers), np.int32))
    kept = [n for n, item in found.items() if _holds(item, filters)]
    assert columns.numbers(columns.narrowed(mask, filters)).tolist() == sorted(kept, reverse=True)

    others = {other: values for other, values in filters.items() if other is not facet}
    expected = Counter(
        value for item in found.values() if _holds(item, others) for value in _values(item, facet)
    )
    [counted] = columns.counts(mask, filters, [facet], 2)
    counts, different = counted.values, counted.different
    best = sorted(expected.items(), key=lambda each: (-each[1], each[0]))[:2]
    assert [(each.value, each.count) for each in counts[: len(best)]] == best
    assert different == len(expected)
    selected = dict.fromkeys(filters.get(facet, ()))
    assert {each.value for each in counts[len(best) :]} == selected.keys() - dict(best).keys()
    assert all(each.count == expected[each.value] for each in counts)


def _titles(*titles: str) -> Titles:
    pairs = [each.split("|") for each in titles]
    return Titles(
        [Item(n, zh, en, ("",) * 7, ()) for n, (zh, en) in enumerate(pairs, 1)],
    )


@pytest.mark.parametrize(
    ("typed", "beginning", "holding"),
    [
        ("空", [0], [0, 2]),
        ("空气", [0], [0, 2]),
        ("hour", [0], [0, 2]),
        ("our", [], []),
        ("air hour", [], [0, 2]),
        ("质量 监测", [], [2]),
        ("无", [], []),
    ],
)
def test_suggestions(typed: str, beginning: list[int], holding: list[int]) -> None:
    titles = _titles("空气质量小时数据|hourly air quality", "水位|river level", "监测空气质量|air, by hours")
    assert list(titles.beginning_with(typed)) == beginning
    assert list(titles.holding(typed.split())) == holding
    assert list(titles.holding(typed.split() * 20)) == holding


def _matching(directory: list[Words], tokens: tuple[str, ...]) -> Known:
    return Known(
        np.array([each.anywhere >= set(tokens) for each in directory], np.bool_),
        np.array([each.in_title >= set(tokens) for each in directory], np.bool_),
    )


@given(
    st.lists(
        st.one_of(
            st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True).map(sorted).map(tuple),
            st.dictionaries(st.integers(0, 9), st.builds(Words, TOKENS, TOKENS), min_size=1),
        ),
        max_size=20,
    )
)
def test_what_is_known_of_words_stays_true(steps: list[tuple[str, ...] | dict[int, Words]]) -> None:
    directory: list[Words] = []
    known = KnownMatches(frequent=1, limit=60)
    for step in steps:
        if isinstance(step, dict):
            changed = {}
            for wanted, words in sorted(step.items()):
                place = min(wanted, len(directory))  # behind the end: added
                directory[place : place + 1] = [words]
                changed[place] = words
            known.change(len(directory), changed)
            continue
        found, missing = known.find(step)
        for each in [*found, *([_matching(directory, missing)] if missing else [])]:
            assert len(each.anywhere) == len(directory)
        whole = _matching(directory, missing)
        for each in found:
            whole &= each
        expected = _matching(directory, step)
        assert whole.anywhere.tolist() == expected.anywhere.tolist()
        assert whole.in_title.tolist() == expected.in_title.tolist()
        if missing:
            known.remember(missing, _matching(directory, missing))
        assert known.nbytes <= 60


def test_only_frequent_words_are_remembered() -> None:
    known = KnownMatches(frequent=3, limit=100)
    rare, frequent = np.array([True, True, False, False]), np.array([True, True, True, False])
    known.remember(("rare",), Known(rare, rare))
    known.remember(("often",), Known(frequent, rare))
    assert [known.find([word])[1] for word in ("rare", "often")] == [("rare",), ()]
    assert known.find(["often", "rare"]) == ([Known(frequent, rare)], ("rare",))
    known.forget()
    assert known.find(["often"]) == ([], ("often",))


def test_equal_counts_are_in_alphabetical_order_also_of_values_that_come_later() -> None:
    columns = Columns()
    for number, word in enumerate("deacb"):
        columns.put([Item(number, "", "", ("",) * 7, (word,))])
        [counted] = columns.counts(columns.everything(), {}, [Facet.KEYWORD], 9)
        assert [each.value for each in counted.values] == sorted("deacb"[: number + 1])
