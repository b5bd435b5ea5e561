"""From a file to a registered dataset: the file, the inferred contract, its correction."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from plaza.ingestion.v1 import ingestion_pb2 as ing
from starlette.responses import Response

from plaza_gateway.console import contract_draft, contract_form, contract_pages, pages, views
from plaza_gateway.console.archive_pages import choice_of, choose
from plaza_gateway.console.archives import Choice
from plaza_gateway.console.contract_choices import code_lists
from plaza_gateway.console.contract_form import Draft
from plaza_gateway.console.desk import Load
from plaza_gateway.console.loading import Chosen, load_form
from plaza_gateway.console.visits import Visit, go, html, request_id, status_of, upload
from plaza_gateway.transcode.problems import Problem

_TABLE = "/console/register/table"


async def register_form(visit: Visit, problem: Problem | None = None) -> Response:
    """Drop a file."""
    return html(pages.register(visit, problem), status_of(problem))


async def infer(visit: Visit) -> Response:
    """A file to make a contract of, sent."""
    try:
        kept = await upload(visit)
        if kept.entries:
            return choose(visit, "register", _TABLE, choice_of(kept), {})
        run = await visit.desk.infer(kept.name)
    except Problem as problem:
        if problem.status not in (400, 413):
            raise
        return await register_form(visit, problem)
    return go(f"/console/runs/{views.last(run.name)}")


async def infer_table(visit: Visit) -> Response:
    """A table of an archive, chosen."""
    choice = Choice.of_form(visit.form)
    if choice.picked is None:
        return choose(visit, "register", _TABLE, choice, {}, wrong=True)
    try:
        run = await visit.desk.infer(choice.upload, choice.picked)
    except Problem as problem:
        if problem.status != 400:
            raise
        return await register_form(visit, problem)
    return go(f"/console/runs/{views.last(run.name)}")


async def contract(visit: Visit) -> Response:
    """The inferred contract, to be corrected."""
    run = await visit.desk.run(visit.run)
    if not run.HasField("proposal"):
        return go(f"/console/runs/{visit.request.path_params['run']}")
    return await _editor(visit, run, contract_form.proposed(run))


async def register(visit: Visit) -> Response:
    """The contract, sent: registers the dataset and loads the file at once."""
    run = await visit.desk.run(visit.run)
    if not run.HasField("proposal"):
        return go(f"/console/runs/{visit.request.path_params['run']}")
    draft = contract_form.filled_in(visit.form, run)
    edited = contract_draft.acted(draft.contract, visit.form.get("do", ""), visit.form)
    if edited is not None:
        return await _editor(visit, run, replace(draft, contract=edited))
    try:
        made = await visit.desk.register(
            visit.department,
            draft["id"],
            contract_form.dataset_of(draft, run),
            visit.form.get("request_id", ""),
        )
    except Problem as problem:
        if problem.status not in (400, 403, 409):
            raise
        return await _editor(visit, run, draft, problem)
    # From here on the dataset is there; a load that is refused is told on its own page.
    try:
        loading = await visit.desk.ingest(made.name, Load(run.upload, entry=run.entry))
    except Problem as problem:
        chosen = Chosen(upload=run.upload, entry=run.entry)
        return await load_form(visit.at_dataset(made.name), problem, chosen)
    return go(f"/console/runs/{views.last(loading.name)}")


async def _editor(visit: Visit, run: ing.Run, draft: Draft, problem: Problem | None = None) -> Response:
    lists = await code_lists(visit)
    # A contract of 1,600 fields takes a second to write down; others go on meanwhile.
    body = await asyncio.to_thread(contract_pages.proposal, visit, run, draft, lists, problem, request_id())
    return html(body, status_of(problem))
