"""What a new contract version may change about a table that already has rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from plaza_kit.errors import FailedPrecondition
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import TableRequirement, TableUpdate

from plaza_lake.schema import TableSchema, iceberg_type
from plaza_lake.tables import table_schema


class SchemaConflict(FailedPrecondition):
    """A schema that the table's earlier rows cannot follow. Names every difference, not the first alone."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(
            f"the table cannot take this schema: {'; '.join(problems)}",
            remedy="Keep fields, types and key; make new fields optional. Else register a new dataset.",
            facts={"differences": "\n".join(problems)},
        )


def check_evolution(present: TableSchema, wanted: TableSchema) -> None:
    """That a table may follow a new schema: new optional fields, required ones made optional, another order.
    Raises `SchemaConflict`."""
    problems = list(_problems(present, wanted))
    if problems:
        raise SchemaConflict(problems)


@dataclass(frozen=True, slots=True)
class Evolution:
    """A change of schema, to be committed with the rows that need it."""

    metadata: TableMetadata
    """As they will be."""
    updates: tuple[TableUpdate, ...] = ()
    requirements: tuple[TableRequirement, ...] = ()


def evolve(table: Table, wanted: TableSchema) -> Evolution:
    """The change from the table's schema to the wanted one.

    Allowed: new optional columns anywhere, a required column made optional, another order. Every commit
    carries all columns, so that each version's newest files know them all. Raises `SchemaConflict`.
    """
    present = table_schema(table)
    if present == wanted:
        return Evolution(table.metadata)
    check_evolution(present, wanted)
    transaction = Transaction(table)
    _stage(transaction, present, wanted)
    # PyIceberg gives a transaction's updates to nobody; it can only commit them, and we have rows to go with them.
    return Evolution(transaction.table_metadata, transaction._updates, transaction._requirements)


def _stage(transaction: Transaction, present: TableSchema, wanted: TableSchema) -> None:
    added = [column for column in wanted.columns if present.column(column.name) is None]
    with transaction.update_schema() as update:
        for column in added:
            update.add_column(column.name, iceberg_type(column))
        for column in present.columns:
            now = wanted.column(column.name)
            if column.required and now is not None and not now.required:
                update.make_column_optional(column.name)
        if wanted.names != present.names + tuple(column.name for column in added):
            update.move_first(wanted.names[0])
            for before, name in zip(wanted.names, wanted.names[1:], strict=False):
                update.move_after(name, before)


def _problems(present: TableSchema, wanted: TableSchema) -> Iterator[str]:
    if wanted.key != present.key:
        yield f"its key is ({', '.join(present.key)}), the new one would be ({', '.join(wanted.key)})"
    for column in present.columns:
        now = wanted.column(column.name)
        if now is None:
            yield f"field {column.name} is missing"
            continue
        if now.type is not column.type:
            yield f"field {column.name} is {column.type}, the new one would be {now.type}"
        if column.name in present.key and now.required is not column.required:
            yield f"key field {column.name} would change whether it is required"
        elif now.required and not column.required:
            yield f"field {column.name} would become required, but earlier rows may lack it"
    for column in wanted.columns:
        if column.required and present.column(column.name) is None:
            yield f"new field {column.name} is required, but earlier rows lack it"
