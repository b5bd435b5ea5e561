"""Views to HTML: the only place where the console's templates are rendered, and its words put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza_design import formats
from plaza_design.headers import PAGE_HEADERS
from plaza_design.i18n import LOCALES, Language, Translator, load_translators
from plaza_design.pages import Frame, environment, page_numbers, render

from plaza_gateway.console import contract_changes, contract_form, rights, steps_form
from plaza_gateway.console.because import because
from plaza_gateway.console.quarantine_view import STATES, QuarantineView
from plaza_gateway.console.tasks import Inbox
from plaza_gateway.console.views import DatasetRow, MetadataRow, ReleaseRow, RunView, VersionRow
from plaza_gateway.transcode.problems import Problem

if TYPE_CHECKING:
    from plaza_gateway.console.editing import Edited
    from plaza_gateway.console.loading import Chosen
    from plaza_gateway.console.quarantine_facets import Facets
    from plaza_gateway.console.repairing import Asked
    from plaza_gateway.console.visits import Visit

HEADERS = {
    **PAGE_HEADERS,
    # Not even the browser keeps a page: who logs out has left nothing behind.
    "Cache-Control": "no-store",
    # Within the console an address may be known; nobody else learns it. Forms still say their origin.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
REASONS = ("ragged", "encoding", "quoting", "type", "required", "step", "rule", "duplicate_key", "too_long")
"""Why rows are refused, as far as there are words for it."""
GATES = ("city-level", "opening", "licence", "version", "assessment", "quality")
OWN_COMPLAINTS = ("id", "title", "grade", "sharing", "file", "reason", "display_name")
"""Places where the console says what to do in its own words."""
FIELDS = (
    "display_name",
    "display_name_en",
    "category",
    "code",
    "description",
    "description_en",
    "format",
    "contract",
    "sharing",
    "opening",
    "update_cycle",
    "related_codes",
    "city_level",
    "licence",
    "keywords",
)
"""Directory fields as versions of the metadata name them."""
PROBLEMS = (400, 401, 403, 404, 409, 413, 429, 503)
_HERE = Path(__file__).resolve().parent


@cache
def translators() -> dict[Language, Translator]:
    """The words of the console and of the design language."""
    return load_translators((LOCALES, _HERE / "locales"))


@cache
def templates() -> Environment:
    """The console's templates."""
    env = environment(_HERE / "templates")
    env.globals.update(
        form=contract_form,
        steps=steps_form,
        differing=contract_changes,
        known_reasons=REASONS,
        known_gates=GATES,
        known_fields=FIELDS,
    )
    env.globals.update(sees_sources=rights.sees_sources)
    env.filters.update(signed=_signed, table_moment_or_none=_moment, because=_because)
    return env


def inbox(visit: Visit, view: Inbox) -> str:
    """What waits for me."""
    return _page(visit, "inbox.html", "inbox", view=view)


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the list of datasets."""

    rows: tuple[DatasetRow, ...]
    found: int
    total: int
    page: int
    pages: int
    words: str
    unloaded: bool
    """Only those without data."""


def datasets(visit: Visit, view: Listed) -> str:
    """My department's datasets."""
    more = {"q": view.words, "show": "unloaded" if view.unloaded else ""}
    query = urlencode({name: value for name, value in more.items() if value})
    links = {n: f"/console/datasets?{query}{'&' if query else ''}page={n}" for n in range(1, view.pages + 1)}
    numbers = page_numbers(view.page, view.pages)
    return _page(visit, "datasets.html", "datasets", view=view, links=links, numbers=numbers)


def dataset(
    visit: Visit,
    row: DatasetRow,
    versions: tuple[VersionRow, ...],
    runs: tuple[RunView, ...],
    releases: tuple[ReleaseRow, ...],
    refusal: Problem | None,
    request_id: str,
) -> str:
    """One dataset; `refusal`: what kept it from being opened."""
    return _page(
        visit,
        "dataset.html",
        "datasets",
        row=row,
        versions=versions,
        runs=runs,
        releases=releases,
        refusal=refusal,
        request_id=request_id,
    )


def edit(
    visit: Visit,
    row: DatasetRow,
    view: Edited,
    seen: int,
    problem: Problem | None,
    errors: Mapping[str, str],
    since: tuple[MetadataRow, ...],
) -> str:
    """Directory fields to be changed; `seen`: number of the version that the form goes out from, `since`: what
    colleagues made in the meantime."""
    return _page(
        visit,
        "edit.html",
        "datasets",
        row=row,
        view=view,
        seen=seen,
        problem=problem,
        since=since,
        errors=errors,
    )


def history(
    visit: Visit,
    row: DatasetRow,
    versions: tuple[MetadataRow, ...],
    difference: cat.DiffMetadataVersionsResponse,
    etag: str,
    problem: Problem | None,
) -> str:
    """Versions of the metadata, and how two of them differ."""
    return _page(
        visit,
        "history.html",
        "datasets",
        row=row,
        versions=versions,
        difference=difference,
        etag=etag,
        problem=problem,
    )


def load(visit: Visit, row: DatasetRow, problem: Problem | None, chosen: Chosen, request_id: str) -> str:
    """A further file."""
    already = problem is not None and (problem.reason.startswith("ALREADY_") or problem.reason == "NO_REASON")
    return _page(
        visit,
        "load.html",
        "datasets",
        row=row,
        problem=problem,
        already=already,
        chosen=chosen,
        errors=_errors(problem),
        request_id=request_id,
    )


def quarantine(
    visit: Visit,
    row: DatasetRow,
    view: QuarantineView,
    facets: Facets,
    asked: Asked,
    errors: Mapping[str, str],
    request_id: str,
) -> str:
    """Refused rows."""
    now = progress(visit.frame.words, view.replay) if view.replay is not None else None
    return _page(
        visit,
        "quarantine.html",
        "datasets",
        row=row,
        view=view,
        facets=facets,
        asked=asked,
        errors=errors,
        now=now,
        request_id=request_id,
        states=STATES,
    )


def register(visit: Visit, problem: Problem | None) -> str:
    """Drop a file."""
    return _page(visit, "register.html", "register", problem=problem, errors=_errors(problem))


def run(visit: Visit, view: RunView, dataset: str) -> str:
    """How far a run is. `dataset`: id of the one whose contract is to be changed after the file is read."""
    part = "register" if view.kind == "infer" and not dataset else "datasets"
    return _page(
        visit, "run.html", part, run=view, now=progress(visit.frame.words, view), of_contract=dataset
    )


def progress(words: Translator, view: RunView) -> dict[str, Any]:
    """What changes on the page of a run, in the words of its reader."""
    share = int(view.bytes_done * 1000 / view.bytes_total) if view.bytes_total else 0
    value = 1000 if view.state in ("committing", "succeeded") else share
    state = words.text(f"run.state.{view.state}")
    rate = words.text("run.rate.value", n=round(view.rate)) if view.rate is not None else ""
    return {
        "state": state,
        "label": words.text(
            "run.progress",
            file=view.file_name,
            done=formats.size(view.bytes_done),
            total=formats.size(view.bytes_total),
        ),
        "value": value,
        "rows": formats.number(view.rows),
        "accepted": formats.number(view.accepted),
        "refused": formats.number(view.refused),
        "rate": rate or "–",
        "remaining": _remaining(words, view.remaining) or "–",
        # What is read aloud: in steps, not at each row.
        "spoken": words.text("run.spoken", state=state, percent=value // 100 * 10),
        "ended": view.ended,
    }


def _remaining(words: Translator, seconds: int | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return words.text("run.remaining.seconds", n=seconds)
    return words.text("run.remaining.minutes", n=-(-seconds // 60))


def homeless(visit: Visit) -> str:
    """Somebody who belongs to no department."""
    return render(
        templates(), "message.html", visit.frame, kind="homeless", problem=None, visit=visit, part=""
    )


def refused(frame: Frame, problem: Problem, visit: Visit | None = None) -> str:
    """What a service, or the console itself, did not do."""
    kind = problem.status if problem.status in PROBLEMS else 500
    return render(templates(), "message.html", frame, kind=str(kind), problem=problem, visit=visit, part="")


def session_over(frame: Frame) -> str:
    """A form came after the session's end."""
    return render(templates(), "message.html", frame, kind="over", problem=None, visit=None, part="")


def signed_out(frame: Frame) -> str:
    """Logged out."""
    return render(templates(), "message.html", frame, kind="out", problem=None, visit=None, part="")


def _page(visit: Visit, template: str, part: str, **values: object) -> str:
    return render(templates(), template, visit.frame, visit=visit, part=part, **values)


def _errors(problem: Problem | None) -> Mapping[str, str]:
    """What is wrong by the place in the form: a text of the service, or empty where the console has words."""
    if problem is None:
        return {}
    found: dict[str, str] = {}
    for complaint in problem.errors:
        place = complaint.pointer if complaint.pointer in OWN_COMPLAINTS else "main"
        said = "" if place in OWN_COMPLAINTS else complaint.detail
        found[place] = f"{found[place]}; {said}" if found.get(place) and said else said
    return found


@pass_context
def _because(context: Context, sentence: str) -> Markup:
    if isinstance(sentence, Markup):
        # The console's own words.
        return sentence
    frame = context["frame"]
    assert isinstance(frame, Frame)
    return because(frame.words, sentence)


def _signed(value: float, decimals: int = 0) -> str:
    """A difference with its sign: `+1,204`, `−0.3`, `0`."""
    text = formats.number(value, decimals)
    if not text.strip("−0."):
        return text.removeprefix("−")
    return f"+{text}" if value > 0 else text


def _moment(moment: Any) -> str:
    return formats.table_moment(moment) if moment is not None else ""
