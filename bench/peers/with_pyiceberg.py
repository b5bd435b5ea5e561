"""PyIceberg alone: Arrow reads the file, one append commits it. The floor of a committed version: nothing judged."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import csv
from pyiceberg.catalog.sql import SqlCatalog

from bench.peers.arrow_csv import named_lines, options, reading
from bench.peers.job import Job, Outcome, main


def load(job: Job) -> Outcome:
    """One snapshot of the file in a catalog in SQLite."""
    try:
        table = csv.read_csv(job.source, read_options=reading(job), convert_options=options(job))
    except pa.ArrowInvalid as error:
        return Outcome(0, named_lines(str(error)), str(error))
    table = table.rename_columns([name for _, name, _ in job.fields])
    uri, warehouse = f"sqlite:///{job.folder}/catalog.db", f"file://{job.folder}/warehouse"
    catalog = SqlCatalog("bench", uri=uri, warehouse=warehouse)
    catalog.create_namespace("city")
    target = catalog.create_table("city.air", schema=table.schema)
    target.append(table)
    snapshot = catalog.load_table("city.air").current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    return Outcome(int(snapshot.summary["total-records"] or 0))


if __name__ == "__main__":
    main("pyiceberg", load)
