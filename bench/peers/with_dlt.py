"""dlt fed with Arrow batches by a resource: typed columns, a frozen contract.

Its `read_csv_duckdb` reader with `use_pyarrow` took about as long in single trials. dlt's contract is about
tables, columns and types of columns; a bad cell stops the reader before dlt sees the row.
"""

from __future__ import annotations

from collections.abc import Iterator

import dlt
import pyarrow as pa
from dlt.pipeline.exceptions import PipelineStepFailed
from pyarrow import csv

from bench.peers.arrow_csv import named_lines, options, reading
from bench.peers.job import Job, Outcome, main

_TYPES = {"INTEGER": "bigint", "NUMBER": "double", "STRING": "text"}


def load(job: Job) -> Outcome:
    """One load package into DuckDB, or into an Iceberg table in a local folder."""
    iceberg = job.destination == "iceberg"
    destination = (
        dlt.destinations.filesystem(f"file://{job.folder}/lake")
        if iceberg
        else dlt.destinations.duckdb(f"{job.folder}/air.duckdb")
    )
    pipeline = dlt.pipeline(
        "bench", destination=destination, dataset_name="city", pipelines_dir=f"{job.folder}/dlt"
    )
    resource = dlt.resource(
        _batches(job),
        name="air",
        columns=[{"name": name, "data_type": _TYPES[kind]} for _, name, kind in job.fields],
        schema_contract={"tables": "evolve", "columns": "freeze", "data_type": "freeze"},
        table_format="iceberg" if iceberg else None,
    )
    try:
        pipeline.run(resource, loader_file_format="parquet")
    except PipelineStepFailed as error:
        return Outcome(0, named_lines(str(error)), str(error).split("caused an exception: ")[-1])
    assert pipeline.last_trace.last_normalize_info is not None
    return Outcome(pipeline.last_trace.last_normalize_info.row_counts["air"])


def _batches(job: Job) -> Iterator[pa.RecordBatch]:
    names = [name for _, name, _ in job.fields]
    for batch in csv.open_csv(job.source, read_options=reading(job), convert_options=options(job)):
        yield batch.rename_columns(names)


if __name__ == "__main__":
    main("dlt", load)
