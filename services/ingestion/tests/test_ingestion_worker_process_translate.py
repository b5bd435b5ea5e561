"""Contracts become plans, results become messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from plaza.common.v1 import contract_pb2 as contract_pb
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.infer import infer
from plaza_ingestion.worker.load import Progress, run_load
from plaza_ingestion.worker.plan import BuildTimestamp, FieldSpec, InvalidPlan
from plaza_ingestion.worker.translate import (
    error_message,
    load_plan,
    manifest_message,
    progress_message,
    proposal_message,
)

Field = contract_pb.Field
INTEGER = contract_pb.FIELD_TYPE_INTEGER


def contract(**other: object) -> contract_pb.Contract:
    return contract_pb.Contract(
        fields=[
            Field(name="station", type=contract_pb.FIELD_TYPE_STRING, required=True),
            *(Field(name=name, type=INTEGER) for name in ("year", "month", "day", "hour")),
            Field(
                name="pm2_5",
                source_name="PM2.5",
                type=contract_pb.FIELD_TYPE_NUMBER,
                missing_values=["-", "NA"],
            ),
            Field(name="time", type=contract_pb.FIELD_TYPE_TIMESTAMP),
        ],
        key=["station", "time"],
        steps=[
            contract_pb.Step(
                build_timestamp=contract_pb.BuildTimestamp(
                    target="time", year="year", month="month", day="day", hour="hour", zone="Asia/Shanghai"
                )
            )
        ],
        **other,
    )


def test_a_contract_becomes_a_plan() -> None:
    plan = load_plan(contract(format=contract_pb.FileFormat(delimiter=";", missing_values=["NA"])))
    assert plan.fields[0] == FieldSpec("station", "station", "string", True, ("NA",))
    assert plan.fields[5] == FieldSpec("pm2_5", "PM2.5", "number", False, ("NA", "-"))
    assert plan.fields[6] == FieldSpec("time", "", "timestamp", False, ("NA",))
    assert plan.steps == (BuildTimestamp("time", "year", "month", "day", "hour"),)
    assert plan.key == ("station", "time")
    assert plan.delimiter == ";"


def test_the_comma_is_what_is_meant_without_a_word() -> None:
    assert load_plan(contract()).delimiter == ","


def test_a_contract_that_no_load_can_follow_is_refused() -> None:
    wrong = contract()
    wrong.fields[1].type = contract_pb.FIELD_TYPE_STRING
    with pytest.raises(InvalidPlan, match="year 'year'"):
        load_plan(wrong)
    wrong = contract()
    wrong.steps.add()
    with pytest.raises(InvalidPlan, match="does not know"):
        load_plan(wrong)


def test_a_proposal_says_why_and_is_a_contract_that_loads_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text("station;year;month;day;hour;PM2.5\nA;2013;3;1;0;4\nA;2013;3;1;1;NA\nA;2013;3;1\n")
    proposal = infer(file)
    message = proposal_message(proposal)
    pm = next(field for field in message.contract.fields if field.name == "pm2_5")
    assert (pm.source_name, pm.title, pm.missing_values) == ("PM2.5", "PM2.5", ["NA"])
    assert pm.type == contract_pb.FIELD_TYPE_INTEGER
    assert (message.rows, message.ragged_rows) == (3, 1)
    reasons = {one.field: list(one.reasons) for one in message.fields}
    assert '"NA" is the only other text in the column' in reasons["pm2_5"]
    assert message.key_reason == proposal.key_reason.sentence
    manifest = run_load(
        load_plan(message.contract),
        file,
        tmp_path / "out",
        progress=lambda _: None,
        cancelled=lambda: False,
    )
    assert (manifest.rows_accepted, manifest.rows_refused) == (2, 1)


def test_a_manifest_names_what_was_staged_and_warns_of_what_was_not_read(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text("id,note,,x\n1,a,b,c\nbad,a,b,c\n")
    plan = load_plan(contract_pb.Contract(fields=[Field(name="id", type=INTEGER)]))
    manifest = run_load(plan, file, tmp_path / "out", progress=lambda _: None, cancelled=lambda: False)
    message = manifest_message("L", "runs/1/L", manifest)
    assert message.lease == "L"
    assert message.accepted.path == "runs/1/L/accepted.parquet"
    assert (message.accepted.rows, message.refused.rows, message.rows_read) == (1, 1, 2)
    assert message.positions.sha256 == manifest.files.positions.sha256
    assert message.refused_by_reason == {"type": 1}
    assert list(message.warnings) == [
        'Columns that the contract does not name were left out: "note", "x".',
        "Columns without a heading were left out: 1.",
    ]


def test_files_without_rows_are_not_handed_over(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text("id\nbad\n")
    plan = load_plan(contract_pb.Contract(fields=[Field(name="id", type=INTEGER)]))
    manifest = run_load(plan, file, tmp_path / "out", progress=lambda _: None, cancelled=lambda: False)
    message = manifest_message("L", "out", manifest)
    assert not message.HasField("accepted")
    assert not message.HasField("positions")
    assert message.HasField("refused")


def test_progress_and_errors() -> None:
    assert progress_message(None) == pb.Progress()
    assert progress_message(Progress(5, 10, 4, 1)) == pb.Progress(
        bytes_done=5, bytes_total=10, rows_read=4, rows_accepted=3, rows_refused=1
    )
    known = error_message(HeaderMismatch('The header has no column "a".', remedy="Name it."))
    assert known == pb.RunError(
        reason="HEADER_MISMATCH", message='The header has no column "a".', remedy="Name it."
    )
    unknown = error_message(ValueError("张三 13800000000"))
    assert unknown.reason == "WORKER_ERROR"
    assert "张三" not in unknown.message
