"""What reconciling needs from other services, besides `ports`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from plaza_quality.domain.reconciliations import Side


class Sources(Protocol):
    """Security and catalogue, asked for the caller or, in a job, for whoever started it."""

    async def reading(self, side: Side) -> str:
        """A read grant for what the caller may read of a side. Raises SideRefused, AioRpcError."""

    async def run_grant(self, run: str, side: Side) -> str:
        """What a run may read for the caller. Raises AioRpcError."""

    async def reconciling(self, side: Side, run_grant: str) -> str:
        """A read grant for what the starter of a run may read of a side now. Raises SideRefused, AioRpcError."""

    async def code_names(self, code_list: str) -> tuple[str, Mapping[str, str]] | None:
        """The version (`codeLists/…/versions/…`) of a list, or of one version of it, and its names by code; None
        when it is not there. Raises AioRpcError."""
