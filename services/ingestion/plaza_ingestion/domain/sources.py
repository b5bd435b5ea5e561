"""A source: what makes it one that can be pulled, what an update changes, and how far it was pulled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from google.protobuf.field_mask_pb2 import FieldMask
from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import ingestion_pb2, worker_pb2
from plaza.ingestion.v1 import sources_pb2 as pb
from plaza_kit.errors import FieldViolation, InvalidArgument
from plaza_kit.names import DepartmentId, parse_department
from plaza_lake.overwrite import LoadMode
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError

from plaza_ingestion.domain.pulled_times import contract_of_database
from plaza_ingestion.domain.schedules import check_schedule

SourceId = NewType("SourceId", str)

UPDATABLE: Final = (
    "display_name",
    "class",
    "source_system",
    "owner",
    "lawful_basis",
    "justification",
    "dataset",
    "mode",
    "http",
    "postgres",
    "schedule",
)
MODES: Final = {
    ingestion_pb2.LOAD_MODE_UNSPECIFIED: LoadMode.APPEND,
    ingestion_pb2.LOAD_MODE_APPEND: LoadMode.APPEND,
    ingestion_pb2.LOAD_MODE_REPLACE: LoadMode.REPLACE,
    ingestion_pb2.LOAD_MODE_UPSERT: LoadMode.UPSERT,
}


_SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_OWN_HEADERS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "range",
        "transfer-encoding",
    }
)


class SourceState(StrEnum):
    """Whether a source is pulled (`plaza.ingestion.v1.SourceState`)."""

    ACTIVE = "active"
    PAUSED = "paused"
    FAILING = "failing"


class BadSource(InvalidArgument):
    """The parts of a source contradict each other."""


class NotUpdatable(InvalidArgument):
    """The update names something that it cannot change."""


@dataclass(frozen=True, slots=True)
class SourceName:
    """`departments/{department}/sources/{source}`, taken apart."""

    department: DepartmentId
    source: SourceId

    @classmethod
    def parse(cls, name: str) -> SourceName:
        """Of a name whose form the request's rules have checked. Raises BadName for a wrong department."""
        prefix, _, source = name.rpartition("/sources/")
        return cls(parse_department(prefix), SourceId(source))

    def __str__(self) -> str:
        return f"departments/{self.department}/sources/{self.source}"


def definition(source: pb.Source) -> pb.Source:
    """What people registered, without what the service adds."""
    kept = pb.Source()
    for field, value in source.ListFields():
        if field.name in UPDATABLE:
            _put(kept, field.name, value)
    return kept


def etag_of(name: SourceName, revision: int) -> str:
    """Of one state of the registration."""
    return hashlib.sha256(f"{name}@{revision}".encode()).hexdigest()[:16]


def check_source(department: DepartmentId, source: pb.Source, now: datetime) -> None:
    """The rules between fields. Raises BadSource, BadSchedule."""
    violations = tuple(_violations(department, source))
    if violations:
        raise BadSource(
            f"{violations[0].field}: {violations[0].description}",
            remedy="correct the source and send it again",
            violations=violations,
        )
    if source.HasField("schedule"):
        check_schedule(source.schedule, now)


def _violations(department: str, source: pb.Source) -> Iterator[FieldViolation]:
    own = f"departments/{department}/"
    if not source.dataset.startswith(own):
        yield FieldViolation("source.dataset", f"is not of {own.rstrip('/')}")
    if source.source_system and not source.source_system.startswith(own):
        yield FieldViolation("source.source_system", f"is not of {own.rstrip('/')}")
    for name in ("owner", "lawful_basis", "justification"):
        if not getattr(source, name).strip():
            yield FieldViolation(f"source.{name}", "is empty: say it in words")
    for header in source.http.headers:
        if header.lower() in _SECRET_HEADERS:
            yield FieldViolation(
                f"source.http.headers[{header}]",
                "carries secrets: write it into the worker's folder of secrets and name it as the credential",
            )
        elif header.lower() in _OWN_HEADERS:
            yield FieldViolation(f"source.http.headers[{header}]", "is set by the worker itself")
    if source.HasField("postgres"):
        yield from _postgres_violations(source.postgres, MODES[source.mode])


def _postgres_violations(postgres: pb.PostgresConnector, mode: LoadMode) -> Iterator[FieldViolation]:
    place = "source.postgres"
    late = postgres.lateness.ToTimedelta().total_seconds() > 0
    if not postgres.watermark_column and mode is LoadMode.APPEND:
        yield FieldViolation(
            "source.mode",
            "cannot be append without a watermark_column: every pull reads all rows; use replace or upsert",
        )
    if postgres.watermark_column and mode is LoadMode.REPLACE:
        yield FieldViolation(
            "source.mode",
            "cannot be replace with a watermark_column: a pull brings new rows only; use upsert or append",
        )
    if late and not postgres.watermark_column:
        yield FieldViolation(f"{place}.lateness", "needs a watermark_column")
    if late and postgres.watermark_column and mode is not LoadMode.UPSERT:
        yield FieldViolation(
            f"{place}.lateness", "needs mode upsert: rows within it are read again, which must change nothing"
        )
    if postgres.WhichOneof("rows") == "query" and (words := _query_problem(postgres.query)):
        yield FieldViolation(f"{place}.query", words)


def _query_problem(query: str) -> str:
    """What is wrong with it; empty: nothing that can be seen from here."""
    try:
        tokens = Postgres().tokenize(query)
    except SqlglotError as error:
        return f"cannot be read: {str(error).splitlines()[0]}"
    while tokens and tokens[-1].token_type.name == "SEMICOLON":
        tokens.pop()
    if not tokens or tokens[0].token_type.name not in ("SELECT", "WITH"):
        return "does not begin with SELECT (or WITH)"
    if any(token.token_type.name == "SEMICOLON" for token in tokens):
        return "is more than one statement"
    return ""


def update_paths(mask: FieldMask, given: pb.Source) -> tuple[str, ...]:
    """The fields to change; an empty mask means all that are set (AIP-134), and what only the service writes is
    left alone (AIP-203). Raises NotUpdatable."""
    if not mask.paths:
        return tuple(field.name for field, _ in given.ListFields() if field.name in UPDATABLE)
    known = pb.Source.DESCRIPTOR.fields_by_name
    wrong = [path for path in mask.paths if path not in known]
    if wrong:
        raise NotUpdatable(
            f"update_mask: {wrong[0]!r} is not a field that changes as a whole",
            remedy=f"name some of {', '.join(UPDATABLE)}",
            violations=tuple(
                FieldViolation("update_mask", f"{path!r} is not such a field") for path in wrong
            ),
        )
    return tuple(path for path in mask.paths if path in UPDATABLE)


def merged(current: pb.Source, given: pb.Source, paths: tuple[str, ...]) -> pb.Source:
    """The current registration with some fields taken from another."""
    result = definition(current)
    for path in paths:
        result.ClearField(path)  # type: ignore[arg-type]  # one of UPDATABLE
    for field, value in given.ListFields():
        if field.name in paths:
            _put(result, field.name, value)
    return result


def _put(target: pb.Source, name: str, value: object) -> None:
    field = pb.Source.DESCRIPTOR.fields_by_name[name]
    if field.message_type is not None:
        getattr(target, name).CopyFrom(value)
    else:
        setattr(target, name, value)


def cursor_after_update(before: pb.Source, after: pb.Source, cursor: pb.PullCursor) -> pb.PullCursor:
    """What of a cursor still holds. It is empty when what is pulled, or where it goes, is another thing; where
    the same thing is got from (host, credential) does not matter to a watermark."""
    kept = pb.PullCursor()
    if _what(before) != _what(after):
        return kept
    kept.CopyFrom(cursor)
    if before.http.url != after.http.url:
        kept.ClearField("etag")
        kept.ClearField("last_modified")
    return kept


def _what(source: pb.Source) -> tuple[object, ...]:
    postgres = source.postgres
    rows = (postgres.table.schema or "public", postgres.table.table, postgres.query)
    return (
        source.dataset,
        MODES[source.mode],
        source.WhichOneof("connector"),
        rows,
        postgres.watermark_column,
    )


def changes_what(before: pb.Source, after: pb.Source) -> bool:
    """Whether a pull under way would bring something else than the source now says."""
    return (_what(before), before.http.url) != (_what(after), after.http.url)


def cursor_for_pull(cursor: pb.PullCursor, contract_version: int) -> pb.PullCursor:
    """As the worker gets it. Under a new contract the same file must be read again; rows of a database that went
    in under the old one stay, as rows of every earlier version do."""
    sent = pb.PullCursor()
    sent.CopyFrom(cursor)
    if cursor.contract_version != contract_version:
        sent.ClearField("etag")
        sent.ClearField("last_modified")
    return sent


def is_unchanged(cursor: pb.PullCursor, contract_version: int, sha256: str) -> bool:
    """Whether a file is the one that a pull without news brings: its rows are in already."""
    return bool(sha256) and (cursor.sha256, cursor.contract_version) == (sha256, contract_version)


def cursor_after_pull(told: pb.PullCursor, before: pb.PullCursor, contract_version: int) -> pb.PullCursor:
    """Where a source stands when a pull is in. What a worker leaves out (304 has no body, a pull without rows no
    watermark) stays as it was."""
    after = pb.PullCursor()
    after.CopyFrom(before)
    for field, value in told.ListFields():
        setattr(after, field.name, value)
    if told.sha256:
        # Validators belong to the file: a server that stopped sending one must not be asked with an old one.
        after.etag, after.last_modified = told.etag, told.last_modified
    after.contract_version = contract_version
    return after


def pulled_contract(source: pb.Source, contract: contract_pb2.Contract) -> contract_pb2.Contract:
    """The contract as a pull's file is read by it: rows of a database come as CSV in UTF-8, whatever files of
    this dataset look like, and with times as the worker writes them. Raises TimesAmbiguous."""
    if not source.HasField("postgres"):
        return contract
    kept = contract_of_database(contract)
    kept.format.Clear()
    kept.format.missing_values.extend(contract.format.missing_values)
    return kept


def pull_order(
    name: SourceName, source: pb.Source, cursor: pb.PullCursor, limit_bytes: int
) -> worker_pb2.PullOrder:
    """What the worker is told. `limit_bytes`: of any file of this installation."""
    order = worker_pb2.PullOrder(source=str(name), mode=source.mode, cursor=cursor, max_bytes=limit_bytes)
    if source.HasField("http"):
        order.http.CopyFrom(source.http)
        order.max_bytes = min(source.http.max_bytes or limit_bytes, limit_bytes)
    else:
        order.postgres.CopyFrom(source.postgres)
    return order
