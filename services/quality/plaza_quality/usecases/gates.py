"""Saying which version may leave."""

from __future__ import annotations

from plaza.quality.v1 import gates_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.names import DatasetName
from plaza_kit.policy import Resource

from plaza_quality.domain.rules import Exit
from plaza_quality.storage import gates, versions
from plaza_quality.storage.versions import UNGRADED
from plaza_quality.usecases.ports import World

READ = "gate.read"


class Gates:
    """The use case `GetGate`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: pb.GetGateRequest) -> pb.Gate:
        """Raises NotPermitted."""
        name = DatasetName.parse(request.name.removesuffix("/gate"))
        async with self._world.database.transaction(Scope.department(name.department)) as connection:
            grading = await versions.grading(connection, name) or UNGRADED
            resource = Resource.of_dataset(
                str(name), city_level=grading.city_level, sharing_class=grading.sharing_class
            )
            self._world.policy.authorize(READ, resource)
            version = request.version or await gates.newest(connection, name)
            return pb.Gate(
                name=request.name,
                version=version,
                sharing=await gates.exit_gate(connection, name, version, Exit.SHARING),
                opening=await gates.exit_gate(connection, name, version, Exit.OPENING),
            )
