"""Between the words of the protos and those of the core: contract → plan, results → messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import ingestion_pb2, worker_pb2
from plaza_kit.errors import PlazaError

from plaza_ingestion.domain.quarantine import OWN_COLUMNS
from plaza_ingestion.worker import infer, load
from plaza_ingestion.worker.convert import quoted
from plaza_ingestion.worker.field_proposals import FieldProposal
from plaza_ingestion.worker.plan import FieldSpec, LoadPlan
from plaza_ingestion.worker.staging import StagedFile
from plaza_ingestion.worker.steps.declared import targets
from plaza_ingestion.worker.translate_rules import refusing_rules
from plaza_ingestion.worker.translate_steps import declared_step, proposed_step

_TYPES: Final[dict[contract_pb2.FieldType.ValueType, str]] = {
    contract_pb2.FIELD_TYPE_STRING: "string",
    contract_pb2.FIELD_TYPE_INTEGER: "integer",
    contract_pb2.FIELD_TYPE_NUMBER: "number",
    contract_pb2.FIELD_TYPE_BOOLEAN: "boolean",
    contract_pb2.FIELD_TYPE_DATE: "date",
    contract_pb2.FIELD_TYPE_TIMESTAMP: "timestamp",
}
_TYPE_VALUES: Final = {name: value for value, name in _TYPES.items()}
_HEADINGS_SHOWN: Final = 20


def load_plan(contract: contract_pb2.Contract, entry: str = "") -> LoadPlan:
    """The plan that a contract means; `entry`: for that file of an archive. Raises `InvalidPlan` when it
    contradicts itself."""
    steps = tuple(declared_step(step) for step in contract.steps)
    built = set(targets(steps))
    everywhere = contract.format.missing_values
    return LoadPlan(
        fields=tuple(_field(field, built, everywhere) for field in contract.fields),
        key=tuple(contract.key),
        steps=steps,
        delimiter=contract.format.delimiter or ("\t" if contract.format.type == "tsv" else ","),
        type=contract.format.type or "csv",
        encoding=contract.format.encoding,
        sheet=contract.format.sheet,
        record_path=contract.format.record_path,
        entry=entry,
        refusing=tuple(refusing_rules(contract)),
    )


def _field(field: contract_pb2.Field, built: set[str], everywhere: Sequence[str]) -> FieldSpec:
    return FieldSpec(
        name=field.name,
        source=field.source_name or ("" if field.name in built else field.name),
        # An unknown number is shown to whoever made the contract, by the plan's own check.
        type=_TYPES.get(field.type, str(field.type)),
        required=field.required,
        missing=tuple(dict.fromkeys((*everywhere, *field.missing_values))),
    )


def proposal_message(proposal: infer.Proposal) -> ingestion_pb2.Proposal:
    """The proposal as ingestion keeps and shows it; of each finding its sentence."""
    return ingestion_pb2.Proposal(
        contract=contract_pb2.Contract(
            fields=[_proposed_field(field) for field in proposal.fields],
            key=proposal.key,
            steps=[proposed_step(step) for step in proposal.steps],
            format=contract_pb2.FileFormat(
                delimiter=proposal.delimiter,
                type=proposal.type,
                encoding=proposal.encoding,
                record_path=proposal.record_path,
                missing_values=proposal.missing,
            ),
        ),
        fields=[
            ingestion_pb2.FieldReasons(
                field=field.name, reasons=[reason.sentence for reason in field.reasons]
            )
            for field in proposal.fields
        ],
        key_reason=proposal.key_reason.sentence,
        rows=proposal.rows + proposal.ragged_rows + proposal.faulty_rows,
        ragged_rows=proposal.ragged_rows,
        faulty_rows=proposal.faulty_rows,
        format_reasons=[reason.sentence for reason in proposal.format_reasons],
        entries=proposal.entries,
    )


def _proposed_field(field: FieldProposal) -> contract_pb2.Field:
    return contract_pb2.Field(
        name=field.name,
        source_name=field.source,
        type=_TYPE_VALUES[field.type],
        required=field.required,
        title=field.title,
        unit=field.unit,
        missing_values=field.missing,
        code_list=field.code_list,
    )


def manifest_message(
    lease: str, output_path: str, manifest: load.LoadManifest
) -> worker_pb2.CompleteLoadRequest:
    """What a load hands back; files without rows are left out. `output_path` as ingestion gave it."""
    accepted, positions, refused = (_staged(output_path, file) for file in manifest.files)
    return worker_pb2.CompleteLoadRequest(
        lease=lease,
        accepted=accepted,
        positions=positions,
        refused=refused,
        rows_read=manifest.rows_read,
        refused_by_reason={reason.value: rows for reason, rows in manifest.refused_by_reason.items()},
        warnings=list(_warnings(manifest.ignored_columns)),
    )


def _staged(output_path: str, file: StagedFile) -> worker_pb2.StagedFile | None:
    if not file.rows:
        return None
    path = f"{output_path.rstrip('/')}/{file.name}"
    return worker_pb2.StagedFile(path=path, rows=file.rows, size_bytes=file.bytes, sha256=file.sha256)


def _warnings(ignored: Sequence[str]) -> list[str]:
    """In plain words: columns that were not looked at."""
    named = [quoted(heading) for heading in ignored if heading and heading not in OWN_COLUMNS]
    nameless = sum(not heading for heading in ignored)
    warnings = []
    if named:
        shown = ", ".join(named[:_HEADINGS_SHOWN])
        more = f" and {len(named) - _HEADINGS_SHOWN} more" if len(named) > _HEADINGS_SHOWN else ""
        warnings.append(f"Columns that the contract does not name were left out: {shown}{more}.")
    if nameless:
        warnings.append(f"Columns without a heading were left out: {nameless}.")
    return warnings


def progress_message(progress: load.Progress | None) -> ingestion_pb2.Progress:
    """How far the work is; all zeros before anything was read."""
    if progress is None:
        return ingestion_pb2.Progress()
    return ingestion_pb2.Progress(
        bytes_done=progress.bytes_done,
        bytes_total=progress.bytes_total,
        rows_read=progress.rows,
        rows_accepted=progress.rows - progress.refused,
        rows_refused=progress.refused,
    )


def error_message(error: Exception) -> ingestion_pb2.RunError:
    """Why the work cannot be done. Of an unexpected error only its kind: its text may hold the file's data."""
    if isinstance(error, PlazaError):
        return ingestion_pb2.RunError(reason=error.reason, message=error.message, remedy=error.remedy)
    return ingestion_pb2.RunError(
        reason="WORKER_ERROR",
        message=f"The worker failed unexpectedly ({type(error).__name__}).",
        remedy="Start the run again; if it fails again, the worker's log says more.",
    )
