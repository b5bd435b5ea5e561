"""The commit job cut off between its steps, and run again: as if nothing had happened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_ingestion.domain.load_step import LoadStep
from plaza_ingestion.usecases import commit as commit_module
from plaza_kit.errors import Unavailable
from plaza_lake.versions import versions

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any

HEADING = b"Station,Hour,PM2.5\n"
BEFORE = HEADING + b"a,1,35\nb,1,x\n"
FILE = HEADING + b"c,1,1\na,1,99\nz,z,z\nb,2,NA\nb,2,3\n"
"""One key of the table, one bad number, one duplicate of its own: two rows come in."""


class Killed(BaseException):
    """As if the process had ended here: nothing catches it."""


class Cut:
    """Ends the job the first time it comes to a step."""

    def __init__(self, at: LoadStep) -> None:
        self.at = at
        self.seen: list[LoadStep] = []

    def __call__(self, step: LoadStep) -> None:
        self.seen.append(step)
        if step is self.at and self.seen.count(step) == 1:
            raise Killed(step)


async def outcome(ingestion: Ingestion, run: pb.Run) -> dict[str, Any]:
    """Everything that must not depend on where a job was cut off."""
    found = await ingestion.get(run.name)
    in_order = sorted(ingestion.rows("quarantine"), key=lambda r: (r["line"], r["reason"]))
    quarantine = [
        (r["line"], r["field"], r["reason"], r["detail"], r["original"], r["file"]) for r in in_order
    ]
    known = versions(ingestion.world.lake, ingestion.dataset)
    events = await ingestion.events()
    return {
        "state": found.state,
        "version": found.version,
        "counts": (
            found.progress.rows_read,
            found.progress.rows_accepted,
            found.progress.rows_refused,
            dict(found.refused_by_reason),
        ),
        "rows": ingestion.rows(),
        "quarantine": quarantine,
        "versions": [(v.version, v.rows_added, v.total_rows) for v in known],
        "quarantine versions": len(versions(ingestion.world.lake, ingestion.dataset, "quarantine")),
        "events": [(kind, data["version"], data["rows"], data["rows_refused"]) for kind, _, data in events],
        "own folder": list((ingestion.root / "staging" / "commits").rglob("*.parquet")),
    }


EXPECTED: dict[str, Any] = {
    "state": runs_pb2.RUN_STATE_SUCCEEDED,
    "version": 2,
    "counts": (5, 2, 3, {"duplicate_key": 2, "type": 1}),
    "rows": [
        {"station": "a", "hour": 1, "pm2_5": 35.0},
        {"station": "b", "hour": 2, "pm2_5": None},
        {"station": "c", "hour": 1, "pm2_5": 1.0},
    ],
    "quarantine": [
        (3, None, "duplicate_key", "same key as a row that the table has already", b"a,1,99", "air.csv"),
        (3, "pm2_5", "type", '"x" is not a number', b"b,1,x", "air.csv"),
        (4, "hour", "type", '"z" is not an integer', b"z,z,z", "air.csv"),
        (6, None, "duplicate_key", "same key as line 5", b"b,2,3", "air.csv"),
    ],
    "versions": [(1, 1, 1), (2, 2, 3)],
    "quarantine versions": 2,
    "events": [
        ("city.plaza.ingestion.version.committed.v1", 1, 1, 1),
        ("city.plaza.ingestion.version.committed.v1", 2, 3, 3),
    ],
    "own folder": [],
}


async def test_uncut(ingestion: Ingestion) -> None:
    await ingestion.whole(BEFORE)
    cut = Cut(cast(LoadStep, None))
    ingestion.with_steps(cut)
    run = await ingestion.whole(FILE)
    assert await outcome(ingestion, run) == EXPECTED
    assert cut.seen == list(LoadStep)


@pytest.mark.parametrize("step", list(LoadStep))
async def test_cut_off_at_each_step(ingestion: Ingestion, step: LoadStep) -> None:
    await ingestion.whole(BEFORE)
    cut = Cut(step)
    ingestion.with_steps(cut)
    run = await ingestion.loaded(FILE)
    with pytest.raises(Killed):
        await ingestion.commit()
    assert cut.seen[-1] is step
    await ingestion.commit()
    assert await outcome(ingestion, run) == EXPECTED


async def test_cut_off_at_every_step_in_turn(ingestion: Ingestion) -> None:
    await ingestion.whole(BEFORE)
    run = await ingestion.loaded(FILE)
    for step in LoadStep:
        ingestion.with_steps(Cut(step))
        with pytest.raises(Killed):
            await ingestion.commit()
    await ingestion.commit()
    assert await outcome(ingestion, run) == EXPECTED


async def test_a_refused_batch_cut_off_behind_its_event(ingestion: Ingestion) -> None:
    ingestion.with_steps(Cut(LoadStep.OUTBOX))
    run = await ingestion.loaded(HEADING + b"a,x,1\n")
    with pytest.raises(Killed):
        await ingestion.commit()
    await ingestion.commit()
    assert len(await ingestion.events()) == len(ingestion.rows("quarantine")) == 1
    assert (await ingestion.get(run.name)).state == runs_pb2.RUN_STATE_SUCCEEDED


async def failed(ingestion: Ingestion, run: pb.Run) -> pb.Run:
    found = await ingestion.get(run.name)
    assert found.state == runs_pb2.RUN_STATE_FAILED
    assert ingestion.rows() == ingestion.rows("quarantine") == await ingestion.events() == []
    assert found.HasField("end_time")
    return found


async def test_a_person_removed_between_start_and_commit(ingestion: Ingestion) -> None:
    run = await ingestion.loaded(FILE)
    ingestion.policy.removed.add(f"data-officer-{ingestion.department}")
    await ingestion.commit()
    found = await failed(ingestion, run)
    assert found.error.reason == "PERSON_REMOVED"
    ingestion.policy.removed.clear()
    again = await ingestion.whole(FILE)
    assert (again.version, again.progress.rows_accepted) == (1, 3)


async def test_a_right_that_ran_out(ingestion: Ingestion) -> None:
    run = await ingestion.loaded(FILE)
    ingestion.peer.granter.now += timedelta(hours=2)
    await ingestion.commit()
    ingestion.peer.granter.now -= timedelta(hours=2)
    assert (await failed(ingestion, run)).error.reason == "GRANT_REFUSED"


async def test_a_person_removed_when_the_rows_are_in_changes_nothing(ingestion: Ingestion) -> None:
    await ingestion.whole(BEFORE)
    ingestion.with_steps(Cut(LoadStep.CATALOGUE_COMMIT))
    run = await ingestion.loaded(FILE)
    with pytest.raises(Killed):
        await ingestion.commit()
    ingestion.policy.removed.add(f"data-officer-{ingestion.department}")
    await ingestion.commit()
    assert await outcome(ingestion, run) == EXPECTED


@pytest.mark.parametrize("name", ["accepted", "positions", "refused"])
async def test_a_staged_file_that_was_changed(ingestion: Ingestion, name: str) -> None:
    run = await ingestion.loaded(FILE)
    (path,) = (ingestion.root / "staging").rglob(f"{name}.parquet")
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    await ingestion.commit()
    assert (await failed(ingestion, run)).error.reason == "STAGED_FILE_CHANGED"


async def test_an_upload_that_was_changed(ingestion: Ingestion) -> None:
    await ingestion.whole(BEFORE)
    run = await ingestion.loaded(FILE)
    for path in (ingestion.root / "staging").rglob("air.csv"):
        if path.read_bytes() == FILE:
            path.write_bytes(FILE.replace(b"99", b"98"))
    await ingestion.commit()
    found = await ingestion.get(run.name)
    assert (found.state, found.error.reason) == (runs_pb2.RUN_STATE_FAILED, "STAGED_FILE_CHANGED")
    assert len(ingestion.rows()) == 1


async def test_what_passes_is_tried_again_but_not_for_ever(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(Unavailable):
        """The lake does not answer."""

    def down(*_: object, **__: object) -> None:
        raise Away("the lake does not answer")

    run = await ingestion.loaded(FILE)
    monkeypatch.setattr(commit_module, "MAX_FAILURES", 3)
    with monkeypatch.context() as broken:
        broken.setattr(commit_module, "commit_batch", down)
        for _ in range(2):
            with pytest.raises(Away):
                await ingestion.commit()
        assert (await ingestion.get(run.name)).state == runs_pb2.RUN_STATE_COMMITTING
        await ingestion.commit()
    assert (await failed(ingestion, run)).error.reason == "AWAY"
