"""`plaza.quality.v1.SuggestionService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.quality.v1 import suggestions_pb2 as pb
from plaza.quality.v1 import suggestions_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.profile_ports import ProfileWorld
from plaza_quality.usecases.suggestions import Suggestions


class SuggestionServicer(suggestions_pb2_grpc.SuggestionServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: ProfileWorld) -> None:
        self._suggestions = Suggestions(world)

    async def ListRuleSuggestions(
        self, request: pb.ListRuleSuggestionsRequest, rpc: ServicerContext
    ) -> pb.ListRuleSuggestionsResponse:
        return await self._suggestions.page(request)

    async def AcceptRuleSuggestions(
        self, request: pb.AcceptRuleSuggestionsRequest, rpc: ServicerContext
    ) -> pb.AcceptRuleSuggestionsResponse:
        return await self._suggestions.accept(request)
