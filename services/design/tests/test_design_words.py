"""Two languages: every word is there, negotiation is right, what is missing raises."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, nodes
from markupsafe import Markup
from plaza_design import TEMPLATES
from plaza_design.i18n import (
    LOCALES,
    CatalogueError,
    Language,
    LocalText,
    MissingMessageError,
    Said,
    load_translators,
    negotiate,
)

WORDS = load_translators([LOCALES])


def test_both_catalogues_have_the_same_messages() -> None:
    assert WORDS[Language.ZH].messages.keys() == WORDS[Language.EN].messages.keys()


def test_every_message_of_a_shared_template_exists() -> None:
    used: set[str] = set()
    env = Environment(autoescape=True)
    for path in TEMPLATES.glob("*.html"):
        for call in env.parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
            if (
                isinstance(call.node, nodes.Name)
                and call.node.name == "t"
                and isinstance(call.args[0], nodes.Const)
            ):
                used.add(call.args[0].value)
    assert used
    assert used <= WORDS[Language.EN].messages.keys()


def test_a_missing_message_raises() -> None:
    with pytest.raises(MissingMessageError, match="nowhere"):
        WORDS[Language.EN].text("nowhere")


def test_values_are_escaped_and_markup_stays() -> None:
    words = WORDS[Language.EN]
    assert words.markup("design.owner", owner="<b>") == "Run by the &lt;b&gt;"
    assert words.markup("design.owner", owner=Markup("<b>x</b>")) == "Run by the <b>x</b>"
    assert words.text("design.owner", owner="{n}") == "Run by the {n}"


def _catalogue(directory: Path, body: str) -> Path:
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
    for language in Language:
        (directory / f"{language}.po").write_text(head + body, encoding="utf-8")
    return directory


def test_plural_forms(tmp_path: Path) -> None:
    directory = _catalogue(tmp_path, "")
    (directory / "en.po").write_text(
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
        'msgid "rows"\nmsgid_plural "rows"\nmsgstr[0] "{n} row"\nmsgstr[1] "{n} rows"\n',
        encoding="utf-8",
    )
    english = load_translators([directory])[Language.EN]
    assert [english.text("rows", n) for n in (0, 1, 1234)] == ["0 rows", "1 row", "1,234 rows"]


@pytest.mark.parametrize("body", ['msgid "a"\nmsgstr ""\n', '#, fuzzy\nmsgid "a"\nmsgstr "b"\n'])
def test_unfinished_catalogues_are_refused(tmp_path: Path, body: str) -> None:
    with pytest.raises(CatalogueError, match="fuzzy or empty"):
        load_translators([_catalogue(tmp_path, body)])


def test_one_id_in_two_catalogues_is_refused(tmp_path: Path) -> None:
    directory = _catalogue(tmp_path, 'msgid "design.skip"\nmsgstr "x"\n')
    with pytest.raises(CatalogueError, match="already defined"):
        load_translators([LOCALES, directory])


@pytest.mark.parametrize(
    ("accept", "cookie", "language"),
    [
        (None, None, Language.ZH),
        ("", "xx", Language.ZH),
        ("en", None, Language.EN),
        ("EN-us;q=0.8, zh-TW;q=0.9", None, Language.ZH),
        ("zh;q=0, en;q=0.1", None, Language.EN),
        ("en;q=nonsense", None, Language.ZH),
        ("zh", "en", Language.EN),
    ],
)
def test_negotiation(accept: str | None, cookie: str | None, language: Language) -> None:
    assert negotiate(accept, cookie) is language


@given(st.text(), st.text())
def test_negotiation_takes_any_text(accept: str, cookie: str) -> None:
    assert negotiate(accept, cookie) in Language


def test_text_falls_back_and_says_so() -> None:
    assert LocalText("水", "water").said(Language.EN) == Said("water", Language.EN)
    assert LocalText("水").said(Language.EN) == Said("水", Language.ZH)
    assert LocalText("", "water").said(Language.ZH) == Said("water", Language.EN)
    assert not LocalText("")
