"""The rows that were judged: those at given positions, and the verdicts of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from plaza_kit.grants import GrantVerifier
from sqlglot import exp

from plaza_lake import engine
from plaza_lake.access import Access, open_grant
from plaza_lake.judge import fails, planned
from plaza_lake.judged import Position
from plaza_lake.judgements import ROW_BITS, WORD, Judgement, scanned
from plaza_lake.render import column, to_sql
from plaza_lake.scan import whole
from plaza_lake.schema import arrow_schema
from plaza_lake.tables import Lake


def rows_at(
    lake: Lake,
    verifier: GrantVerifier,
    grant_token: str,
    positions: Sequence[Position],
    columns: tuple[str, ...] | None = None,
) -> pa.Table:
    """The rows at these positions as far as the grant opens them, by file and row: `file_name`, `file_row`, then the
    columns (None: all granted ones).

    Raises as `read_rows`, and `RowFilterNotSupported`.
    """
    access = whole(open_grant(lake, verifier, grant_token))
    names = access.granted.names if columns is None else columns
    access.check_names(names)
    numbers = {path: number for number, path in enumerate(access.paths)}
    wanted = sorted(numbers[each.file] << ROW_BITS | each.row for each in positions if each.file in numbers)
    schema = pa.schema([("_position", pa.int64()), *arrow_schema(access.granted.select(names))])
    if not wanted:
        return _named(schema.empty_table(), access)
    listed = exp.select(exp.func("unnest", exp.array(*map(exp.Literal.number, wanted)))).subquery()
    select = (
        exp.select(column("_position"), *map(column, names))
        .from_(scanned(access).subquery("_r"))
        .where(exp.In(this=column("_position"), query=listed))
        .order_by(column("_position"))
    )
    return _named(pa.Table.from_batches(engine.stream(lake, select, access.paths, schema), schema), access)


def verdicts(
    lake: Lake,
    verifier: GrantVerifier,
    grant_token: str,
    judgements: Sequence[Judgement],
    *,
    columns: tuple[str, ...] = (),
    failing_only: bool = False,
    limit: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Row by row in the order of positions: `file_number` (of the version's files), `file_row`, the words `failed0…`
    and `judged0…`, then the columns. The grant is looked at before every batch.

    Raises as `read_rows`, while it is read too, and `RowFilterNotSupported`.
    """
    plan = planned(lake, verifier, grant_token, judgements)
    whole(plan.access).check_names(columns)
    select = plan.judged([column(name) for name in columns])
    if failing_only:
        select = exp.select("*").from_(select.subquery("_j")).where(fails(plan))
    select = select.order_by(column("_position"))
    if limit is not None:
        select = select.limit(limit)
    with engine.connection(lake, plan.paths()) as opened:
        for name, table in plan.tables().items():
            opened.register(name, table)
        reader = opened.sql(to_sql(select)).to_arrow_reader(engine.BATCH_ROWS)
        assert reader is not None, "a SELECT has a result"
        with reader:
            for batch in reader:
                verifier.read(grant_token)
                yield _row_batch(batch, plan.words, columns)


def not_passing(
    lake: Lake,
    verifier: GrantVerifier,
    grant_token: str,
    judgements: Sequence[Judgement],
    files: Sequence[int] | None = None,
) -> pa.Table:
    """Of the rows that do not pass some judgement: `_position` (file numbers are those of the version) and the words
    `_failed0…`, `_judged0…`. `files`: rows of these alone are judged, which says the same of judgements that look at
    no other row.

    Raises as `read_rows`, `RowFilterNotSupported`, and duckdb.Error for what cannot be evaluated.
    """
    plan = planned(lake, verifier, grant_token, judgements)
    chosen = range(len(whole(plan.access).paths)) if files is None else sorted(files)
    access = replace(plan.access, paths=tuple(plan.access.paths[number] for number in chosen))
    plan = replace(plan, access=access)
    full = [(1 << min(WORD, len(judgements) - word * WORD)) - 1 for word in range(plan.words)]
    silent = (
        exp.NEQ(this=column(f"_judged{word}"), expression=exp.Literal.number(bits))
        for word, bits in enumerate(full)
    )
    select = exp.select("*").from_(plan.judged().subquery("_j")).where(exp.or_(fails(plan), *silent))
    with engine.connection(lake, plan.paths()) as opened:
        for name, table in plan.tables().items():
            opened.register(name, table)
        found = opened.sql(to_sql(select)).to_arrow_table()
    assert found is not None, "a SELECT has a result"
    position = found.column("_position").to_numpy()
    numbers = np.asarray(chosen, np.int64)
    real = (
        numbers[position >> ROW_BITS] << ROW_BITS | position & ((1 << ROW_BITS) - 1)
        if len(chosen)
        else position
    )
    return found.set_column(0, "_position", pa.array(real))


def _row_batch(batch: pa.RecordBatch, words: int, columns: Sequence[str]) -> pa.RecordBatch:
    position = batch.column(0).to_numpy()
    named: dict[str, pa.Array] = {
        "file_number": pa.array((position >> ROW_BITS).astype(np.int32)),
        "file_row": pa.array(position & ((1 << ROW_BITS) - 1)),
    }
    for kind in ("failed", "judged"):
        named |= {f"{kind}{word}": batch.column(f"_{kind}{word}") for word in range(words)}
    return pa.RecordBatch.from_pydict(named | {name: batch.column(name) for name in columns})


def _named(found: pa.Table, access: Access) -> pa.Table:
    position = found.column("_position").to_numpy()
    files = [access.paths[number] for number in (position >> ROW_BITS).tolist()]
    rows = pa.array(position & ((1 << ROW_BITS) - 1))
    return (
        found.drop_columns(["_position"])
        .add_column(0, "file_row", rows)
        .add_column(0, "file_name", pa.array(files, pa.string()))
    )
