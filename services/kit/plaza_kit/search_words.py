"""Words to find datasets by: pairs of neighbouring characters for Chinese, whole words for everything else.

Chinese is written without spaces and two-character words are the usual unit of a query; pairs need no
dictionary, so a word that no dictionary knows is found as well.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_RUN = re.compile(rf"([{_HAN}]+)|([^\W_{_HAN}]+)")


def normalise(text: str) -> str:
    """One form for equal words: full-width and half-width, upper and lower case (Unicode NFKC, case folding)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def index_tokens(texts: Iterable[str]) -> list[str]:
    """Tokens under which a dataset is found, sorted: single characters and pairs of Chinese, and words."""
    tokens: set[str] = set()
    for text in texts:
        for han, word in _RUN.findall(normalise(text)):
            tokens.update(han)
            tokens.update(_pairs(han))
            if word:
                tokens.add(word)
    return sorted(tokens)


def query_tokens(query: str) -> list[str]:
    """Tokens that all must be there, sorted; always among `index_tokens` of a text that contains the words."""
    tokens: set[str] = set()
    for han, word in _RUN.findall(normalise(query)):
        tokens.update(_pairs(han) if len(han) > 1 else han)
        if word:
            tokens.add(word)
    return sorted(tokens)


def phrases(query: str) -> list[str]:
    """The Chinese runs of three characters and more: their pairs may occur apart, so the text is looked at too."""
    return sorted({han for han, _ in _RUN.findall(normalise(query)) if len(han) > 2})


@dataclass(frozen=True, slots=True)
class SearchEntry:
    """What one thing is found by."""

    title: str
    title_en: str
    title_tokens: list[str]
    tokens: list[str]
    text: str
    """All texts, apart by a line break, so that no phrase is found across two of them."""


def entry(title: str, title_en: str, texts: Iterable[str]) -> SearchEntry:
    """The entry of a thing with two titles and other texts."""
    every = [title, title_en, *texts]
    return SearchEntry(
        title=normalise(title),
        title_en=normalise(title_en),
        title_tokens=index_tokens((title, title_en)),
        tokens=index_tokens(every),
        text="\n".join(normalise(text) for text in every),
    )


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]
