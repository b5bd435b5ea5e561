"""Another contract for a dataset: changed in place, renewed by a newer file, or read from a document; first a look
at every difference, then in force.

The form says which contract it goes out from. When a colleague's is in force by then, both are put together and
shown before anything is written; between that look and the adoption the dataset's etag guards.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import quote

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing
from starlette.responses import Response

from plaza_gateway.console import contract_changes, contract_draft, contract_merge, contract_pages, views
from plaza_gateway.console.archive_pages import choice_of, choose
from plaza_gateway.console.archives import Choice
from plaza_gateway.console.contract_choices import code_lists
from plaza_gateway.console.contract_draft import ContractDraft
from plaza_gateway.console.contract_pages import Adoption
from plaza_gateway.console.forms import FileForm
from plaza_gateway.console.visits import NEVER_KEPT, Visit, go, html, status_of, upload, whole_number
from plaza_gateway.transcode.problems import Complaint, Problem

LONGEST_DOCUMENT = 1024 * 1024
"""Bytes of an ODCS document that the catalogue reads."""
_REFUSED = (400, 403, 409, 413)


async def contract_form(visit: Visit, problem: Problem | None = None) -> Response:
    """The contract in force, to be changed; with `run`, renewed by the file that was read."""
    dataset, run = await asyncio.gather(
        visit.desk.dataset(visit.dataset), _reading(visit, visit.asked("run"))
    )
    contract = dataset.contract
    if run is not None:
        contract = contract_merge.renewed(contract, run.proposal.contract)
    view = await _view(visit, dataset, contract_draft.drafted(contract), dataset.contract_version, run)
    return await _editor(visit, view, problem)


async def contract(visit: Visit) -> Response:
    """The contract, sent: to go on writing, to look at what would change, or to come into force."""
    dataset, run = await asyncio.gather(
        visit.desk.dataset(visit.dataset), _reading(visit, visit.form.get("run", ""))
    )
    draft = contract_draft.filled_in(visit.form, dataset.contract)
    seen = whole_number(visit.form.get("seen", ""), dataset.contract_version)
    do = visit.form.get("do", "")
    edited = draft if do == "edit" else contract_draft.acted(draft, do, visit.form)
    if edited is not None:
        return await _editor(visit, await _view(visit, dataset, edited, seen, run))
    return await _decide(visit, dataset, draft, seen, run)


async def infer(visit: Visit) -> Response:
    """A newer file, sent: its columns are read."""
    try:
        kept = await upload(visit)
        if kept.entries:
            return choose(visit, "contract", _table(visit), choice_of(kept), {})
        run = await visit.desk.infer(kept.name)
    except Problem as problem:
        if problem.status not in _REFUSED:
            raise
        return await contract_form(visit, problem)
    return _reading_it(visit, run)


async def infer_table(visit: Visit) -> Response:
    """A table of a newer archive, chosen."""
    choice = Choice.of_form(visit.form)
    if choice.picked is None:
        return choose(visit, "contract", _table(visit), choice, {}, wrong=True)
    try:
        run = await visit.desk.infer(choice.upload, choice.picked)
    except Problem as problem:
        if problem.status not in _REFUSED:
            raise
        return await contract_form(visit, problem)
    return _reading_it(visit, run)


async def document(visit: Visit) -> Response:
    """The contract in force as an ODCS document."""
    body = await visit.desk.contracts.document(visit.dataset)
    name = f"{visit.request.path_params['dataset']}.odcs.yaml"
    headers = {**NEVER_KEPT, "Content-Disposition": f'attachment; filename="{quote(name)}"'}
    return Response(body, media_type="application/yaml", headers=headers)


async def document_sent(visit: Visit) -> Response:
    """An ODCS document, sent: what it would change."""
    try:
        wanted = await visit.desk.contracts.parsed(await _document(visit))
    except Problem as problem:
        if problem.status not in _REFUSED:
            raise
        # Places inside a document are none of the form's.
        told = "; ".join(f"{each.pointer}: {each.detail}" for each in problem.errors) or problem.detail
        complaint = Complaint("body", "document", told)
        return await contract_form(visit, Problem(problem.status, problem.reason, told, errors=(complaint,)))
    dataset = await visit.desk.dataset(visit.dataset)
    return await _decide(visit, dataset, contract_draft.drafted(wanted), dataset.contract_version, None)


async def _decide(
    visit: Visit, dataset: cat.Dataset, draft: ContractDraft, seen: int, run: ing.Run | None
) -> Response:
    """Looks at what the catalogue says to the draft; in force only when that was asked for."""
    adopting = visit.form.get("do") == "adopt"
    sent = contract_draft.sendable(draft).contract
    if adopting and sent == dataset.contract:
        return go(f"{visit.dataset_page}#fields")
    if seen != dataset.contract_version:
        return await _collided(visit, dataset, draft, seen, run)
    try:
        wanted = contract_draft.contract_of(draft)
        await visit.desk.contracts.adopt(
            visit.dataset,
            wanted,
            dataset.etag,
            visit.form.get("request_id", "") if adopting else "",
            look_only=not adopting,
        )
    except Problem as problem:
        if problem.status not in _REFUSED:
            raise
        view = await _view(visit, dataset, draft, seen, run, problem.errors)
        return await _editor(visit, view, problem)
    if adopting:
        return go(f"{visit.dataset_page}#fields")
    return html(contract_pages.preview(visit, await _view(visit, dataset, draft, seen, run)))


async def _collided(
    visit: Visit, dataset: cat.Dataset, draft: ContractDraft, seen: int, run: ing.Run | None
) -> Response:
    """A colleague's contract came into force since. Both are put together; nothing is written before the person has
    seen that."""
    was, versions = await asyncio.gather(_contract(visit, seen), visit.desk.history(visit.dataset))
    sent = contract_draft.sendable(draft).contract
    both = contract_draft.drafted(contract_merge.merged(was, sent, dataset.contract))
    colleague = next((each.author for each in versions if "contract" in each.changed_fields), "")
    theirs = contract_changes.changes(was, dataset.contract)
    view = await _view(visit, dataset, both, dataset.contract_version, run)
    return await _editor(visit, replace(view, theirs=theirs, colleague=colleague), None, 409)


async def _editor(
    visit: Visit, view: Adoption, problem: Problem | None = None, status: int | None = None
) -> Response:
    # A contract of 1,600 fields takes a second to write down; others go on meanwhile.
    body = await asyncio.to_thread(contract_pages.adoption, visit, view, problem)
    return html(body, status or status_of(problem))


async def _view(
    visit: Visit,
    dataset: cat.Dataset,
    draft: ContractDraft,
    seen: int,
    run: ing.Run | None,
    refused: tuple[Complaint, ...] = (),
) -> Adoption:
    wanted = contract_draft.sendable(draft).contract
    return Adoption(
        views.dataset_row(dataset),
        draft,
        seen,
        run=views.last(run.name) if run is not None else "",
        file_name=views.file_of(run) if run is not None else "",
        notes=contract_merge.notes(draft.base, run.proposal.contract) if run is not None else {},
        changes=contract_changes.changes(dataset.contract, wanted, refused),
        lists=await code_lists(visit),
    )


def _table(visit: Visit) -> str:
    return f"{visit.dataset_page}/contract/infer/table"


def _reading_it(visit: Visit, run: ing.Run) -> Response:
    """To the run's page, which leads back to this dataset's contract."""
    dataset = visit.request.path_params["dataset"]
    return go(f"/console/runs/{views.last(run.name)}?contract={quote(dataset)}")


async def _contract(visit: Visit, number: int) -> contract_pb2.Contract:
    """An earlier contract of the dataset; before the first there was none."""
    if not number:
        return contract_pb2.Contract()
    return (await visit.desk.contracts.contract(f"{visit.dataset}/contracts/{number}")).contract


async def _reading(visit: Visit, id_: str) -> ing.Run | None:
    """The reading of a newer file; None when there is none, or it has not ended well."""
    try:
        run = await visit.desk.run(visit.named_run(id_)) if id_ else None
    except Problem as problem:
        if problem.status not in (400, 404):
            raise
        # What was written on the page counts more than what the file said.
        return None
    return run if run is not None and run.HasField("proposal") else None


async def _document(visit: Visit) -> str:
    sent = FileForm(visit.request, visit.session)
    await sent.open()
    if not sent.file_name:
        raise Problem(400, "NO_FILE", "")
    body = bytearray()
    async for piece in sent.pieces():
        body += piece
        if len(body) > LONGEST_DOCUMENT:
            raise Problem(413, "DOCUMENT_TOO_LONG", f"a document has at most {LONGEST_DOCUMENT} bytes")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(400, "NOT_UTF8", f"byte {error.start} of the document is not UTF-8") from error
