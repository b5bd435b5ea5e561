"""How the cells of a preview are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_gateway.portal.preview import LONGEST_CELL, preview
from plaza_gateway.portal.views import FieldType, FieldView


def _column(kind: FieldType, *cells: str | None) -> list[str | None]:
    return [row[0] for row in preview([FieldView("x", kind)], [(cell,) for cell in cells]).rows]


@pytest.mark.parametrize(
    ("kind", "cells", "written"),
    [
        ("integer", ("2013", "-4", None), ["2013", "−4", None]),
        ("number", ("41", "0.95", "-4.5", None), ["41.00", "0.95", "−4.50", None]),
        ("number", ("1e2", "100.0"), ["100", "100"]),
        ("number", ("n/a", "1.5"), ["n/a", "1.5"]),
        ("number", ("0.1234567890123", "1"), ["0.1234567890123", "1"]),
        ("number", ("1e400", "NaN"), ["1e400", "NaN"]),
        (
            "timestamp",
            ("2013-02-28T16:00:00Z", "2013-03-01T00:00:30+00:00"),
            ["2013-03-01 00:00", "2013-03-01 08:00:30"],
        ),
        ("timestamp", ("2013-03-01T00:00:00", "soon"), ["2013-03-01T00:00:00", "soon"]),
        ("date", ("2013-03-01",), ["2013-03-01"]),
        ("string", ("007", "", None), ["007", "", None]),
    ],
)
def test_cells(kind: FieldType, cells: tuple[str | None, ...], written: list[str | None]) -> None:
    assert _column(kind, *cells) == written


def test_long_texts_are_shortened_visibly() -> None:
    (cell,) = _column("string", "长" * 500)
    assert cell is not None
    assert len(cell) == LONGEST_CELL
    assert cell.endswith("…")


def test_heads_carry_the_unit_once() -> None:
    fields = [FieldView("t", "timestamp"), FieldView("v", "number", unit="μg/m³"), FieldView("s", "string")]
    columns = preview(fields, []).columns
    assert [(c.kind, c.unit) for c in columns] == [("t", "UTC+8"), ("n", "μg/m³"), ("t", "")]


@given(
    st.lists(st.one_of(st.none(), st.text()), max_size=6),
    st.sampled_from(["number", "timestamp", "string", "integer"]),
)
def test_any_text_is_written_and_nulls_stay(cells: list[str | None], kind: FieldType) -> None:
    written = _column(kind, *cells)
    assert [cell is None for cell in written] == [cell is None for cell in cells]


@given(st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1))
def test_numbers_are_never_rounded(values: list[object]) -> None:
    from decimal import Decimal

    written = _column("number", *[str(value) for value in values])
    assert [Decimal((cell or "").replace("−", "-")) for cell in written] == values
