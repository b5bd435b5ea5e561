"""The rules of ingestion, without anything around them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import worker_pb2
from plaza_ingestion.domain.batches import BatchIdentity, Decision
from plaza_ingestion.domain.events import Outcome
from plaza_ingestion.domain.manifest import ManifestContradicts, PathOutsideLease, check_manifest
from plaza_ingestion.domain.runs import (
    ENDED,
    MAX_ATTEMPTS,
    IllegalTransition,
    LeaseLost,
    LeaseStillHeld,
    LeaseToken,
    RunState,
    Standing,
    TooManyAttempts,
)
from plaza_ingestion.domain.starter import RunGrantElsewhere, starter
from plaza_ingestion.domain.table_schema import table_schema
from plaza_ingestion.domain.uploads import safe_name
from plaza_kit.errors import PlazaError
from plaza_kit.grants import RunGrant
from plaza_kit.identity import PrincipalKind
from plaza_lake.overwrite import LoadMode
from plaza_lake.schema import FieldType, InvalidSchema
from plaza_lake.write import StagedFile

START = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)

steps = st.lists(
    st.tuples(
        st.sampled_from(["take", "renew", "hand_over", "finish", "give_up", "succeed", "fail", "cancel"]),
        st.sampled_from(["newest", "older"]),
        st.sampled_from([0, 1, 10, 20]),
    ),
    max_size=40,
)


def apply(standing: Standing, what: str, lease: LeaseToken, now: datetime) -> Standing:
    match what:
        case "take":
            return standing.take(LeaseToken(str(uuid.uuid4())), now, now + LEASE)
        case "renew":
            return standing.renew(lease, now + LEASE)
        case "hand_over":
            return standing.hand_over(lease)
        case "finish":
            return standing.finish(lease)
        case "give_up":
            return standing.give_up(lease)
        case "succeed":
            return standing.succeed()
        case "cancel":
            return standing.cancel()
        case _:
            return standing.fail()


@given(steps)
def test_whatever_is_tried_a_run_stays_in_order(tried: list[tuple[str, str, int]]) -> None:
    standing, now = Standing(), START
    tokens: list[LeaseToken] = [LeaseToken("none")]
    for what, which, seconds in tried:
        now += timedelta(seconds=seconds)
        lease = tokens[-1] if which == "newest" else tokens[max(0, len(tokens) - 2)]
        before = standing
        try:
            standing = apply(standing, what, lease, now)
        except (IllegalTransition, LeaseLost, LeaseStillHeld, TooManyAttempts):
            assert standing is before
            continue
        assert before.state not in ENDED, "what has ended never changes"
        assert standing.attempts <= MAX_ATTEMPTS
        if what in ("renew", "hand_over", "finish", "give_up"):
            assert lease == before.lease, "only the newest lease moves a run"
            assert before.state in (RunState.LEASED, RunState.RUNNING)
        if what == "take":
            assert standing.lease is not None
            assert standing.lease not in tokens
            assert before.lease_until is None or before.lease_until <= now
            assert standing.attempts == before.attempts + 1
            tokens.append(standing.lease)
        if standing.state is RunState.COMMITTING:
            assert not standing.is_waiting(now + timedelta(days=1)), (
                "what is being committed is nobody's work"
            )


POSSIBLE = {
    RunState.QUEUED: {"take", "fail", "cancel"},
    RunState.LEASED: {"take", "renew", "hand over", "succeed", "fail", "cancel"},
    RunState.RUNNING: {"take", "renew", "hand over", "succeed", "fail", "cancel"},
    RunState.COMMITTING: {"succeed", "fail"},
    RunState.SUCCEEDED: set(),
    RunState.FAILED: set(),
    RunState.CANCELLED: set(),
}


@pytest.mark.parametrize("what", ["take", "succeed", "fail", "cancel"])
@pytest.mark.parametrize("state", list(RunState))
def test_a_refused_transition_names_the_state_and_what_is_possible(state: RunState, what: str) -> None:
    if what in POSSIBLE[state]:
        apply(Standing(state=state), what, LeaseToken(""), START)
        return
    with pytest.raises(IllegalTransition) as raised:
        apply(Standing(state=state), what, LeaseToken(""), START)
    assert raised.value.facts["state"] == state.value
    assert state.value in raised.value.message
    assert {word for word in raised.value.facts["possible"].split(",") if word} == POSSIBLE[state]
    assert all(word in raised.value.remedy for word in POSSIBLE[state])


def test_the_same_file_is_the_same_batch_and_nothing_else_is() -> None:
    one = BatchIdentity("departments/a/datasets/b", "0" * 64, 1)
    assert one.id == BatchIdentity("departments/a/datasets/b", "0" * 64, 1).id
    # For ever: else every file could come in once more.
    assert one.id == "7d2478f8-7e09-5c0e-8ed1-2ee1a92a3810"
    others = [
        BatchIdentity("departments/a/datasets/c", "0" * 64, 1),
        BatchIdentity("departments/a/datasets/b", "1" * 64, 1),
        BatchIdentity("departments/a/datasets/b", "0" * 64, 2),
        BatchIdentity("departments/a/datasets/b", "0" * 64, 1, "run"),
        BatchIdentity("departments/a/datasets/b", "0" * 64, 1, mode=LoadMode.UPSERT),
        BatchIdentity("departments/a/datasets/b", "0" * 64, 1, mode=LoadMode.REPLACE),
        BatchIdentity("departments/a/datasets/b", "0" * 64, 1, replay=True),
        BatchIdentity("departments/a/datasets/b", "0" * 64, 1, entry="a.csv"),
        BatchIdentity("departments/a/datasets/b", "0" * 64, 1, entry="b.csv"),
    ]
    assert len({one.id, *(other.id for other in others)}) == len(others) + 1


def test_a_decision_survives_the_database() -> None:
    file = StagedFile("file:///x", 3, 4, "0" * 64)
    for decision in (Decision(file, None, {}), Decision(None, file, {"type": 3}), Decision(None, None, {})):
        assert Decision.from_json(decision.to_json()) == decision
    assert (Decision(file, None, {}).rows_accepted, Decision(file, None, {}).rows_refused) == (3, 0)


def test_events_hold_whole_numbers_and_names() -> None:
    done = Outcome("departments/a/datasets/b", "x", "departments/a/runs/r", 1, "0" * 64, 2, 3, 10, 4)
    assert (done.type, done.subject) == (
        "city.plaza.ingestion.version.committed.v1",
        "departments/a/datasets/b/versions/3",
    )
    refused = Outcome("departments/a/datasets/b", "x", "departments/a/runs/r", 1, "0" * 64, 2)
    assert (refused.type, refused.subject) == (
        "city.plaza.ingestion.batch.refused.v1",
        "departments/a/datasets/b/batches/x",
    )
    assert set(done.data) - set(refused.data) == {"version", "rows", "rows_added", "rows_removed", "mode"}
    assert all(isinstance(value, str | int) for value in done.data.values())


def test_a_contract_as_a_table() -> None:
    words = ["STRING", "INTEGER", "NUMBER", "BOOLEAN", "DATE", "TIMESTAMP"]
    contract = contract_pb2.Contract(
        fields=[
            contract_pb2.Field(
                name=word.lower(),
                type=contract_pb2.FieldType.Value(f"FIELD_TYPE_{word}"),
                required=word == "DATE",
            )
            for word in words
        ],
        key=["integer", "string"],
    )
    schema = table_schema(contract)
    assert [column.type for column in schema.columns] == [FieldType(word.lower()) for word in words]
    assert [column.name for column in schema.columns if column.required] == ["string", "integer", "date"]
    assert schema.key == ("integer", "string")
    contract.key.append("nonsense")
    with pytest.raises(InvalidSchema):
        table_schema(contract)


@given(st.text(max_size=300))
def test_a_safe_name_is_one_part_of_a_path(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert len(safe.encode()) <= 200
    assert safe not in (".", "..")
    assert not safe.startswith(".")
    assert not set(safe) & set("*?[]/\\:\0\n\r")
    assert safe_name(safe) == safe


def test_safe_names_keep_what_people_recognise() -> None:
    assert safe_name("二月.csv") == "二月.csv"
    assert safe_name("C:\\data\\air.csv") == "air.csv"
    assert safe_name("../../.ssh") == "ssh"
    assert safe_name("..") == "file"


def manifest(path: str = "runs/r/l/accepted.parquet", **counts: int) -> worker_pb2.CompleteLoadRequest:
    made = worker_pb2.CompleteLoadRequest(rows_read=counts.get("read", 3))
    made.accepted.path, made.accepted.rows = path, counts.get("accepted", 2)
    made.positions.path, made.positions.rows = "runs/r/l/positions.parquet", counts.get("positions", 2)
    made.refused.path, made.refused.rows = "runs/r/l/refused.parquet", counts.get("refused", 1)
    made.refused_by_reason["type"] = counts.get("reasons", 1)
    return made


def test_a_manifest_that_adds_up() -> None:
    check_manifest(manifest(), "runs/r/l")
    check_manifest(worker_pb2.CompleteLoadRequest(), "runs/r/l")


@pytest.mark.parametrize("name", ["read", "accepted", "positions", "refused", "reasons"])
def test_a_manifest_that_does_not(name: str) -> None:
    with pytest.raises(ManifestContradicts):
        check_manifest(manifest(**{name: 7}), "runs/r/l")


@pytest.mark.parametrize(
    "path",
    [
        "/runs/r/l/x",
        "runs/r/l/../x",
        "runs/r/l/../l/x",
        "runs/r/m/x",
        "runs/r/l",
        "runs//r/l/x",
        "x",
        "",
        "runs/r/l/.",
    ],
)
def test_a_path_elsewhere(path: str) -> None:
    with pytest.raises(PathOutsideLease):
        check_manifest(manifest(path), "runs/r/l")


def test_who_stands_behind_a_job() -> None:
    grant = RunGrant("r", "load", "d", "people/chen", "chen", ("a",), ("data-officer",), START, START + LEASE)
    who = starter(grant, "r", "d")
    assert (who.name, who.kind, who.departments) == ("people/chen", PrincipalKind.PERSON, frozenset({"a"}))
    for run, dataset in (("s", "d"), ("r", "e")):
        with pytest.raises(RunGrantElsewhere):
            starter(grant, run, dataset)
    assert issubclass(RunGrantElsewhere, PlazaError)
