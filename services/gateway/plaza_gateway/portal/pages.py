"""View models to HTML: the only place where the portal's templates are rendered."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import get_args

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from plaza_design import formats
from plaza_design.figures import waffles
from plaza_design.i18n import LOCALES, NO_TEXT, Language, LocalText, Translator, load_translators
from plaza_design.pages import Frame, environment, page_numbers, render

from plaza_gateway.portal import addresses
from plaza_gateway.portal.asked import OPERATORS
from plaza_gateway.portal.commands import commands
from plaza_gateway.portal.filter_words import why
from plaza_gateway.portal.preview import preview
from plaza_gateway.portal.views import (
    DatasetView,
    DimensionView,
    FacetName,
    HomeView,
    Light,
    QualityView,
    RowsQuery,
    RuleView,
    SearchQuery,
    SearchView,
    TombstoneView,
    UpdateCycle,
    format_name,
)

_HERE = Path(__file__).resolve().parent
KNOWN_ERRORS = (400, 404, 405, 429, 503)


@cache
def translators() -> dict[Language, Translator]:
    """The words of the portal and of the design language, read once per process."""
    return load_translators((LOCALES, _HERE / "locales"))


@cache
def templates() -> Environment:
    """The portal's templates."""
    env = environment(_HERE / "templates")
    env.globals.update(addresses=addresses)
    env.filters["marked"] = _marked
    env.filters["directory"] = _directory
    return env


def home_page(frame: Frame, view: HomeView, base_url: str) -> str:
    """The square, the newest releases and how to fetch data."""
    kinds = [
        (d.released_today or 0, d.datasets - (d.released_today or 0) - (d.late or 0), d.late or 0)
        for d in view.departments
    ]
    return render(
        templates(),
        "home.html",
        frame,
        view=view,
        stones=list(zip(view.departments, waffles(kinds), strict=True)),
        today_total=_total([d.released_today for d in view.departments]),
        late_total=_total([d.late for d in view.departments]),
        commands=commands(view.sample, base_url) if view.sample else None,
    )


def search_page(frame: Frame, query: SearchQuery, view: SearchView) -> str:
    """Results, what to narrow them down by, pager."""
    pages = max(-(-view.total // view.page_size), 1)
    first = (query.page - 1) * view.page_size + 1
    numbers = page_numbers(query.page, pages) if query.page <= pages else []
    titles = {
        (facet.name, value.value): value.title
        for facet in view.facets
        for value in facet.values
        if value.title
    }
    return render(
        templates(),
        "search.html",
        frame,
        view=view,
        query=query,
        pages=pages,
        first=first,
        last=first + len(view.results) - 1,
        numbers=numbers,
        links={
            n: addresses.datasets(frame.language, query.words, page=n, chosen=query.chosen)
            for n in {1, query.page - 1, query.page + 1, *(n for n in numbers if n)}
        },
        facets=[facet for facet in view.facets if facet.values],
        chosen=[
            Chosen(name, value, titles.get((name, value), NO_TEXT), _without(frame, query, (name, value)))
            for name, value in query.chosen
        ],
        known_cycles=get_args(UpdateCycle),
        format_name=format_name,
        cleared=addresses.datasets(frame.language, query.words),
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """A value that is narrowed down by."""

    name: FacetName
    value: str
    title: LocalText
    """Of a department; may be empty."""
    without: str
    """Address of the same search without it."""


def _without(frame: Frame, query: SearchQuery, left_out: tuple[FacetName, str]) -> str:
    rest = [each for each in query.chosen if each != left_out]
    return addresses.datasets(frame.language, query.words, chosen=rest)


def dataset_page(frame: Frame, view: DatasetView, query: RowsQuery, base_url: str) -> str:
    """One dataset at one release: facts, rows, promise, quality, fields, releases, citation."""
    main = view.files[0] if view.files else None
    number = view.release.number
    found = view.found

    def rows_at(asked: RowsQuery) -> str:
        return addresses.rows(frame.language, view.department, view.dataset, number, asked)

    cited = replace(query, page=1) if found is None or not found.problem else RowsQuery()
    pages = found.pages if found is not None else 1

    def api(form: str = "") -> str | None:
        return addresses.api_rows(view.rows_url, cited, form) if view.rows_url else None

    rows = api()
    data = api("csv")
    return render(
        templates(),
        "dataset.html",
        frame,
        view=view,
        main=main,
        query=query,
        found=found,
        table=preview(view.fields, view.preview) if found is None else preview(found.fields, found.rows),
        sorts={field.name: sort_link(query, field.name, rows_at) for field in view.fields},
        rows_forms=[(name, api(form)) for form, name in addresses.FORMS.items()] if rows else [],
        rows_form=rows_at(RowsQuery()),
        rows_pages=pages,
        rows_numbers=page_numbers(query.page, pages) if query.page <= pages else [],
        rows_links={n: f"{rows_at(replace(query, page=n))}#rows" for n in range(1, pages + 1)},
        rows_first=(query.page - 1) * found.page_size + 1 if found is not None else 1,
        operators=OPERATORS,
        wrong=why(frame.words, found.problem) if found is not None and found.problem else None,
        cited=cited,
        scores=[score_row(view.quality, d) for d in view.quality.dimensions],
        overall=overall_reason(view.quality),
        days_late=None if view.due_at is None else formats.days_late(view.due_at, frame.now),
        late=view.due_at is not None and view.due_at < frame.now,
        commands=commands(main, base_url, view.files) if main else None,
        rows_command=f"curl {shlex.quote(base_url + rows)}" if rows else None,
        permanent_path=rows_at(cited),
        permanent=base_url + rows_at(cited),
        data_path=data,
        data=base_url + data if data else None,
        year=formats.local(view.release.released_at).year,
    )


@dataclass(frozen=True, slots=True)
class SortLink:
    """A head of the table as a link."""

    href: str
    """The next order: ascending, descending, the release's own."""
    sorted: str
    """For `aria-sort`; empty when the table is not sorted by this column."""


def sort_link(query: RowsQuery, field: str, rows_at: Callable[[RowsQuery], str]) -> SortLink:
    """Where the head of a column leads."""
    following = {field: (f"{field} desc", "ascending"), f"{field} desc": ("", "descending")}
    order_by, now = following.get(query.order_by, (field, ""))
    return SortLink(f"{rows_at(replace(query, order_by=order_by, page=1))}#rows", now)


def tombstone_page(frame: Frame, view: TombstoneView) -> str:
    """What was withdrawn, when and why, and what is still open."""
    return render(templates(), "tombstone.html", frame, view=view)


def error_page(frame: Frame, status: int) -> str:
    """An error in the design language: what is so and what the reader can do. Never the inner cause."""
    kind = str(status) if status in KNOWN_ERRORS else ("500" if status >= 500 else "400")
    return render(templates(), "error.html", frame, status=status, kind=kind)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A dimension's line in the quality section."""

    dimension: str
    score: float | None
    light: Light
    rules: int
    unmet: tuple[tuple[int, RuleView], ...]
    """Rules that are not met, with their number in the table below."""


def score_row(quality: QualityView, dimension: DimensionView) -> ScoreRow:
    """The dimension with its light and the rules that explain it."""
    own = [(i, rule) for i, rule in enumerate(quality.rules, 1) if rule.dimension == dimension.dimension]
    return ScoreRow(
        dimension=dimension.dimension,
        score=dimension.score,
        light=quality.light_of(dimension.score),
        rules=len(own),
        unmet=tuple((i, rule) for i, rule in own if not rule.met and rule.pass_rate is not None),
    )


def overall_reason(quality: QualityView) -> str:
    """Message id of why the light is what it is; `low_dimension` when the mean alone would not be red."""
    if quality.light == "red" and quality.score is not None and quality.score >= quality.yellow_from:
        return "quality.why.low_dimension"
    return f"quality.why.{quality.light}"


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


@pass_context
def _directory(context: Context, word: str) -> Markup:
    """A word of the directory, which has no translations: marked as Chinese on an English page."""
    language = context["frame"].language
    if word.isascii() or language is Language.ZH:
        return escape(word)
    return Markup('<span lang="{}">{}</span>').format(Language.ZH, word)


@pass_context
def _marked(context: Context, text: LocalText, words: str) -> Markup:
    """The text with the words that were looked for marked."""
    frame = context["frame"]
    said = text.said(frame.language)
    wanted = [re.escape(word) for word in words.split()]
    if wanted:
        parts = re.split(f"({'|'.join(wanted)})", said.text, flags=re.IGNORECASE)
        html = Markup("").join(
            Markup("<mark>{}</mark>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
        )
    else:
        html = escape(said.text)
    return (
        html
        if said.language is frame.language
        else Markup('<span lang="{}">{}</span>').format(said.language, html)
    )
