"""The quarantine: refused rows as a table, corrected in place, by spreadsheet, or given up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.ingestion.v1 import ingestion_pb2 as ing
from starlette.responses import Response, StreamingResponse

from plaza_gateway.console import pages, repair_table, views
from plaza_gateway.console.desk import Which, each
from plaza_gateway.console.quarantine_facets import Facets, facets
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
_REASON, _FIELD = re.compile("[a-z_]{0,63}"), re.compile("[a-z0-9_]{0,63}")
"""In an address, which anybody can write."""
_PICK = re.compile(r"p\.([0-9a-f-]{36}-[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows a page shows; every address and form of it says so."""

    state: str = "held"
    run: str = ""
    why: str = ""
    """Only rows that were refused for this reason."""
    field: str = ""
    """Only rows that were refused for this field."""
    page: str = ""
    first: int = 1
    replay: str = ""
    """The run of a correction whose outcome is told."""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Asked:
        state = values.get("state", "held")
        why, at_fault = values.get("why", ""), values.get("field", "")
        return cls(
            state if state in STATES else "held",
            values.get("run", ""),
            why if _REASON.fullmatch(why) else "",
            at_fault if _FIELD.fullmatch(at_fault) else "",
            values.get("page", ""),
            whole_number(values.get("from", ""), 1),
            values.get("replay", ""),
        )

    def query(self, **other: str | int) -> str:
        """The address's query with some values replaced; the usual ones are left out."""
        values = {
            "state": self.state if self.state != "held" else "",
            "run": self.run,
            "why": self.why,
            "field": self.field,
            "page": self.page,
            "from": self.first if self.first > 1 else "",
            "replay": self.replay,
        } | other
        said = {name: value for name, value in values.items() if value}
        return f"?{urlencode(said)}" if said else ""

    def chosen(self, **other: str) -> str:
        """The same for other rows: from the first of them, and no outcome is told."""
        return self.query(**{"page": "", "from": "", "replay": ""} | other)

    @property
    def narrowed(self) -> bool:
        """Is a reason or a field chosen?"""
        return bool(self.why or self.field)

    def which(self, visit: Visit) -> Which:
        """As the service is asked."""
        state = ing.QuarantineState.Value(f"QUARANTINE_STATE_{self.state.upper()}")
        return Which(visit.named_run(self.run), state, self.why, self.field)


@dataclass(slots=True)
class _Found:
    """What a page is made of."""

    dataset: cat.Dataset
    page: ing.ListQuarantinedRowsResponse
    facets: Facets
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
        kept = await upload(visit)
        run = await visit.desk.replay(visit.dataset, kept.name, "")
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
    which = Asked.of(visit.request.query_params).which(visit)
    pieces = visit.desk.export(visit.dataset, which, form)
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
    which = asked.which(visit)
    dataset, page = await asyncio.gather(
        visit.desk.dataset(visit.dataset),
        visit.desk.quarantine(visit.dataset, which, ROWS, asked.page),
    )
    all_shown = not (asked.narrowed or asked.page or page.next_page_token)
    choices = await facets(visit.desk, visit.dataset, which, page if all_shown else None)
    table = RepairTable()
    if asked.state == "held" and page.rows:
        table = await _table(visit, which, dataset, [views.last(row.name) for row in page.rows])
    found = _Found(dataset, page, choices, table)
    if asked.replay:
        found.replay = views.run_view(await visit.desk.run(visit.named_run(asked.replay)))
    return found


async def _table(visit: Visit, which: Which, dataset: cat.Dataset, ids: Sequence[str]) -> RepairTable:
    form = dataset.contract.format
    delimiter = form.delimiter or {"": ",", "csv": ",", "tsv": "\t"}.get(form.type, "")
    reading, seen = Reading(ids, delimiter), 0
    async with aclosing(visit.desk.export(visit.dataset, which, ing.EXPORT_FORM_REPAIR)) as pieces:  # type: ignore[type-var]  # always a generator here
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
    again = replace(asked, replay=views.last(run.name))
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
            return go(f"{visit.dataset_page}/quarantine{asked.chosen()}")
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
    row = views.dataset_row(found.dataset)
    return pages.quarantine(visit, row, view, found.facets, asked, found.wrong, request_id())


def _tried_before(problem: Problem) -> str:
    """The run that had the very same correction before."""
    if not problem.reason.startswith("ALREADY_"):
        return ""
    return views.last(problem.facts.get("run", ""))
