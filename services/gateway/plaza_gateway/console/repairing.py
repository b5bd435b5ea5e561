"""The quarantine: refused rows as a table, corrected in place, by spreadsheet, or given up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.ingestion.v1 import ingestion_pb2 as ing
from starlette.responses import Response, StreamingResponse

from plaza_gateway.console import pages, repair_table, views
from plaza_gateway.console.desk import each
from plaza_gateway.console.quarantine_view import STATES, QuarantineView, Sent, quarantine_view
from plaza_gateway.console.repair_table import Reading, RepairTable
from plaza_gateway.console.views import RunView
from plaza_gateway.console.visits import NEVER_KEPT, Visit, go, html, request_id, upload, whole_number
from plaza_gateway.transcode.problems import Problem

ROWS = 25
"""On one page."""
SCANNED = 64 * 1024 * 1024
"""Bytes of the export that are looked through for the rows of a page."""
PATIENCE = 30.0
"""Seconds that the answer to a correction waits for what comes of it."""
_CELL = re.compile(r"c\.([0-9a-f-]{36}-[0-9]{1,18})\.([0-9]{1,4})")
_PICK = re.compile(r"p\.([0-9a-f-]{36}-[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows a page shows; every address and form of it says so."""

    state: str = "held"
    run: str = ""
    page: str = ""
    first: int = 1
    replay: str = ""
    """The run of a correction whose outcome is told."""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Asked:
        state = values.get("state", "held")
        return cls(
            state if state in STATES else "held",
            values.get("run", ""),
            values.get("page", ""),
            whole_number(values.get("from", ""), 1),
            values.get("replay", ""),
        )

    def query(self, **other: str | int) -> str:
        """The address's query with some values replaced; the usual ones are left out."""
        values = {
            "state": self.state if self.state != "held" else "",
            "run": self.run,
            "page": self.page,
            "from": self.first if self.first > 1 else "",
            "replay": self.replay,
        } | other
        said = {name: value for name, value in values.items() if value}
        return f"?{urlencode(said)}" if said else ""


@dataclass(slots=True)
class _Found:
    """What a page is made of."""

    dataset: cat.Dataset
    page: ing.ListQuarantinedRowsResponse
    table: RepairTable
    replay: RunView | None = None
    wrong: dict[str, str] = field(default_factory=dict)


async def quarantine(visit: Visit) -> Response:
    """Refused rows."""
    asked = Asked.of(visit.request.query_params)
    return html(_shown(visit, asked, await _found(visit, asked), Sent()))


async def correct(visit: Visit) -> Response:
    """The table, sent: some rows corrected and replayed, or given up."""
    asked, sent = Asked.of(visit.form), _sent(visit.form)
    if visit.form.get("do") == "discard":
        return await _discard(visit, asked, sent)
    found = await _found(visit, asked)
    rows = _chosen(found.table, sent, visit.form.get("do", ""))
    if sent.mark != found.table.mark:
        return html(_refused(visit, asked, found, sent, "columns"), 409)
    if not rows:
        return html(_refused(visit, asked, found, sent, "nothing"), 400)
    try:
        run = await _start(visit, found.table, rows)
    except Problem as problem:
        if run_id := _tried_before(problem):
            return go(f"{visit.dataset_page}/quarantine{asked.query(replay=run_id)}")
        if problem.status not in (400, 409):
            raise
        found.wrong["main"] = problem.detail
        return html(_shown(visit, asked, found, sent), problem.status)
    return await _outcome(visit, asked, sent, run)


async def replay(visit: Visit) -> Response:
    """A repaired spreadsheet, sent."""
    try:
        name, _ = await upload(visit)
        run = await visit.desk.replay(visit.dataset, name, "")
    except Problem as problem:
        if run_id := _tried_before(problem):
            return go(f"{visit.dataset_page}/quarantine?replay={run_id}")
        if problem.status not in (400, 409, 413):
            raise
        asked = Asked()
        found = await _found(visit, asked)
        found.wrong["file"] = "" if problem.reason == "NO_FILE" else problem.detail
        return html(_shown(visit, asked, found, Sent()), problem.status)
    return go(f"{visit.dataset_page}/quarantine?replay={views.last(run.name)}")


async def export(visit: Visit) -> Response:
    """The refused records as they stood in the file, or those that wait as a table to repair."""
    repair = visit.asked("form") == "repair"
    form = ing.EXPORT_FORM_REPAIR if repair else ing.EXPORT_FORM_ORIGINAL
    pieces = visit.desk.export(visit.dataset, visit.named_run(visit.asked("run")), form)
    # What is refused must be known before the answer begins.
    first = await anext(aiter(pieces), b"")

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    what = "repair" if repair else "quarantine"
    name = f"{visit.request.path_params['dataset']}-{what}.csv"
    headers = {**NEVER_KEPT, "Content-Disposition": f'attachment; filename="{quote(name)}"'}
    return StreamingResponse(body(), media_type="application/octet-stream", headers=headers)


# Parts


async def _found(visit: Visit, asked: Asked) -> _Found:
    state = ing.QuarantineState.Value(f"QUARANTINE_STATE_{asked.state.upper()}")
    run = visit.named_run(asked.run)
    dataset, page = await asyncio.gather(
        visit.desk.dataset(visit.dataset),
        visit.desk.quarantine(visit.dataset, run, state, ROWS, asked.page),
    )
    table = RepairTable()
    if asked.state == "held" and page.rows:
        table = await _table(visit, run, dataset, [views.last(row.name) for row in page.rows])
    found = _Found(dataset, page, table)
    if asked.replay:
        found.replay = views.run_view(await visit.desk.run(visit.named_run(asked.replay)))
    return found


async def _table(visit: Visit, run: str, dataset: cat.Dataset, ids: Sequence[str]) -> RepairTable:
    form = dataset.contract.format
    delimiter = form.delimiter or {"": ",", "csv": ",", "tsv": "\t"}.get(form.type, "")
    reading, seen = Reading(ids, delimiter), 0
    async with aclosing(visit.desk.export(visit.dataset, run, ing.EXPORT_FORM_REPAIR)) as pieces:  # type: ignore[type-var]  # always a generator here
        async for piece in pieces:
            reading.feed(piece)
            seen += len(piece)
            if reading.done or seen > SCANNED:
                break
    return reading.table()


def _sent(form: Mapping[str, str]) -> Sent:
    cells: dict[str, dict[int, str]] = {}
    for name, value in form.items():
        if found := _CELL.fullmatch(name):
            cells.setdefault(found[1], {})[int(found[2])] = value
    picked = frozenset(found[1] for name in form if (found := _PICK.fullmatch(name)))
    return Sent(cells, picked, form.get("reason", "").strip(), form.get("mark", ""))


def _chosen(table: RepairTable, sent: Sent, do: str) -> dict[str, tuple[str, ...]]:
    """The rows that are to be replayed: one by its own button, whatever is in it, or all that were changed."""
    if do.startswith("one:"):
        id_ = do.removeprefix("one:")
        row = table.rows.get(id_)
        return {id_: repair_table.corrected(row, sent.cells.get(id_, {}))} if row is not None else {}
    return repair_table.corrections(table, sent.cells)


async def _start(visit: Visit, table: RepairTable, rows: Mapping[str, tuple[str, ...]]) -> ing.Run:
    id_, cells = next(iter(rows.items()))
    values = repair_table.values_of(table, table.rows[id_], cells) if table.unambiguous else {}
    key = visit.form.get("request_id", "")
    if len(rows) == 1 and values:
        return await visit.desk.repair(f"{visit.dataset}/quarantine/{id_}", values, key)

    async def pieces() -> AsyncIterator[bytes]:
        yield repair_table.sheet(table, rows)

    kept = await visit.desk.upload(visit.department, f"repair-{len(rows)}-rows.csv", pieces())
    return await visit.desk.replay(visit.dataset, kept.name, key)


async def _outcome(visit: Visit, asked: Asked, sent: Sent, run: ing.Run) -> Response:
    """Waits a little for the end. Rows that were refused again keep what was written into them."""
    ended = await _ended(visit, run)
    told = f"{visit.dataset_page}/quarantine{asked.query(replay=views.last(run.name))}"
    if ended is None or not views.run_view(ended).refused:
        return go(told)
    again = Asked(asked.state, asked.run, asked.page, asked.first, views.last(run.name))
    return html(_shown(visit, again, await _found(visit, again), sent))


async def _ended(visit: Visit, run: ing.Run) -> ing.Run | None:
    try:
        async with asyncio.timeout(PATIENCE):
            async with aclosing(visit.desk.watch(run.name)) as changes:  # type: ignore[type-var]  # always a generator here
                async for now in changes:
                    if views.run_view(now).ended:
                        return now
    except (TimeoutError, Problem):
        # Its own page tells how it goes on.
        return None
    return None


async def _discard(visit: Visit, asked: Asked, sent: Sent) -> Response:
    wrong = "pick" if not sent.picked else "reason" if not sent.reason else ""
    if not wrong:
        try:
            names = sorted(sent.picked)
            await each([visit.desk.discard(f"{visit.dataset}/quarantine/{n}", sent.reason) for n in names])
            return go(f"{visit.dataset_page}/quarantine{asked.query(page='', replay='', **{'from': ''})}")
        except Problem as problem:
            if problem.status not in (400, 409):
                raise
            found = await _found(visit, asked)
            found.wrong["reason"] = problem.detail
            return html(_shown(visit, asked, found, sent), problem.status)
    return html(_refused(visit, asked, await _found(visit, asked), sent, wrong), 400)


def _refused(visit: Visit, asked: Asked, found: _Found, sent: Sent, place: str) -> str:
    found.wrong[place] = ""
    return _shown(visit, asked, found, sent)


def _shown(visit: Visit, asked: Asked, found: _Found, sent: Sent) -> str:
    view: QuarantineView = quarantine_view(
        found.page, found.table, found.dataset.contract, sent, found.replay
    )
    return pages.quarantine(visit, views.dataset_row(found.dataset), view, asked, found.wrong, request_id())


def _tried_before(problem: Problem) -> str:
    """The run that had the very same correction before."""
    if not problem.reason.startswith("ALREADY_"):
        return ""
    return views.last(problem.facts.get("run", ""))
