"""A release as a Data Package (Frictionless Data, version 1): its files with hashes, fields and licence."""

from __future__ import annotations

from typing import Any, Final

from plaza.common.v1 import contract_pb2
from plaza.opendata.v1 import opendata_pb2 as pb

from plaza_opendata.domain.releases import ReleaseName

_TYPES: Final = {
    contract_pb2.FIELD_TYPE_INTEGER: "integer",
    contract_pb2.FIELD_TYPE_NUMBER: "number",
    contract_pb2.FIELD_TYPE_BOOLEAN: "boolean",
    contract_pb2.FIELD_TYPE_DATE: "date",
    contract_pb2.FIELD_TYPE_TIMESTAMP: "datetime",
}


def data_package(name: ReleaseName, release: pb.Release, shown: pb.OpenDataset) -> dict[str, Any]:
    """Paths are relative to the address `…/releases/{release}/datapackage.json`. What nobody wrote is left out."""
    dataset = name.dataset
    described = {
        "profile": "data-package",
        "name": f"{dataset.department}-{dataset.dataset}-r{name.number}",
        "title": shown.display_name,
        "description": shown.description,
        "version": str(release.version),
        "created": release.publish_time.ToJsonString(),
        "keywords": list(shown.keywords),
        "licenses": [{"name": release.licence}] if release.licence else [],
        "contributors": [{"title": shown.department_display_name, "role": "publisher"}],
        "resources": [_resource(file, shown.contract) for file in release.files],
    }
    return {key: value for key, value in described.items() if value}


def _resource(file: pb.ReleaseFile, contract: contract_pb2.Contract) -> dict[str, Any]:
    form = file.file_name.rpartition(".")[2]
    described = {
        "name": file.file_name.replace(".", "-"),
        "path": f"files/{file.file_name}",
        "format": form,
        "mediatype": file.content_type.partition(";")[0],
        "bytes": file.size_bytes,
        "hash": f"sha256:{file.sha256}",
        "sm3": file.sm3,
    }
    if form == "csv":
        described |= {"profile": "tabular-data-resource", "encoding": "utf-8", "schema": _schema(contract)}
    else:
        # It tells its own fields. As a plain file its hash is checked also by programs that cannot read it.
        described |= {"profile": "data-resource", "type": "file"}
    return {key: value for key, value in described.items() if value}


def _schema(contract: contract_pb2.Contract) -> dict[str, Any]:
    described = {"fields": [_field(field) for field in contract.fields], "missingValues": [""]}
    return described | ({"primaryKey": list(contract.key)} if contract.key else {})


def _field(field: contract_pb2.Field) -> dict[str, Any]:
    described = {
        "name": field.name,
        "type": _TYPES.get(field.type, "string"),
        "title": field.title,
        "description": field.description,
        "unit": field.unit,
        "constraints": {"required": True} if field.required else {},
    }
    return {key: value for key, value in described.items() if value}
