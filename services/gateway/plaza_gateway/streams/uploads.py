"""A file's bytes in: the body of `POST …/uploads` → the chunks of `IngestionService.UploadFile`."""

from __future__ import annotations

from plaza.ingestion.v1 import ingestion_pb2

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.problems import problem
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.file_bodies import BodyKind
from plaza_gateway.transcode.endpoints import HandWritten

MEDIA_TYPE = "application/octet-stream"
UPLOAD = BodyKind(
    message=ingestion_pb2.UploadFileRequest,
    header=ingestion_pb2.UploadHeader,
    media_types=(MEDIA_TYPE,),
    wanted=f"the body must be the file's own bytes as {MEDIA_TYPE}, not compressed for the way",
    remedy=f"Send the header Content-Type: {MEDIA_TYPE} whatever the file is.",
)


def describe(operation: Schema, schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    upload = schemas.inline("plaza.ingestion.v1.Upload", "output")
    success = {
        "description": "The file was received whole.",
        "content": {"application/json": {"schema": upload}},
    }
    return operation | {
        "requestBody": {
            "required": True,
            "description": "The bytes of the file, at least one.",
            "content": {MEDIA_TYPE: {"schema": {}}},
        },
        "responses": operation["responses"]
        | {
            "200": success,
            "408": problem("The body stood still"),
            "413": problem("The file is too large"),
            "415": problem("The body is not the bytes of a file"),
        },
    }


ROUTE = HandWritten(
    rpc="plaza.ingestion.v1.IngestionService.UploadFile",
    verb="POST",
    template="/api/v1/{parent=departments/*}/uploads",
    face="internal",
    endpoint=UPLOAD.endpoint,
    carries="upload",
    request="plaza.ingestion.v1.UploadHeader",
)
