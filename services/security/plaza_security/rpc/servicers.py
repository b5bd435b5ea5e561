"""The gRPC methods of caller, gradings, policy and grants."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from plaza.common.v1 import grades_pb2
from plaza.security.v1 import security_pb2 as pb
from plaza.security.v1 import security_pb2_grpc as pb_grpc
from plaza_kit.rpc import context
from plaza_kit.rpc.server import ServicerContext

from plaza_security.domain.grants import ReadRequest
from plaza_security.domain.projections import department_id
from plaza_security.usecases.bundles import BundleService
from plaza_security.usecases.gradings import Gradings
from plaza_security.usecases.grants import Grants


class CallerServicer(pb_grpc.CallerServiceServicer):
    """`CallerService`."""

    async def GetCaller(self, request: pb.GetCallerRequest, rpc: ServicerContext) -> pb.Caller:
        caller = context.caller()
        return pb.Caller(
            name=caller.name,
            username=caller.username,
            display_name=caller.display_name,
            departments=[f"departments/{department}" for department in sorted(caller.departments)],
            roles=sorted(caller.roles),
        )


class GradingServicer(pb_grpc.GradingServiceServicer):
    """`GradingService`."""

    def __init__(self, gradings: Gradings) -> None:
        self._gradings = gradings

    async def GetGrading(self, request: pb.GetGradingRequest, rpc: ServicerContext) -> pb.Grading:
        found = await self._gradings.get(request.name.removesuffix("/grading"))
        return pb.Grading(
            name=request.name,
            city_level=grades_pb2.CityLevel.Value(f"CITY_LEVEL_{found.city_level.upper() or 'UNSPECIFIED'}"),
            sharing_class=grades_pb2.SharingClass.Value(
                f"SHARING_CLASS_{found.sharing_class.upper() or 'UNSPECIFIED'}"
            ),
            confirmed_by=found.confirmed_by,
            confirm_time=timestamp(found.confirmed_at),
        )


class PolicyServicer(pb_grpc.PolicyServiceServicer):
    """`PolicyService`."""

    def __init__(self, bundles: BundleService) -> None:
        self._bundles = bundles

    async def GetPolicyBundle(
        self, request: pb.GetPolicyBundleRequest, rpc: ServicerContext
    ) -> pb.GetPolicyBundleResponse:
        bundle, etag = self._bundles.get(request.etag)
        age = self._bundles.leavers_age()
        leavers_age = None if age is None else Duration(seconds=int(age), nanos=int(age % 1 * 1e9))
        return pb.GetPolicyBundleResponse(bundle=bundle, etag=etag, leavers_age=leavers_age)


class GrantServicer(pb_grpc.GrantServiceServicer):
    """`GrantService`."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    async def IssueReadGrant(
        self, request: pb.IssueReadGrantRequest, rpc: ServicerContext
    ) -> pb.IssueReadGrantResponse:
        grant, end = await self._grants.read(
            ReadRequest(
                dataset=request.dataset,
                table=request.table,
                version=request.version,
                columns=tuple(request.columns),
                audience=request.audience,
                purpose=request.purpose,
                agreement=request.agreement,
                reader=department_id(request.reader),
                run_grant=request.run_grant,
            )
        )
        return pb.IssueReadGrantResponse(grant=grant, expire_time=timestamp(end))

    async def IssueRunGrant(
        self, request: pb.IssueRunGrantRequest, rpc: ServicerContext
    ) -> pb.IssueRunGrantResponse:
        grant, end = await self._grants.run(request.run, request.action, request.dataset)
        return pb.IssueRunGrantResponse(grant=grant, expire_time=timestamp(end))


def timestamp(moment: datetime) -> Timestamp:
    """The same moment as a proto."""
    result = Timestamp()
    result.FromDatetime(moment)
    return result
