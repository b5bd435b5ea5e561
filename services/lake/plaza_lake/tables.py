"""Where the tables of a dataset are: names in the catalog, folders in the warehouse; open and make them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy.exc
from plaza_kit.errors import InvalidArgument, NotFound, Unavailable
from plaza_kit.objects.s3 import s3_errors
from plaza_kit.objects.settings import S3Place
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.io import FileIO
from pyiceberg.table import Table, TableProperties
from pyiceberg.typedef import EMPTY_DICT, Properties
from sqlalchemy import select, text
from sqlalchemy.engine import make_url

from plaza_lake.file_io import LakeFileIO, catalog_properties
from plaza_lake.files import FILE, S3, Files, files_at, local_path, locked
from plaza_lake.instances import Instances
from plaza_lake.kept_columns import KeptColumns
from plaza_lake.schema import TableKind, TableSchema, iceberg_schema, schema_from_iceberg

CATALOG_NAME: Final = "plaza"
_TABLES_KNOWN: Final = 64
"""Metadata of so many tables are held in memory: up to a few MB each."""
KEY_PROPERTY: Final = "plaza.key"
"""Table property: the key's field names, a JSON list. Iceberg's identifier fields know no order."""
_INSTANCES_KEPT: Final = 8
"""DuckDB instances, one for each set of files that is being asked about."""
_ASK_AGAIN_SECONDS: Final = 0.2
_SESSION: Final = "-csearch_path=lake -clock_timeout=5000 -cstatement_timeout=30000"
_DATASET: Final = re.compile(r"departments/([a-z][a-z0-9-]{0,62})/datasets/([a-z][a-z0-9-]{0,62})")


class InvalidDatasetName(InvalidArgument):
    """Not the resource name of a dataset."""


class TableNotFound(NotFound):
    """Nothing was ever committed to this table."""

    def __init__(self, dataset: str, table: TableKind) -> None:
        what = "rows" if table == "rows" else "quarantined rows"
        super().__init__(
            f"{dataset} has no {what} yet",
            remedy="Load a file first." if table == "rows" else "No row was refused so far.",
            facts={"dataset": dataset, "table": table},
        )


class LakeUnavailable(Unavailable):
    """The catalog's database does not answer."""


class UnsupportedWarehouse(InvalidArgument):
    """The warehouse lies where no engine of ours can read."""


@dataclass(frozen=True, slots=True)
class LakeSettings:
    """Where the lake is, and what one query may use."""

    catalog_url: str = field(repr=False)
    """`postgresql+psycopg2://…`; tables are looked for in schema `lake` unless the URL sets `options`."""
    warehouse: str
    """A local path, `file://` URI or `s3://bucket[/prefix]` under which all departments' folders lie."""
    create_catalog: bool = True
    """Make the catalog's two tables if they are missing. Off for services that only read."""
    memory_limit: str = "1GB"
    """Of the queries about one version at a time; beyond it DuckDB spills to `temp_directory`."""
    threads: int = 2
    """Of the queries about one version at a time."""
    column_memory: int = 192 << 20
    """Bytes of decoded columns that are kept for pages of rows; 0: none are."""
    temp_directory: str | None = None
    """None: a private directory in the system's temporary folder. Spilled rows are the data's grade."""
    s3: S3Place | None = None
    """How S3 is reached; needed only there."""


class DatasetName(NamedTuple):
    """The two slugs of `departments/{department}/datasets/{dataset}`."""

    department: str
    dataset: str


def parse_dataset(name: str) -> DatasetName:
    """Raises `InvalidDatasetName`."""
    match = _DATASET.fullmatch(name)
    if match is None:
        raise InvalidDatasetName(
            f"{name!r} is not the name of a dataset",
            remedy="Write departments/{department}/datasets/{dataset} with slugs of a-z, 0-9 and hyphens.",
        )
    return DatasetName(match[1], match[2])


def identifier(dataset: str, table: TableKind) -> tuple[str, str]:
    """Namespace and table in the catalog: `ecology` and `air-quality` or `air-quality__quarantine`."""
    name = parse_dataset(dataset)
    return (name.department, name.dataset if table == "rows" else f"{name.dataset}__quarantine")


class Lake:
    """The catalog and the warehouse. Safe to share between threads; close it at the end.

    Nothing is opened before the first use, so that a service starts while its database is still away.
    """

    def __init__(self, settings: LakeSettings) -> None:
        self.settings = settings
        self._warehouse = _warehouse_uri(settings.warehouse)
        self._lock = threading.Lock()
        self._catalog: _Catalog | None = None
        self._spill: Path | None = None
        self.files: Files = files_at(self._warehouse, settings.s3)
        """Everything that lies in the warehouse."""
        self.instances = Instances(_INSTANCES_KEPT)
        """For `engine` alone."""
        self.columns = KeptColumns(settings.column_memory)
        """For `read` alone."""
        self.page_turns = threading.BoundedSemaphore(settings.threads)
        """Pages of rows that are made from columns in memory at a time."""
        self.scan_turns = threading.BoundedSemaphore(settings.threads)
        """Pages of rows for which files are read at a time: those may take seconds, and keep no other waiting."""

    def __repr__(self) -> str:
        return f"Lake({self._warehouse})"

    def location(self, dataset: str, table: TableKind) -> str:
        """The folder of a table: `<warehouse>/<department>/<dataset>/rows` or `…/quarantine`."""
        name = parse_dataset(dataset)
        return f"{self._warehouse}/{name.department}/{name.dataset}/{table}"

    def verdicts_location(self, dataset: str) -> str:
        """The folder of what quality keeps for each row: `<warehouse>/_quality/verdicts/<department>/<dataset>`. Below
        the warehouse, not in the department's own folder: no department begins so, and none of its keys opens it."""
        name = parse_dataset(dataset)
        return f"{self._warehouse}/_quality/verdicts/{name.department}/{name.dataset}"

    def load(self, dataset: str, table: TableKind = "rows") -> Table:
        """The table as it is now. Raises `TableNotFound`, `LakeUnavailable`."""
        with catalog_errors():
            try:
                return self._open_catalog().load_table(identifier(dataset, table))
            except NoSuchTableError as error:
                raise TableNotFound(dataset, table) from error

    def load_or_create(self, dataset: str, table: TableKind, schema: TableSchema) -> Table:
        """The table, made empty if it is not there; whoever else makes it at the same time is welcome."""
        try:
            return self.load(dataset, table)
        except TableNotFound:
            return self._create(dataset, table, schema)

    @contextmanager
    def shared(self, dataset: str, table: TableKind) -> Iterator[None]:
        """While files are on their way into a table: the sweep keeps off."""
        with self._locked(dataset, table, exclusive=False):
            yield

    @contextmanager
    def alone(self, dataset: str, table: TableKind) -> Iterator[bool]:
        """While files are removed; says whether nobody else is there. Not waited for."""
        with self._locked(dataset, table, exclusive=True) as held:
            yield held

    @contextmanager
    def _locked(self, dataset: str, table: TableKind, *, exclusive: bool) -> Iterator[bool]:
        """Where the files are: a lock file beside the folder; for S3, which has none, a lock of the catalog's."""
        if self._warehouse.startswith(FILE):
            folder = local_path(self.location(dataset, table))
            with locked(folder.with_name(f".{table}.lock"), exclusive=exclusive) as held:
                yield held
        else:
            with (
                catalog_errors(),
                self._open_catalog().locked(self.location(dataset, table), exclusive=exclusive) as held,
            ):
                yield held

    def _create(self, dataset: str, table: TableKind, schema: TableSchema) -> Table:
        name = identifier(dataset, table)
        iceberg = iceberg_schema(schema)
        with catalog_errors():
            catalog = self._open_catalog()
            # Another writer may make namespace or table between the look and the insert.
            with suppress(NamespaceAlreadyExistsError, sqlalchemy.exc.IntegrityError):
                catalog.create_namespace_if_not_exists(name[0])
            with suppress(TableAlreadyExistsError):
                catalog.create_table(
                    name,
                    schema=iceberg,
                    location=self.location(dataset, table),
                    properties={
                        TableProperties.FORMAT_VERSION: "2",
                        # PyIceberg's own retry commits a batch twice: it never asks whether it is in already.
                        TableProperties.COMMIT_NUM_RETRIES: "0",
                        # DuckDB writes no field ids; readers find columns by these names.
                        TableProperties.DEFAULT_NAME_MAPPING: iceberg.name_mapping.model_dump_json(),
                        TableProperties.METADATA_DELETE_AFTER_COMMIT_ENABLED: "true",
                        # Each is named in the next file of metadata, which every commit writes whole.
                        TableProperties.METADATA_PREVIOUS_VERSIONS_MAX: "20",
                        "write.delete.mode": "copy-on-write",
                        "write.update.mode": "copy-on-write",
                        "write.merge.mode": "copy-on-write",
                        KEY_PROPERTY: json.dumps(schema.key),
                    },
                )
        return self.load(dataset, table)

    def spill_directory(self) -> str:
        """Where queries that outgrow their memory put rows: a directory that only this user can read."""
        if self.settings.temp_directory is not None:
            return self.settings.temp_directory
        with self._lock:
            if self._spill is None:
                self._spill = Path(tempfile.mkdtemp(prefix="plaza-lake-"))
            return str(self._spill)

    def close(self) -> None:
        """Ends database connections and removes what queries spilled."""
        self.instances.close()
        self.files.store.close()
        with self._lock:
            if self._catalog is not None:
                self._catalog.close()
                self._catalog = None
            if self._spill is not None:
                shutil.rmtree(self._spill, ignore_errors=True)
                self._spill = None

    def _open_catalog(self) -> _Catalog:
        with self._lock:
            if self._catalog is None:
                self._catalog = _sql_catalog(self.settings, self._warehouse, self.files)
            return self._catalog


def table_schema(table: Table, schema_id: int | None = None) -> TableSchema:
    """The columns and key of a table, now or under an older Iceberg schema."""
    iceberg = table.schema() if schema_id is None else table.schemas()[schema_id]
    return schema_from_iceberg(iceberg, tuple(json.loads(table.properties.get(KEY_PROPERTY, "[]"))))


@contextmanager
def catalog_errors() -> Iterator[None]:
    """Database failures inside become `LakeUnavailable`, those of S3 `StoreUnavailable`: the same request may
    succeed soon."""
    try:
        with s3_errors("the lake's metadata"):
            yield
    except sqlalchemy.exc.DBAPIError as error:
        raise LakeUnavailable(
            f"the lake's catalog does not answer: {type(error.orig).__name__}",
            remedy="Check that PostgreSQL runs, that schema lake exists and that this role may use it.",
        ) from error


class _Catalog(SqlCatalog):
    """Reads the file of a table's metadata once: files never change, and the catalog's row says which is new.

    Every reading and every commit loads the table several times over.
    """

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self._file_io = LakeFileIO(properties)
        self._known: OrderedDict[tuple[str, ...], Table] = OrderedDict()
        self._guard = threading.Lock()

    def load_table(self, identifier: str | tuple[str, ...]) -> Table:
        name = self.identifier_to_tuple(identifier)
        with self._guard:
            known = self._known.get(name)
        if known is None or known.metadata_location != self._location(name):
            known = super().load_table(identifier)
            with self._guard:
                self._known[name] = known
                self._known.move_to_end(name)
                while len(self._known) > _TABLES_KNOWN:
                    self._known.popitem(last=False)
        # A handle of the caller's own: PyIceberg moves it on after a commit. Metadata are never changed in place.
        return Table(known.name(), known.metadata, known.metadata_location, known.io, self)

    @contextmanager
    def locked(self, name: str, *, exclusive: bool) -> Iterator[bool]:
        """As `files.locked`, under a connection that does nothing else; the server lets go of it with that."""
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        kind = "" if exclusive else "_shared"
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            ask = text(f"SELECT pg_try_advisory_lock{kind}(:number)").bindparams(number=number)
            while not (held := bool(connection.execute(ask).scalar_one())) and not exclusive:
                time.sleep(_ASK_AGAIN_SECONDS)
            try:
                yield held
            finally:
                if held:
                    let_go = text(f"SELECT pg_advisory_unlock{kind}(:number)").bindparams(number=number)
                    try:
                        connection.execute(let_go)
                    except sqlalchemy.exc.DBAPIError:
                        connection.invalidate()  # the server lets go of it with the connection

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        # One for all tables, and never the one that a table's own properties name.
        return self._file_io

    def _location(self, name: tuple[str, ...]) -> str | None:
        asked = select(IcebergTables.metadata_location).where(
            IcebergTables.catalog_name == self.name,
            IcebergTables.table_namespace == self.namespace_to_string(name[:-1]),
            IcebergTables.table_name == name[-1],
        )
        with self.engine.connect() as connection:
            return connection.execute(asked).scalar_one_or_none()


def _sql_catalog(settings: LakeSettings, warehouse: str, files: Files) -> _Catalog:
    url = make_url(settings.catalog_url)
    if "options" not in url.query:
        url = url.update_query_dict({"options": _SESSION})
    properties = {
        "uri": url.render_as_string(hide_password=False),
        "warehouse": warehouse,
        "pool_pre_ping": "true",
        "init_catalog_tables": "true" if settings.create_catalog else "false",
        **catalog_properties(files),
    }
    try:
        return _Catalog(CATALOG_NAME, **properties)
    except (sqlalchemy.exc.ProgrammingError, sqlalchemy.exc.IntegrityError):
        # Two processes made the catalog's tables at once; the second finds them now.
        return _Catalog(CATALOG_NAME, **properties)


def _warehouse_uri(warehouse: str) -> str:
    scheme, _, rest = warehouse.partition("://") if "://" in warehouse else ("file", "", warehouse)
    if scheme == "s3" and re.fullmatch(r"[a-z0-9.-]+(/[A-Za-z0-9._-]+)*/?", rest):
        return f"{S3}{rest.rstrip('/')}"
    if scheme != "file" or any(sign in rest for sign in "*?["):
        raise UnsupportedWarehouse(
            f"warehouse {warehouse!r} cannot be used",
            remedy="Give s3://bucket[/prefix], or a local path without the signs * ? [ (DuckDB would take them for"
            " patterns).",
        )
    return f"file://{Path(rest).absolute()}"
