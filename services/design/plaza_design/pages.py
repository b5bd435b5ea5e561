"""The frame of a page (head, navigation, switches, footer) and the one way to turn a template into HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from plaza_design import TEMPLATES, formats
from plaza_design.assets import static_url
from plaza_design.i18n import Language, LocalText, Translator

Theme = Literal["light", "dark"]

_SAFE_HREF = re.compile(r"(?:https?://|/(?![/\\])|#|\?)[^\s\\<>\"]*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """A place to go; `current` marks the part of the site that the page belongs to."""

    href: str
    label: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class LinkGroup:
    """A titled column of the footer."""

    title: str
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds a page's matter."""

    words: Translator
    now: datetime
    """The moment the page is made; “today” is meant by it."""
    here: str
    """Path and query of this page, where the theme switch comes back to."""
    home: str
    theme: Theme | None
    """The reader's choice; `None` follows the device."""
    switch_href: str
    """This page in the other language."""
    canonical: str
    """Absolute address of this page."""
    alternate: str
    """Absolute address of this page in the other language."""
    nav: tuple[Link, ...] = ()
    footer: tuple[LinkGroup, ...] = ()
    place: LocalText | None = None
    """City or department beside the brand."""
    owner: LocalText | None = None
    """Who runs the site; stands in the footer."""
    search_action: str | None = None
    """Where the search box in the head sends its words; `None`: the page has no box in its head."""
    search_words: str = ""
    suggest_action: str | None = None
    """Where the search box asks for titles while somebody types (`?q=` → a JSON list of texts); `None`: nowhere."""

    @property
    def language(self) -> Language:
        return self.words.language


def environment(*directories: Path) -> Environment:
    """Jinja2 over a package's templates and the shared ones: escapes all, raises at undefined names."""
    env = Environment(
        loader=FileSystemLoader([*directories, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(static_url=static_url, t=_say)
    env.filters.update(
        number=formats.number,
        score=formats.score,
        percent=formats.percent,
        pass_rate=formats.pass_rate,
        cut=formats.cut,
        size=formats.size,
        table_date=formats.table_date,
        table_moment=formats.table_moment,
        clock=formats.clock,
        local=formats.local,
        short_hash=formats.short_hash,
        grouped_hash=formats.grouped_hash,
        said=_said,
        plain=_plain,
        safe_href=safe_href,
        prose_number=_prose_number,
        prose_date=_prose_date,
        prose_moment=_prose_moment,
    )
    return env


def render(env: Environment, template: str, frame: Frame, **values: object) -> str:
    """The page as HTML. A name that the template uses and nobody gave raises `jinja2.UndefinedError`."""
    return env.get_template(template).render(frame=frame, **values)


def safe_href(address: str | None) -> str | None:
    """`address` when it is http(s), a path, a query or a fragment; `None` otherwise (`javascript:` …)."""
    return address if address and _SAFE_HREF.match(address) else None


def _frame(context: Context) -> Frame:
    frame = context["frame"]
    assert isinstance(frame, Frame)
    return frame


@pass_context
def _say(context: Context, key: str, n: int | None = None, **values: object) -> Markup:
    return _frame(context).words.markup(key, n, **values)


@pass_context
def _said(context: Context, text: LocalText) -> Markup:
    """The text; wrapped in `<span lang>` when the page's language is not the text's."""
    language = _frame(context).language
    said = text.said(language)
    if said.language is language:
        return escape(said.text)
    return Markup('<span lang="{}">{}</span>').format(said.language, said.text)


@pass_context
def _plain(context: Context, text: LocalText) -> str:
    """The text without mark-up, for attributes and titles."""
    return text.said(_frame(context).language).text


@pass_context
def _prose_number(context: Context, value: int) -> str:
    return formats.prose_number(value, _frame(context).language)


@pass_context
def _prose_date(context: Context, moment: datetime) -> str:
    frame = _frame(context)
    today = formats.local(frame.now).date()
    return formats.prose_date(formats.local(moment).date(), today, frame.language)


@pass_context
def _prose_moment(context: Context, moment: datetime) -> str:
    """“今天 14:31” on the day itself, the date before it."""
    frame = _frame(context)
    if formats.local(moment).date() == formats.local(frame.now).date():
        return frame.words.text("design.today", time=formats.clock(moment))
    return _prose_date(context, moment)


def page_numbers(page: int, pages: int) -> Sequence[int | None]:
    """Numbers of a pager: first, last and two around the current; `None` is a gap."""
    shown = sorted({1, pages, *range(max(page - 2, 1), min(page + 2, pages) + 1)})
    numbers: list[int | None] = []
    for n in shown:
        if numbers and isinstance(numbers[-1], int) and n - numbers[-1] > 1:
            numbers.append(None)
        numbers.append(n)
    return numbers
