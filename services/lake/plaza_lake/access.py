"""What a read grant opens: the door of the one read path. Nothing here trusts the caller's word."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from plaza_kit.errors import FailedPrecondition, PermissionDenied
from plaza_kit.grants import GrantRefused, GrantVerifier, ReadGrant
from pyiceberg.table import Table

from plaza_lake.engine import planned_files
from plaza_lake.filter_text import parse_filter
from plaza_lake.ir import Aggregate, Expr, UnknownField, columns_of, conjunction, typecheck
from plaza_lake.schema import TableKind, TableSchema
from plaza_lake.tables import Lake, table_schema
from plaza_lake.versions import VersionInfo, find_version


class ColumnNotGranted(PermissionDenied):
    """The grant does not cover a field that was asked for; whether it exists is not told."""

    def __init__(self, field: str, granted: tuple[str, ...]) -> None:
        super().__init__(
            f"field {field!r} is not granted",
            remedy=f"Granted are: {', '.join(granted) or 'none of this version'}.",
            facts={"field": field},
        )


class MasksNotSupported(FailedPrecondition):
    """A grant asks for masks, and this reader cannot make them: rows in clear would break the promise."""


@dataclass(frozen=True, slots=True)
class Access:
    """A checked grant, and what it opens at one version of one table."""

    grant: ReadGrant
    version: VersionInfo
    schema: TableSchema
    """All columns of the version; the grant's own filter may use them."""
    granted: TableSchema
    """The columns that the reader may see, filter and sort by."""
    row_filter: Expr | None
    paths: tuple[str, ...]

    def check_names(self, names: tuple[str, ...]) -> None:
        """Raises `ColumnNotGranted`, or `UnknownField` where all columns are granted."""
        for name in names:
            if self.granted.column(name) is None:
                if self.grant.columns is None:
                    raise UnknownField(name, self.granted.names)
                raise ColumnNotGranted(name, self.granted.names)

    def check(self, node: Expr | Aggregate) -> None:
        """Every field granted, every value of the right type. Raises as `check_names`, and `TypeMismatch`."""
        self.check_names(tuple(columns_of(node)))
        typecheck(node, self.granted)

    def restricted(self, *wanted: Expr | None) -> Expr | None:
        """The reader's conditions (checked) and the grant's row filter, which always holds too."""
        for expr in wanted:
            if expr is not None:
                self.check(expr)
        return conjunction(self.row_filter, *wanted)


def open_grant(lake: Lake, verifier: GrantVerifier, token: str) -> Access:
    """Verifies the token and plans what it opens.

    Raises `GrantRefused`, `MasksNotSupported`, `TableNotFound`, `VersionNotFound`,
    `VersionExpired`, `ColumnNotGranted`.
    """
    grant = verifier.read(token)
    if grant.masks:
        raise MasksNotSupported(
            f"grant {grant.grant_id} asks for masks",
            remedy="Ask for a grant that leaves the masked fields out.",
        )
    table: Table = lake.load(grant.dataset, cast(TableKind, grant.table))
    version = find_version(table, grant.dataset, grant.version)
    snapshot = table.snapshot_by_id(version.snapshot_id)
    assert snapshot is not None, "the version was read from this snapshot"
    schema = table_schema(table, snapshot.schema_id)
    return Access(
        grant=grant,
        version=version,
        schema=schema,
        granted=_granted(grant, schema),
        row_filter=_row_filter(grant, schema),
        paths=tuple(planned_files(table, version.snapshot_id)),
    )


def _granted(grant: ReadGrant, schema: TableSchema) -> TableSchema:
    if grant.columns is None:
        return schema
    names = [name for name in schema.names if name in grant.columns]
    if not names:
        raise ColumnNotGranted(grant.columns[0], ())
    return schema.select(names)


def _row_filter(grant: ReadGrant, schema: TableSchema) -> Expr | None:
    """A row filter that this version cannot evaluate shuts the door."""
    try:
        return parse_filter(grant.row_filter, schema)
    except Exception as error:
        raise GrantRefused("row_filter", "the row filter of the grant cannot be applied here") from error


def check_renewal(verifier: GrantVerifier, token: str, current: ReadGrant) -> None:
    """Raises `GrantRefused` unless the token holds now and permits exactly what the current grant does."""
    renewed = verifier.read(token)
    same = replace(
        renewed, grant_id=current.grant_id, issued_at=current.issued_at, expires_at=current.expires_at
    )
    if same != current:
        raise GrantRefused("scope", "a renewed grant must permit the same as the one before")
