"""Rows to messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import grades_pb2
from plaza_kit.names import DatasetId, DatasetName, DepartmentId

Row = Mapping[Any, Any]
"""A row by column name (`row._mapping`)."""


def department_of(row: Row) -> pb.Department:
    return pb.Department(
        name=f"departments/{row['department']}",
        display_name=row["display_name"],
        display_name_en=row["display_name_en"],
        provider_code=row["provider_code"],
        dataset_count=row["dataset_count"],
        etag=row["etag"],
        state=department_state(row["state"]),
        metadata_version=row["metadata_version"],
        create_time=moment(row["create_time"]),
        update_time=moment(row["update_time"] or row["create_time"]),
    )


def department_state(word: str) -> pb.DepartmentState.ValueType:
    return pb.DepartmentState.Value(f"DEPARTMENT_STATE_{word.upper()}")


def name_of(row: Row) -> DatasetName:
    return DatasetName(DepartmentId(row["department"]), DatasetId(row["dataset"]))


def dataset_of(row: Row) -> pb.Dataset:
    """The dataset as a caller sees it."""
    name = name_of(row)
    dataset: pb.Dataset = ParseDict(row["metadata"], pb.Dataset(), ignore_unknown_fields=True)
    dataset.name = str(name)
    dataset.provider = row["provider"]
    dataset.provider_code = row["provider_code"]
    dataset.source_system_title = row["source_system_title"] or ""
    ParseDict(row["contract"], dataset.contract, ignore_unknown_fields=True)
    dataset.state = pb.DATASET_STATE_REGISTERED
    dataset.publication_date = row["publication_date"].isoformat()
    dataset.contract_version = row["contract_version"]
    dataset.metadata_version = row["metadata_version"]
    dataset.create_time.CopyFrom(moment(row["create_time"]))
    dataset.update_time.CopyFrom(moment(row["update_time"]))
    dataset.etag = row["etag"]
    dataset.latest_release = row["latest_release"]
    if row["latest"] is not None:
        dataset.latest_version.CopyFrom(version_of(_latest(row)))
    return dataset


def _latest(row: Row) -> dict[str, Any]:
    """PostgreSQL's `to_jsonb` of a versions row, with its time as a time again."""
    latest = dict(row["latest"])
    times = {
        name: datetime.fromisoformat(latest[name]) if latest[name] else None
        for name in ("commit_time", "expire_time")
    }
    return latest | times


def version_of(row: Row) -> pb.Version:
    version = pb.Version(
        name=f"{name_of(row)}/versions/{row['version']}",
        version=row["version"],
        rows=row["rows"],
        rows_added=row["rows_added"],
        rows_refused=row["rows_refused"],
        batch=row["batch"],
        contract_version=row["contract_version"],
        commit_time=moment(row["commit_time"]),
        light=grades_pb2.Light.Value(f"LIGHT_{(row['light'] or 'unspecified').upper()}"),
    )
    if row["score"] is not None:
        version.score = float(row["score"])
    version.state = pb.VERSION_STATE_COMMITTED
    if row["expire_time"] is not None:
        version.state = pb.VERSION_STATE_EXPIRED
        version.expire_time.CopyFrom(moment(row["expire_time"]))
        version.expire_rule = row["expire_rule"]
    return version


def metadata_version_of(row: Row) -> pb.MetadataVersion:
    return pb.MetadataVersion(
        version=row["version"],
        author=row["author"],
        create_time=moment(row["create_time"]),
        changed_fields=row["changed_fields"],
        name=f"{name_of(row)}/metadataVersions/{row['version']}",
        contract_version=row["contract_version"],
    )


def json_of(message: Message) -> str:
    """A message as it is kept in a column."""
    return orjson.dumps(MessageToDict(message, preserving_proto_field_name=True)).decode()


def moment(value: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp
