"""Refused rows repaired in a spreadsheet and handed back; discarded; shown with what became of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
from openpyxl import Workbook
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_ingestion.domain.batches import AlreadyIngested
from plaza_ingestion.domain.load_step import LoadStep
from plaza_ingestion.domain.quarantine import RowNotHeld
from plaza_ingestion.domain.repair_form import UnknownHeading
from plaza_ingestion.usecases.ports import ContractInForce
from plaza_ingestion.usecases.quarantine import UnknownRow
from plaza_kit.policy import NotPermitted
from plaza_lake.versions import versions

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
FILE = "Station,Hour,PM2.5\na,1,35\nb,1,x\nb,2,3,4\n东城,y,7\na,1,36\n".encode() + b"\xff,3,1\n"
"""One good row; a bad number (line 3), a ragged record (4), a bad hour (5), a duplicate (6), bad UTF-8 (7)."""


class Killed(BaseException):
    """As if the process had ended here: nothing catches it."""


async def export(ingestion: Ingestion, form: int = pb.EXPORT_FORM_REPAIR) -> bytes:
    ingestion.be()
    request = pb.ExportQuarantineRequest(parent=ingestion.dataset, form=cast(Any, form))
    return b"".join([piece.data async for piece in ingestion.api.ExportQuarantine(request, RPC)])


def table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def written(rows: list[dict[str, str]]) -> bytes:
    """As a spreadsheet saves it."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


async def repaired(ingestion: Ingestion, *edits: Callable[[list[dict[str, str]]], None]) -> bytes:
    rows = table(await export(ingestion))
    for edit in edits:
        edit(rows)
    return written(rows)


def set_cell(line: int, **values: str) -> Callable[[list[dict[str, str]]], None]:
    def edit(rows: list[dict[str, str]]) -> None:
        (row,) = [row for row in rows if row["plaza_row"].endswith(f"-{line}")]
        row.update({name.replace("PM2_5", "PM2.5"): value for name, value in values.items()})

    return edit


async def listed(ingestion: Ingestion, state: int = 0, **fields: Any) -> list[pb.QuarantinedRow]:
    ingestion.be()
    rows: list[pb.QuarantinedRow] = []
    token = ""
    while True:
        answer = await ingestion.api.ListQuarantinedRows(
            pb.ListQuarantinedRowsRequest(
                parent=ingestion.dataset, state=cast(Any, state), page_token=token, **fields
            ),
            RPC,
        )
        rows += answer.rows
        token = answer.next_page_token
        if not token:
            assert answer.total_size == len(rows)
            return rows


def lines(rows: list[pb.QuarantinedRow]) -> list[int]:
    return [row.line for row in rows]


async def test_the_repair_form_has_the_sources_columns_and_cells(ingestion: Ingestion) -> None:
    await ingestion.whole(FILE)
    data = await export(ingestion)
    assert data.startswith(
        b"\xef\xbb\xbfplaza_row,plaza_reason,plaza_detail,plaza_record,Station,Hour,PM2.5\r\n"
    )
    rows = table(data)
    assert [(row["plaza_reason"], row["plaza_record"], row["Station"], row["Hour"]) for row in rows] == [
        ("type", "", "b", "1"),
        ("ragged", "b,2,3,4", "", ""),
        ("type", "", "东城", "y"),
        ("duplicate_key", "", "a", "1"),
        ("encoding", "\ufffd,3,1", "", ""),
    ]
    assert rows[0]["plaza_detail"] == '"x" is not a number'
    assert await export(ingestion, pb.EXPORT_FORM_ORIGINAL) == FILE.replace(b"a,1,35\n", b"")


def as_xlsx(rows: list[dict[str, str]]) -> bytes:
    """As a spreadsheet program keeps it: numbers are numbers."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append([int(text) if text.isdigit() else text or None for text in row.values()])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def as_text(rows: list[dict[str, str]], encoding: str, delimiter: str) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


@pytest.mark.parametrize(
    "saved",
    [
        as_xlsx,
        partial(as_text, encoding="gb18030", delimiter=","),
        partial(as_text, encoding="utf-16", delimiter="\t"),
        partial(as_text, encoding="utf-8", delimiter=";"),
    ],
    ids=["xlsx", "gb18030", "unicode text", "semicolons"],
)
async def test_whatever_a_spreadsheet_program_saves_comes_back(
    ingestion: Ingestion, saved: Callable[[list[dict[str, str]]], bytes]
) -> None:
    await ingestion.whole(FILE)
    rows = [row for row in table(await export(ingestion)) if row["plaza_reason"] == "type"]
    set_cell(3, PM2_5="8")(rows)
    set_cell(5, Hour="still wrong")(rows)
    run = await ingestion.replayed(saved(rows))
    assert (run.state, run.progress.rows_accepted, run.progress.rows_refused) == (
        runs_pb2.RUN_STATE_SUCCEEDED,
        1,
        1,
    )
    assert ("b", 1, 8.0) in [(row["station"], row["hour"], row["pm2_5"]) for row in ingestion.rows()]
    [still] = [row for row in await listed(ingestion, pb.QUARANTINE_STATE_HELD) if row.line == 5]
    assert (still.reason, still.replay_run) == ("type", run.name), "the refused line names its row"


async def test_repaired_in_a_spreadsheet_and_replayed(ingestion: Ingestion) -> None:
    await ingestion.whole(FILE)
    data = await repaired(
        ingestion,
        set_cell(3, PM2_5="8"),
        set_cell(4, Station="b", Hour="2", PM2_5="3"),
        set_cell(5, Hour="zz"),
    )
    run = await ingestion.replayed(data)
    assert (run.state, run.replay, run.version) == (runs_pb2.RUN_STATE_SUCCEEDED, True, 2)
    progress = run.progress
    assert (progress.rows_read, progress.rows_accepted, progress.rows_refused) == (5, 2, 3)
    # The duplicate came back as it was; the record of bad bytes came back without cells.
    assert dict(run.refused_by_reason) == {"duplicate_key": 1, "required": 1, "type": 1}
    assert list(run.warnings) == []
    assert [(r["station"], r["hour"], r["pm2_5"]) for r in ingestion.rows()] == [
        ("a", 1, 35.0),
        ("b", 1, 8.0),
        ("b", 2, 3.0),
    ]
    assert len(ingestion.rows("quarantine")) == 5, "nothing is counted twice"
    assert lines(await listed(ingestion, pb.QUARANTINE_STATE_REPLAYED, page_size=1)) == [3, 4]
    held = await listed(ingestion, pb.QUARANTINE_STATE_HELD, page_size=2)
    assert lines(held) == [5, 6, 7]
    assert (held[0].field, held[0].reason, held[0].detail) == ("hour", "type", '"…" is not an integer')
    assert held[0].replay_run == run.name
    assert [(row.line, row.state, row.replayed_version) for row in await listed(ingestion, page_size=2)][
        :2
    ] == [
        (3, pb.QUARANTINE_STATE_REPLAYED, 2),
        (4, pb.QUARANTINE_STATE_REPLAYED, 2),
    ]
    assert [kind.split(".", 3)[3] for kind, _, _ in await ingestion.events()] == [
        "version.committed.v1",
        "version.committed.v1",
        "quarantined_row.replayed.v1",
    ]
    assert (await ingestion.events())[-1][2]["rows"] == 2
    with pytest.raises(AlreadyIngested, match="version 2") as raised:
        await ingestion.replay(data)
    assert "still held" in raised.value.remedy
    rest = await repaired(ingestion, set_cell(5, Hour="5"))
    assert len(table(rest)) == 3
    assert (await ingestion.replayed(rest)).version == 3
    assert lines(await listed(ingestion, pb.QUARANTINE_STATE_HELD)) == [6, 7]


async def test_a_row_that_is_not_held_is_refused_and_says_why(ingestion: Ingestion) -> None:
    await ingestion.whole(FILE)
    first = await repaired(ingestion, set_cell(3, PM2_5="8"))
    await ingestion.replayed(first)
    (five,) = [row for row in await listed(ingestion) if row.line == 5]
    await ingestion.api.DiscardQuarantinedRow(
        pb.DiscardQuarantinedRowRequest(name=five.name, reason="test"), RPC
    )
    rows = [row for row in table(first) if row["plaza_row"].endswith(("-3", "-5"))]
    rows[0] |= {"Station": "z", "Hour": "1"}
    rows[1] |= {"Station": "z", "Hour": "2"}
    stranger = dict(rows[0], Station="z", Hour="3", plaza_row="01a1fd4f-bdfb-73cd-b687-2e6faec2d928-3")
    nameless = dict(rows[0], Station="z", Hour="4", plaza_row="")
    (six,) = [row for row in table(first) if row["plaza_row"].endswith("-6")]
    twice = [dict(six, Hour="7"), dict(six, Hour="8")]
    run = await ingestion.replayed(written([*rows, stranger, nameless, *twice]))
    assert run.progress.rows_accepted == 1
    assert dict(run.refused_by_reason) == {"not_held": 4, "required": 1}
    said = "\n".join(run.warnings)
    assert "line 2: row" in said
    assert "was replayed before, in version 2" in said
    assert "was discarded" in said
    assert "line 4: its plaza_row names no row of this dataset's quarantine" in said
    assert "line 7: line 6 of this file repairs the same row" in said
    assert len(ingestion.rows()) == 3


async def test_a_record_handed_back_whole_is_no_row_of_empty_cells(ingestion: Ingestion) -> None:
    """Where the contract requires nothing, no cell would be refused for being empty."""
    contract = ingestion.peer.force.contract
    contract.ClearField("key")
    ingestion.peer.force = ContractInForce(contract, 1)
    await ingestion.whole(FILE)
    run = await ingestion.replayed(await repaired(ingestion))
    assert run.version == 0
    assert dict(run.refused_by_reason) == {"not_repaired": 2, "type": 2}
    assert len(await listed(ingestion, pb.QUARANTINE_STATE_HELD)) == 4


async def test_a_replay_of_which_nothing_comes_in_makes_no_version(ingestion: Ingestion) -> None:
    await ingestion.whole(FILE)
    data = await repaired(ingestion)
    run = await ingestion.replayed(data)
    assert (run.state, run.version, run.progress.rows_accepted) == (runs_pb2.RUN_STATE_SUCCEEDED, 0, 0)
    assert len(await listed(ingestion, pb.QUARANTINE_STATE_HELD)) == 5
    assert (await ingestion.replayed(data)).version == 0, "it may come again"


@pytest.mark.parametrize("step", list(LoadStep))
async def test_cut_off_at_each_step(ingestion: Ingestion, step: LoadStep) -> None:
    await ingestion.whole(FILE)
    data = await repaired(ingestion, set_cell(3, PM2_5="8"), set_cell(5, Hour="1"))
    run = await ingestion.replay(data)
    await ingestion.handed_over(run)
    seen: list[LoadStep] = []

    def cut(reached: LoadStep) -> None:
        seen.append(reached)
        if reached is step and seen.count(step) == 1:
            raise Killed

    ingestion.with_steps(cut)
    with pytest.raises(Killed):
        await ingestion.commit()
    if step is LoadStep.DATA_FILES:
        # Taken, and nobody knows yet how it ends: shown as held, but not to be given up now.
        (three, *_) = await listed(ingestion, pb.QUARANTINE_STATE_HELD)
        with pytest.raises(RowNotHeld, match="replaying"):
            await ingestion.api.DiscardQuarantinedRow(
                pb.DiscardQuarantinedRowRequest(name=three.name, reason="x"), RPC
            )
    await ingestion.commit()
    found = await ingestion.get(run.name)
    assert (found.version, found.progress.rows_accepted) == (2, 2)
    assert len(ingestion.rows()) == 3
    assert len(versions(ingestion.world.lake, ingestion.dataset)) == 2
    assert lines(await listed(ingestion, pb.QUARANTINE_STATE_REPLAYED)) == [3, 5]
    assert [data["rows"] for kind, _, data in await ingestion.events() if "replayed" in kind] == [2]


async def test_a_replay_that_fails_gives_its_rows_back(ingestion: Ingestion) -> None:
    await ingestion.whole(FILE)
    run = await ingestion.replay(await repaired(ingestion, set_cell(3, PM2_5="8")))
    await ingestion.handed_over(run)

    def cut(reached: LoadStep) -> None:
        if reached is LoadStep.DATA_FILES:
            raise Killed

    ingestion.with_steps(cut)
    with pytest.raises(Killed):
        await ingestion.commit()
    ingestion.policy.removed.add(f"data-officer-{ingestion.department}")
    await ingestion.commit()
    ingestion.policy.removed.clear()
    assert (await ingestion.get(run.name)).state == runs_pb2.RUN_STATE_FAILED
    held = await listed(ingestion, pb.QUARANTINE_STATE_HELD)
    assert len(held) == 5
    await ingestion.api.DiscardQuarantinedRow(
        pb.DiscardQuarantinedRowRequest(name=held[0].name, reason="x"), RPC
    )


async def test_one_row_repaired_by_its_cells(ingestion: Ingestion) -> None:
    await ingestion.whole(FILE)
    three, four, *_ = await listed(ingestion)

    async def repair(name: str, **values: str) -> pb.Run:
        ingestion.be()
        request = pb.RepairQuarantinedRowRequest(
            name=name, values={k.replace("_", "."): v for k, v in values.items()}
        )
        return await ingestion.api.RepairQuarantinedRow(request, RPC)

    with pytest.raises(UnknownHeading, match="no column Wind"):
        await repair(three.name, Wind="N")
    with pytest.raises(UnknownRow):
        await repair(three.name[:-1] + "99", Hour="1")
    run = await repair(three.name, PM2_5="8")
    with pytest.raises(AlreadyIngested):
        await repair(three.name, PM2_5="8")
    assert (await ingestion.finished(run)).version == 2
    assert (await ingestion.finished(await repair(four.name, Station="b", Hour="2"))).version == 3
    assert [(r["station"], r["hour"], r["pm2_5"]) for r in ingestion.rows()][1:] == [
        ("b", 1, 8.0),
        ("b", 2, None),
    ]
    with pytest.raises(RowNotHeld, match="replayed"):
        await repair(three.name, PM2_5="9")


async def test_discarding_needs_a_right_and_is_told_once(ingestion: Ingestion) -> None:
    await ingestion.whole(FILE)
    three, *_ = await listed(ingestion)
    request = pb.DiscardQuarantinedRowRequest(name=three.name, reason="a test of the station")
    ingestion.be("reader")
    with pytest.raises(NotPermitted):
        await ingestion.api.DiscardQuarantinedRow(request, RPC)
    ingestion.be()
    for _ in range(2):
        found = await ingestion.api.DiscardQuarantinedRow(request, RPC)
        assert (found.state, found.discard_reason) == (
            pb.QUARANTINE_STATE_DISCARDED,
            "a test of the station",
        )
    assert lines(await listed(ingestion, pb.QUARANTINE_STATE_DISCARDED)) == [3]
    assert len(await listed(ingestion, pb.QUARANTINE_STATE_HELD)) == 4
    told = [data for kind, _, data in await ingestion.events() if "discarded" in kind]
    assert told == [
        {"dataset": ingestion.dataset, "row": three.name.rpartition("/")[2], "batch": three.batch}
    ]
    with pytest.raises(UnknownRow):
        await ingestion.api.DiscardQuarantinedRow(
            pb.DiscardQuarantinedRowRequest(name=three.name + "9", reason="x"), RPC
        )


async def lines_of(ingestion: Ingestion, **fields: Any) -> tuple[list[int], int]:
    """Lines on all pages of one row each, and the total that each page tells."""
    ingestion.be()
    request = pb.ListQuarantinedRowsRequest(parent=ingestion.dataset, page_size=1, **fields)
    lines, totals = [], set()
    while True:
        page = await ingestion.api.ListQuarantinedRows(request, RPC)
        lines += [row.line for row in page.rows]
        totals.add(page.total_size)
        if not page.next_page_token:
            (total,) = totals
            return lines, total
        request.page_token = page.next_page_token


async def held(ingestion: Ingestion) -> tuple[dict[str, int], int]:
    ingestion.be("reader")
    request = pb.CountHeldRowsRequest(parent=f"departments/{ingestion.department}")
    answer = await ingestion.api.CountHeldRows(request, RPC)
    return {each.dataset: each.rows for each in answer.datasets}, answer.total_size


async def test_rows_of_one_reason_or_field_and_how_many_are_held(ingestion: Ingestion) -> None:
    assert await held(ingestion) == ({}, 0)
    await ingestion.loaded(FILE)
    assert await held(ingestion) == ({}, 0)  # not decided yet
    await ingestion.commit()
    assert await held(ingestion) == ({ingestion.dataset: 5}, 5)
    data = await repaired(ingestion, lambda rows: rows[0].update({"PM2.5": "36"}))
    assert (await ingestion.replayed(data)).version == 2
    names = {row.line: row.name for row in await listed(ingestion)}
    request = pb.DiscardQuarantinedRowRequest(name=names[5], reason="never measured")
    await ingestion.api.DiscardQuarantinedRow(request, RPC)
    assert await held(ingestion) == ({ingestion.dataset: 3}, 3)
    states = (
        pb.QUARANTINE_STATE_UNSPECIFIED,
        pb.QUARANTINE_STATE_HELD,
        pb.QUARANTINE_STATE_REPLAYED,
        pb.QUARANTINE_STATE_DISCARDED,
    )
    for chosen, lines in (
        ({}, ([3, 4, 5, 6, 7], [4, 6, 7], [3], [5])),
        ({"reason": "type"}, ([3, 5], [], [3], [5])),
        ({"reason": "type", "field": "hour"}, ([5], [], [], [5])),
        ({"field": "pm2_5"}, ([3], [], [3], [])),
        ({"reason": "ragged"}, ([4], [4], [], [])),
        ({"reason": "ragged", "field": "hour"}, ([], [], [], [])),
    ):
        for state, wanted in zip(states, lines, strict=True):
            found = await lines_of(ingestion, state=state, **cast(Any, chosen))
            assert found == (wanted, len(wanted)), (chosen, state)
    request = pb.ExportQuarantineRequest(parent=ingestion.dataset, reason="type", field="hour")
    pieces = [piece.data async for piece in ingestion.api.ExportQuarantine(request, RPC)]
    assert b"".join(pieces).decode() == "Station,Hour,PM2.5\n东城,y,7\n"
    ingestion.be("data-officer", "elsewhere")
    with pytest.raises(NotPermitted):
        await ingestion.api.CountHeldRows(
            pb.CountHeldRowsRequest(parent=f"departments/{ingestion.department}"), RPC
        )
