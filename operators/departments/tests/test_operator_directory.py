"""The department's entry in the directory: made, kept as the resource says, left alone otherwise."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.catalogue.v1 import catalogue_pb2_grpc
from plaza.ingestion.v1 import worker_pb2, worker_pb2_grpc
from plaza_operator.domain.pacing import Queue
from plaza_operator.domain.spec import Department
from plaza_operator.external.plaza import Plaza


class Directory:
    """The catalogue's departments."""

    def __init__(self) -> None:
        self.entries: dict[str, pb.Department] = {}
        self.asked: list[Any] = []

    async def GetDepartment(self, request: pb.GetDepartmentRequest, **_: Any) -> pb.Department:
        if request.name not in self.entries:
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), grpc.aio.Metadata(), details="none"
            )
        return self.entries[request.name]

    async def CreateDepartment(self, request: pb.CreateDepartmentRequest, **_: Any) -> None:
        self.asked.append(request)
        self.entries[f"departments/{request.department_id}"] = request.department

    async def UpdateDepartment(self, request: pb.UpdateDepartmentRequest, **_: Any) -> None:
        self.asked.append(request)
        request.update_mask.MergeMessage(request.department, self.entries[request.department.name])

    async def ArchiveDepartment(self, request: pb.ArchiveDepartmentRequest, **_: Any) -> None:
        (
            await self.GetDepartment(pb.GetDepartmentRequest(name=request.name))
        ).state = pb.DEPARTMENT_STATE_ARCHIVED

    async def ActivateDepartment(self, request: pb.ActivateDepartmentRequest, **_: Any) -> None:
        self.entries[request.name].state = pb.DEPARTMENT_STATE_ACTIVE


class Nobody:
    """Channels and tokens that nobody looks at."""

    def channel(self, service: str) -> None:
        return None

    async def token(self) -> str:
        return "token"


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Directory:
    made = Directory()
    monkeypatch.setattr(catalogue_pb2_grpc, "CatalogueServiceStub", lambda _: made)
    return made


@pytest.fixture
def plaza() -> Plaza:
    nobody: Any = Nobody()
    return Plaza(nobody, nobody)


async def test_an_entry_is_made_once(directory: Directory, plaza: Plaza, department: Department) -> None:
    assert await plaza.ensure_entry(department) == ["directory entry made"]
    assert await plaza.ensure_entry(department) == []
    assert directory.entries["departments/ecology"].display_name == "生态环境局"


async def test_an_entry_that_somebody_took_away_comes_back(
    directory: Directory, plaza: Plaza, department: Department
) -> None:
    await plaza.ensure_entry(department)
    directory.entries.clear()
    assert await plaza.ensure_entry(department) == ["directory entry made"]
    # A request id that was used once would be taken for a repetition of what is gone.
    assert [one.request_id for one in directory.asked] == ["", ""]


async def test_what_the_resource_says_is_put_right_and_the_rest_left_alone(
    directory: Directory, plaza: Plaza, department: Department
) -> None:
    await plaza.ensure_entry(department)
    live = directory.entries["departments/ecology"]
    live.display_name, live.provider_code = "别的局", "11440300A"
    assert await plaza.ensure_entry(department) == ["display_name of the directory entry put right"]
    assert live.display_name == "生态环境局"
    assert live.provider_code == "11440300A", "the resource does not say"


async def test_an_archived_entry_is_activated_by_the_resource(
    directory: Directory, plaza: Plaza, department: Department
) -> None:
    await plaza.archive_entry(department)  # there is none yet
    await plaza.ensure_entry(department)
    await plaza.archive_entry(department)
    entry = directory.entries["departments/ecology"]
    assert entry.state == pb.DEPARTMENT_STATE_ARCHIVED
    entry.display_name = "旧名"
    assert await plaza.ensure_entry(department) == [
        "directory entry activated",
        "display_name of the directory entry put right",
    ]
    assert entry.state == pb.DEPARTMENT_STATE_ACTIVE
    assert await plaza.ensure_entry(department) == []


async def test_how_much_work_waits(plaza: Plaza, monkeypatch: pytest.MonkeyPatch) -> None:
    class Work:
        answer = worker_pb2.ListWaitingDepartmentsResponse(departments=["departments/ecology"])

        async def ListWaitingDepartments(
            self, *_: Any, **__: Any
        ) -> worker_pb2.ListWaitingDepartmentsResponse:
            return self.answer

    monkeypatch.setattr(worker_pb2_grpc, "WorkerServiceStub", lambda _: Work())
    assert await plaza.queues() == {"ecology": Queue(1, 0)}  # an ingestion of the version before
    Work.answer.queues.add(department="departments/ecology", waiting=3, leased=1)
    Work.answer.queues.add(department="departments/transport", leased=2)
    assert await plaza.queues() == {"ecology": Queue(3, 1), "transport": Queue(0, 2)}
