"""Repairing one row: a file of it, and the run that replays the file."""

from __future__ import annotations

from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_kit.policy import Resource

from plaza_ingestion.usecases.ports import World
from plaza_ingestion.usecases.quarantine import Quarantine
from plaza_ingestion.usecases.starting import Starting
from plaza_ingestion.usecases.uploads import Uploads


class Repairing:
    """The use case behind the console's form for a row."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._quarantine = Quarantine(world)
        self._uploads = Uploads(world)
        self._starting = Starting(world)

    async def repair(self, request: pb.RepairQuarantinedRowRequest) -> pb.Run:
        """The same repair twice is one run: its file has the same bytes. Raises NotPermitted, UnknownRow,
        RowNotHeld, UnknownHeading, and as a replay."""
        dataset, data = await self._quarantine.repaired(request)
        principal = self._world.policy.authorize("load.start", Resource.of_dataset(str(dataset)))
        row = request.name.rpartition("/")[2]
        upload = await self._uploads.keep(dataset.department, f"repair-{row}.csv", data, principal)
        return await self._starting.repair(dataset, upload.name, request)
