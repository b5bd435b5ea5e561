"""What importing a spreadsheet would do to a department's directory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.catalogue.v1.source_systems_pb2 import SourceSystem
from plaza_kit.errors import FieldViolation, InvalidArgument

from plaza_catalogue.domain import datasets as rules
from plaza_catalogue.domain.directory_build import Builder, dataset_ids
from plaza_catalogue.domain.directory_entries import Entry, Reading, Remark
from plaza_catalogue.domain.directory_form import Column

_ID = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_INDEX = re.compile(r"\[(\d+)\]")
_COLUMNS = {column.value: column for column in Column}

Check = Callable[[str, pb.Dataset], Iterable[FieldViolation]]
"""The rules of the messages, for a dataset id and the dataset."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A dataset that is registered or changed."""

    dataset_id: str
    dataset: pb.Dataset
    entry: Entry
    current: pb.Dataset | None
    """None: it is registered."""
    changed: list[str]


@dataclass(slots=True)
class Plan:
    """In the order of the file."""

    planned: list[Planned] = field(default_factory=list)
    unchanged: int = 0
    problems: list[Remark] = field(default_factory=list)
    notices: list[Remark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Directory:
    """The department's directory as it is."""

    owner: pb.Department
    datasets: Sequence[pb.Dataset]
    elsewhere: Mapping[str, str]
    """Codes of other departments' datasets, and whose they are."""
    systems: Sequence[SourceSystem] = ()
    """The department's source systems."""


def codes_of(reading: Reading) -> list[str]:
    """The codes that the file names."""
    return sorted({code for entry in reading.entries if (code := entry.cell(Column.CODE))})


def plan(reading: Reading, directory: Directory, check: Check) -> Plan:
    """Every problem of every dataset; nothing may be written when there is one."""
    made = Plan(problems=list(reading.problems), notices=list(reading.notices))
    matches = _Matches(directory, reading.entries)
    for entry in reading.entries:
        problems, current = matches.find(entry)
        if not problems:
            _one(made, entry, current, directory, matches, check)
        made.problems.extend(problems)
    order = {name: position for position, name in enumerate(_sheets(reading))}
    for remarks in (made.problems, made.notices):
        remarks.sort(
            key=lambda remark: (order.get(remark.sheet, -1), remark.row, len(remark.column), remark.column)
        )
    return made


def _sheets(reading: Reading) -> list[str]:
    return list(dict.fromkeys(entry.heads.sheet for entry in reading.entries))


def _one(
    made: Plan,
    entry: Entry,
    current: pb.Dataset | None,
    directory: Directory,
    matches: _Matches,
    check: Check,
) -> None:
    builder = Builder(entry, directory.owner, directory.systems)
    if current is None:
        dataset, changed = builder.new(), []
        dataset_id = matches.new_id(entry)
        if not entry.cell(Column.ID):
            builder.notices.append(entry.remark(Column.ID, f"the dataset gets the id {dataset_id}"))
        violations = [*_new_violations(dataset), *check(dataset_id, dataset)]
    else:
        dataset = builder.changed(current)
        dataset_id = current.name.rpartition("/")[2]
        changed = rules.changed_fields(current, dataset)
        violations = list(check(dataset_id, dataset)) if changed else []
    told = {(remark.row, remark.heading) for remark in builder.problems}
    for violation in violations:
        remark = _remark_of(entry, violation)
        if (remark.row, remark.heading) not in told:
            builder.problems.append(remark)
            told.add((remark.row, remark.heading))
    made.problems.extend(builder.problems)
    made.notices.extend(builder.notices)
    if current is not None and not changed:
        made.unchanged += 1
    else:
        made.planned.append(Planned(dataset_id, dataset, entry, current, changed))


def _new_violations(dataset: pb.Dataset) -> Sequence[FieldViolation]:
    try:
        rules.check_new(dataset)
    except InvalidArgument as error:
        return error.violations
    return ()


def _remark_of(entry: Entry, violation: FieldViolation) -> Remark:
    """`dataset.contract.fields[3].title` → the cell of the fourth information item."""
    path = violation.field.removeprefix("dataset.")
    index = _INDEX.search(path)
    bare = _INDEX.sub("", path)
    item = None
    if bare.startswith("contract"):
        last = bare.removeprefix("contract").strip(".").removeprefix("fields").strip(".")
        column = _COLUMNS.get(f"item.{last}", Column.ITEM_TITLE)
        item = int(index[1]) if index and bare.startswith("contract.fields") else None
    elif violation.field == "dataset_id":
        column = Column.ID
    else:
        column = _COLUMNS.get(bare, Column.NAME)
    if column is Column.ITEM_TITLE and not entry.items:
        text = "the dataset has no information item" + (
            "" if entry.has(column) else "; the column is missing"
        )
        return entry.remark(column, text, "write a row for each information item, with name and type")
    blank = "" if entry.has(column) else "; the column is missing"
    return entry.remark(column, f"{violation.description}{blank}", "correct the cell", item)


class _Matches:
    """Which dataset of the directory an entry is about: by id, else by code, else by name."""

    def __init__(self, directory: Directory, entries: Sequence[Entry]) -> None:
        self._directory = directory
        self._by_id = {each.name.rpartition("/")[2]: each for each in directory.datasets}
        self._by_code = {each.code: each for each in directory.datasets}
        self._by_name: dict[str, list[pb.Dataset]] = {}
        for each in directory.datasets:
            self._by_name.setdefault(each.display_name.strip(), []).append(each)
        # What the file names by id or code is not meant by a mere name.
        self._named = {e.cell(Column.ID) for e in entries} | {
            self._by_code[code].name.rpartition("/")[2]
            for e in entries
            if not e.cell(Column.ID) and (code := e.cell(Column.CODE)) in self._by_code
        }
        self._ids = {*self._by_id, *(e.cell(Column.ID) for e in entries)}
        self._seen: dict[tuple[Column, str], Entry] = {}

    def find(self, entry: Entry) -> tuple[list[Remark], pb.Dataset | None]:
        """The dataset, or None for a new one; problems instead when it is not clear."""
        dataset_id, code = entry.cell(Column.ID), entry.cell(Column.CODE)
        problems = self._repeated(entry)
        if dataset_id and not _ID.fullmatch(dataset_id):
            text = "an id has lower-case letters, digits and hyphens, a letter first, at most 63"
            problems.append(entry.remark(Column.ID, text, "correct it, or leave it blank to have one made"))
        if code in self._directory.elsewhere:
            text = f"the code belongs to {self._directory.elsewhere[code]}"
            problems.append(entry.remark(Column.CODE, text, "leave it blank to have one made"))
        if problems:
            return problems, None
        if dataset_id:
            return self._with_code(entry, self._by_id.get(dataset_id), code)
        if code in self._by_code:
            return [], self._by_code[code]
        return self._by_its_name(entry, code)

    def _with_code(
        self, entry: Entry, current: pb.Dataset | None, code: str
    ) -> tuple[list[Remark], pb.Dataset | None]:
        other = self._by_code.get(code)
        if other is not None and (current is None or other.name != current.name):
            text = f"the code belongs to {other.name.rpartition('/')[2]}"
            return [entry.remark(Column.CODE, text, "leave it blank to have one made")], None
        return [], current

    def _by_its_name(self, entry: Entry, code: str) -> tuple[list[Remark], pb.Dataset | None]:
        name = entry.cell(Column.NAME)
        same = [d for d in self._by_name.get(name, []) if d.name.rpartition("/")[2] not in self._named]
        if not name or not same:
            return [], None
        if code or len(same) > 1:
            known = ", ".join(f"{d.name.rpartition('/')[2]} ({d.code})" for d in same[:5])
            text = f"registered already under this name: {known}"
            remedy = (
                "write the id of the dataset that is meant in the column 数据集标识, or choose another name"
            )
            return [entry.remark(Column.NAME, text, remedy)], None
        return [], same[0]

    def _repeated(self, entry: Entry) -> list[Remark]:
        column = next((c for c in (Column.ID, Column.CODE, Column.NAME) if entry.cell(c)), None)
        if column is None:
            return [entry.remark(Column.NAME, "the dataset has no name", "write its name")]
        problems = []
        for each in {column, Column.CODE}:
            first = self._seen.setdefault((each, entry.cell(each)), entry)
            if first is not entry and entry.cell(each):
                text = f"the same dataset stands in row {first.first.number}"
                remedy = "put its rows together, or give it a code of its own"
                problems.append(entry.remark(each, text, remedy))
        return problems

    def new_id(self, entry: Entry) -> str:
        """The id the file gives, or one that is made."""
        given = entry.cell(Column.ID)
        if given:
            return given
        made = next(each for each in dataset_ids(entry, entry.cell(Column.CODE)) if each not in self._ids)
        self._ids.add(made)
        return made
