"""Rows to messages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from plaza.common.v1 import grades_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.names import DatasetId, DatasetName, DepartmentId

from plaza_opendata.domain.releases import ReleaseName, State

Row = Mapping[Any, Any]
"""A row by column name (`row._mapping`)."""
PreviewCells = list[list[str | None]]
"""First rows, cells as text; None: there is no value."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as the database knows it."""

    file_name: str
    content_type: str
    size_bytes: int
    sha256: str
    sm3: str = ""
    """Empty for files that were made before it was taken."""
    proof_size_bytes: int = 0
    """0 until there is a proof."""
    proof_sha256: str = ""


def key_of(name: DatasetName) -> dict[str, Any]:
    return {"department": name.department, "dataset": name.dataset}


def name_of(row: Row) -> ReleaseName:
    return ReleaseName(DatasetName(DepartmentId(row["department"]), DatasetId(row["dataset"])), row["number"])


def etag_of(name: ReleaseName, revision: int) -> str:
    return hashlib.sha256(f"{name}@{revision}".encode()).hexdigest()[:16]


def release_of(row: Row) -> pb.Release:
    """The release as a caller sees it; the row has its files as JSON in `files`."""
    name = name_of(row)
    release = pb.Release(
        name=str(name),
        release=name.number,
        version=row["version"],
        state=pb.ReleaseState.Value(f"RELEASE_STATE_{row['state'].upper()}"),
        rows=row["row_count"],
        content_sha256=row["content_sha256"],
        files=[file_of(record_of(file)) for file in row["files"] or ()],
        score=row["score"],
        light=grades_pb2.Light.Value(f"LIGHT_{row['light'].upper()}"),
        ledger_index=row["ledger_index"],
        withdraw_reason=row["withdraw_reason"],
        error=row["error"],
        licence=row["licence"],
        etag=etag_of(name, row["revision"]),
    )
    if row["publish_time"] is not None:
        release.publish_time.CopyFrom(moment(row["publish_time"]))
    return release


def record_of(row: Row) -> FileRecord:
    return FileRecord(
        file_name=row["file_name"],
        content_type=row["content_type"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        sm3=row["sm3"],
        proof_size_bytes=row["proof_size_bytes"] or 0,
        proof_sha256=row["proof_sha256"] or "",
    )


def file_of(record: FileRecord) -> pb.ReleaseFile:
    return pb.ReleaseFile(
        file_name=record.file_name,
        content_type=record.content_type,
        size_bytes=record.size_bytes,
        sha256=record.sha256,
        sm3=record.sm3,
    )


def state_of(row: Row) -> State:
    return State(row["state"])


def open_dataset_of(snapshot: Mapping[str, Any]) -> pb.OpenDataset:
    """What was fixed when the release was approved."""
    shown: pb.OpenDataset = ParseDict(dict(snapshot), pb.OpenDataset(), ignore_unknown_fields=True)
    return shown


def preview_of(cells: PreviewCells) -> list[pb.PreviewRow]:
    return [
        pb.PreviewRow(cells=[pb.PreviewCell(text=cell or "", is_null=cell is None) for cell in row])
        for row in cells
    ]


def json_of(message: Message) -> str:
    return orjson.dumps(MessageToDict(message, preserving_proto_field_name=True)).decode()


def moment(value: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp
