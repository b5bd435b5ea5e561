"""`plaza.quality.v1.ProfileService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.quality.v1 import profiles_pb2 as pb
from plaza.quality.v1 import profiles_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.profile_ports import ProfileWorld
from plaza_quality.usecases.profiles import Profiles


class ProfileServicer(profiles_pb2_grpc.ProfileServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: ProfileWorld) -> None:
        self._profiles = Profiles(world)

    async def CreateProfile(self, request: pb.CreateProfileRequest, rpc: ServicerContext) -> pb.Profile:
        return await self._profiles.create(request)

    async def GetProfile(self, request: pb.GetProfileRequest, rpc: ServicerContext) -> pb.Profile:
        return await self._profiles.get(request)
