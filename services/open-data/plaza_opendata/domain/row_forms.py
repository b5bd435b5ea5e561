"""The forms in which rows of a release leave."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from plaza.opendata.v1 import opendata_pb2 as pb


class Form(StrEnum):
    """The values are the ends of file names."""

    JSON = "json"
    """One page; all others are whole tables."""
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"


FORMS: Final = {
    pb.RELEASE_ROW_FORMAT_UNSPECIFIED: Form.JSON,
    **{pb.ReleaseRowFormat.Value(f"RELEASE_ROW_FORMAT_{form.upper()}"): form for form in Form},
}
