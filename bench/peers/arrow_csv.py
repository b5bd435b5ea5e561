"""The file read by Arrow with its declared types: what dlt and PyIceberg are both fed with."""

from __future__ import annotations

import re

import pyarrow as pa
from pyarrow import csv

from bench.peers.job import Job

_TYPES = {"INTEGER": pa.int64(), "NUMBER": pa.float64(), "STRING": pa.string()}
_BLOCK = 8 << 20


def options(job: Job) -> csv.ConvertOptions:
    """Typed columns; `NA` and the empty cell are missing."""
    types = {heading: _TYPES[kind] for heading, _, kind in job.fields}
    return csv.ConvertOptions(column_types=types, null_values=["NA", ""], strings_can_be_null=True)


def reading(job: Job) -> csv.ReadOptions:
    """Arrow counts rows only when it reads with one thread."""
    return csv.ReadOptions(block_size=_BLOCK, use_threads=not job.exact)


def named_lines(message: str) -> tuple[int, ...]:
    """The lines that an error names. Arrow counts rows with the header as row 1, where it counts at all."""
    return tuple(int(number) for number in re.findall(r"\b[Rr]ow #(\d+)", message))
