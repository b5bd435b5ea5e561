"""What the OpenAPI document says of routes that give out rows, beyond what is generated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.rows import FORMATS


def describe(operation: Schema, _schemas: Schemas) -> Schema:
    """Makes the generated operation of a department's rows true."""
    return _described(
        operation,
        {
            "Plaza-Agreement": "The agreement it was read under; not there for one's own data.",
            "Plaza-Delivery": "The delivery that these rows are part of.",
            "Plaza-Held-Back": "A newer version that the dataset's gate holds back, and why: `7; checking`, or"
            " `7; rules=` with the ids of the rules that stop it.",
            "Plaza-Content-Sha256": "SHA-256 over the canonical rows of a JSON page, hexadecimal.",
        },
    )


def describe_open(operation: Schema, _schemas: Schemas) -> Schema:
    """Makes the generated operation of a release's rows true."""
    described = _described(
        operation,
        {
            "Plaza-Release": "Number of the release; the same request has the same bytes while it is open.",
            "ETag": "SHA-256 of a JSON page.",
        },
    )
    known = {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The entity tag of a copy of a JSON page; 304 when it is still good.",
        "schema": {"type": "string"},
    }
    answers = described["responses"] | {"304": {"description": "The caller's copy is still good"}}
    return described | {"parameters": [*described["parameters"], known], "responses": answers}


def _described(operation: Schema, headers: Mapping[str, str]) -> Schema:
    parameters = [_parameter(each) for each in operation["parameters"]]
    page = {
        "type": "object",
        "required": ["version", "columns", "rows", "nextPageToken"],
        "properties": {
            "version": {"type": "integer"},
            "columns": {"type": "array", "items": {"type": "string"}},
            "rows": {"type": "array", "items": {"type": "array"}},
            "nextPageToken": {"type": "string", "description": "Empty on the last page."},
        },
    }
    text = {"type": "string"}
    success = {
        "description": "The rows. A table that cannot be completed ends with a broken connection.",
        "headers": {
            "Plaza-Version": _header("The version that was read."),
            "Plaza-Rows": _header("Rows of a JSON page."),
            **{name: _header(text) for name, text in headers.items()},
            "Link": _header('The next page of JSON, `rel="next"`.'),
            "Content-Disposition": _header("Name of the file; of all forms but JSON."),
        },
        "content": {
            "application/json": {"schema": page},
            "text/csv": {"schema": text},
            "application/jsonl": {"schema": text},
            "application/x-ndjson": {"schema": text},
            "application/vnd.apache.parquet": {"schema": {}},
            "application/vnd.apache.arrow.stream": {"schema": {}},
        },
    }
    return operation | {"parameters": parameters, "responses": operation["responses"] | {"200": success}}


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    if parameter["name"] == "format":
        form = {"type": "string", "enum": list(FORMATS)}
        return {
            "name": "format",
            "in": "query",
            "required": False,
            "description": "`json`: one page. `csv`, `jsonl`, `parquet`, `arrow` (IPC stream): all rows. Without it "
            "what `Accept` asks for, else `json`.",
            "schema": form,
        }
    if parameter["name"] == "version" and parameter["in"] == "path":
        return parameter | {
            "description": "The version; its rows never change.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        }
    if parameter["name"] == "columns":
        items = {"type": "string", "pattern": "^[^,]+(,[^,]+)*$"}
        text = f"{parameter['description']} Repeated, or separated by commas."
        return parameter | {"description": text, "schema": parameter["schema"] | {"items": items}}
    return parameter


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "required": False, "schema": {"type": "string"}}
