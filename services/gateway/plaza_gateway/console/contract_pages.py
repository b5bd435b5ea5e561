"""The pages on which a contract is written: views to HTML, and refusals to the places that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza_design.i18n import LocalText
from plaza_design.pages import render

from plaza_gateway.console import contract_draft, contract_form, pages, views
from plaza_gateway.console.archives import Choice, Entry
from plaza_gateway.console.contract_changes import Change
from plaza_gateway.console.contract_draft import ContractDraft
from plaza_gateway.console.contract_form import Draft
from plaza_gateway.console.views import DatasetRow
from plaza_gateway.console.visits import Visit, request_id
from plaza_gateway.transcode.problems import Problem

_FILES = ("file", "document")
"""Places of the forms beside the editor."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """A contract that a dataset is to get."""

    row: DatasetRow
    draft: ContractDraft
    seen: int
    """Number of the contract that the draft goes out from."""
    run: str = ""
    """Id of the reading of a newer file that the draft was made of."""
    file_name: str = ""
    notes: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """What the newer file says, by the field's number."""
    changes: tuple[Change, ...] = ()
    """From the contract in force."""
    theirs: tuple[Change, ...] = ()
    """What a colleague changed in the meantime."""
    colleague: str = ""
    lists: Mapping[str, LocalText] = field(default_factory=dict)
    """Ids of code lists with their names, to choose from."""


def proposal(
    visit: Visit,
    run: ing.Run,
    draft: Draft,
    lists: Mapping[str, LocalText],
    problem: Problem | None,
    key: str,
) -> str:
    """The contract that an inference proposes, to be corrected and registered. `key`: the form's request id."""
    errors = _errors(visit, problem, draft.contract)
    return render(
        pages.templates(),
        "contract.html",
        visit.frame,
        visit=visit,
        part="register",
        run=run,
        file_name=views.file_of(run),
        choice=_choice(run),
        draft=draft,
        reasons=contract_form.reasons(run),
        lists=lists,
        problem=problem,
        errors=errors,
        request_id=key,
    )


def adoption(visit: Visit, view: Adoption, problem: Problem | None) -> str:
    """The contract in force, or one that is to follow it, in the editor."""
    errors = _errors(visit, problem, view.draft)
    return _page(visit, "adopt.html", view, problem=problem, errors=errors)


def preview(visit: Visit, view: Adoption) -> str:
    """Every difference with what it means, before the contract comes into force."""
    return _page(visit, "adopt_preview.html", view)


def _choice(run: ing.Run) -> Choice:
    """The files of the archive that was read, and which of them it was."""
    return Choice.of(run.upload, run.file_name, tuple(map(Entry, run.proposal.entries)), run.entry)


def _page(visit: Visit, template: str, view: Adoption, **values: object) -> str:
    return render(
        pages.templates(),
        template,
        visit.frame,
        visit=visit,
        part="datasets",
        view=view,
        row=view.row,
        draft=view.draft,
        request_id=request_id(),
        **values,
    )


def _errors(visit: Visit, problem: Problem | None, draft: ContractDraft) -> Mapping[str, str]:
    """What is wrong by the place in the form: a text of the service, words of the console, or empty where the
    template has them."""
    found: dict[str, str] = {}
    place_in = contract_draft.placing(draft)
    for complaint in problem.errors if problem is not None else ():
        place = complaint.pointer if complaint.pointer in _FILES else ""
        place = place or place_in(complaint) or contract_form.place_of(complaint)
        said: str = "" if place in pages.OWN_COMPLAINTS else complaint.detail
        end = place.rpartition(".")[2] if "." in place else ""
        if complaint in draft.wrong and end == "codes":
            said = visit.frame.words.markup("complaint.codes", None, lines=complaint.detail)
        elif end == "name" and ("regex" in said or not said):
            said = visit.frame.words.markup("complaint.name", None)
        elif found.get(place) and said:
            said = f"{found[place]}; {said}"
        found[place] = said
    return found
