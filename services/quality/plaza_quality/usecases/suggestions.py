"""Suggested rules: listed, and accepted into the contract by a person."""

from __future__ import annotations

from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import suggestions_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.errors import FieldViolation, InvalidArgument, NotFound
from plaza_kit.names import DatasetName
from plaza_kit.paging import Page

from plaza_quality.domain.suggestions import new_ones
from plaza_quality.storage import profiles
from plaza_quality.usecases.profile_ports import InForce, ProfileWorld
from plaza_quality.usecases.profiles import sight


class NothingProfiled(NotFound):
    """No version of the dataset has a profile."""


class UnknownSuggestion(InvalidArgument):
    """A rule of this id is not suggested."""


class Suggestions:
    """Use cases of people."""

    def __init__(self, world: ProfileWorld) -> None:
        self._world = world

    async def page(self, request: pb.ListRuleSuggestionsRequest) -> pb.ListRuleSuggestionsResponse:
        """Raises NothingProfiled, BadPageToken, and as `sight`."""
        name = DatasetName.parse(request.parent)
        page = Page.of("suggestions", (request.parent,), request.page_size, request.page_token, (0,))
        known = await self._world.contracts.in_force(name)
        found = new_ones(await self._visible(name), known.contract.rules)
        start = int(page.start[0])
        shown, more = page.cut(found[start:])
        for each in shown:
            each.name = f"{name}/ruleSuggestions/{each.rule.id}"
        token = page.token((start + page.size,)) if more else ""
        return pb.ListRuleSuggestionsResponse(suggestions=shown, next_page_token=token)

    async def accept(self, request: pb.AcceptRuleSuggestionsRequest) -> pb.AcceptRuleSuggestionsResponse:
        """Rules that the contract has already, as they were suggested, are taken for accepted: a repeated call changes
        nothing. Raises NothingProfiled, UnknownSuggestion, AioRpcError with the catalogue's refusal, and as `sight`."""
        name = DatasetName.parse(request.parent)
        visible = await self._visible(name)
        known = await self._world.contracts.in_force(name)
        suggested = {each.rule.id: each.rule for each in new_ones(visible, known.contract.rules)}
        present = {rule.id: rule for rule in known.contract.rules}
        as_suggested = {each.rule.SerializeToString(deterministic=True) for each in visible}
        added: list[contract_pb2.QualityRule] = []
        unknown: list[FieldViolation] = []
        for place, wanted in enumerate(request.rules):
            if wanted in suggested:
                added.append(suggested[wanted])
            elif (
                wanted not in present
                or present[wanted].SerializeToString(deterministic=True) not in as_suggested
            ):
                unknown.append(FieldViolation(f"rules[{place}]", f"{wanted} is not suggested"))
        if unknown:
            raise UnknownSuggestion(
                f"rules: not suggested: {', '.join(request.rules[int(v.field[6:-1])] for v in unknown)}",
                remedy=f"list what is: GET /api/v1/{name}/ruleSuggestions",
                violations=tuple(unknown),
            )
        number = known.version
        if added:
            wanted_contract = contract_pb2.Contract()
            wanted_contract.CopyFrom(known.contract)
            wanted_contract.rules.extend(added)
            number = await self._world.contracts.adopt(
                name,
                InForce(wanted_contract, known.version, known.etag),
                request.request_id,
                validate_only=request.validate_only,
            )
        return pb.AcceptRuleSuggestionsResponse(
            contract_version=number, rules=added, validate_only=request.validate_only
        )

    async def _visible(self, name: DatasetName) -> list[pb.RuleSuggestion]:
        seen = await sight(self._world, name)
        async with self._world.world.database.transaction(Scope.department(name.department)) as connection:
            kept = await profiles.newest_suggestions(connection, name)
        if kept is None:
            raise NothingProfiled(
                f"no version of {name} has a profile yet",
                remedy="ask for one: plaza quality profile, or POST …/versions/{version}/profile",
            )
        return [each for each in kept if seen.sees(each.fields)]
