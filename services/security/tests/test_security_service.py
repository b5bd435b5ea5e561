"""The tree and the grants on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from plaza.common.v1 import events_pb2
from plaza_kit.db import Database
from plaza_kit.db.engine import Scope
from plaza_kit.db.inbox import EventSink, ForeignEvent
from plaza_kit.db.migrate import migrate
from plaza_kit.errors import PlazaError
from plaza_kit.grants import GrantVerifier
from plaza_kit.identity import Principal, PrincipalKind
from plaza_kit.policy import BUNDLE_TYPE, NotPermitted, PersonRemoved
from plaza_kit.rpc.context import set_caller
from plaza_kit.signing import KeyRing, SigningKey
from plaza_kit.statements import verify_statement
from plaza_kit.tlog import merkle
from plaza_kit.tlog.checkpoint import open_checkpoint
from plaza_security.domain.grants import ReadRequest, RunElsewhere, RunGrantMisused, TableNeedsPurpose
from plaza_security.service import build
from plaza_security.settings import SecuritySettings
from plaza_security.usecases.authority import Authority
from plaza_security.usecases.bundles import BundleService
from plaza_security.usecases.events import REGISTERED, SIGNED, handlers
from plaza_security.usecases.gradings import Gradings, NotGraded
from plaza_security.usecases.grants import Grants
from plaza_security.usecases.ledger import Ledger, NotInLedger
from plaza_testing.postgres import Postgres
from sqlalchemy import text

pytestmark = pytest.mark.integration
ORIGIN = "ledger.plaza.local"
AIR = "departments/ecology/datasets/air"
KEY = SigningKey.generate("security.plaza.local")
LEDGER_KEY = SigningKey.generate(ORIGIN)
RING = KeyRing([KEY.verifying_key])


def who(kind: str, departments: str = "", roles: str = "", client: str = "plaza-cli") -> Principal:
    expires = datetime.now(UTC) + timedelta(hours=1)
    sets = frozenset(departments.split()), frozenset(roles.split())
    return Principal("s-1", "zhang", "Zhang", PrincipalKind(kind), *sets, client, "", expires)


def service(name: str) -> Principal:
    return who("service", "", "plaza-service", f"plaza-{name}")


OFFICER = who("person", "ecology", "data-officer")
NEIGHBOUR = who("person", "transport", "reader")


class Room:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.authority = Authority()
        self.ledger = Ledger(database, LEDGER_KEY, ORIGIN, self.authority)
        self.sink = EventSink(database, handlers(self.ledger))
        self.gradings = Gradings(database, self.authority)
        self.grants = Grants(database, self.authority, KEY, GrantVerifier(RING, "security"))

    async def deliver(self, *events: events_pb2.Event, sender: str = "catalogue") -> None:
        set_caller(service(sender))
        await self.sink.Deliver(events_pb2.DeliverRequest(events=events), None)


@pytest.fixture
async def room(postgres: Postgres) -> AsyncIterator[Room]:
    url = postgres.role("security")
    await asyncio.to_thread(migrate, url, "security", "plaza_security")
    database = Database(url, "security")
    yield Room(database)
    await database.close()


def event(
    type: str = "city.plaza.catalogue.version.committed.v1", source: str = "catalogue", **data: Any
) -> events_pb2.Event:
    made = events_pb2.Event(
        id=str(uuid.uuid4()),
        source=f"//plaza/{source}",
        type=type,
        subject=AIR,
        data=json.dumps(data),
        principal="people/1",
    )
    made.time.FromDatetime(datetime.now(UTC))
    return made


def graded(city_level: str, sharing_class: str) -> events_pb2.Event:
    return event(
        REGISTERED, department="ecology", dataset=AIR, city_level=city_level, sharing_class=sharing_class
    )


def agreed(state: str) -> events_pb2.Event:
    parties = {"provider": "ecology", "consumer": "transport"}
    return event(SIGNED, "sharing", agreement="agreements/1", dataset=AIR, state=state, **parties)


def wish(**changes: Any) -> ReadRequest:
    asked: dict[str, Any] = {
        "dataset": AIR,
        "table": "rows",
        "version": 0,
        "columns": (),
        "audience": "sharing",
        "purpose": "own",
        "agreement": "",
        "reader": "",
        "run_grant": "",
    }
    return ReadRequest(**(asked | changes))


async def prove_all(room: Room, events: list[events_pb2.Event]) -> None:
    set_caller(service("open-data"))
    seen = set()
    for one in events:
        proof = await room.ledger.inclusion(uuid.UUID(one.id))
        head = open_checkpoint(proof.note, [LEDGER_KEY.verifying_key]).checkpoint
        leaf = merkle.leaf_hash(proof.entry.leaf.encode())
        merkle.verify_inclusion(proof.entry.index, head.size, leaf, proof.path, head.root)
        assert json.loads(proof.entry.leaf)["id"] == one.id
        seen.add(proof.entry.index)
    assert seen == set(range(len(events)))


async def test_every_entry_and_every_step_of_growth_can_be_proved(room: Room) -> None:
    events = [event(rows=i) for i in range(300)]
    heads = [open_checkpoint((await room.ledger.checkpoint())[1], [LEDGER_KEY.verifying_key]).checkpoint]
    start = 0
    for width in (1, 2, 3, 7, 64, 5, 113, 90, 15):
        await room.deliver(*events[start : start + width])
        start += width
        size, note = await room.ledger.checkpoint()
        assert size == start
        heads.append(open_checkpoint(note, [LEDGER_KEY.verifying_key]).checkpoint)
    assert start == 300
    await prove_all(room, events)
    for i, old in enumerate(heads[1:], 1):
        for new in heads[i:]:
            _, path = await room.ledger.consistency(old.size, new.size)
            merkle.verify_consistency(old.size, new.size, old.root, new.root, path)
    with pytest.raises(merkle.BadTreePosition):
        await room.ledger.consistency(1, 301)


async def test_an_event_delivered_twice_appears_once_and_pages_meet(room: Room) -> None:
    events = [event(rows=i) for i in range(5)]
    await room.deliver(*events, events[0])
    await room.deliver(*events)
    set_caller(who("person", "", "auditor"))
    first, token = await room.ledger.entries(3, "", AIR)
    rest, end = await room.ledger.entries(3, token, AIR)
    assert [e.index for e in first + rest] == [0, 1, 2, 3, 4]
    assert end == ""
    assert (await room.ledger.entries(3, "", "departments/x"))[0] == []
    set_caller(OFFICER)
    with pytest.raises(NotPermitted):
        await room.ledger.entries(3, "", "")
    set_caller(service("quality"))
    with pytest.raises(NotInLedger):
        await room.ledger.inclusion(uuid.uuid4())


async def test_concurrent_deliveries_keep_the_tree_right(room: Room) -> None:
    batches = [[event(rows=i, batch=b) for i in range(20)] for b in range(4)]
    await asyncio.gather(*(room.deliver(*batch) for batch in batches))
    await prove_all(room, [one for batch in batches for one in batch])


async def test_a_bad_event_leaves_nothing_behind(room: Room) -> None:
    with pytest.raises(PlazaError):
        await room.deliver(event(rows=1), event(score=0.5))
    with pytest.raises(ForeignEvent):
        await room.deliver(graded("public", "unconditional"), sender="quality")
    assert (await room.ledger.checkpoint())[0] == 0


async def test_grants_follow_grade_agreement_and_role(room: Room) -> None:
    set_caller(OFFICER)
    with pytest.raises(NotGraded):
        await room.gradings.get(AIR)
    await room.deliver(graded("internal", "unconditional"))
    share = wish(purpose="share", agreement="agreements/1", reader="transport", columns=("pm2_5",))
    set_caller(NEIGHBOUR)
    with pytest.raises(NotPermitted) as refused:
        await room.grants.read(share)
    assert refused.value.remedy
    await room.deliver(agreed("in_force"), sender="sharing")
    set_caller(NEIGHBOUR)
    token, end = await room.grants.read(share)
    grant = GrantVerifier(RING, "sharing").read(token)
    assert (grant.agreement, grant.columns, grant.principal) == ("agreements/1", ("pm2_5",), NEIGHBOUR.name)
    assert end - grant.issued_at <= timedelta(seconds=60)
    for wrong in (wish(), wish(purpose="share", agreement="agreements/1", reader="health")):
        with pytest.raises(NotPermitted):
            await room.grants.read(wrong)
    with pytest.raises(TableNeedsPurpose):
        await room.grants.read(wish(table="quarantine"))
    await room.deliver(agreed("revoked"), sender="sharing")
    set_caller(NEIGHBOUR)
    with pytest.raises(NotPermitted):
        await room.grants.read(share)
    set_caller(OFFICER)
    assert (await room.gradings.get(AIR)).city_level == "internal"
    await room.grants.read(wish(table="quarantine", purpose="quarantine", audience="ingestion"))


async def test_a_job_reads_with_no_more_than_its_starter_has(room: Room) -> None:
    await room.deliver(graded("public", "unconditional"))
    set_caller(OFFICER)
    run, _ = await room.grants.run("departments/ecology/runs/1", "release", AIR)
    with pytest.raises(RunElsewhere):
        await room.grants.run("departments/transport/runs/1", "load", AIR)
    with pytest.raises(RunGrantMisused):
        await room.grants.read(wish(run_grant=run))
    asked = wish(purpose="release", audience="open-data", run_grant=run)
    set_caller(service("open-data"))
    token, _ = await room.grants.read(asked)
    assert GrantVerifier(RING, "open-data").read(token).principal == OFFICER.name
    with pytest.raises(RunGrantMisused):
        await room.grants.read(wish(purpose="release", audience="quality"))
    with pytest.raises(RunGrantMisused):
        other = "departments/ecology/datasets/water"
        await room.deliver(event(REGISTERED, department="ecology", dataset=other, city_level="public"))
        set_caller(service("open-data"))
        await room.grants.read(wish(dataset=other, purpose="release", audience="open-data", run_grant=run))
    set_caller(NEIGHBOUR)
    with pytest.raises(NotPermitted):
        await room.grants.run("departments/ecology/runs/1", "release", AIR)


async def test_a_comparison_reads_as_its_starter_may_read_at_that_moment(room: Room) -> None:
    await room.deliver(graded("internal", "unconditional"))
    steward = who("person", "transport", "steward")
    of_run = "departments/transport/reconciliations/1/runs/1"
    set_caller(steward)
    run, _ = await room.grants.run(of_run, "reconcile", AIR)
    asked = wish(purpose="reconcile", audience="quality", run_grant=run, reader="transport")
    shared = replace(asked, agreement="agreements/1")
    set_caller(service("quality"))
    for refused in (asked, shared):
        with pytest.raises(NotPermitted):
            await room.grants.read(refused)
    await room.deliver(agreed("in_force"), sender="sharing")
    set_caller(service("quality"))
    token, _ = await room.grants.read(shared)
    grant = GrantVerifier(RING, "quality").read(token)
    assert (grant.principal, grant.agreement) == (steward.name, "agreements/1")
    misused = (
        replace(shared, purpose="assess"),
        replace(shared, run_grant=""),
    )
    for wrong in misused:
        with pytest.raises(RunGrantMisused):
            await room.grants.read(wrong)
    with pytest.raises(NotPermitted):
        await room.grants.read(replace(shared, reader="health"))
    await room.deliver(agreed("revoked"), sender="sharing")
    set_caller(service("quality"))
    with pytest.raises(NotPermitted):
        await room.grants.read(shared)
    for stranger in (NEIGHBOUR, OFFICER):
        set_caller(stranger)
        with pytest.raises(NotPermitted):
            await room.grants.run(of_run, "reconcile", AIR)


async def test_the_bundle_is_signed_and_carries_the_denied(tmp_path: Path) -> None:
    denied = tmp_path / "denied"
    authority = Authority(denied)
    bundles = BundleService(authority, KEY)
    set_caller(service("catalogue"))
    token, etag = bundles.get("")
    assert verify_statement(token, typ=BUNDLE_TYPE, keys=RING)["denied"] == []
    assert bundles.get(etag) == ("", etag)
    denied.write_text("s-1\n")
    set_caller(OFFICER)
    with pytest.raises(PersonRemoved):
        bundles.get(etag)


async def test_the_parts_fit_together_and_the_job_tables_exist(room: Room, tmp_path: Path) -> None:
    KEY.save(tmp_path / "signing.pem")
    LEDGER_KEY.save(tmp_path / "ledger.pem")
    settings = SecuritySettings.model_construct(
        signing_key_file=tmp_path / "signing.pem",
        ledger_key_file=tmp_path / "ledger.pem",
        ledger_origin=ORIGIN,
        denied_file=None,
        ask_for_leavers=False,
    )
    runtime = SimpleNamespace(database=room.database, grants=GrantVerifier(RING, "security"))
    parts = await build(settings, runtime)
    server = grpc.aio.server()
    for register in parts.registrations:
        register(server)
    assert len(parts.service_names) == len(parts.registrations)
    async with room.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text(
                "SELECT schemaname FROM pg_tables WHERE tablename IN ('procrastinate_jobs', 'inbox', 'outbox')"
            )
        )
        assert [row[0] for row in found] == ["security"] * 3
