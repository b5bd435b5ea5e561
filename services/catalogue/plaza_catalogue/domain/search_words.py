"""What a dataset is found by: the kit's words, and runs of three Chinese characters as words of their own.

A run of a query longer than two characters is found where all its neighbouring triples occur: exact for three
characters, and nearly so for more, without looking at a single text. Pairs alone would find `空气` in one field and
`气质` in another for `空气质`, so each match would have to be read again, which is slow where many match.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit import search_words
from plaza_kit.search_words import SearchEntry, normalise, phrases

_SHORT = 32
"""Characters of texts whose words are remembered: names of fields, categories, providers come again and again."""


def index_tokens(texts: Iterable[str]) -> list[str]:
    """Tokens under which a thing with these texts is found, sorted."""
    tokens: set[str] = set()
    for text in texts:
        tokens |= _known_tokens(text) if len(text) <= _SHORT else _tokens(text)
    return sorted(tokens)


def query_tokens(query: str) -> list[str]:
    """Tokens that all must be there, sorted; always among `index_tokens` of a text that contains the query."""
    long = phrases(query)
    rest = normalise(query)
    for run in sorted(long, key=len, reverse=True):
        rest = rest.replace(run, " ")
    return sorted({*search_words.query_tokens(rest), *_triples(query)})


def search_entry(dataset: pb.Dataset) -> SearchEntry:
    """Of a dataset as a caller sees it, with its provider: every field of the directory and of the contract."""
    titles = (dataset.display_name, dataset.display_name_en)
    texts = [*titles, *_texts(dataset)]
    return SearchEntry(
        title=normalise(titles[0]),
        title_en=normalise(titles[1]),
        title_tokens=index_tokens(titles),
        tokens=index_tokens(texts),
        text="\n".join(normalise(text) for text in texts),
    )


def _tokens(text: str) -> frozenset[str]:
    return frozenset({*search_words.index_tokens([text]), *_triples(text)})


_known_tokens = functools.lru_cache(maxsize=4096)(_tokens)


def _triples(text: str) -> Iterator[str]:
    for run in phrases(text):
        for start in range(len(run) - 2):
            yield run[start : start + 3]


def _texts(dataset: pb.Dataset) -> Iterator[str]:
    yield from (dataset.description, dataset.description_en, dataset.category, dataset.code, dataset.format)
    yield from (dataset.provider, dataset.provider_code, *dataset.keywords, *dataset.related_codes)
    yield from (dataset.sharing.condition, dataset.sharing.method, dataset.opening.condition, dataset.licence)
    yield dataset.source_system_title
    for field in dataset.contract.fields:
        yield from (field.name, field.title, field.description, field.unit)
