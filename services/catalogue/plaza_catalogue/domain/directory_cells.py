"""Datasets as rows of the directory's form: what is exported, and what an import is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import contract_pb2

from plaza_catalogue.domain.directory_form import HEADINGS, Column, cell_of, word_of

COLUMNS: tuple[Column, ...] = tuple(HEADINGS)
WIDTHS = tuple(36 if c in (Column.NAME, Column.ABSTRACT, Column.CODE) else 16 for c in COLUMNS)
"""Of the columns, in characters."""
_REPEATED = (Column.ID, Column.NAME, Column.CODE)
"""On every row of a dataset, so that a filter keeps its rows together."""


def dataset_cells(dataset: pb.Dataset) -> dict[Column, str]:
    """The cells of a dataset's first row."""
    return {
        Column.ID: dataset.name.rpartition("/")[2],
        Column.CATEGORY: dataset.category,
        Column.NAME: dataset.display_name,
        Column.NAME_EN: dataset.display_name_en,
        Column.CODE: dataset.code,
        Column.PROVIDER: dataset.provider,
        Column.PROVIDER_CODE: dataset.provider_code,
        Column.ABSTRACT: dataset.description,
        Column.ABSTRACT_EN: dataset.description_en,
        Column.FORMAT: dataset.format,
        Column.SHARING_CLASS: word_of(Column.SHARING_CLASS, getattr(dataset.sharing, "class")),
        Column.SHARING_CONDITION: dataset.sharing.condition,
        Column.SHARING_METHOD: dataset.sharing.method,
        Column.OPENING: word_of(Column.OPENING, int(dataset.opening.allowed)),
        Column.OPENING_CONDITION: dataset.opening.condition,
        Column.CYCLE: word_of(Column.CYCLE, dataset.update_cycle),
        Column.PUBLISHED: dataset.publication_date,
        Column.RELATED: cell_of(list(dataset.related_codes)),
        Column.GRADE: word_of(Column.GRADE, dataset.city_level),
        Column.LICENCE: dataset.licence,
        Column.KEYWORDS: cell_of(list(dataset.keywords)),
        Column.SOURCE_SYSTEM: dataset.source_system.rpartition("/")[2],
    }


def item_cells(contract: contract_pb2.Contract) -> list[dict[Column, str]]:
    """The cells of each field."""
    order = {name: str(position) for position, name in enumerate(contract.key, 1)}
    return [
        {
            Column.ITEM_TITLE: field.title,
            Column.ITEM_NAME: field.name,
            Column.ITEM_SOURCE: field.source_name,
            Column.ITEM_TYPE: word_of(Column.ITEM_TYPE, field.type),
            Column.ITEM_REQUIRED: word_of(Column.ITEM_REQUIRED, int(field.required)),
            Column.ITEM_KEY: order.get(field.name, ""),
            Column.ITEM_UNIT: field.unit,
            Column.ITEM_DESCRIPTION: field.description,
        }
        for field in contract.fields
    ]


def rows_of(datasets: Iterable[pb.Dataset]) -> Iterator[Sequence[str]]:
    """The whole form: headings, then a row for each information item."""
    yield [HEADINGS[column][0] for column in COLUMNS]
    for dataset in datasets:
        cells = dataset_cells(dataset)
        for position, item in enumerate(item_cells(dataset.contract) or [{}]):
            shown = cells if position == 0 else {column: cells[column] for column in _REPEATED}
            yield [item.get(column, "") if column.of_item else shown.get(column, "") for column in COLUMNS]
