"""The desk's sources at the service itself."""

from __future__ import annotations

from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.ingestion.v1 import sources_pb2 as src
from plaza.ingestion.v1.sources_pb2_grpc import SourceServiceStub
from plaza_kit.rpc.client import Peers

from plaza_gateway.console.calling import answer, carried, every

_LARGEST = 1000


class SourcesOverGrpc:
    """A `SourceDesk` at ingestion."""

    def __init__(self, peers: Peers, token: str) -> None:
        self._token = token
        self._service = SourceServiceStub(peers.channel("ingestion"))

    async def all(self, department: str) -> list[src.Source]:
        """By id."""
        request = src.ListSourcesRequest(parent=department, page_size=_LARGEST)
        return await every(
            self._service.ListSources, request, lambda page: page.sources, carried(self._token)
        )

    async def one(self, name: str) -> src.Source:
        """As it is now."""
        return await answer(self._service.GetSource(src.GetSourceRequest(name=name), **carried(self._token)))

    async def register(
        self, department: str, source_id: str, source: src.Source, request_id: str
    ) -> src.Source:
        """Nothing is pulled by that."""
        request = src.CreateSourceRequest(
            parent=department, source_id=source_id, source=source, request_id=request_id
        )
        return await answer(self._service.CreateSource(request, **carried(self._token)))

    async def update(self, source: src.Source, fields: tuple[str, ...]) -> src.Source:
        """Changes these fields, if the source still has the etag that is given."""
        request = src.UpdateSourceRequest(source=source)
        request.update_mask.paths.extend(fields)
        return await answer(self._service.UpdateSource(request, **carried(self._token)))

    async def pause(self, name: str) -> src.Source:
        """Until somebody resumes it."""
        return await answer(
            self._service.PauseSource(src.PauseSourceRequest(name=name), **carried(self._token))
        )

    async def resume(self, name: str) -> src.Source:
        """Its failures are forgotten."""
        return await answer(
            self._service.ResumeSource(src.ResumeSourceRequest(name=name), **carried(self._token))
        )

    async def pull(self, name: str, request_id: str) -> ing.Run:
        """Starts a pull, or answers with the one under way."""
        request = src.PullSourceRequest(name=name, request_id=request_id)
        return await answer(self._service.PullSource(request, **carried(self._token)))
