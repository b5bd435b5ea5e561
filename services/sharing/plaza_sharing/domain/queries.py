"""A query for rows: what is asked, what must be granted for it, and in which order rows come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from plaza_kit.errors import FailedPrecondition
from plaza_kit.names import DatasetName
from plaza_lake.access import ColumnNotGranted
from plaza_lake.filter_text import parse_filter
from plaza_lake.ir import Expr, UnknownField, columns_of
from plaza_lake.order_text import Order, parse_order
from plaza_lake.read import canonical_order
from plaza_lake.schema import FieldType, TableSchema
from plaza_lake.verdicts import JudgedSchema, check_outcomes, fields_of, is_verdict

DEFAULT_PAGE: Final = 100


class Format(StrEnum):
    """In which form rows leave."""

    JSON = "json"
    """One page."""
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"


class PagingImpossible(FailedPrecondition):
    """There are more rows than fit on the page, and no position from which a next page could go on."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query against one version, checked against its columns."""

    dataset: DatasetName
    version: int
    schema: TableSchema
    """What may be read of the version: all of it, until a grant narrows it."""
    asked: tuple[str, ...]
    """Columns as asked; empty: all that may be read."""
    told: tuple[str, ...]
    """Verdicts (`plaza_lake.verdicts.COLUMNS`) that stand beside them."""
    filter_text: str
    filter: Expr | None
    order: Order
    """As asked."""

    @classmethod
    def of(
        cls,
        dataset: DatasetName,
        version: int,
        schema: TableSchema,
        *,
        columns: tuple[str, ...] = (),
        filter: str = "",
        order_by: str = "",
    ) -> Query:
        """Raises UnknownField, FilterSyntax, BadOrder; of a `JudgedSchema` also NotAssessed, UnknownRule."""
        found = []
        for name in columns:
            column = schema.column(name)
            if column is None:
                raise UnknownField(name, schema.names)
            found.append(column.name)
        parsed = parse_filter(filter, schema)
        if parsed is not None:
            check_outcomes(parsed)
        order = parse_order(order_by, TableSchema(schema.columns, schema.key))
        asked = tuple(name for name in found if not is_verdict(name))
        told = tuple(dict.fromkeys(name for name in found if is_verdict(name)))
        return cls(dataset, version, schema, asked, told, filter, parsed, order)

    def narrowed(self, granted: tuple[str, ...] | None) -> Query:
        """Within the columns of a grant; None: all. Raises ColumnNotGranted."""
        if granted is None:
            return self
        for name in (*self.asked, *(name for name, _ in self.order)):
            if name not in granted:
                raise ColumnNotGranted(name, granted)
        return replace(self, schema=self.schema.select(n for n in self.schema.names if n in granted))

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that leave, in their order."""
        return self.fields + self.told

    @property
    def fields(self) -> tuple[str, ...]:
        """Those of them that the content hash is over: verdicts are no part of a version's content."""
        return self.asked or self.schema.names

    @property
    def assessment(self) -> int:
        """Number of the assessment whose verdicts are asked for; 0: none are."""
        used = self.told or any(map(is_verdict, self._filtered))
        judged = self.schema.verdicts if isinstance(self.schema, JudgedSchema) and used else None
        return 0 if judged is None else judged.number

    @property
    def _filtered(self) -> tuple[str, ...]:
        return () if self.filter is None else tuple(columns_of(self.filter))

    @property
    def needed(self) -> tuple[str, ...]:
        """What a grant must cover, in the contract's order; empty: all. The key is among it: positions of
        pages are made of it."""
        if not self.asked:
            return ()
        names = {*self.asked, *(name for name, _ in self.order), *self.schema.key}
        names.update(self._filtered)
        if isinstance(self.schema, JudgedSchema) and self.schema.verdicts is not None:
            names |= fields_of(self.schema.verdicts, (*self.told, *self._filtered))
        return tuple(name for name in self.schema.names if name in names)

    @property
    def sort(self) -> Order:
        """The asked order, then the key; empty where no order is promised. That of `RowStream.order`."""
        named = [name for name, _ in self.order]
        return self.order + tuple((name, False) for name in self.schema.key if name not in named)

    @property
    def is_canonical(self) -> bool:
        """Whether rows in canonical order are also in the asked one, so that one scan gives both."""
        order = canonical_order(self.schema.select(self.fields))
        return order[: len(self.sort)] == self.sort

    @property
    def page_columns(self) -> tuple[str, ...]:
        """What is read for a page: its columns, and those of which its last row's position is made."""
        return self.columns + tuple(name for name, _ in self.sort if name not in self.columns)

    def check_pageable(self) -> None:
        """That a position can be given. Raises PagingImpossible."""
        names = {name for name, _ in self.sort}
        types = {column.type for column in self.schema.columns if column.name in names}
        if self.schema.key and FieldType.BYTES not in types:
            return
        raise PagingImpossible(
            f"there are more rows than fit on the page, and {self.dataset} has no next one: its whole key is"
            " not among the columns that may be read, or is not comparable",
            remedy="ask for format CSV, JSONL, PARQUET or ARROW, which send everything, or for a page_size up to"
            " 10,000",
        )
