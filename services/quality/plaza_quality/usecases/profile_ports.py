"""What profiles, suggestions and anomalies need from outside, beside the service's `World`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from plaza.common.v1 import contract_pb2
from plaza_kit.names import DatasetName

from plaza_quality.usecases.ports import World


@dataclass(frozen=True, slots=True)
class InForce:
    """The contract of a dataset, as the caller sees it."""

    contract: contract_pb2.Contract
    version: int
    etag: str


class Contracts(Protocol):
    """The catalogue."""

    async def code_lists(self) -> Sequence[str]:
        """`codeLists/{list}/versions/{version}` of every list's newest version, in the service's own name."""

    async def in_force(self, name: DatasetName) -> InForce:
        """For the caller. Raises AioRpcError."""

    async def adopt(self, name: DatasetName, wanted: InForce, request_id: str, *, validate_only: bool) -> int:
        """For the caller: `wanted.contract` comes into force if the dataset still has that etag. Answers its number.
        Raises AioRpcError with the catalogue's refusal."""


@dataclass(frozen=True, slots=True)
class ProfileWorld:
    """Everything around these use cases."""

    world: World
    contracts: Contracts
    rows_by_itself: int
    """Versions of at most so many rows are profiled without being asked; 0: none."""
