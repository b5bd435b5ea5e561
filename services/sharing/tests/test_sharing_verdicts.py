"""Rows by what the quality rules say of them: filters, columns, pages, files, and what is not shown."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plaza_lake import row_bits, verdict_files
from plaza_lake.access import open_grant
from plaza_lake.hashing import content_hash
from plaza_lake.verdict_files import FileJudge, FileVerdicts, JudgedRule, Side, Verdicts, column_of
from plaza_lake.verdict_join import name_of
from plaza_lake.verdicts import NotAssessed, UnknownRule, VerdictNotGranted
from plaza_sharing.usecases.reading import AssessedSince

pytestmark = pytest.mark.integration

Sharing = Any
"""The fixture's class lives in conftest, which tests do not import."""


def owner(dataset: str) -> str:
    return dataset.split("/")[1]


def assess(sharing: Sharing, dataset: str, failed: list[int], silent: list[int], number: int = 1) -> None:
    """As quality does: one rule about `pm2_5`, which these rows of the only file fail or say nothing of."""
    lake = sharing.world.lake
    (path,) = open_grant(lake, sharing.world.grants, sharing.grant(dataset)).paths
    rows = pq.read_metadata(path).num_rows
    bits = {
        column_of(side, "j1"): row_bits.of_rows(np.array(some, np.int64), rows)
        for side, some in ((Side.FAILED, failed), (Side.SILENT, silent))
    }
    name = f"o{number}.arrow"
    verdict_files.write_bits(lake.files, verdict_files.object_address(lake, dataset, name), rows, bits)
    judge = FileJudge(len(failed), len(silent), name)
    file = FileVerdicts(
        name_of(lake, dataset, path), rows, (judge,), rows - len(failed), (((0,), len(failed)),)
    )
    rules = (
        JudgedRule("low", "读数不高 / low readings", ("pm2_5",), 0),
        JudgedRule("fresh", "", (), None, of_table=True),
    )
    verdicts = Verdicts(
        1, number, 7, datetime(2024, 1, 1, tzinfo=UTC), rules, ("j1",), (None,), (file,), (1, 2)
    )
    verdict_files.keep(lake, dataset, verdicts)


@pytest.fixture
def dataset(sharing: Sharing, measured: list[dict[str, Any]]) -> str:
    """Nine rows; the third and the seventh break the rule, the second and the sixth have no value."""
    name: str = sharing.load(measured)
    assess(sharing, name, [2, 6], [1, 5])
    sharing.be("reader", owner(name))
    return name


async def test_filters_and_columns(sharing: Sharing, dataset: str) -> None:
    told = ["_verdict", "_failed_rules", "_reasons", "_rule_set"]
    failing = await sharing.read(dataset, filter="verdict = fail", columns=["hour", *told])
    assert failing.page["columns"] == ["hour", *told]
    title = "读数不高 / low readings"
    assert failing.page["rows"] == [[6, "fail", "low", title, 7], [2, "fail", "low", title, 7]]
    everything = await sharing.read(dataset, columns=["_verdict"], order_by="hour")
    assert everything.page["columns"] == ["station", "hour", "pm2_5", "time", "_verdict"]
    assert [row[4] for row in everything.page["rows"]] == [
        "fail" if hour in (2, 6) else "pass" for hour in range(9)
    ]
    silent = await sharing.read(dataset, filter="verdict.low = not_applicable", order_by="hour")
    assert [row[1] for row in silent.page["rows"]] == [1, 5]


async def test_the_content_hash_is_over_the_fields(sharing: Sharing, dataset: str) -> None:
    plain = await sharing.read(dataset)
    for fields in ({}, {"format": 2}, {"page_size": 9, "order_by": "pm2_5"}):
        judged = await sharing.read(dataset, columns=["_verdict", "_failed_rules"], **fields)
        assert judged.trailer.content_sha256 == plain.trailer.content_sha256
    lake, grants = sharing.world.lake, sharing.world.grants
    assert content_hash(lake, grants, sharing.grant(dataset)).sha256 == plain.trailer.content_sha256


async def test_failing_rows_as_files(sharing: Sharing, dataset: str) -> None:
    asked = {"filter": "verdict = fail", "columns": ["hour", "_failed_rules"]}
    text = await sharing.read(dataset, format=2, **asked)
    assert list(csv.reader(io.StringIO(text.body.decode()))) == [
        ["hour", "_failed_rules"],
        ["6", "low"],
        ["2", "low"],
    ]
    parquet = await sharing.read(dataset, format=4, **asked)
    table = pq.read_table(pa.BufferReader(parquet.body))
    assert table.to_pylist() == [{"hour": 6, "_failed_rules": "low"}, {"hour": 2, "_failed_rules": "low"}]


async def test_pages_go_on_under_the_same_assessment(sharing: Sharing, dataset: str) -> None:
    asked = {"filter": "verdict = pass", "columns": ["hour", "_verdict"], "order_by": "hour", "page_size": 3}
    found, token = [], ""
    while True:
        page = (await sharing.read(dataset, page_token=token, **asked)).page
        found += [row[0] for row in page["rows"]]
        token = page["nextPageToken"] or token
        if not page["nextPageToken"]:
            break
    assert found == [0, 1, 3, 4, 5, 7, 8]
    assess(sharing, dataset, [0], [], number=2)
    with pytest.raises(AssessedSince):
        await sharing.read(dataset, page_token=token, **asked)


async def test_other_departments_see_what_their_agreement_opens(sharing: Sharing, dataset: str) -> None:
    sharing.be("reader", "transport")
    answer = await sharing.read(dataset, filter="verdict = fail", columns=["hour"])
    assert answer.page["rows"] == [[6], [2]]
    assert sharing.security.asked[-1].columns == ("station", "hour", "pm2_5")
    sharing.security.columns = ("station", "hour")
    with pytest.raises(VerdictNotGranted) as raised:
        await sharing.read(dataset, filter="verdict = fail", columns=["hour"])
    assert "pm2_5" not in str(raised.value) + raised.value.remedy


async def test_what_cannot_be_said_is_refused(sharing: Sharing, dataset: str, measured: Any) -> None:
    for text in ("verdict.other = fail", "verdict.fresh = fail"):
        with pytest.raises(UnknownRule):
            await sharing.read(dataset, filter=text)
    other = sharing.load(measured)
    sharing.be("reader", owner(other))
    for asked in ({"filter": "verdict = fail"}, {"columns": ["_rule_set"]}):
        with pytest.raises(NotAssessed):
            await sharing.read(other, **asked)
    assert (await sharing.read(other, filter='station = "verdict"')).trailer.rows == 0


def test_a_document_is_read_as_it_was_written(sharing: Sharing, dataset: str) -> None:
    known = verdict_files.find(sharing.world.lake, dataset, 1)
    assert known is not None
    more = replace(known, files=(replace(known.files[0], together=None, values={"x": ["float", "nan"]}),))
    assert verdict_files.read(verdict_files.written(more)) == more
