"""Comments of the contract as HTML: paragraphs, lists, `code`, and nothing else of Markdown."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_CODE = re.compile(r"`([^`]+)`")
_PARTS = re.compile(r"(?<=[/_.|,])(?=.)|(?<=[a-z])(?=[A-Z])")
_ITEM = re.compile(r"^\s*[-*] ")


def prose(text: str) -> Markup:
    """Paragraphs and lists."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        plain = [line for line in lines if not _ITEM.match(line)]
        items = [_ITEM.sub("", line) for line in lines if _ITEM.match(line)]
        if plain:
            parts.append(Markup("<p>{}</p>").format(inline(" ".join(plain))))
        if items:
            listed = Markup("").join(Markup("<li>{}</li>").format(inline(each)) for each in items)
            parts.append(Markup('<ul class="small">{}</ul>').format(listed))
    return Markup("").join(parts)


def inline(text: str) -> Markup:
    """One run of words with its `code`."""
    pieces = _CODE.split(" ".join(text.split()))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )


def breakable(text: str) -> Markup:
    """A long name or path that may break where its parts begin."""
    return Markup("<wbr>").join(_PARTS.split(text))
