"""The reasons of an inference, and of a refusal, in the reader's language.

Ingestion says them as English sentences. Those that it says often have words here; any other stays as it is.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape
from plaza_design.i18n import Language, Translator

KNOWN: dict[str, str] = {
    "text": r"every value is text",
    "integer": r"every value is a whole number",
    "number": r"every value is a number",
    "boolean": r"every value is true or false",
    "date": r"every value is a date \(YYYY-MM-DD\)",
    "timestamp": r"every value is an instant with its UTC offset",
    "never_missing": r"every row has a value",
    "no_values": r"no row has a value, so text is the only safe type",
    "leading_zeros": r"digits with leading zeros are a code, not a quantity",
    "long_numbers": r"numbers of more than 15 digits are identifiers, not quantities",
    "name_by_place": r"the heading has no ASCII name: choose a telling one",
    "built": r"year, month, day and hour stand in columns of their own",
    "zone": r"a file cannot say its time zone: (.+) is assumed, check it",
    "habit": r"(.+) means missing in other columns of this file",
    "tokens": r"(.+) is the only other text in the column",
    "nokey": r"no set of up to (\d+) fields tells all rows apart",
    "onekey": r"(\S+) is different in every row",
    "who_when": r"(.+) says who or where, ([^;]+) when",
    "who_when_here": r"(.+) says who or where, ([^;]+) when; .+ has one value in this file, .+",
    "when": r"(.+) when, and no two rows agree in that",
    "not_integer": r"(.+) is not an integer",
    "not_number": r"(.+) is not a number",
    "not_date": r"(.+) is not a date \(YYYY-MM-DD\)",
    "not_boolean": r"(.+) is not a boolean \(true, false, 1, 0\)",
    "not_timestamp": r"(.+) is not a timestamp \(ISO 8601\)",
    "no_zone": r"(.+) has no UTC offset: .+",
    "needed": r"(\S+) is required and has no value",
    "in_table": r"same key as a row that the table has already",
    "first_line": r"same key as line (\d+)",
    "cells": r"the record has (\d+) fields?, the header \d+",
}
"""Message id (after `because.`) and the sentence that it stands for."""


def because(words: Translator, sentence: str) -> Markup:
    """The sentence in the language of the page, else as it was said, marked as English."""
    if words.language is Language.EN:
        return escape(sentence)
    for key, pattern in KNOWN.items():
        found = re.fullmatch(pattern, sentence)
        if found is not None:
            values: dict[str, str] = dict(zip("xy", found.groups(), strict=False))
            return words.markup(f"because.{key}", None, **values)
    return Markup('<span lang="en">{}</span>').format(sentence)
