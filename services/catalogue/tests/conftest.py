"""A PostgreSQL of our own with the catalogue's schema, and callers with a tiny table of rights."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza_catalogue.rpc.build import SPEC
from plaza_catalogue.rpc.code_lists import CodeListServicer
from plaza_catalogue.rpc.servicer import CatalogueServicer
from plaza_catalogue.rpc.source_systems import SourceSystemServicer
from plaza_catalogue.usecases.code_lists import CodeLists
from plaza_catalogue.usecases.ports import World
from plaza_kit.db import Database
from plaza_kit.db.migrate import migrate
from plaza_kit.db.outbox import Outbox
from plaza_kit.identity import Principal, ServiceTokens
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.context import set_caller
from plaza_testing.callers import Rights, person, service
from plaza_testing.postgres import Postgres

RIGHTS = {
    "data-officer": {
        *("dataset.create", "dataset.update", "directory.read", "contract.draft"),
        *("contract.adopt", "source-system.manage"),
    },
    "steward": {"dataset.update", "directory.read", "source-system.manage"},
    "analyst": {"directory.read"},
    "city-administrator": {"department.create", "department.manage", "directory.read", "code-list.manage"},
}


@dataclass(frozen=True)
class Catalogue:
    """The service as a test sees it."""

    api: CatalogueServicer
    world: World
    url: str
    systems: SourceSystemServicer
    codes: CodeListServicer

    def be(self, role: str, *departments: str) -> Principal:
        principal = person(role, *departments)
        set_caller(principal)
        return principal

    def be_service(self, name: str) -> None:
        set_caller(service(name))


@pytest.fixture(scope="session")
def catalogue_url(postgres: Postgres) -> str:
    url = postgres.role("catalogue")
    migrate(url, SPEC.schema, SPEC.package)
    return url


@pytest_asyncio.fixture
async def catalogue(catalogue_url: str) -> AsyncIterator[Catalogue]:
    database = Database(catalogue_url, SPEC.schema)
    outbox = Outbox(database, SPEC.name, SPEC.routes, cast(Peers, None), cast(ServiceTokens, None))
    world = World(database, Rights(RIGHTS), outbox, ZoneInfo("Asia/Shanghai"))
    systems, codes = SourceSystemServicer(world), CodeListServicer(CodeLists(world))
    yield Catalogue(CatalogueServicer(world), world, catalogue_url, systems, codes)
    set_caller(None)
    await database.close()


@pytest.fixture
def air_contract() -> contract_pb2.Contract:
    types = contract_pb2.FieldType.Value
    fields = [("year", "INTEGER"), ("month", "INTEGER"), ("day", "INTEGER"), ("pm2_5", "NUMBER")]
    contract = contract_pb2.Contract(
        fields=[
            contract_pb2.Field(name=n, source_name=n.upper(), type=types(f"FIELD_TYPE_{t}"))
            for n, t in fields
        ],
        key=["observed_at"],
    )
    contract.fields[3].title = "细颗粒物"
    contract.fields[3].unit = "μg/m³"
    contract.fields.add(name="observed_at", type=contract_pb2.FIELD_TYPE_TIMESTAMP, required=True)
    build = contract.steps.add().build_timestamp
    build.target, build.year, build.month, build.day = "observed_at", "year", "month", "day"
    build.zone = "Asia/Shanghai"
    rule = contract.rules.add(id="once", dimension=grades_pb2.DIMENSION_UNIQUENESS, threshold_percent=100)
    rule.unique.fields.append("observed_at")
    rule = contract.rules.add(id="null", dimension=grades_pb2.DIMENSION_COMPLETENESS, threshold_percent=97.5)
    rule.not_null.field = "pm2_5"
    rule = contract.rules.add(
        id="sane", dimension=grades_pb2.DIMENSION_VALIDITY, threshold_percent=99.9, weight=2
    )
    rule.range.field, rule.range.minimum = "pm2_5", 0
    contract.format.missing_values.append("NA")
    return contract


@pytest.fixture
def new_dataset(air_contract: contract_pb2.Contract) -> Callable[..., pb.Dataset]:
    def make(title: str = "空气质量小时监测数据", **fields: Any) -> pb.Dataset:
        dataset = pb.Dataset(
            display_name=title,
            display_name_en="Hourly air quality",
            description="各监测站的空气质量",
            category="生态环境",
            contract=air_contract,
            city_level=grades_pb2.CITY_LEVEL_PUBLIC,
            keywords=["大气"],
            **fields,
        )
        setattr_sharing(dataset, grades_pb2.SHARING_CLASS_UNCONDITIONAL)
        return dataset

    return make


def setattr_sharing(dataset: pb.Dataset, value: int) -> None:
    """`class` is a word of Python."""
    setattr(dataset.sharing, "class", value)


@pytest_asyncio.fixture
async def department(catalogue: Catalogue) -> str:
    """A department of its own for every test; the caller is its data officer afterwards."""
    department = f"d{uuid.uuid4().hex[:10]}"
    catalogue.be("city-administrator")
    await catalogue.api.CreateDepartment(
        pb.CreateDepartmentRequest(
            department_id=department,
            department=pb.Department(display_name="生态环境局", provider_code="EP01"),
        ),
        cast(Any, None),
    )
    catalogue.be("data-officer", department)
    return department
