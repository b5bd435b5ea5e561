"""Loading files into a dataset, and runs: how far they are, what came of them, their end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import orjson
from plaza.ingestion.v1 import ingestion_pb2 as ing
from starlette.responses import Response, StreamingResponse

from plaza_gateway.console import pages, views
from plaza_gateway.console.archive_pages import choice_of, choose
from plaza_gateway.console.archives import Choice
from plaza_gateway.console.desk import Load
from plaza_gateway.console.visits import NEVER_KEPT, Visit, go, html, request_id, status_of, upload
from plaza_gateway.transcode.problems import Complaint, Problem

MODES: Mapping[str, ing.LoadMode.ValueType] = {
    "append": ing.LOAD_MODE_APPEND,
    "upsert": ing.LOAD_MODE_UPSERT,
    "replace": ing.LOAD_MODE_REPLACE,
}
_DATASET = re.compile("[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What stands in the form, so that a refusal does not lose it."""

    mode: str = "append"
    upload: str = ""
    """The file that was sent already."""
    entry: str = ""
    """Of an archive: the one file of it."""
    reason: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str], upload: str, entry: str = "") -> Chosen:
        mode = values.get("mode", "")
        return cls(mode if mode in MODES else "append", upload, entry, values.get("reason", "").strip())

    @property
    def load(self) -> Load:
        return Load(self.upload, MODES[self.mode], self.entry, self.reason)


async def load_form(visit: Visit, problem: Problem | None = None, chosen: Chosen | None = None) -> Response:
    """A further file."""
    found = await visit.desk.dataset(visit.dataset)
    body = pages.load(visit, views.dataset_row(found), problem, chosen or Chosen(), request_id())
    return html(body, status_of(problem))


async def load(visit: Visit) -> Response:
    """A further file, sent."""
    chosen = Chosen()
    try:
        kept = await upload(visit)
        chosen = Chosen.of(kept.fields, kept.name)
        if kept.entries:
            usual = await _usual(visit)
            return choose(visit, "load", _table(visit), choice_of(kept, usual), {"mode": chosen.mode})
        run = await visit.desk.ingest(visit.dataset, chosen.load)
    except Problem as problem:
        if problem.status not in (400, 409, 413):
            raise
        return await load_form(visit, problem, chosen)
    return go(f"/console/runs/{views.last(run.name)}")


async def load_table(visit: Visit) -> Response:
    """A table of an archive, chosen."""
    choice = Choice.of_form(visit.form)
    chosen = Chosen.of(visit.form, choice.upload, choice.picked or "")
    if choice.picked is None:
        return choose(visit, "load", _table(visit), choice, {"mode": chosen.mode}, wrong=True)
    try:
        run = await visit.desk.ingest(visit.dataset, chosen.load)
    except Problem as problem:
        if problem.status not in (400, 409):
            raise
        return await load_form(visit, problem, chosen)
    return go(f"/console/runs/{views.last(run.name)}")


async def load_again(visit: Visit) -> Response:
    """A file that was loaded before, once more, with the reason."""
    chosen = Chosen.of(visit.form, visit.form.get("upload", ""), visit.form.get("entry", ""))
    try:
        if not chosen.reason:
            raise Problem(400, "NO_REASON", "", errors=(Complaint("body", "reason", ""),))
        run = await visit.desk.ingest(visit.dataset, chosen.load, visit.form.get("request_id", ""))
    except Problem as problem:
        if problem.status not in (400, 409):
            raise
        return await load_form(visit, problem, chosen)
    return go(f"/console/runs/{views.last(run.name)}")


async def run(visit: Visit) -> Response:
    """How far a run is, and what came of it."""
    found = await visit.desk.run(visit.run)
    view = views.run_view(found)
    dataset = visit.asked("contract")
    if not _DATASET.fullmatch(dataset) or view.kind != "infer":
        dataset = ""
    if view.kind == "infer" and found.HasField("proposal"):
        return go(
            f"/console/datasets/{dataset}/contract?run={view.id}"
            if dataset
            else f"/console/register/{view.id}"
        )
    return html(pages.run(visit, view, dataset))


async def cancel(visit: Visit) -> Response:
    """Ends a run. When it is too late for that, its page shows how it went on."""
    try:
        await visit.desk.cancel(visit.run)
    except Problem as problem:
        if problem.status not in (400, 409):
            raise
    return go(f"/console/runs/{visit.request.path_params['run']}")


async def events(visit: Visit) -> Response:
    """The same as server-sent events: what the page's script puts in place, in the page's words."""

    async def told() -> AsyncIterator[bytes]:
        try:
            async with aclosing(visit.desk.watch(visit.run)) as changes:  # type: ignore[type-var]  # always a generator here
                async for found in changes:
                    data = pages.progress(visit.frame.words, views.run_view(found))
                    yield b"data: " + orjson.dumps(data) + b"\n\n"
        except Problem:
            # The browser asks again by itself; a run that cannot be had says so on its page.
            return

    headers = {**NEVER_KEPT, "X-Accel-Buffering": "no"}
    return StreamingResponse(told(), media_type="text/event-stream", headers=headers)


async def _usual(visit: Visit) -> str | None:
    """What was chosen of the archive that came into the dataset last."""
    runs = await visit.desk.runs(visit.department, visit.dataset)
    return next((run.entry for run in runs if run.file_name.lower().endswith(".zip")), None)


def _table(visit: Visit) -> str:
    return f"{visit.dataset_page}/load/table"
