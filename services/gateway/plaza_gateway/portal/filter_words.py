"""Why a query of rows cannot be read, in the reader's language.

The service says it in English, with the place (`plaza_lake.filter_text`). What it is known to say has words here, with
the way out; any other sentence stays as it is, marked as English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from markupsafe import Markup, escape
from plaza_design.i18n import Language, Translator

KNOWN: Mapping[str, str] = {
    "quote": r"a quotation mark is not closed",
    "sign": r"this sign means nothing",
    "join": r"expected AND or OR here",
    "mixed": r"AND and OR are mixed",
    "deep": r"nested more than (?P<most>\d+) deep",
    "long": r"longer than (?P<most>\d+) characters",
    "parenthesis": r"a parenthesis is not closed",
    "name": r"expected a field name",
    "operator": r"expected an operator after (?P<field>\S+)",
    "null": r"null has no order",
    "boolean": r"(?P<field>\S+) is boolean and has no order",
    "list": r"a list goes with = only",
    "list_end": r"the list is not closed",
    "contains": r"(?P<field>\S+) is \w+; only a string contains text",
    "value": r"expected a value for (?P<field>\S+)",
    "integer": r"(?P<field>\S+) is integer, this is not",
    "number": r"(?P<field>\S+) is number, this is not",
    "true_false": r"(?P<field>\S+) is boolean, this is not",
    "date": r"(?P<field>\S+) is date, this is not",
    "timestamp": r"(?P<field>\S+) is timestamp, this is not",
    "field": r"unknown field '(?P<field>[^']*)'",
    "order": r"(?P<field>.+) is not a field, nor a field and `desc`",
    "order_twice": r"(?P<field>\S+) is named twice",
}
"""Message id (after `rows.wrong.`) and the sentence that it stands for."""
_PLACE = re.compile(
    r"filter, (?:at its end|character (?P<place>\d+) \((?P<quote>['\"])(?P<near>.*?)(?P=quote)\)): (?P<rest>.+)",
    re.S,
)


def why(words: Translator, detail: str) -> Markup:
    """What is wrong, where, and what to write instead."""
    found = _PLACE.fullmatch(detail)
    sentence = found["rest"] if found is not None else detail.removeprefix("order_by: ")
    said = _known(words, sentence)
    if said is None:
        return (
            escape(detail)
            if words.language is Language.EN
            else Markup('<span lang="en">{}</span>').format(detail)
        )
    if found is None:
        return said
    if found["place"] is None:
        return words.markup("rows.wrong.end") + said
    return words.markup("rows.wrong.at", place=found["place"], near=found["near"]) + said


def _known(words: Translator, sentence: str) -> Markup | None:
    for key, pattern in KNOWN.items():
        found = re.fullmatch(pattern, sentence)
        if found is not None:
            return words.markup(f"rows.wrong.{key}", None, **found.groupdict())
    return None
