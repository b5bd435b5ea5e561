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
    "pattern": r"(?:value )?does not match regex pattern `.+`",
    "line_no_code": r"line (\d+): has no code",
    "line_no_name": r"line (\d+): has no name",
    "line_twice": r"line (\d+): code '(.+)' stands in line \d+ with the same first day",
    "line_parent": r"line (\d+): parent '(.+)' is no code of the list",
    "heading": r"line 1: the heading '(.+)' is not one of .+",
    "no_heading": r"line 1: no column is headed (.+)",
    "at_least": r"must be at least (\d+) characters?",
    "at_most": r"must be at most (\d+) characters?",
    "exists": r"(\S+) exists already(?:, .+)?",
    "append_all": r"cannot be append without a watermark_column: .+",
    "replace_new": r"cannot be replace with a watermark_column: .+",
    "needs_watermark": r"needs a watermark_column",
    "needs_upsert": r"needs mode upsert: .+",
    "not_select": r"does not begin with SELECT \(or WITH\)",
    "one_statement": r"is more than one statement",
    "not_cron": r"(.+) is not five fields of numbers, \*, lists and ranges",
    "etag": r"(\S+) was changed since it was read",
    "source_busy": r"(\S+) is being pulled by (\S+)",
    "encoding": r"the file is neither UTF-8 nor GB18030",
    "too_large": r"the file is larger than (\d+) MiB",
    "cells": r"the record has (\d+) fields?, the header \d+",
    "expired": r"kept are the newest (\d+), those younger than (\d+) h, the last of each day.*, and pinned ones",
    "gone": r"field \S+ is missing",
    "retype": r"field (\S+) is \w+, the new one would be \w+",
    "become_required": r"field (\S+) would become required, .+",
    "new_required": r"new field (\S+) is required, .+",
    "key_required": r"key field (\S+) would change whether it is required",
    "rekey": r"its key is \((.*)\), the new one would be \(.*\)",
    "empty": r"must be at least 1 char.+|must .+ at least 1 item.+|must not be in list \[0\]|'' is not a field.+",
    "not_a_field": r"'(.*)' is not a field of the contract",
    "twice": r"'(.+)' occurs twice",
    "built_here": r"'(.+)' is built by a step, so the file has no text of it",
    "built_heading": r"'(.+)' is built by this step and cannot have a source heading as well",
    "unfit": r"'(.+)' must be an? .+",
    "zone_missing": r"name the IANA time zone, .+",
    "zone_unknown": r"'(.+)' is not an IANA time zone",
    "zone_of_date": r"a date has no time zone: .+",
    "too_few": r"must contain at least (\d+) item\(s\)",
    "one_sign": r"must be 1 characters|must be one character",
    "keyless": r"rows without a key are never the same: .+",
    "other_unit": r"'(.+)' is not the unit of '.+', '(.+)': .+",
    "sign_within": r"'(.+)' stands in the values of '(.+)': .+",
    "zero": r"must not be zero",
    "no_column": r"The header has no column ((?:(?! and more than one column ).)+)\.",
    "name_them": r"Name these columns in the file's heading, or adopt a contract version that fits the file\.",
    "to_the_letter": r'Headings count to the letter: "(.+)" is not "(.+)"\. Correct the file\.',
    "empty_file": r"The file is empty: it has no header\.",
    "send_header": r"Send a file whose first line names the columns\.",
    "not_encoded": r"The header is not ([\w-]+)(?: \(GB18030 fits\))?\.",
    "declare_encoding": r"Declare the file's encoding in the contract's format, .+",
    "other_columns": r"(.+) has other columns than (.+)\.",
    "one_at_a_time": r"Load one of its files at a time, by its name \(entry\): .+",
    "broken_archive": r"(.+) is a broken ZIP container: .+",
    "send_again": r"Check that the file was written and sent completely, and send it again\.",
    "unnamed": r"Columns that the contract does not name were left out: (.+)\.",
    "nameless": r"Columns without a heading were left out: (\d+)\.",
    "no_rows": r"the file has a heading and no rows: there is no new version",
    "all_refused": r"every row was refused: there is no new version; look into quarantine",
    "nowhere": r"there is nothing at (\S+)",
}
"""Message id (after `because.`) and the sentence that it stands for."""


def because(words: Translator, sentence: str) -> Markup:
    """The sentence in the language of the page, else as it was said, marked as English."""
    for key, pattern in KNOWN.items():
        found = re.fullmatch(pattern, sentence)
        if found is not None:
            values: dict[str, str] = dict(zip("xy", found.groups(), strict=False))
            return words.markup(f"because.{key}", None, **values)
    if words.language is Language.EN:
        return escape(sentence)
    said = sentence.split("; ")
    if len(said) > 1:
        # Several complaints about one place.
        return Markup("; ").join(because(words, each) for each in said)
    return Markup('<span lang="en">{}</span>').format(sentence)
