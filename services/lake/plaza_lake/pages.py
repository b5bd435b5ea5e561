"""A page of rows out of columns in memory: filter, sort and limit as the engine does them, over numpy.

Only the columns of filter and order are looked at for every row; the others are taken for the rows of the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa

from plaza_lake.decoded import Decoded, Mask, Rows, Some
from plaza_lake.ir import And, Compare, Contains, Expr, In, IsNull, Not, Or
from plaza_lake.order_text import Order
from plaza_lake.schema import TableSchema, arrow_schema

BLOCK_ROWS: Final = 256 * 1024
"""Looked at in one go, so that a query's own memory stays at a few MB, most of it in the processor's cache."""

File: TypeAlias = Mapping[str, Decoded]
"""Columns of one data file by name, all of one length."""


def page(
    files: Sequence[File], schema: TableSchema, where: Expr | None, order: Order, limit: int
) -> pa.Table:
    """The first rows of some files in an order (absent values last), with the columns of `schema`.

    Where the order leaves rows equal, any of them may come first, as with every engine.
    """
    names = list(dict.fromkeys((*schema.names, *(name for name, _ in order))))
    parts = []
    for file in files:
        rows = _of_file(file, where, order, limit)
        parts.append(pa.table([file[name].take(rows) for name in names], names))
    if len(parts) == 1:
        return parts[0].select(list(schema.names)).cast(arrow_schema(schema))
    if not parts:
        return arrow_schema(schema).empty_table()
    # The lists of texts are those of one file: what was found in several is compared by lists of its own.
    found = pa.concat_tables(parts)
    sorted_by = {name: Decoded.of(files[0][name].type, found.column(name)) for name, _ in order}
    rows = first(sorted_by, np.arange(found.num_rows), order, limit)
    return found.select(list(schema.names)).take(pa.array(rows)).cast(arrow_schema(schema))


def _of_file(file: File, where: Expr | None, order: Order, limit: int) -> Rows:
    length = len(next(iter(file.values())).values)
    found = [
        first(file, _passing(file, where, block), order, limit)
        for block in (slice(at, min(at + BLOCK_ROWS, length)) for at in range(0, length, BLOCK_ROWS))
    ]
    if len(found) == 1:
        return found[0]
    return first(file, np.concatenate(found) if found else np.empty(0, np.intp), order, limit)


def first(columns: File, rows: Rows, order: Order, limit: int) -> Rows:
    """The first of some rows in an order, sorted."""
    chosen: list[Rows] = []
    left = limit
    for keys in _levels(columns, order):
        if len(rows) <= left:
            break
        found = keys(rows)
        cut = np.partition(found, left - 1)[left - 1]
        chosen.append(rows[found < cut])
        left -= len(chosen[-1])
        rows = rows[found == cut]
    chosen.append(rows[:left])
    rows = np.concatenate(chosen)
    levels = [keys(rows) for keys in _levels(columns, order)]
    # The last of `lexsort`'s keys counts first; the position makes the answer the same each time.
    return rows[np.lexsort((rows, *reversed(levels)))]


def _levels(columns: File, order: Order) -> Iterator[_Keys]:
    for name, descending in order:
        column = columns[name]
        if column.absent is not None:
            yield _Keys(column, None)
        yield _Keys(column, descending)


class _Keys:
    """Integers by which rows sort at one level: whether the value is absent, then the value."""

    def __init__(self, column: Decoded, descending: bool | None) -> None:
        self._column = column
        self._descending = descending

    def __call__(self, rows: Rows) -> np.ndarray:
        if self._descending is None:
            assert self._column.absent is not None, "only such columns have this level"
            return self._column.absent[rows]
        keys = self._column.keys(rows, self._descending)
        return keys if self._column.absent is None else np.where(self._column.absent[rows], 0, keys)


def _passing(file: File, where: Expr | None, block: slice) -> Rows:
    if where is None:
        return np.arange(block.start, block.stop)
    return _rows(file, where, True, block)


def _rows(file: File, node: Expr, wanted: bool, rows: Some) -> Rows:
    """Those of some rows for which an expression is true, or for which it is false; what is unknown is neither."""
    match node:
        case Not(operand):
            return _rows(file, operand, not wanted, rows)
        case And(operands) | Or(operands) if isinstance(node, And) is wanted:
            for operand in operands:
                rows = _rows(file, operand, wanted, rows)
            assert not isinstance(rows, slice), "there are two operands at least"
            return rows
        case And(operands) | Or(operands):
            return _any(file, operands, wanted, rows)
        case _:
            mask = _leaf(file, node, wanted, rows)
            return np.flatnonzero(mask) + rows.start if isinstance(rows, slice) else rows[mask]


def _any(file: File, operands: Sequence[Expr], wanted: bool, rows: Some) -> Rows:
    found = np.concatenate([_rows(file, operand, wanted, rows) for operand in operands])
    if not len(found):
        return found
    begin = int(found.min())
    marked = np.zeros(int(found.max()) - begin + 1, np.bool_)
    marked[found - begin] = True
    return begin + np.flatnonzero(marked)


def _leaf(file: File, node: Compare | In | IsNull | Contains, wanted: bool, rows: Some) -> Mask:
    match node:
        case IsNull(column):
            absent = file[column.name].absent
            count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
            mask = np.zeros(count, np.bool_) if absent is None else absent[rows]
            return mask if wanted else ~mask
        case Compare(op, column, literal):
            mask = file[column.name].compared(op, literal.value, rows)
        case In(column, literals):
            mask = file[column.name].among(tuple(each.value for each in literals), rows)
        case Contains(column, text):
            mask = file[column.name].containing(text, rows)
    if not wanted:
        mask = ~mask
    absent = file[column.name].absent
    return mask if absent is None else mask & ~absent[rows]
