"""Which fields the conditions of a contract's rules speak of, and the same conditions with other names; pure.

A condition is a text: a filter (`status = "closed"`) or an SQL expression (`pm2_5 <= pm10`). Only what stands where a
field can stand is taken for one; whether the text can be read at all is the catalogue's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

_FILTER = re.compile(
    r"""(?P<other>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|-?(?P<name>[^\s"'()<>=!:-][^\s"'()<>=!:]*)""",
    re.DOTALL,
)
_COMPARED = re.compile(r"\s*(?:[<>=:]|!=)")
_SQL = re.compile(
    r"""(?P<other>'(?:[^']|'')*'|::\s*\w+|\bAS\s+\w+|\b[0-9]\w*)|"(?P<quoted>(?:[^"]|"")*)"|(?P<name>\b[A-Za-z_]\w*)""",
    re.DOTALL | re.IGNORECASE,
)
_NO_FIELD = re.compile(r"\s*[('.]|\s+FROM\b", re.IGNORECASE)
"""Behind a function, behind the type of a literal, behind the unit of EXTRACT."""

Found = tuple[int, int, str]
"""From, to, and the field's name."""


def filter_fields(text: str) -> Iterator[Found]:
    """A field of a filter stands before an operator; a bare word behind one is a value."""
    for each in _FILTER.finditer(text):
        if each["name"] and _COMPARED.match(text, each.end()):
            yield *each.span("name"), each["name"]


def sql_fields(text: str) -> Iterator[Found]:
    """A field of an SQL expression is a word, or stands in double quotes; keywords are told too."""
    for each in _SQL.finditer(text):
        for group in ("quoted", "name"):
            if each[group] and (group == "quoted" or not _NO_FIELD.match(text, each.end())):
                yield *each.span(group), each[group].lower()


def renamed(text: str, fields: Callable[[str], Iterator[Found]], names: Mapping[str, str]) -> str:
    """The text with other names, everything between them to the letter."""
    parts, at = [], 0
    for start, end, name in fields(text):
        parts += [text[at:start], names.get(name, text[start:end])]
        at = end
    return "".join([*parts, text[at:]])
