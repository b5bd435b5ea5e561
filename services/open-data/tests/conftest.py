"""The service with a real PostgreSQL and lake; the other services are small gRPC servers that keep their word:
grants are signed, and the ledger is a Merkle tree with signed checkpoints."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
import orjson
import pytest
import pytest_asyncio
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.common.v1 import contract_pb2, events_pb2, events_pb2_grpc, grades_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza.quality.v1 import gates_pb2, gates_pb2_grpc, quality_pb2, quality_pb2_grpc
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.db import Database
from plaza_kit.db.migrate import migrate
from plaza_kit.db.outbox import Outbox
from plaza_kit.grants import GrantVerifier
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.context import set_caller
from plaza_kit.signing import KeyRing, SigningKey
from plaza_kit.tlog import merkle
from plaza_kit.tlog.checkpoint import Checkpoint, sign_checkpoint
from plaza_kit.tlog.leaf import canonical_json
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake, LakeSettings
from plaza_lake.write import commit_batch
from plaza_opendata.rpc.build import SPEC
from plaza_opendata.rpc.peers import PeerFacts, PeerSecurity
from plaza_opendata.rpc.servicers import PortalServicer, ReleaseServicer
from plaza_opendata.storage.files import ReleaseStore
from plaza_opendata.usecases.building import Building
from plaza_opendata.usecases.ports import World
from plaza_testing.callers import Rights, person
from plaza_testing.grants import Granter
from plaza_testing.postgres import Postgres
from plaza_testing.staging import Stager

RPC = cast(Any, None)
RIGHTS = {
    "data-officer": {"release.create", "release.withdraw", "release.read"},
    "reader": {"release.read"},
}
AIR = TableSchema(
    columns=(
        Column("station", FieldType.STRING, required=True),
        Column("hour", FieldType.INTEGER, required=True),
        Column("pm2_5", FieldType.NUMBER),
        Column("wd", FieldType.STRING),
        Column("calm", FieldType.BOOLEAN),
    ),
    key=("station", "hour"),
)


@dataclass
class Ledger:
    """Security's log, in memory."""

    key: SigningKey = field(default_factory=lambda: SigningKey.generate("plaza.test/ledger"))
    leaves: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    events: list[events_pb2.Event] = field(default_factory=list)
    nodes: dict[merkle.NodeId, bytes] = field(default_factory=dict)

    def append(self, event: events_pb2.Event) -> None:
        if event.id in self.places:
            return
        leaf = canonical_json(
            {
                "id": event.id,
                "type": event.type,
                "source": event.source,
                "subject": event.subject,
                "time": event.time.ToJsonString(),
                "data": orjson.loads(event.data),
                "principal": event.principal,
            }
        )
        index, made = len(self.leaves), merkle.leaf_hash(leaf.encode())
        self.nodes |= merkle.nodes_to_store(index, [made], merkle.NodeMap(self.nodes))
        self.nodes[merkle.NodeId(0, index)] = made
        self.places[event.id] = index
        self.leaves.append(leaf)
        self.events.append(event)

    def inclusion(self, event_id: str) -> security_pb2.InclusionProof:
        index, size, reader = self.places[event_id], len(self.leaves), merkle.NodeMap(self.nodes)
        head = Checkpoint(self.key.name, size, merkle.root_hash(size, reader))
        return security_pb2.InclusionProof(
            index=index,
            tree_size=size,
            path=merkle.inclusion_proof(index, size, reader),
            leaf=self.leaves[index],
            checkpoint=sign_checkpoint(head, self.key),
        )


class Security(
    security_pb2_grpc.GrantServiceServicer,
    security_pb2_grpc.LedgerServiceServicer,
    events_pb2_grpc.EventSinkServiceServicer,
):
    def __init__(self) -> None:
        self.grants = SigningKey.generate("plaza.test/grants")
        self.ledger = Ledger()
        self.hides_the_ledger = False
        self.refuses = ""
        self.read_requests: list[security_pb2.IssueReadGrantRequest] = []

    async def IssueRunGrant(self, request: Any, rpc: Any) -> Any:
        granter = Granter(request.dataset, key=self.grants)
        return security_pb2.IssueRunGrantResponse(grant=granter.run(request.run, request.action))

    async def IssueReadGrant(self, request: Any, rpc: Any) -> Any:
        self.read_requests.append(request)
        if self.refuses:
            await rpc.abort(grpc.StatusCode.PERMISSION_DENIED, self.refuses)
        run = GrantVerifier(KeyRing([self.grants.verifying_key]), "any").run(request.run_grant)
        assert (run.action, run.dataset) == ("release", request.dataset)
        granter = Granter(request.dataset, request.audience, key=self.grants)
        return security_pb2.IssueReadGrantResponse(
            grant=granter(version=request.version, purpose=request.purpose)
        )

    async def GetInclusionProof(self, request: Any, rpc: Any) -> Any:
        if self.hides_the_ledger or request.event_id not in self.ledger.places:
            await rpc.abort(grpc.StatusCode.NOT_FOUND, "not there yet")
        return self.ledger.inclusion(request.event_id)

    async def Deliver(self, request: Any, rpc: Any) -> Any:
        for event in request.events:
            self.ledger.append(event)
        return events_pb2.DeliverResponse()


class Directory(
    catalogue_pb2_grpc.CatalogueServiceServicer,
    quality_pb2_grpc.QualityServiceServicer,
    gates_pb2_grpc.GateServiceServicer,
    events_pb2_grpc.EventSinkServiceServicer,
):
    """Catalogue and quality: they say what the test put there."""

    def __init__(self) -> None:
        self.datasets: dict[str, catalogue_pb2.Dataset] = {}
        self.versions: dict[str, catalogue_pb2.Version] = {}
        self.contracts: dict[str, catalogue_pb2.ContractVersion] = {}
        self.assessments: dict[str, quality_pb2.Assessment] = {}
        self.gates: dict[int, gates_pb2.ExitGate] = {}
        """By version."""
        self.events: list[events_pb2.Event] = []

    async def GetGate(self, request: Any, rpc: Any) -> Any:
        return gates_pb2.Gate(opening=self.gates[request.version])

    async def GetDataset(self, request: Any, rpc: Any) -> Any:
        return await _found(self.datasets, request.name, rpc)

    async def GetVersion(self, request: Any, rpc: Any) -> Any:
        return await _found(self.versions, request.name, rpc)

    async def GetContract(self, request: Any, rpc: Any) -> Any:
        return await _found(self.contracts, request.name, rpc)

    async def GetDepartment(self, request: Any, rpc: Any) -> Any:
        return catalogue_pb2.Department(
            name=request.name, display_name="生态环境局", display_name_en="Ecology Bureau"
        )

    async def GetAssessment(self, request: Any, rpc: Any) -> Any:
        return await _found(self.assessments, request.name, rpc)

    async def Deliver(self, request: Any, rpc: Any) -> Any:
        self.events.extend(request.events)
        return events_pb2.DeliverResponse()


async def _found(known: dict[str, Any], name: str, rpc: Any) -> Any:
    if name not in known:
        await rpc.abort(grpc.StatusCode.NOT_FOUND, f"{name} is not there")
    return known[name]


class Tokens:
    async def token(self) -> str:
        return "service"


def row(station: str, hour: int, pm2_5: float | None = 1.5, wd: str | None = "N") -> dict[str, Any]:
    return {"station": station, "hour": hour, "pm2_5": pm2_5, "wd": wd, "calm": hour % 2 == 0}


class Keeper(events_pb2_grpc.EventSinkServiceServicer):
    """Ingestion, as far as it keeps versions."""

    def __init__(self) -> None:
        self.events: list[events_pb2.Event] = []

    async def Deliver(self, request: events_pb2.DeliverRequest, rpc: Any) -> events_pb2.DeliverResponse:
        self.events += request.events
        return events_pb2.DeliverResponse()


@dataclass
class City:
    """The service as a test sees it, and the services around it."""

    world: World
    security: Security
    directory: Directory
    stage: Stager
    department: str
    keeper: Keeper

    def __post_init__(self) -> None:
        self.releases = ReleaseServicer(self.world)
        self.portal = PortalServicer(self.world)
        self.building = Building(self.world)

    def be(self, role: str) -> None:
        set_caller(person(role, self.department))

    def register(
        self, title: str = "空气质量小时监测数据", dataset: str = "air-quality", **fields: Any
    ) -> str:
        """A public dataset without data; answers its name."""
        name = f"departments/{self.department}/datasets/{dataset}"
        given: dict[str, Any] = {
            "name": name,
            "display_name": title,
            "display_name_en": "Hourly air quality",
            "description": "各监测站的测量",
            "category": "生态环境",
            "keywords": ["大气"],
            "city_level": grades_pb2.CITY_LEVEL_PUBLIC,
            "opening": catalogue_pb2.Opening(allowed=True),
            "licence": "CC-BY-4.0",
            "update_cycle": catalogue_pb2.UPDATE_CYCLE_HOURLY,
            "contract_version": 1,
        }
        made = catalogue_pb2.Dataset(**(given | fields))
        types = contract_pb2.FieldType.Value
        for column in AIR.columns:
            made.contract.fields.add(name=column.name, type=types(f"FIELD_TYPE_{column.type.upper()}"))
        made.contract.fields[2].title = "细颗粒物"
        rule = made.contract.rules.add(id="null", title="有值", threshold_percent=97.5)
        rule.not_null.field = "pm2_5"
        self.directory.datasets[name] = made
        return name

    def load(self, name: str, rows: list[dict[str, Any]], *, assess: bool = True) -> int:
        """One more version of a dataset; answers its number."""
        done = commit_batch(self.world.lake, name, AIR, uuid.uuid4().hex, [self.stage(rows)])
        version = catalogue_pb2.Version(
            name=f"{name}/versions/{done.version}",
            version=done.version,
            rows=done.total_rows,
            contract_version=1,
        )
        self.directory.versions[version.name] = version
        self.directory.datasets[name].latest_version.CopyFrom(version)
        if assess:
            assessment = quality_pb2.Assessment(score=97.25, light=grades_pb2.LIGHT_YELLOW)
            assessment.rules.add(
                rule=self.directory.datasets[name].contract.rules[0], passed=9, failed=1, pass_rate=90
            )
            assessment.dimensions.add(dimension=grades_pb2.DIMENSION_COMPLETENESS, score=90)
            self.directory.assessments[f"{version.name}/assessment"] = assessment
        return int(done.version)

    async def approve(self, name: str, version: int = 0, **fields: Any) -> pb.Release:
        self.be("data-officer")
        request = pb.CreateReleaseRequest(parent=name, release=pb.Release(version=version), **fields)
        return await self.releases.CreateRelease(request, RPC)

    async def publish(self, name: str) -> pb.Release:
        """A release of the newest version, built."""
        approved = await self.approve(name)
        await self.building.build(approved.name)
        return await self.get(approved.name)

    async def get(self, release: str) -> pb.Release:
        self.be("reader")
        return await self.releases.GetRelease(pb.GetReleaseRequest(name=release), RPC)

    async def withdraw(self, release: str, reason: str = "测错了", etag: str = "") -> pb.Release:
        self.be("data-officer")
        request = pb.WithdrawReleaseRequest(name=release, reason=reason, etag=etag)
        return await self.releases.WithdrawRelease(request, RPC)

    async def show(self, name: str) -> pb.OpenDataset:
        set_caller(None)
        return await self.portal.GetOpenDataset(pb.GetOpenDatasetRequest(name=f"{name}/openDataset"), RPC)

    async def read(self, release: str, file: str, **span: int) -> tuple[pb.ReleaseFile, list[bytes]]:
        set_caller(None)
        request = pb.ReadReleaseFileRequest(release=release, file_name=file, **span)
        parts = [part async for part in self.portal.ReadReleaseFile(request, RPC)]
        assert [part.WhichOneof("part") for part in parts] == ["file"] + ["chunk"] * (len(parts) - 1)
        return parts[0].file, [part.chunk for part in parts[1:]]

    def published_events(self, kind: str = "published") -> list[dict[str, Any]]:
        wanted = f"city.plaza.opendata.release.{kind}.v1"
        own = f"departments/{self.department}/"
        found = [e for e in self.security.ledger.events if e.type == wanted and e.subject.startswith(own)]
        return [orjson.loads(event.data) for event in found]


@pytest.fixture(scope="session")
def opendata_url(postgres: Postgres) -> str:
    url = postgres.role("open_data")
    migrate(url, SPEC.schema, SPEC.package)
    return url


@pytest.fixture(scope="session")
def opendata_catalog(postgres: Postgres) -> str:
    return postgres.lake()


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    # pytest's own folders have names that are too long for a socket.
    folder = tempfile.mkdtemp(prefix="plaza-od-")
    yield Path(folder)
    shutil.rmtree(folder)


@pytest_asyncio.fixture
async def city(
    opendata_url: str, opendata_catalog: str, tmp_path: Path, socket_folder: Path
) -> AsyncIterator[City]:
    security, directory = Security(), Directory()
    servers = {name: grpc.aio.server() for name in ("security", "catalogue", "ingestion")}
    security_pb2_grpc.add_GrantServiceServicer_to_server(security, servers["security"])
    security_pb2_grpc.add_LedgerServiceServicer_to_server(security, servers["security"])
    events_pb2_grpc.add_EventSinkServiceServicer_to_server(security, servers["security"])
    catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(directory, servers["catalogue"])
    gates_pb2_grpc.add_GateServiceServicer_to_server(directory, servers["catalogue"])
    quality_pb2_grpc.add_QualityServiceServicer_to_server(directory, servers["catalogue"])
    events_pb2_grpc.add_EventSinkServiceServicer_to_server(directory, servers["catalogue"])
    keeper = Keeper()
    events_pb2_grpc.add_EventSinkServiceServicer_to_server(keeper, servers["ingestion"])
    addresses = {name: f"unix:{socket_folder}/{name}.sock" for name in servers}
    for name, server in servers.items():
        server.add_insecure_port(addresses[name])
        await server.start()
    peers = Peers(addresses | {"quality": addresses["catalogue"]})
    tokens = cast(ServiceTokens, Tokens())
    database = Database(opendata_url, SPEC.schema)
    outbox = Outbox(database, SPEC.name, SPEC.routes, peers, tokens)
    lake = Lake(LakeSettings(opendata_catalog, str(tmp_path / "lake"), memory_limit="256MB"))
    (tmp_path / "staging").mkdir()
    world = World(
        database=database,
        policy=Rights(RIGHTS),
        outbox=outbox,
        facts=PeerFacts(peers),
        security=PeerSecurity(peers, tokens),
        lake=lake,
        verifier=GrantVerifier(KeyRing([security.grants.verifying_key]), "open-data"),
        store=ReleaseStore(str(tmp_path / "store")),
    )
    delivering = asyncio.create_task(outbox.run())
    yield City(
        world, security, directory, Stager(tmp_path / "staging", AIR), f"d{uuid.uuid4().hex[:10]}", keeper
    )
    set_caller(None)
    delivering.cancel()
    with suppress(asyncio.CancelledError):
        await delivering
    await peers.close()
    for server in servers.values():
        await server.stop(None)
    await database.close()
    lake.close()
