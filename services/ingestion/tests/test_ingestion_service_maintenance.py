"""Versions that expire and versions that are pinned: decided, done, told; cut off anywhere."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson
import pytest
from plaza.common.v1 import events_pb2
from plaza_ingestion.domain.batches import AlreadyIngested
from plaza_ingestion.domain.events import VERSION_EXPIRED
from plaza_ingestion.settings import IngestionSettings
from plaza_ingestion.storage import versions_kept
from plaza_ingestion.usecases import maintenance, pinning
from plaza_ingestion.usecases.maintenance import MAINTENANCE_JOB, Maintenance
from plaza_kit.db import Scope
from plaza_kit.db.inbox import EventSink
from plaza_kit.names import DatasetName
from plaza_kit.rpc.context import set_caller
from plaza_lake.compaction import CompactionPolicy
from plaza_lake.maintenance import Upkeep
from plaza_lake.retention import Retention
from plaza_lake.versions import VersionExpired, version_info, versions
from plaza_testing.callers import service
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
RETENTION = Retention(newest=1, daily=timedelta(0))
LATER = timedelta(days=30)


class Killed(BaseException):
    """Stands for `kill -9`."""


def keeper(ingestion: Any, after: timedelta = LATER) -> Maintenance:
    world = replace(ingestion.world, now=lambda: datetime.now(UTC) + after)
    return Maintenance(world, Upkeep(RETENTION, CompactionPolicy(small_files=2)), "services/plaza-ingestion")


async def load(ingestion: Any, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        await ingestion.whole(f"Station,Hour,PM2.5\na,{number},1\na,{number},2\n".encode())


async def tell(ingestion: Any, kind: str, **data: object) -> None:
    """An event of another service."""
    sender = "open-data" if ".opendata." in kind else "sharing"
    event = events_pb2.Event(
        id=str(uuid.uuid4()),
        source=f"//plaza/{sender}",
        type=kind,
        data=orjson.dumps({"dataset": ingestion.dataset, **data}).decode(),
    )
    handlers = pinning.handlers(timedelta(days=180))
    sink = EventSink(ingestion.world.database, handlers)
    set_caller(service(sender))
    await sink.Deliver(events_pb2.DeliverRequest(events=[event, event]), RPC)


async def queued(ingestion: Any) -> list[dict[str, Any]]:
    async with ingestion.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text(
                "SELECT args - 'traceparent' AS args FROM procrastinate_jobs WHERE task_name = :name"
                " AND args->>'dataset' = :dataset ORDER BY id"
            ),
            {"name": MAINTENANCE_JOB, "dataset": ingestion.dataset},
        )
        return [row.args for row in found]


def numbers(ingestion: Any) -> list[int]:
    return [info.version for info in versions(ingestion.world.lake, ingestion.dataset)]


async def expired_events(ingestion: Any) -> list[dict[str, Any]]:
    async with ingestion.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text("SELECT data FROM outbox WHERE subject = :subject AND type = :type ORDER BY seq"),
            {"subject": ingestion.dataset, "type": VERSION_EXPIRED},
        )
        return [orjson.loads(row.data) for row in found]


async def test_versions_expire_and_are_told_of_once(ingestion: Any) -> None:
    await load(ingestion, 4)
    rows, refused = ingestion.rows(), len(ingestion.rows("quarantine"))
    assert (len(rows), refused) == (4, 4)
    await tell(
        ingestion,
        pinning.DELIVERED,
        version=2,
        agreement="agreements/a",
        delivery="agreements/a/deliveries/d",
    )
    done = await keeper(ingestion).run(ingestion.dataset)
    assert done is not None
    assert done.expired.versions == (1, 3)
    assert done.compacted.files_removed == 4
    assert numbers(ingestion) == [2, 4]
    assert (ingestion.rows(), len(ingestion.rows("quarantine"))) == (rows, refused)
    [event] = await expired_events(ingestion)
    assert (event["versions"], event["department"]) == ([1, 3], f"departments/{ingestion.department}")
    assert event["rule"] == RETENTION.words()
    again = await keeper(ingestion).run(ingestion.dataset)
    assert again is not None
    assert again.expired.versions == ()
    assert len(await expired_events(ingestion)) == 1
    with pytest.raises(VersionExpired, match="kept are the newest 1"):
        version_info(ingestion.world.lake, ingestion.dataset, 3)
    # A file whose version expired is still the same file.
    with pytest.raises(AlreadyIngested, match="version 1"):
        await ingestion.ingest(b"Station,Hour,PM2.5\na,1,1\na,1,2\n")
    await load(ingestion, 1, first=5)
    assert numbers(ingestion) == [2, 4, 5]


async def test_nothing_young_expires(ingestion: Any) -> None:
    await load(ingestion, 3)
    done = await keeper(ingestion, timedelta(hours=23)).run(ingestion.dataset)
    assert done is not None
    assert (done.expired.versions, numbers(ingestion)) == ((), [1, 2, 3])


@pytest.mark.parametrize("place", ["_in_lake", "told"])
async def test_an_expiry_that_is_cut_off_is_carried_through(
    place: str, ingestion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(ingestion, 3)

    def kill(*_: Any, **__: Any) -> Any:
        raise Killed

    monkeypatch.setattr(Maintenance if place == "_in_lake" else versions_kept, place, kill)
    with pytest.raises(Killed):
        await keeper(ingestion).run(ingestion.dataset)
    monkeypatch.undo()
    assert await expired_events(ingestion) == []
    # What was decided is final: a pin comes too late now, and says so in the log.
    await tell(ingestion, pinning.PUBLISHED, version=1, release=f"{ingestion.dataset}/releases/1")
    done = await keeper(ingestion, timedelta(0)).run(ingestion.dataset)
    assert done is not None
    assert (done.expired.versions, numbers(ingestion)) == ((1, 2), [3])
    assert [event["versions"] for event in await expired_events(ingestion)] == [[1, 2]]


async def test_a_release_pins_from_its_approval_to_for_ever(ingestion: Any) -> None:
    await load(ingestion, 4)
    release = f"{ingestion.dataset}/releases/1"
    await tell(ingestion, pinning.APPROVED, version=1, release=release)
    await tell(ingestion, pinning.APPROVED, version=2, release=f"{ingestion.dataset}/releases/2")
    await tell(ingestion, pinning.PUBLISHED, version=1, release=release)
    assert await queued(ingestion) == [{"dataset": ingestion.dataset, "clean": False}] * 2
    assert (await keeper(ingestion, timedelta(days=3)).run(ingestion.dataset)) is not None
    assert numbers(ingestion) == [1, 2, 4]
    refs = ingestion.world.lake.load(ingestion.dataset).metadata.refs
    assert set(refs) == {"main", "plaza-version-1", "plaza-version-2"}
    # The second was never published: its pin ends.
    assert (await keeper(ingestion).run(ingestion.dataset)) is not None
    assert numbers(ingestion) == [1, 4]


async def test_a_pin_is_prolonged_and_never_shortened(ingestion: Any) -> None:
    name, now = DatasetName.parse(ingestion.dataset), datetime.now(UTC)
    async with ingestion.world.database.transaction(Scope.everything()) as connection:
        for days in (3, 1):
            await versions_kept.pin(connection, name, 1, "x", now + timedelta(days=days), now)
        assert await versions_kept.pinned(connection, str(name), now + timedelta(days=2)) == {1}
        assert await versions_kept.pinned(connection, str(name), now + timedelta(days=4)) == frozenset()
        await versions_kept.pin(connection, name, 1, "x", None, now)
        await versions_kept.pin(connection, name, 1, "x", now, now)
        assert await versions_kept.pinned(connection, str(name), now + timedelta(days=9999)) == {1}


async def test_somebody_elses_tag_stops_an_expiry(ingestion: Any) -> None:
    await load(ingestion, 3)
    snapshot = versions(ingestion.world.lake, ingestion.dataset)[0].snapshot_id
    keep = keeper(ingestion)
    _, chosen = await keep._decide(DatasetName.parse(ingestion.dataset))
    assert set(chosen) == {1, 2}
    ingestion.world.lake.load(ingestion.dataset).manage_snapshots().create_tag(snapshot, "audit").commit()
    done = await keep.run(ingestion.dataset)
    assert done is not None
    assert (done.expired.versions, numbers(ingestion)) == ((2,), [1, 3])
    async with ingestion.world.database.transaction(Scope.everything()) as connection:
        assert await versions_kept.undone(connection, ingestion.dataset) == {}


async def test_a_dataset_of_which_every_row_was_refused_is_looked_after_too(ingestion: Any) -> None:
    for number in range(3):
        await ingestion.whole(f"Station,Hour,PM2.5\na,x,{number}\n".encode())
    keep = keeper(ingestion)
    assert ingestion.dataset in await keep.find_neglected()
    assert await keep.run(ingestion.dataset, clean=True) is None
    assert len(ingestion.rows("quarantine")) == 3
    table = ingestion.world.lake.load(ingestion.dataset, "quarantine")
    assert len(list(table.scan().plan_files())) == 1


async def test_when_a_table_is_due(ingestion: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "EVERY_COMMITS", 2)
    await load(ingestion, 3)
    assert await queued(ingestion) == [{"dataset": ingestion.dataset, "clean": False}]
    assert ingestion.dataset in await keeper(ingestion).find_neglected()
    assert ingestion.dataset not in await keeper(ingestion).find_neglected()
    assert ingestion.dataset in await keeper(ingestion, LATER + timedelta(hours=25)).find_neglected()
    assert (await queued(ingestion))[1:] == [{"dataset": ingestion.dataset, "clean": True}] * 2
    done = await keeper(ingestion).run(ingestion.dataset, clean=True)
    assert done is not None
    assert done.swept is not None
    assert done.swept.waiting > 0
    assert (await keeper(ingestion).run(ingestion.dataset.replace("/air", "/nothing"))) is None


def test_settings_say_how_long() -> None:
    settings = IngestionSettings.model_construct(
        keep_newest_versions=3,
        keep_hours=2,
        keep_daily_days=0,
        file_grace_hours=5,
        keep_delivered_days=9,
        time_zone="Asia/Shanghai",
    )
    upkeep = settings.upkeep()
    assert (upkeep.retention.newest, upkeep.retention.young, upkeep.retention.daily) == (
        3,
        timedelta(hours=2),
        None,
    )
    assert (upkeep.grace, settings.delivered_for) == (timedelta(hours=5), timedelta(days=9))
