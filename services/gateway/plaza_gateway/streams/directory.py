"""A department's directory as a spreadsheet: `POST …/directory:import` → the chunks of
`CatalogueService.ImportDirectory`, `GET …/directory:export` → `CatalogueService.ExportDirectory`."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.problems import problem
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.file_answers import AnswerKind
from plaza_gateway.streams.file_bodies import BodyKind
from plaza_gateway.transcode.endpoints import HandWritten

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES = (XLSX, "text/csv", "application/octet-stream")
SPREADSHEET = BodyKind(
    message=catalogue_pb2.ImportDirectoryRequest,
    header=catalogue_pb2.ImportDirectoryHeader,
    media_types=MEDIA_TYPES,
    wanted="the body must be the spreadsheet's own bytes, XLSX or CSV, not compressed for the way",
    remedy=f"Send the header Content-Type with one of {', '.join(MEDIA_TYPES)}.",
)


DIRECTORY_FILE = AnswerKind(
    catalogue_pb2.ExportDirectoryRequest,
    lambda request: f"{request.parent.rpartition('/')[2]}-directory.{request.format or 'xlsx'}",
)


def describe_import(operation: Schema, schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    answer = schemas.inline("plaza.catalogue.v1.ImportDirectoryResponse", "output")
    return operation | {
        "requestBody": {
            "required": True,
            "description": "The bytes of the spreadsheet, at least one, at most 20 MiB.",
            "content": {media_type: {"schema": {}} for media_type in MEDIA_TYPES},
        },
        "responses": operation["responses"]
        | {
            "200": {
                "description": "What was imported; with `validateOnly` what would be, and every problem.",
                "content": {"application/json": {"schema": answer}},
            },
            "408": problem("The body stood still"),
            "413": problem("The file is too large"),
            "415": problem("The body is no spreadsheet's bytes"),
        },
    }


def describe_export(operation: Schema, _schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    success = {
        "description": "The directory as a file",
        "content": {XLSX: {"schema": {}}, "text/csv": {"schema": {}}},
    }
    return operation | {"responses": operation["responses"] | {"200": success}}


IMPORT = HandWritten(
    rpc="plaza.catalogue.v1.CatalogueService.ImportDirectory",
    verb="POST",
    template="/api/v1/{parent=departments/*}/directory:import",
    face="internal",
    endpoint=SPREADSHEET.endpoint,
    carries="upload",
    request="plaza.catalogue.v1.ImportDirectoryHeader",
)
EXPORT = HandWritten(
    rpc="plaza.catalogue.v1.CatalogueService.ExportDirectory",
    verb="GET",
    template="/api/v1/{parent=departments/*}/directory:export",
    face="internal",
    endpoint=DIRECTORY_FILE.endpoint,
    carries="rows",
)
