"""Every visible word of the portal comes from a catalogue, in both languages, and none lies there unused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import plaza_gateway.portal
import pytest
from jinja2 import Environment, nodes
from plaza_design import TEMPLATES
from plaza_design.i18n import Language
from plaza_gateway.portal import filter_words, pages, views
from plaza_gateway.portal.asked import OPERATORS

PORTAL = Path(plaza_gateway.portal.__file__).parent
SHEETS = [*sorted((PORTAL / "templates").glob("*.html")), *sorted(TEMPLATES.glob("*.html"))]

# ids that are put together on the page: prefix and everything that can follow
COMPOSED = {
    "cycle.": [cycle for cycle in get_args(views.UpdateCycle) if cycle != "unspecified"],
    "facet.": get_args(views.FacetName),
    "rows.operator.": [str(n) for n in range(1, len(OPERATORS) + 1)],
    "rows.wrong.": (*filter_words.KNOWN, "at", "end"),
    "dimension.": [f"{name}{end}" for name in get_args(views.Dimension) for end in ("", ".why")],
    "type.": get_args(views.FieldType),
    "sharing.": get_args(views.SharingClass),
    "design.light.": get_args(views.Light),
    "design.grade.": get_args(views.Grade),
    "quality.why.": (*get_args(views.Light), "low_dimension"),
    "error.": [f"{kind}.{part}" for kind in (*pages.KNOWN_ERRORS, 500) for part in ("title", "way")],
}


def _said_by_templates() -> set[str]:
    keys: set[str] = set()
    for path in SHEETS:
        for call in Environment(autoescape=True).parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t":
                first = call.args[0]
                if isinstance(first, nodes.Const):
                    keys.add(first.value)
                elif isinstance(first, nodes.Concat):
                    prefix = first.nodes[0]
                    assert isinstance(prefix, nodes.Const)
                    assert prefix.value in COMPOSED, prefix.value
    return keys


def _said_by_code() -> set[str]:
    code = (PORTAL / "routes.py").read_text(encoding="utf-8")
    return {*re.findall(r'words\.text\("([\w.]+)"', code), "design.today"}


def test_both_languages_have_exactly_the_words_that_are_used() -> None:
    composed = {prefix + end for prefix, ends in COMPOSED.items() for end in ends}
    used = _said_by_templates() | _said_by_code() | composed
    for language in Language:
        known = set(pages.translators()[language].messages)
        assert used - known == set(), language
        assert known - used == set(), language


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_templates_hold_no_words_of_their_own(path: Path) -> None:
    source = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text(encoding="utf-8"), flags=re.S)
    attributes = re.findall(r'\b(?:aria-label|title|placeholder|alt)="([^"]+)"', source)
    text = re.sub(r"<[^>]*>", " ", source)
    # names that are the same in every language
    allowed = {"Plaza", "curl", "Python", "SHA-256", "sha256", "SM3", "datapackage", "json", "null", "UTC+8"}
    words = {word for word in re.findall(r"[^\W\d_][\w+-]*", text) if word not in allowed}
    assert words == set()
    assert [a for a in attributes if a.strip()] == []


@pytest.mark.parametrize("language", list(Language))
def test_both_languages_fill_in_the_same_values(language: Language) -> None:
    """A placeholder of one language that the other lacks would hide a fact."""

    def names(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    other = pages.translators()[language.other].messages
    for key, forms in pages.translators()[language].messages.items():
        for form in forms:
            theirs = set().union(*(names(text) for text in other[key]))
            # a singular form may say “one” in words; n may be left to the other language's number
            assert names(form) - {"n"} == theirs - {"n"}, key


def test_english_is_english_and_chinese_is_chinese() -> None:
    words = pages.translators()
    for key, forms in words[Language.EN].messages.items():
        assert not re.search(r"[\u4e00-\u9fff！？。，]", "".join(forms)), key
        assert "!" not in "".join(forms), key
    for key, forms in words[Language.ZH].messages.items():
        text = re.sub(r"\{\w+\}", "", "".join(forms))
        assert "！" not in text, key
        assert not re.search("进行|予以提供|相关|点击此处", text), key
