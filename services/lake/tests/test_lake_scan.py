"""Every row where it lies: positions, absent columns, and what stays shut."""

from __future__ import annotations

from typing import Any

import pytest
from plaza_kit.grants import GrantRefused
from plaza_lake.access import ColumnNotGranted
from plaza_lake.scan import Part, RowFilterNotSupported, judge_parts, open_scan
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake
from plaza_lake.write import commit_batch

pytestmark = pytest.mark.integration


def rows(part: Part) -> list[tuple[int, int, dict[str, Any]]]:
    return [(part.file, part.first + number, row) for number, row in enumerate(part.columns.to_pylist())]


def judged(
    lake: Lake, grant: Any, token: str, *names: str, **more: Any
) -> list[tuple[int, int, dict[str, Any]]]:
    return [
        row
        for part in judge_parts(lake, open_scan(lake, grant.verifier, token), names, rows, **more)
        for row in part
    ]


def test_every_row_comes_with_its_place(lake: Lake, dataset: str, stage: Any, grant: Any, air: Any) -> None:
    first = [air.row("b", hour, float(hour)) for hour in range(1, 4)]
    second = [air.row("c", 1, None, None)]
    commit_batch(lake, dataset, air.schema, "b-1", [stage(first)])
    commit_batch(lake, dataset, air.schema, "b-2", [stage(second)])
    scan = open_scan(lake, grant.verifier, grant())
    assert (scan.access.version.version, sum(scan.rows.values()), len(scan.paths)) == (2, 4, 2)
    long, short = sorted((0, 1), key=lambda number: -scan.rows[number])
    found = judged(lake, grant, grant(), "station", "hour", "pm2_5")
    assert sorted((file, row, each["hour"]) for file, row, each in found if file == long) == [
        (long, 0, 1),
        (long, 1, 2),
        (long, 2, 3),
    ]
    assert judged(lake, grant, grant(), "wd", files=[short]) == [(short, 0, {"wd": None})]


def test_a_column_that_came_later_is_absent_before(
    lake: Lake, dataset: str, stage: Any, grant: Any, air: Any
) -> None:
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("b", 1)])])
    wider = TableSchema((*air.schema.columns, Column("note", FieldType.STRING)), air.schema.key)
    commit_batch(lake, dataset, wider, "b-2", [stage([air.row("c", 1) | {"note": "x"}], wider)])
    found = judged(lake, grant, grant(), "station", "note")
    assert sorted((each["station"], each["note"]) for _, _, each in found) == [("b", None), ("c", "x")]


def test_what_the_grant_does_not_open_stays_shut(
    lake: Lake, dataset: str, stage: Any, grant: Any, air: Any
) -> None:
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("b", 1)])])
    with pytest.raises(ColumnNotGranted):
        judged(lake, grant, grant(columns=("station", "hour")), "station", "pm2_5")
    with pytest.raises(RowFilterNotSupported, match="row filter"):
        judged(lake, grant, grant(row_filter="station = 'b'"), "station")
    with pytest.raises(GrantRefused):
        judged(lake, grant, grant() + "x", "station")
