"""The floor of the quality bench: an engine reads every value and hashes it."""

from __future__ import annotations

import duckdb

from bench.quality_job import Job, Outcome, main


def read(job: Job) -> Outcome:
    """Two threads, as in a service."""
    with duckdb.connect(config={"threads": "2"}) as connection:
        files = [str(path) for path in job.files]
        connection.execute("SELECT bit_xor(hash(COLUMNS(*))) FROM read_parquet($1)", [files]).fetchall()
    return Outcome({})


if __name__ == "__main__":
    main("duckdb", read)
