"""Rules that refuse, against quality's own meaning of the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2
from plaza_ingestion.worker.convert import convert
from plaza_ingestion.worker.load import run_load
from plaza_ingestion.worker.plan import InvalidPlan
from plaza_ingestion.worker.refusal import Reason
from plaza_ingestion.worker.refusing import Refusing
from plaza_ingestion.worker.refusing_rules import (
    Check,
    HasLength,
    InList,
    InRange,
    Matches,
    NotNull,
    RefusingRule,
)
from plaza_ingestion.worker.translate import load_plan
from plaza_lake.render import to_sql
from plaza_lake.schema import Column as TableColumn
from plaza_lake.schema import FieldType, TableSchema
from plaza_quality.domain import checks as quality
from plaza_quality.domain.around import Around
from plaza_quality.storage.meaning.rows import row_verdict

TEXTS = ["", "a", "ab", "abc", "A1", "东城", "😀", "a\nb", "a\n", " a", "12"]
INTEGERS = ["", "0", "1", "-1", "12", str(2**63 - 1), str(-(2**63)), str(2**53 + 1)]
NUMBERS = ["", "0", "-0.5", "1", "1.5", "1e300", "-1e300", "9007199254740993"]
BOUNDS = st.sampled_from([None, -1.5, 0.0, 0.5, 1.0, 9e15, 1e19, -1e19])
CASES = {
    "string": st.one_of(
        st.builds(HasLength, st.integers(0, 3), st.sampled_from([None, 1, 2])),
        st.builds(Matches, st.sampled_from(["a", "a.?", "[A-Z][0-9]", "a|ab", ".*", "\\p{Han}+", "a$"])),
        st.builds(InList, st.sampled_from([("a",), ("A1", "东城"), ("x", "")])),
        st.just(NotNull()),
    ),
    "integer": st.one_of(
        st.builds(InRange, BOUNDS, BOUNDS), st.builds(InList, st.just(("1", "12", "x"))), st.just(NotNull())
    ),
    "number": st.one_of(st.builds(InRange, BOUNDS, BOUNDS), st.just(NotNull())),
}
CELLS = {"string": TEXTS, "integer": INTEGERS, "number": NUMBERS}


def meant(check: Check) -> quality.Check:
    match check:
        case NotNull():
            return quality.NotNull("x")
        case InRange(minimum, maximum):
            return quality.InRange("x", minimum, maximum)
        case HasLength(least, most):
            return quality.HasLength("x", least, most)
        case Matches(pattern):
            return quality.Matches("x", pattern)
        case InList(values):
            return quality.InList("x", values)


@pytest.mark.parametrize("type_name", CASES)
@given(data=st.data())
def test_it_refuses_what_quality_would_fail(type_name: str, data: st.DataObject) -> None:
    check = data.draw(CASES[type_name])
    column = convert(pa.array(CELLS[type_name]), type_name)
    rows = len(column.values)
    assert not column.bad.any()
    refusing = Refusing([RefusingRule("r", "", "x", check)], {"x": type_name})
    broken = refusing.first_broken({"x": column}, rows) == 0
    schema = TableSchema((TableColumn("x", FieldType(type_name)),))
    verdict = row_verdict(meant(check), schema, Around(None, None))  # type: ignore[arg-type]  # asks for neither
    assert verdict is not None
    with duckdb.connect() as opened:
        opened.register("t", pa.table({"x": column.values, "n": range(rows)}))
        found = opened.sql(f"SELECT {to_sql(verdict)} FROM t ORDER BY n").fetchall()
    assert broken.tolist() == [one is False for (one,) in found]


def contract(*rules: dict[str, Any]) -> contract_pb2.Contract:
    wanted = {
        "fields": [
            {"name": "id", "type": "FIELD_TYPE_INTEGER", "required": True},
            {"name": "x", "type": "FIELD_TYPE_NUMBER"},
            {"name": "s", "type": "FIELD_TYPE_STRING"},
        ],
        "key": ["id"],
        "rules": [
            {"dimension": "DIMENSION_VALIDITY", "severity": "RULE_SEVERITY_REFUSE"} | rule for rule in rules
        ],
    }
    return ParseDict(wanted, contract_pb2.Contract())


def test_a_load_refuses_with_the_rule_as_the_reason(tmp_path: Path) -> None:
    plan = load_plan(
        contract(
            {"id": "sane", "title": "合理", "range": {"field": "x", "minimum": 0}},
            {"id": "code", "pattern": {"field": "s", "pattern": "[A-Z]+"}},
            {"id": "marks", "notNull": {"field": "s"}, "severity": "RULE_SEVERITY_SEVERE"},
        )
    )
    assert [rule.id for rule in plan.refusing] == ["sane", "code"]
    source = tmp_path / "in.csv"
    source.write_bytes(b"id,x,s\n1,1,A\n2,-1,a\n3,,\n4,y,a\n5,2,ab\n2,5,B\n")
    found = run_load(plan, source, tmp_path / "out", progress=lambda _: None, cancelled=lambda: False)
    assert (found.rows_read, found.rows_accepted) == (6, 3), "a refused row is no first of its key"
    assert found.refused_by_reason == {Reason.RULE: 2, Reason.TYPE: 1}
    refused = pq.read_table(tmp_path / "out" / found.files.refused.name).to_pylist()
    assert [(row["line"], row["field"], row["detail"]) for row in refused if row["reason"] == "rule"] == [
        (3, "x", "breaks rule sane (合理)"),
        (6, "s", "breaks rule code"),
    ]
    assert refused[0]["original"] == b"2,-1,a"


def test_by_other_kinds_it_cannot_refuse() -> None:
    with pytest.raises(InvalidPlan, match="'once' shall refuse"):
        load_plan(contract({"id": "once", "unique": {"fields": ["s"]}}))
    with pytest.raises(InvalidPlan, match="looks at 'y'"):
        load_plan(contract({"id": "gone", "notNull": {"field": "y"}}))
