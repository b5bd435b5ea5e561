"""Replace and upsert; cancelling; the pace of a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from plaza.common.v1 import contract_pb2, runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import worker_pb2
from plaza_ingestion.domain.batches import AlreadyIngested
from plaza_ingestion.domain.load_step import LoadStep
from plaza_ingestion.domain.runs import IllegalTransition, LeaseLost
from plaza_ingestion.usecases.ports import ContractInForce, UnknownRun
from plaza_kit.policy import NotPermitted
from plaza_lake.evolution import SchemaConflict
from plaza_lake.overwrite import UpsertWithoutKey
from plaza_lake.versions import versions

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
HEADING = b"Station,Hour,PM2.5\n"
FIRST = HEADING + b"a,1,1\na,2,2\nb,1,3\n"
SECOND = HEADING + b"a,2,20\nc,1,30\nc,1,31\nd,x,1\n"
"""One key of the table, one new one, a duplicate of its own (first stays), a bad hour."""


class Killed(BaseException):
    """As if the process had ended here: nothing catches it."""


def values(ingestion: Ingestion) -> dict[tuple[str, int], float]:
    return {(row["station"], row["hour"]): row["pm2_5"] for row in ingestion.rows()}


UPSERTED = {("a", 1): 1.0, ("a", 2): 20.0, ("b", 1): 3.0, ("c", 1): 30.0}
REPLACED = {("a", 2): 20.0, ("c", 1): 30.0}


@pytest.mark.parametrize(
    ("mode", "expected", "removed"),
    [(pb.LOAD_MODE_UPSERT, UPSERTED, 1), (pb.LOAD_MODE_REPLACE, REPLACED, 3)],
)
@pytest.mark.parametrize("step", [None, *LoadStep])
async def test_modes_cut_off_at_each_step(
    ingestion: Ingestion, mode: Any, expected: dict[Any, float], removed: int, step: LoadStep | None
) -> None:
    await ingestion.whole(FIRST)
    run = await ingestion.loaded(SECOND, mode=mode)
    assert run.mode == mode
    seen: list[LoadStep] = []

    def cut(reached: LoadStep) -> None:
        seen.append(reached)
        if reached is step and seen.count(step) == 1:
            raise Killed

    ingestion.with_steps(cut)
    if step is not None:
        with pytest.raises(Killed):
            await ingestion.commit()
    await ingestion.commit()
    found = await ingestion.get(run.name)
    assert values(ingestion) == expected
    assert (found.version, found.rows_removed) == (2, removed)
    assert dict(found.refused_by_reason) == {"duplicate_key": 1, "type": 1}
    (_, _, data) = (await ingestion.events())[-1]
    name = {pb.LOAD_MODE_UPSERT: "upsert", pb.LOAD_MODE_REPLACE: "replace"}[mode]
    told = (data["mode"], data["rows"], data["rows_added"], data["rows_removed"])
    assert told == (name, len(expected), 2, removed)
    assert len(versions(ingestion.world.lake, ingestion.dataset)) == 2
    assert len(ingestion.rows("quarantine")) == 2


async def test_the_mode_is_part_of_what_a_batch_is(ingestion: Ingestion) -> None:
    await ingestion.whole(FIRST)
    assert (await ingestion.whole(FIRST, mode=pb.LOAD_MODE_REPLACE)).version == 2
    for mode in (pb.LOAD_MODE_UNSPECIFIED, pb.LOAD_MODE_APPEND, pb.LOAD_MODE_REPLACE):
        with pytest.raises(AlreadyIngested):
            await ingestion.ingest(FIRST, mode=mode)
    assert len(values(ingestion)) == 3


async def test_a_file_of_which_nothing_is_accepted_replaces_nothing(ingestion: Ingestion) -> None:
    await ingestion.whole(FIRST)
    for data in (HEADING, HEADING + b"a,x,1\n"):
        assert (await ingestion.whole(data, mode=pb.LOAD_MODE_REPLACE)).version == 0
    assert len(values(ingestion)) == 3


async def test_upsert_without_a_key_is_refused_at_once(ingestion: Ingestion) -> None:
    contract = ingestion.peer.force.contract
    contract.ClearField("key")
    ingestion.peer.force = ContractInForce(contract, 2)
    with pytest.raises(UpsertWithoutKey):
        await ingestion.ingest(FIRST, mode=pb.LOAD_MODE_UPSERT)


async def test_a_contract_with_a_new_optional_field_and_one_with_a_changed_type(ingestion: Ingestion) -> None:
    await ingestion.whole(FIRST)
    contract = ingestion.peer.force.contract
    contract.fields.add(name="wind", source_name="Wind", type=contract_pb2.FIELD_TYPE_STRING)
    ingestion.peer.force = ContractInForce(contract, 2)
    wider = b"Station,Hour,PM2.5,Wind\na,1,9,N\n"
    assert (await ingestion.whole(wider, mode=pb.LOAD_MODE_UPSERT)).version == 2
    found = {(row["station"], row["hour"]): row["wind"] for row in ingestion.rows()}
    assert found == {("a", 1): "N", ("a", 2): None, ("b", 1): None}
    contract.fields[2].type = contract_pb2.FIELD_TYPE_INTEGER
    ingestion.peer.force = ContractInForce(contract, 3)
    with pytest.raises(SchemaConflict, match="field pm2_5 is number, the new one would be integer"):
        await ingestion.ingest(wider)


async def cancel(ingestion: Ingestion, run: pb.Run) -> pb.Run:
    ingestion.be()
    return await ingestion.api.CancelRun(pb.CancelRunRequest(name=run.name), RPC)


async def test_a_queued_run_is_cancelled_at_once_and_the_file_may_come_again(ingestion: Ingestion) -> None:
    run = await ingestion.ingest(FIRST)
    ended = await cancel(ingestion, run)
    assert ended.state == runs_pb2.RUN_STATE_CANCELLED
    assert ended.HasField("end_time")
    assert await cancel(ingestion, run) == ended
    assert await ingestion.lease() is None
    assert (await ingestion.whole(FIRST)).version == 1


async def test_a_running_runs_worker_hears_that_its_lease_is_lost(ingestion: Ingestion) -> None:
    run = await ingestion.ingest(FIRST)
    work = await ingestion.lease()
    await ingestion.work.RenewLease(worker_pb2.RenewLeaseRequest(lease=work.lease), RPC)
    manifest = await ingestion.stage(work)
    await cancel(ingestion, run)
    ingestion.be_worker()
    with pytest.raises(LeaseLost, match="cancelled") as raised:
        await ingestion.work.RenewLease(worker_pb2.RenewLeaseRequest(lease=work.lease), RPC)
    assert raised.value.reason == "RUN_CANCELLED"
    with pytest.raises(LeaseLost):
        await ingestion.work.CompleteLoad(manifest, RPC)
    await ingestion.commit()
    assert ingestion.rows() == []
    assert await ingestion.lease() is None
    assert (await ingestion.whole(FIRST)).version == 1


async def test_what_is_being_committed_or_has_ended_is_not_cancelled(ingestion: Ingestion) -> None:
    run = await ingestion.loaded(FIRST)
    with pytest.raises(IllegalTransition, match="the run is committing, it cannot cancel"):
        await cancel(ingestion, run)
    await ingestion.commit()
    with pytest.raises(IllegalTransition, match="succeeded"):
        await cancel(ingestion, run)


async def test_who_may_cancel(ingestion: Ingestion) -> None:
    run = await ingestion.ingest(FIRST)
    ingestion.be("reader")
    with pytest.raises(NotPermitted):
        await ingestion.api.CancelRun(pb.CancelRunRequest(name=run.name), RPC)
    with pytest.raises(UnknownRun):
        await cancel(ingestion, pb.Run(name=run.name[:-4] + "0000"))


async def test_the_pace_is_told_while_a_worker_reads(ingestion: Ingestion) -> None:
    run = await ingestion.ingest(FIRST)
    start = ingestion.world.now()
    clock = [start]
    ingestion.world = replace(ingestion.world, now=lambda: clock[0])
    work = await ingestion.lease()

    async def renew(seconds: float, rows: int, size: int) -> pb.Run:
        clock[0] = start + timedelta(seconds=seconds)
        progress = pb.Progress(rows_read=rows, bytes_done=size)
        ingestion.be_worker()
        await ingestion.work.RenewLease(
            worker_pb2.RenewLeaseRequest(lease=work.lease, progress=progress), RPC
        )
        return cast(pb.Run, await ingestion.get(run.name))

    first = await renew(1, 0, 0)
    assert not first.HasField("rate")
    assert not first.HasField("remaining_seconds")
    assert first.start_time.ToMicroseconds() == int(start.timestamp() * 1e6)
    found = await renew(3, 20, 12)
    assert found.rate == 10
    assert found.remaining_seconds == round((len(FIRST) - 12) / 6)
    clock[0] = start + timedelta(seconds=60)
    work = await ingestion.lease()
    again = await ingestion.get(run.name)
    assert not again.HasField("rate"), "another worker begins anew"
    assert again.start_time == first.start_time
