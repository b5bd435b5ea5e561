"""From a version to a published file, through gates, kills and withdrawals."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import hashes
from plaza.catalogue.v1 import catalogue_pb2
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza.quality.v1 import gates_pb2
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NotDeliveredYet
from plaza_kit.db.requests import RequestIdReused
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.context import set_caller
from plaza_kit.tlog.proof import FileProof, verify_file_proof
from plaza_lake.hashing import content_hash
from plaza_opendata.domain.gates import GatesNotPassed
from plaza_opendata.domain.releases import IllegalTransition, ReleaseName
from plaza_opendata.storage import releases
from plaza_opendata.usecases import building
from plaza_opendata.usecases.building import NotInLedgerYet
from plaza_opendata.usecases.ports import EtagMismatch, UnknownRelease, VersionGone, VersionReleased
from plaza_testing.callers import person
from plaza_testing.grants import Granter
from sqlalchemy import text

City = Any
"""The fixture's class lives in conftest, which tests do not import."""

pytestmark = pytest.mark.integration

ROWS = [
    {"station": "东四", "hour": 2, "pm2_5": 3.0, "wd": 'a "b", c', "calm": True},
    {"station": "东四", "hour": 1, "pm2_5": None, "wd": "", "calm": False},
    {"station": "万柳", "hour": 7, "pm2_5": 0.1, "wd": None, "calm": None},
]
CSV = 'station,hour,pm2_5,wd,calm\r\n万柳,7,0.1,,\r\n东四,1,,"",false\r\n东四,2,3,"a ""b"", c",true\r\n'
FILE = "air-quality-r1.csv"
PARQUET = "air-quality-r1.parquet"


async def test_a_published_file_is_the_table_and_its_proof_verifies(city: City) -> None:
    name = city.register()
    version = city.load(name, ROWS)
    approved = await city.approve(name)
    assert (approved.state, approved.version, approved.release) == (pb.RELEASE_STATE_APPROVED, version, 1)
    assert approved.name == f"{name}/releases/1"
    async with city.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text("SELECT task_name FROM procrastinate_jobs WHERE args->>'release' = :r"), {"r": approved.name}
        )
        assert [row.task_name for row in found] == ["build"]
    with pytest.raises(UnknownRelease):
        await city.read(approved.name, FILE)

    await city.building.build(approved.name)
    release = await city.get(approved.name)
    record, chunks = await city.read(release.name, FILE)
    data = b"".join(chunks)
    assert data.decode() == CSV
    assert release.state == pb.RELEASE_STATE_PUBLISHED
    assert release.files[0] == record
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert (record.file_name, record.size_bytes) == (FILE, len(data))
    assert (release.rows, release.score, release.light) == (3, 97.25, grades_pb2.LIGHT_YELLOW)
    granter = Granter(name, "open-data", key=city.security.grants)
    hashed = content_hash(city.world.lake, granter.verifier, granter())
    assert release.content_sha256 == hashed.sha256

    text_of_proof = b"".join((await city.read(release.name, FILE + ".proof.json"))[1]).decode()
    key = city.security.ledger.key.verifying_key.vkey
    proved = verify_file_proof(FileProof.from_json(text_of_proof), record.sha256, [key])
    assert (proved.subject, proved.leaf_index) == (release.name, release.ledger_index)
    assert proved.event["data"] == {
        "dataset": name,
        "release": release.name,
        "version": version,
        "file_name": FILE,
        "sha256": record.sha256,
        "sm3": record.sm3,
        "size_bytes": len(data),
        "rows": 3,
        "content_sha256": release.content_sha256,
        "licence": "CC-BY-4.0",
    }
    assert proved.event["principal"] == f"people/data-officer-{city.department}"
    await check_parquet(city, release)
    asked = city.security.read_requests[0]
    assert (asked.purpose, asked.audience, asked.version) == ("release", "open-data", version)

    shown = await city.show(name)
    assert [[None if c.is_null else c.text for c in r.cells] for r in shown.preview] == [
        ["万柳", "7", "0.1", None, None],
        ["东四", "1", None, "", "false"],
        ["东四", "2", "3", 'a "b", c', "true"],
    ]


async def check_parquet(city: City, release: pb.Release) -> None:
    """The same rows as typed columns, with hashes and a ledger entry of its own."""
    recorded = release.files[1]
    assert (recorded.file_name, recorded.content_type) == (PARQUET, "application/vnd.apache.parquet")
    file, chunks = await city.read(release.name, PARQUET)
    data = b"".join(chunks)
    assert (file, recorded.size_bytes) == (recorded, len(data))
    for each, bytes_ in ((recorded, data), (release.files[0], CSV.encode())):
        assert each.sha256 == hashlib.sha256(bytes_).hexdigest()
        sm3 = hashes.Hash(hashes.SM3())
        sm3.update(bytes_)
        assert each.sm3 == sm3.finalize().hex()
    table = pq.read_table(io.BytesIO(data))
    assert table.to_pylist() == [ROWS[2], ROWS[1], ROWS[0]]
    assert table.schema.field("hour").type == pa.int64()
    text_of_proof = b"".join((await city.read(release.name, f"{PARQUET}.proof.json"))[1]).decode()
    key = city.security.ledger.key.verifying_key.vkey
    proved = verify_file_proof(FileProof.from_json(text_of_proof), recorded.sha256, [key])
    assert proved.event_type == "city.plaza.opendata.release_file.published.v1"
    assert (proved.subject, proved.file_name) == (release.name, PARQUET)
    assert proved.leaf_index != release.ledger_index
    assert proved.event["data"]["sm3"] == recorded.sm3


async def test_a_larger_table_comes_out_in_canonical_order_with_ten_rows_of_preview(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "RENEW_SECONDS", 0.01)
    name = city.register()
    rows = [{"station": f"s{n % 7}", "hour": n, "pm2_5": n / 8, "wd": "N", "calm": True} for n in range(9000)]
    city.load(name, rows[4000:])
    city.load(name, rows[:4000])
    release = await city.publish(name)
    record, chunks = await city.read(release.name, FILE)
    data = b"".join(chunks)
    assert [len(c) for c in chunks[:-1]] == [256 * 1024] * (len(chunks) - 1)
    assert hashlib.sha256(data).hexdigest() == record.sha256
    found = list(csv.reader(io.StringIO(data.decode(), newline="")))[1:]
    expected = sorted(rows, key=lambda r: (r["station"], r["hour"]))
    assert [(s, int(h), float(p)) for s, h, p, _, _ in found] == [
        (r["station"], r["hour"], r["pm2_5"]) for r in expected
    ]
    shown = await city.show(name)
    assert [[c.text for c in r.cells] for r in shown.preview] == found[:10]


async def test_killed_after_the_file_after_the_event_and_after_the_proof(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = city.register()
    city.load(name, ROWS)
    approved = await city.approve(name)

    class Killed(BaseException):
        """Nothing of ours catches it, as nothing catches SIGKILL."""

    def kill(module: Any, function: str) -> pytest.MonkeyPatch:
        async def die(*_: Any, **__: Any) -> None:
            raise Killed

        patch = pytest.MonkeyPatch()
        patch.setattr(module, function, die)
        return patch

    path = city.world.store.path(ReleaseName.parse(approved.name), FILE)
    for module, function, events in (
        (releases, "record_file", 0),  # the file is there, the event's transaction is lost
        (city.building, "_prove", 2),  # one of each file
        (releases, "publish", 2),
    ):
        patch = kill(module, function)
        with pytest.raises(Killed):
            await city.building.build(approved.name)
        patch.undo()
        assert path.read_bytes().decode() == CSV
        async with city.world.database.transaction(Scope.everything()) as connection:
            count = await connection.execute(
                text("SELECT count(*) FROM outbox WHERE subject = :s"), {"s": approved.name}
            )
            assert count.scalar_one() == events
        assert (await city.get(approved.name)).state == pb.RELEASE_STATE_APPROVED
    kept = path.with_name(f"{FILE}.proof.json").read_bytes()

    # The ledger grows meanwhile: the proof that lies there stays the proof.
    other = city.register(dataset="other")
    city.load(other, ROWS)
    await city.publish(other)
    await city.building.build(approved.name)
    release = await city.get(approved.name)
    assert release.state == pb.RELEASE_STATE_PUBLISHED
    assert [e["release"] for e in city.published_events()] == [approved.name, f"{other}/releases/1"]
    proof, chunks = await city.read(approved.name, f"{FILE}.proof.json")
    assert b"".join(chunks) == kept
    assert proof.sha256 == hashlib.sha256(kept).hexdigest()
    await city.building.build(approved.name)  # once more changes nothing
    assert await city.get(approved.name) == release


async def test_nothing_is_published_without_the_ledger(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    name = city.register()
    city.load(name, ROWS)
    approved = await city.approve(name)
    city.security.hides_the_ledger = True
    monkeypatch.setattr(building, "MAX_FAILURES", 1)
    for _ in range(3):
        with pytest.raises((NotInLedgerYet, NotDeliveredYet)):
            await city.building.build(approved.name)
    # However often it failed: what the ledger knows is not given up.
    assert (await city.get(approved.name)).state == pb.RELEASE_STATE_APPROVED
    city.security.hides_the_ledger = False
    await city.building.build(approved.name)
    assert (await city.get(approved.name)).state == pb.RELEASE_STATE_PUBLISHED
    assert len(city.published_events()) == 1


async def test_a_file_that_was_lost_before_publication_is_built_again(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    approved = await city.approve(name)
    city.security.hides_the_ledger = True
    with pytest.raises(NotInLedgerYet):
        await city.building.build(approved.name)
    path = city.world.store.path(ReleaseName.parse(approved.name), FILE)
    path.write_bytes(path.read_bytes()[:-1])
    city.security.hides_the_ledger = False
    await city.building.build(approved.name)
    assert path.read_bytes().decode() == CSV


async def test_a_build_that_cannot_succeed_says_why(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    name = city.register()
    city.load(name, ROWS)
    approved = await city.approve(name)
    city.security.refuses = "the person may not release any more"
    await city.building.build(approved.name)
    failed = await city.get(approved.name)
    assert (failed.state, failed.error) == (pb.RELEASE_STATE_FAILED, city.security.refuses)
    assert not failed.HasField("publish_time")
    city.security.refuses = ""

    city.directory.versions[f"{name}/versions/1"].rows = 4
    city.directory.datasets[name].latest_version.rows = 4
    second = await city.approve(name)
    assert second.release == 2
    await city.building.build(second.name)
    assert "3 rows in the lake, 4 in the directory" in (await city.get(second.name)).error

    city.directory.datasets[name].latest_version.rows = 3
    third = await city.approve(name)
    monkeypatch.setattr(building, "MAX_FAILURES", 2)

    async def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(city.building, "_write", full)
    with pytest.raises(OSError, match="No space"):
        await city.building.build(third.name)
    await city.building.build(third.name)
    assert (await city.get(third.name)).error.endswith("No space left on device")
    assert city.published_events() == []
    async with city.world.database.transaction(Scope.everything()) as connection:
        left = await connection.execute(
            text("SELECT count(*) FROM builds WHERE department = :d"), {"d": city.department}
        )
        assert left.scalar_one() == 0  # the rights are gone


async def test_a_release_that_fails_after_its_event_is_taken_back(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    approved = await city.approve(name)
    city.security.hides_the_ledger = True
    with pytest.raises(NotInLedgerYet):
        await city.building.build(approved.name)
    city.world.store.path(ReleaseName.parse(approved.name), FILE).unlink()
    city.security.refuses = "no more"
    await city.building.build(approved.name)
    assert (await city.get(approved.name)).state == pb.RELEASE_STATE_FAILED
    await wait_for(lambda: city.published_events("withdrawn"))
    assert city.published_events("withdrawn")[0]["latest_release"] == 0
    with pytest.raises(UnknownRelease):
        await city.read(approved.name, FILE)


async def test_a_release_shows_the_contract_that_its_rows_were_loaded_under(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    dataset = city.directory.datasets[name]
    before = catalogue_pb2.ContractVersion(contract=dataset.contract)
    city.directory.contracts[f"{name}/contracts/1"] = before
    dataset.contract.fields.add(name="wind", type=contract_pb2.FIELD_TYPE_NUMBER)
    dataset.contract_version = 2
    await city.publish(name)
    assert (await city.show(name)).contract == before.contract


async def test_an_expired_version_is_not_released(city: City) -> None:
    name = city.register(opening=catalogue_pb2.Opening(allowed=True))
    for _ in range(2):
        city.load(name, ROWS)
    gone = city.directory.versions[f"{name}/versions/1"]
    gone.state, gone.expire_rule = catalogue_pb2.VERSION_STATE_EXPIRED, "kept are the newest 1"
    with pytest.raises(VersionGone, match=r"version 1 .* expired: kept are the newest 1"):
        await city.approve(name, 1)
    assert (await city.approve(name, 2)).version == 2


async def test_gates_are_told_all_at_once(city: City) -> None:
    name = city.register(
        city_level=grades_pb2.CITY_LEVEL_INTERNAL, opening=catalogue_pb2.Opening(), licence=""
    )
    with pytest.raises(GatesNotPassed) as refusal:
        await city.approve(name)
    assert refusal.value.facts["gates"] == "city-level,opening,licence,version"
    with pytest.raises(GatesNotPassed, match="version 7 was never committed"):
        await city.approve(name, 7)
    plain = city.register(dataset="plain")
    city.load(plain, ROWS, assess=False)
    with pytest.raises(GatesNotPassed, match="not assessed"):
        await city.approve(plain)
    city.directory.datasets[plain].contract.ClearField("rules")
    release = await city.publish(plain)
    assert not release.HasField("score")
    assert release.state == pb.RELEASE_STATE_PUBLISHED
    set_caller(person("data-officer", "elsewhere"))
    request = pb.CreateReleaseRequest(parent=plain, release=pb.Release())
    with pytest.raises(NotPermitted):
        await city.releases.CreateRelease(request, None)


async def test_a_stopped_version_is_not_released_and_the_last_release_stays(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    first = await city.publish(name)
    city.directory.datasets[name].contract.rules[0].stops_opening = True
    city.load(name, ROWS[:1])
    rule = gates_pb2.StoppingRule(id="null", title="有值")
    city.directory.gates = {
        1: gates_pb2.ExitGate(state=gates_pb2.GATE_STATE_PASSED, last_good_version=1),
        2: gates_pb2.ExitGate(state=gates_pb2.GATE_STATE_STOPPED, stopped_by=[rule], last_good_version=1),
    }
    for asked in (0, 2):
        with pytest.raises(
            GatesNotPassed, match=r"quality: version 2 does not meet null \(有值\)"
        ) as refusal:
            await city.approve(name, asked)
        assert "release version 1, the last that meets them" in refusal.value.remedy
    assert (await city.show(name)).latest_release.name == first.name
    assert (await city.get(first.name)).state == pb.RELEASE_STATE_PUBLISHED


async def test_the_same_version_twice_and_the_same_request_twice(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    request_id = str(uuid.uuid4())
    first = await city.approve(name, request_id=request_id)
    with pytest.raises(VersionReleased, match="is being built") as refusal:
        await city.approve(name)
    assert refusal.value.facts["release"] == first.name
    await city.building.build(first.name)
    again = await city.approve(name, request_id=request_id)
    assert (again.name, again.state) == (first.name, pb.RELEASE_STATE_PUBLISHED)
    with pytest.raises(RequestIdReused):
        await city.approve(name, 1, request_id=request_id)
    with pytest.raises(VersionReleased, match="releases/1 is published"):
        await city.approve(name)
    await city.withdraw(first.name)
    assert (await city.approve(name)).release == 2


async def test_releases_of_one_moment_get_different_numbers(city: City) -> None:
    name = city.register()
    for hour in range(4):
        city.load(name, [{"station": "a", "hour": hour}])
    made = await asyncio.gather(*(city.approve(name, version) for version in (1, 2, 3, 4)))
    assert sorted(release.release for release in made) == [1, 2, 3, 4]
    # Built in another order than approved: the newest number is the published one.
    for release in sorted(made, key=lambda r: -r.release):
        await city.building.build(release.name)
    city.be("reader")
    pages = [await city.releases.ListReleases(pb.ListReleasesRequest(parent=name, page_size=3), None)]
    token = pages[0].next_page_token
    request = pb.ListReleasesRequest(parent=name, page_size=3, page_token=token)
    pages.append(await city.releases.ListReleases(request, None))
    listed = [release for page in pages for release in page.releases]
    assert [r.release for r in listed] == [4, 3, 2, 1]
    assert [r.state for r in listed] == [pb.RELEASE_STATE_PUBLISHED] + [pb.RELEASE_STATE_SUPERSEDED] * 3
    assert not pages[1].next_page_token


async def test_superseded_stays_readable_and_withdrawn_does_not(city: City) -> None:
    name = city.register()
    city.load(name, ROWS[:2])
    first = await city.publish(name)
    city.load(name, ROWS[2:])
    second = await city.publish(name)
    assert (await city.get(first.name)).state == pb.RELEASE_STATE_SUPERSEDED
    assert (await city.read(first.name, FILE))[0] == first.files[0]

    with pytest.raises(EtagMismatch):
        await city.withdraw(second.name, etag=first.etag)
    gone = await city.withdraw(second.name, "含错误数据", etag=second.etag)
    assert (gone.state, gone.withdraw_reason) == (pb.RELEASE_STATE_WITHDRAWN, "含错误数据")
    assert (await city.get(first.name)).state == pb.RELEASE_STATE_PUBLISHED
    with pytest.raises(Exception, match="was withdrawn: 含错误数据"):
        await city.read(second.name, "air-quality-r2.csv")
    with pytest.raises(IllegalTransition, match="withdrawn"):
        await city.withdraw(second.name)

    await city.withdraw(first.name)
    shown = await city.show(name)
    assert not shown.HasField("latest_release")
    assert [r.state for r in shown.releases] == [pb.RELEASE_STATE_WITHDRAWN] * 2
    assert (len(shown.preview), len(shown.rules)) == (0, 0)
    assert shown.display_name == "空气质量小时监测数据"
    await wait_for(lambda: len(city.published_events("withdrawn")) == 2)
    told = city.published_events("withdrawn")
    assert told[0] == {
        "dataset": name,
        "release": second.name,
        "reason_sha256": hashlib.sha256("含错误数据".encode()).hexdigest(),
        "latest_release": 1,
    }
    assert told[1]["latest_release"] == 0


async def test_a_department_cannot_write_anothers_releases(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    await city.approve(name)
    async with city.world.database.transaction(Scope.department("other")) as connection:
        key = {"d": city.department}
        for table in ("open_datasets", "releases"):
            seen = await connection.execute(text(f"SELECT 1 FROM {table} WHERE department = :d"), key)
            assert seen.first() is not None
            changed = await connection.execute(
                text(f"UPDATE {table} SET dataset = dataset WHERE department = :d"), key
            )
            assert changed.rowcount == 0
        hidden = await connection.execute(text("SELECT 1 FROM builds WHERE department = :d"), key)
        assert hidden.first() is None


async def wait_for(condition: Any) -> None:
    end = datetime.now(UTC) + timedelta(seconds=5)
    while not condition():
        assert datetime.now(UTC) < end, "it did not happen"
        await asyncio.sleep(0.02)
