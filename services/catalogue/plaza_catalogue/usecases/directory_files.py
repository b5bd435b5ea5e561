"""A department's directory as a spreadsheet, in and out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from datetime import date, datetime

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Scope, within
from plaza_kit.errors import Aborted, FailedPrecondition, FieldViolation, InvalidArgument
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetId, DatasetName, DepartmentId, parse_department
from plaza_kit.policy import Resource
from plaza_kit.rpc.file_stream import chunks_of, header_of
from plaza_kit.rpc.guard import validate
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain import datasets as rules
from plaza_catalogue.domain import directory_cells, directory_entries, directory_plan, sheet_csv, sheet_xlsx
from plaza_catalogue.domain.departments import check_active
from plaza_catalogue.domain.directory_entries import Reading, Remark
from plaza_catalogue.domain.directory_plan import Plan, Planned
from plaza_catalogue.storage import datasets, departments, search, source_systems
from plaza_catalogue.usecases.changes import change_of
from plaza_catalogue.usecases.ports import World, unknown_department
from plaza_catalogue.usecases.registration import registered_event, updated_event

MAX_REMARKS = 1_000
MAX_BYTES = 20 * 1024 * 1024
_SMALLER = "leave out pictures and other sheets, or split it; every part holds whole datasets"
_MAX_VIOLATIONS = 20
"""An error travels in gRPC's trailers, which are small; the preview has all of them."""
_XLSX_ROWS = 1_048_576
_PIECE = 1024 * 1024


class DirectoryRefused(InvalidArgument):
    """The spreadsheet has problems; nothing was imported. Each violation names its cell."""


class DirectoryMoved(Aborted):
    """Another department registered one of the codes while the spreadsheet was imported."""


class TooManyRows(FailedPrecondition):
    """The directory has more rows than an XLSX sheet can hold."""


class DirectoryFiles:
    """Use cases around the directory's spreadsheet."""

    def __init__(self, world: World) -> None:
        self._world = world
        # Reading a workbook takes far more memory than its bytes: one after the other.
        self._reading = asyncio.Semaphore(1)

    async def receive(self, messages: AsyncIterator[pb.ImportDirectoryRequest]) -> pb.ImportDirectoryResponse:
        """Raises OutOfTurn, CutOff, EmptyFile, FileTooLarge, UnreadableSpreadsheet, DirectoryRefused,
        UnknownDepartment, DepartmentArchived, DirectoryMoved, NotPermitted. With `validate_only` problems are the
        answer, no error."""
        header = await header_of(messages)
        department = parse_department(header.parent)
        principal = self._world.policy.authorize("dataset.create", Resource.of_department(department))
        pieces = chunks_of(messages, file="the spreadsheet", limit=MAX_BYTES, smaller=_SMALLER)
        data = b"".join([piece async for piece in pieces])
        async with self._reading:
            encoding, reading = await asyncio.to_thread(_read, data)
            del data
            made = await self._import(principal, department, reading, write=not header.validate_only)
        if made.problems and not header.validate_only:
            raise _refused(made.problems)
        self._world.outbox.wake()
        return _response(department, made, encoding, validate_only=header.validate_only)

    async def _import(
        self, principal: Principal, department: DepartmentId, reading: Reading, *, write: bool
    ) -> Plan:
        try:
            async with self._world.database.transaction(Scope.of(principal)) as connection:
                reader = within(connection)
                if write:
                    owner = await departments.find_to_change(connection, department)
                else:
                    owner = await departments.find(reader, department)
                if owner is None:
                    raise unknown_department(department)
                check_active(owner)
                directory = directory_plan.Directory(
                    owner,
                    # Held, so that nobody changes them before the transaction ends.
                    await datasets.of_department(reader, department, lock=write),
                    await datasets.owners_of(reader, directory_plan.codes_of(reading), department),
                    await source_systems.of_department(reader, department),
                )
                made = await asyncio.to_thread(directory_plan.plan, reading, directory, _violations)
                if write and not made.problems:
                    await self._write(connection, principal, owner, made.planned)
                return made
        except IntegrityError as error:
            raise DirectoryMoved(
                "a code of the file was registered elsewhere in the meantime; nothing was imported",
                remedy="import the file again to see which",
            ) from error

    async def _write(
        self,
        connection: AsyncConnection,
        principal: Principal,
        owner: pb.Department,
        planned: Sequence[Planned],
    ) -> None:
        now = self._world.now()
        department = parse_department(owner.name)
        await self._codes(connection, owner, [each.dataset for each in planned if each.current is None])
        new: list[datasets.New] = []
        changed: list[tuple[DatasetName, pb.Dataset, datasets.Change]] = []
        for each in planned:
            name = DatasetName(department, DatasetId(each.dataset_id))
            if each.current is None:
                fields = [*rules.changed_fields(pb.Dataset(), each.dataset), *rules.CONFIRMED]
                change = change_of(principal, name, 1, fields, now)
                new.append(datasets.New(name, each.dataset, change, self._published(each.dataset, now)))
            else:
                version = each.current.metadata_version + 1
                changed.append((name, each.dataset, change_of(principal, name, version, each.changed, now)))
        await datasets.update_many(connection, changed)
        await datasets.insert_many(connection, new)
        found = [(n.name, _seen(n.name, n.dataset, owner)) for n in new]
        found += [(name, dataset) for name, dataset, _ in changed]
        await search.put_many(connection, found)
        for one in new:
            await self._world.outbox.write(connection, registered_event(one.name, one.dataset, principal))
        for name, _, change in changed:
            await self._world.outbox.write(connection, updated_event(name, change, principal))

    async def _codes(
        self, connection: AsyncConnection, owner: pb.Department, new: Sequence[pb.Dataset]
    ) -> None:
        without = [dataset for dataset in new if not dataset.code]
        numbers = await datasets.next_codes(connection, len(without))
        for dataset, number in zip(without, numbers, strict=True):
            dataset.code = rules.made_code(owner.provider_code, number)

    def _published(self, dataset: pb.Dataset, now: datetime) -> date:
        if dataset.publication_date:
            return date.fromisoformat(dataset.publication_date)
        return now.astimezone(self._world.zone).date()

    async def export(self, request: pb.ExportDirectoryRequest) -> AsyncGenerator[tuple[str, bytes], None]:
        """Media type and bytes, piece by piece. Raises UnknownDepartment, TooManyRows."""
        principal = self._world.policy.authorize("directory.read", Resource.system())
        department = parse_department(request.parent)
        # One snapshot: the file shows the directory as it was at one moment.
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            reader = within(connection)
            if await departments.find(reader, department) is None:
                raise unknown_department(department)
            found = await datasets.of_department(reader, department)
        if request.format == "csv":
            for piece in sheet_csv.write(directory_cells.rows_of(found)):
                yield "text/csv; charset=utf-8", piece
            return
        count = 1 + sum(max(1, len(dataset.contract.fields)) for dataset in found)
        if count > _XLSX_ROWS:
            raise TooManyRows(
                f"the directory has {count:,} rows, a sheet at most {_XLSX_ROWS:,}", remedy="export it as CSV"
            )
        data = await asyncio.to_thread(_workbook, found)
        for start in range(0, len(data), _PIECE):
            yield sheet_xlsx.MEDIA_TYPE, data[start : start + _PIECE]


def _workbook(found: Iterable[pb.Dataset]) -> bytes:
    return sheet_xlsx.write("政务信息资源目录", directory_cells.rows_of(found), directory_cells.WIDTHS)


def _read(data: bytes) -> tuple[str, Reading]:
    workbook = sheet_xlsx.read(data) if data.startswith(sheet_xlsx.MAGIC) else sheet_csv.read(data)
    return workbook.encoding, directory_entries.read(workbook)


def _violations(dataset_id: str, dataset: pb.Dataset) -> tuple[FieldViolation, ...]:
    """What the messages forbid; the contract of a registered dataset stays and was looked at."""
    try:
        validate(pb.CreateDatasetRequest(parent="departments/d", dataset_id=dataset_id, dataset=dataset))
    except InvalidArgument as error:
        return error.violations
    return ()


def _seen(name: DatasetName, dataset: pb.Dataset, owner: pb.Department) -> pb.Dataset:
    """A new dataset as callers see it."""
    dataset.name = str(name)
    dataset.provider, dataset.provider_code = owner.display_name, owner.provider_code
    dataset.contract_version = 1
    return dataset


def _refused(problems: Sequence[Remark]) -> DirectoryRefused:
    first = problems[0]
    more = f", and {len(problems) - 1:,} more" if len(problems) > 1 else ""
    return DirectoryRefused(
        f"{first.place} ({first.heading}): {first.text}{more}; nothing was imported",
        remedy="correct the named cells; a preview (validate_only) names all of them",
        facts={"problems": str(len(problems))},
        violations=tuple(
            FieldViolation("chunk", f"{p.place} {p.heading[:40]}: {p.text[:200]}"[:260])
            for p in problems[:_MAX_VIOLATIONS]
        ),
    )


def _response(
    department: str, made: Plan, encoding: str, *, validate_only: bool
) -> pb.ImportDirectoryResponse:
    new = sum(each.current is None for each in made.planned)
    return pb.ImportDirectoryResponse(
        validate_only=validate_only,
        created_count=new,
        changed_count=len(made.planned) - new,
        unchanged_count=made.unchanged,
        problem_count=len(made.problems),
        changes=[_change(department, each) for each in made.planned],
        problems=[_remark(each) for each in made.problems[:MAX_REMARKS]],
        notices=[_remark(each) for each in made.notices[:MAX_REMARKS]],
        encoding=encoding,
    )


def _change(department: str, each: Planned) -> pb.DirectoryChange:
    action = pb.DirectoryChange.ACTION_CHANGE if each.current else pb.DirectoryChange.ACTION_CREATE
    return pb.DirectoryChange(
        dataset=f"departments/{department}/datasets/{each.dataset_id}",
        display_name=each.dataset.display_name,
        action=action,
        changed_fields=each.changed,
        sheet=each.entry.heads.sheet,
        row=each.entry.first.number,
    )


def _remark(each: Remark) -> pb.CellRemark:
    return pb.CellRemark(
        sheet=each.sheet,
        row=each.row,
        column=each.column,
        heading=each.heading,
        text=each.text,
        remedy=each.remedy,
    )
