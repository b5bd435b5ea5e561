"""Plaza's own core, without the suite: the worker judges and stages, the lake commits one version."""

from __future__ import annotations

import pyarrow.parquet as pq
from plaza_ingestion.worker.load import run_load
from plaza_ingestion.worker.plan import BuildTimestamp, FieldSpec, LoadPlan
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake, LakeSettings
from plaza_lake.write import StagedFile, commit_batch

from bench.peers.job import Job, Outcome, main


def load(job: Job) -> Outcome:
    """One version of the accepted rows; the refused ones are staged with line, field, reason and bytes."""
    plan = _plan(job)
    staged = job.folder / "staged"
    manifest = run_load(plan, job.source, staged, progress=lambda _: None, cancelled=lambda: False)
    columns = (Column(spec.name, FieldType(spec.type), plan.is_required(spec)) for spec in plan.fields)
    accepted = manifest.files.accepted
    file = StagedFile(f"file://{staged / accepted.name}", accepted.rows, accepted.bytes, accepted.sha256)
    lake = Lake(LakeSettings(catalog_url=job.destination, warehouse=str(job.folder / "warehouse")))
    try:
        dataset = f"departments/ecology/datasets/{job.folder.name}"
        version = commit_batch(lake, dataset, TableSchema(tuple(columns), plan.key), "batch-1", [file])
    finally:
        lake.close()
    refused = pq.read_table(staged / manifest.files.refused.name, columns=["line"])
    return Outcome(version.total_rows, tuple(refused.column("line").to_pylist()))


def _plan(job: Job) -> LoadPlan:
    specs = (
        FieldSpec(name, heading, kind.lower(), required=heading in job.key, missing=("NA",))
        for heading, name, kind in job.fields
    )
    names = {heading: name for heading, name, _ in job.fields}
    return LoadPlan(
        fields=(*specs, FieldSpec("time", "", "timestamp", required=True)),
        key=tuple(names[heading] for heading in job.key),
        steps=(BuildTimestamp("time", "year", "month", "day", "hour"),),
    )


if __name__ == "__main__":
    main("plaza-ingestion", load)
