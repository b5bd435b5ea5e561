"""Directory fields and contract of one dataset from its rows in a spreadsheet."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.catalogue.v1.source_systems_pb2 import SOURCE_SYSTEM_STATE_ACTIVE, SourceSystem
from plaza.common.v1 import contract_pb2, grades_pb2

from plaza_catalogue.domain.contract_checks import RESERVED_NAMES
from plaza_catalogue.domain.directory_cells import dataset_cells, item_cells
from plaza_catalogue.domain.directory_entries import Entry, Remark
from plaza_catalogue.domain.directory_form import (
    VALUES,
    Column,
    UnknownWord,
    date_of,
    list_of,
    value_of,
)

_TEXTS = (
    Column.CATEGORY,
    Column.NAME,
    Column.NAME_EN,
    Column.ABSTRACT,
    Column.ABSTRACT_EN,
    Column.FORMAT,
    Column.LICENCE,
)
_LISTS = (Column.RELATED, Column.KEYWORDS)
_OTHERS = (Column.OPENING, Column.OPENING_CONDITION, Column.CYCLE, Column.SOURCE_SYSTEM)
_CONFIRMED = (Column.GRADE, Column.SHARING_CLASS, Column.SHARING_CONDITION, Column.SHARING_METHOD)
_LENGTH = re.compile(r"[(（].*[)）]|\d+$")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


class Builder:
    """Reads one entry; `problems` and `notices` fill on the way."""

    def __init__(self, entry: Entry, owner: pb.Department, systems: Sequence[SourceSystem] = ()) -> None:
        """`systems`: the department's source systems, which the file may name."""
        self._entry = entry
        self._owner = owner
        self._systems = systems
        self.problems: list[Remark] = []
        self.notices: list[Remark] = []

    def new(self) -> pb.Dataset:
        """A dataset to register; `publication_date` as the file gives it, or empty."""
        dataset = pb.Dataset(code=self._entry.cell(Column.CODE))
        self._provider()
        self._directory(dataset, {})
        for column in _CONFIRMED:
            self._confirmed(dataset, column)
        if not self._entry.cell(Column.GRADE):
            dataset.city_level = grades_pb2.CITY_LEVEL_CORE
            self._note(Column.GRADE, "no grade: 核心 (core), the strictest, is taken")
        dataset.publication_date = self._date() or ""
        self._contract(dataset.contract)
        return dataset

    def changed(self, current: pb.Dataset) -> pb.Dataset:
        """A registered dataset as the file wants it. What the data officer confirmed at the registration has
        ways of its own: a cell that says something else is a problem. A blank cell says nothing about it."""
        dataset = pb.Dataset()
        dataset.CopyFrom(current)
        shown = dataset_cells(current)
        self._provider()
        self._directory(dataset, shown)
        dataset.code = self._entry.cell(Column.CODE) or current.code
        wanted = pb.Dataset()
        for column in _CONFIRMED:
            cell = self._entry.cell(column)
            if cell and cell != shown[column].strip():
                self._confirmed(wanted, column)
                if _value(wanted, column) != _value(current, column):
                    self._fixed(column, shown[column])
        published = self._date()
        if published and published != current.publication_date:
            self._fixed(Column.PUBLISHED, current.publication_date)
        self._same_contract(current.contract)
        return dataset

    def _directory(self, dataset: pb.Dataset, shown: dict[Column, str]) -> None:
        for column in (*_TEXTS, *_LISTS, *_OTHERS):
            cell = self._entry.cell(column)
            # What stands there as it is shown changes nothing, blanks at its ends included.
            if not self._entry.has(column) or (column in shown and cell == shown[column].strip()):
                continue
            if column in _LISTS:
                dataset.ClearField(column.value)  # type: ignore[arg-type]  # the name of a list of Dataset
                getattr(dataset, column.value).extend(list_of(cell))
            elif column is Column.OPENING:
                dataset.opening.allowed = bool(self._word(column, cell))
            elif column is Column.OPENING_CONDITION:
                dataset.opening.condition = cell
            elif column is Column.SOURCE_SYSTEM:
                named = self._system(cell, dataset.source_system)
                dataset.source_system, dataset.source_system_title = named.name, named.display_name
            elif column is Column.CYCLE:
                dataset.update_cycle = self._word(column, cell)  # type: ignore[assignment]  # a value of the enum
            else:
                setattr(dataset, column.value, cell)

    def _confirmed(self, dataset: pb.Dataset, column: Column) -> None:
        cell = self._entry.cell(column)
        match column:
            case Column.GRADE:
                dataset.city_level = self._word(column, cell)  # type: ignore[assignment]  # as above
            case Column.SHARING_CLASS:
                setattr(dataset.sharing, "class", self._word(column, cell))
            case Column.SHARING_CONDITION:
                dataset.sharing.condition = cell
            case _:
                dataset.sharing.method = cell

    def _contract(self, contract: contract_pb2.Contract) -> None:
        keys: list[tuple[int, str]] = []
        taken: set[str] = set()
        for index in range(len(self._entry.items)):
            field = contract.fields.add(
                title=self._entry.item_cell(index, Column.ITEM_TITLE),
                unit=self._entry.item_cell(index, Column.ITEM_UNIT),
                description=self._entry.item_cell(index, Column.ITEM_DESCRIPTION),
                required=bool(self._item_word(index, Column.ITEM_REQUIRED)),
            )
            self._name(index, field, taken)
            taken.add(field.name)
            field.type = self._type(index)
            order = self._order(index)
            if order is not None:
                keys.append((order, field.name))
        contract.key.extend(name for _, name in sorted(keys, key=lambda each: each[0]))

    def _name(self, index: int, field: contract_pb2.Field, taken: set[str]) -> None:
        written = self._entry.item_cell(index, Column.ITEM_NAME)
        heading = "" if _FIELD_NAME.fullmatch(written) else written or field.title
        if self._entry.has(Column.ITEM_SOURCE):
            heading = self._entry.item_cell(index, Column.ITEM_SOURCE)
        field.source_name = heading
        if _FIELD_NAME.fullmatch(written):
            field.name = written
            return
        if not written and not field.title:
            self._problem(Column.ITEM_TITLE, "the information item has no name", "write its name", index)
        name = _slug(written or field.title, "_")
        if not name or name in taken or name in RESERVED_NAMES:
            name = f"f{index + 1}"
        while name in taken:
            name += "_"
        field.name = name
        self._note(Column.ITEM_NAME, f"the field is named {name}", index)

    def _type(self, index: int) -> contract_pb2.FieldType.ValueType:
        column = Column.ITEM_TYPE
        cell = self._entry.item_cell(index, column)
        bare = _LENGTH.sub("", cell)
        if not cell:
            self._problem(column, "the information item has no type", f"write one of {_known(column)}", index)
            return contract_pb2.FIELD_TYPE_STRING
        if bare != cell:
            self._note(column, f"the length in {cell[:40]!r} is not kept", index)
        value = self._item_word(index, column, bare)
        return value or contract_pb2.FIELD_TYPE_STRING  # type: ignore[return-value]  # a value of the enum

    def _order(self, index: int) -> int | None:
        """Where the field stands in the key: numbers first, 是 in the order of rows; None: not in the key."""
        cell = self._entry.item_cell(index, Column.ITEM_KEY)
        if cell.isascii() and cell.isdigit() and len(cell) < 6:
            return int(cell) or None
        try:
            return 1_000_000 + index if cell and value_of(Column.ITEM_REQUIRED, cell) else None
        except UnknownWord:
            text = f"{cell[:40]!r} is neither 是, 否 nor a position in the key"
            self._problem(
                Column.ITEM_KEY, text, "write 1, 2 … in the order of the key, or leave it blank", index
            )
            return None

    def _same_contract(self, contract: contract_pb2.Contract) -> None:
        """Every cell about an information item must say what the contract says."""
        shown = item_cells(contract)
        rest = dict(enumerate(shown))
        for index in range(len(self._entry.items)):
            found = self._find(index, rest)
            if found is None:
                column = (
                    Column.ITEM_NAME if self._entry.item_cell(index, Column.ITEM_NAME) else Column.ITEM_TITLE
                )
                self._problem(column, "is no field of the contract in force", _NEW_CONTRACT, index)
                continue
            for column, said in rest.pop(found).items():
                if not self._says(index, column, said.strip(), contract, shown[found][Column.ITEM_NAME]):
                    self._problem(column, f"the contract says {said[:80]!r}", _NEW_CONTRACT, index)
        if self._entry.items and rest:
            names = ", ".join(item[Column.ITEM_NAME] for item in list(rest.values())[:5])
            self._problem(Column.ITEM_NAME, f"fields of the contract are left out: {names}", _NEW_CONTRACT)

    def _find(self, index: int, rest: dict[int, dict[Column, str]]) -> int | None:
        name = self._entry.item_cell(index, Column.ITEM_NAME)
        title = self._entry.item_cell(index, Column.ITEM_TITLE)
        for wanted, columns in (
            (name, (Column.ITEM_NAME, Column.ITEM_SOURCE)),
            (title, (Column.ITEM_TITLE,)),
        ):
            if wanted:
                for column in columns:
                    for position, item in rest.items():
                        if item[column].strip() == wanted:
                            return position
                return None
        return None

    def _says(
        self, index: int, column: Column, said: str, contract: contract_pb2.Contract, name: str
    ) -> bool:
        cell = self._entry.item_cell(index, column)
        if not cell or cell == said:
            return True
        if column is Column.ITEM_NAME:
            return True  # found by it, as the heading of the source
        if column is Column.ITEM_KEY:
            return (self._order(index) is not None) == (name in contract.key) and not cell.isdigit()
        if column in VALUES:
            bare = _LENGTH.sub("", cell) if column is Column.ITEM_TYPE else cell
            return self._item_word(index, column, bare) == value_of(column, said)
        return False

    def _provider(self) -> None:
        cell = self._entry.cell(Column.PROVIDER)
        department = self._owner.name.rpartition("/")[2]
        if cell and cell not in (
            self._owner.display_name.strip(),
            self._owner.display_name_en.strip(),
            department,
        ):
            text = f"is not {self._owner.display_name}, whose directory this is"
            self._problem(Column.PROVIDER, text, "write its name or leave the cell blank")
        code = self._entry.cell(Column.PROVIDER_CODE)
        if code and code != self._owner.provider_code.strip():
            text = f"is not {self._owner.provider_code!r}, the department's code"
            self._problem(Column.PROVIDER_CODE, text, "write that code or leave the cell blank")

    def _system(self, cell: str, current: str) -> SourceSystem:
        """A source system in use, or the dataset's current one, by its id or its name; one without a name for an
        empty cell."""
        if not cell:
            return SourceSystem()
        active = [
            each for each in self._systems if each.state == SOURCE_SYSTEM_STATE_ACTIVE or each.name == current
        ]
        for wanted in (
            [each for each in active if each.name.rpartition("/")[2] == cell],
            [each for each in active if cell in (each.display_name.strip(), each.display_name_en.strip())],
        ):
            if len(wanted) == 1:
                return wanted[0]
        known = "、".join(each.name.rpartition("/")[2] for each in active[:20])
        text = f"{cell[:40]!r} is no source system in use of this department"
        remedy = (
            f"write one of {known}" if known else "register the source system first, or leave the cell blank"
        )
        self._problem(Column.SOURCE_SYSTEM, text, remedy)
        return SourceSystem()

    def _date(self) -> str | None:
        cell = self._entry.cell(Column.PUBLISHED)
        if not cell:
            return None
        try:
            return date_of(cell)
        except ValueError:
            self._problem(Column.PUBLISHED, f"{cell[:40]!r} is not a day", "write it like 2026-01-05")
            return None

    def _word(self, column: Column, cell: str) -> int:
        return self._worded(column, cell, None)

    def _item_word(self, index: int, column: Column, cell: str | None = None) -> int:
        return self._worded(column, self._entry.item_cell(index, column) if cell is None else cell, index)

    def _worded(self, column: Column, cell: str, item: int | None) -> int:
        if not cell:
            return 0
        try:
            return value_of(column, cell)
        except UnknownWord as unknown:
            self._problem(column, f"{cell[:40]!r} is not known", f"write one of {unknown.known}", item)
            return 0

    def _fixed(self, column: Column, said: str) -> None:
        text = f"the dataset is registered with {said[:80]!r}, which an import cannot change"
        self._problem(column, text, "leave the cell blank or as it is registered")

    def _problem(self, column: Column, text: str, remedy: str, item: int | None = None) -> None:
        self.problems.append(self._entry.remark(column, text, remedy, item))

    def _note(self, column: Column, text: str, item: int | None = None) -> None:
        self.notices.append(self._entry.remark(column, text, item=item))


_NEW_CONTRACT = "fields change with a new contract; leave the cell as it is registered"


def dataset_ids(entry: Entry, code: str) -> Iterator[str]:
    """Ids for a new dataset that has none, the best first; the same file gives the same ids."""
    stems = [_slug(entry.cell(Column.NAME_EN), "-"), _slug(entry.cell(Column.NAME), "-")]
    if code:
        stems.append(f"r-{_slug('r' + code, '-')[1:]}".rstrip("-"))
    stem = next((each[:50].rstrip("-") for each in stems if each), "dataset")
    yield stem
    for number in range(2, 100_000):
        yield f"{stem}-{number}"


def _slug(text: str, joint: str) -> str:
    """Latin letters and digits of a text, a letter first; empty when other letters would be lost."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    if any(char.isalpha() and not char.isascii() for char in folded):
        return ""
    words = re.findall(r"[a-z0-9]+", folded)
    while words and words[0][0].isdigit():
        words = words[1:]
    return joint.join(words)[:63].rstrip(joint)


def _known(column: Column) -> str:
    return "、".join(words.split()[0] for words in VALUES[column].values())


def _value(dataset: pb.Dataset, column: Column) -> object:
    value: object = dataset
    for part in column.value.split("."):
        value = getattr(value, part)
    return value
