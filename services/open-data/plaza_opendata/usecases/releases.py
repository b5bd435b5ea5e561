"""Releases as departments see them: created through the gates, shown, withdrawn."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import uuid_utils.compat as uuid
from plaza.catalogue.v1 import catalogue_pb2
from plaza.common.v1 import grades_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza.quality.v1 import gates_pb2
from plaza_kit.db import Scope
from plaza_kit.db.jobs import defer_in
from plaza_kit.db.outbox import NewEvent
from plaza_kit.db.requests import is_first, made_by
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_opendata.domain import gates
from plaza_opendata.domain.releases import ReleaseName, State, check_withdrawable
from plaza_opendata.domain.snapshot import snapshot_of
from plaza_opendata.storage import builds, portal, releases, rows
from plaza_opendata.usecases.ports import (
    APPROVED,
    WITHDRAWN,
    EtagMismatch,
    VersionGone,
    VersionReleased,
    World,
    unknown_release,
)

BUILD = "build"
"""Name of the job."""
_NEWEST = (2**31 - 1,)
"""Behind every number, so that the first page starts with the newest."""


class Releases:
    """Use cases of departments."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, request: pb.CreateReleaseRequest) -> pb.Release:
        """Raises GatesNotPassed, VersionGone, VersionReleased, RequestIdReused, and what the peers refuse."""
        name = DatasetName.parse(request.parent)
        principal = self._world.policy.authorize("release.create", Resource.of_dataset(str(name)))
        repeated = await self._repeated(principal, name, request)
        if repeated is not None:
            return repeated
        new = await self._through_the_gates(principal, name, request.release.version)
        run = f"departments/{name.department}/runs/{uuid.uuid7()}"
        run_grant = await self._world.security.run_grant(name, run)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            number = await releases.lock_dataset(connection, name) + 1
            release = ReleaseName(name, number)
            place = (name.department, str(release))
            if await is_first(connection, principal, request.request_id, request, place):
                await _refuse_second(connection, name, new.version)
                await releases.insert(connection, replace(new, name=release))
                await builds.insert(connection, release, run, run_grant)
                event_id = await self._world.outbox.write(connection, _approved_event(release, new))
                job = {"release": str(release), "approval": event_id}
                await defer_in(connection, BUILD, job, lock=str(release))
            else:
                release = ReleaseName.parse(await made_by(connection, principal, request.request_id))
            return await _shown(connection, release)

    async def _repeated(
        self, principal: Principal, name: DatasetName, request: pb.CreateReleaseRequest
    ) -> pb.Release | None:
        """What the same request made before: by now its version is released, and the gates would say so."""
        if not request.request_id:
            return None
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            made = await made_by(connection, principal, request.request_id)
            if not made:
                return None
            await is_first(connection, principal, request.request_id, request, (name.department, made))
            return await _shown(connection, ReleaseName.parse(made))

    async def _through_the_gates(
        self, principal: Principal, name: DatasetName, asked: int
    ) -> releases.NewRelease:
        """Everything that is fixed with the release, with a number that is still to come."""
        facts = self._world.facts
        dataset = await facts.dataset(name)
        version = await self._version(name, dataset, asked)
        number = version.version if version is not None else 0
        assessment = await facts.assessment(name, number) if number else None
        # Only rules in force guard the way out; what they said of the version its assessment keeps.
        guarded = number and any(rule.stops_opening for rule in dataset.contract.rules)
        opening = await facts.opening(name, number) if guarded else gates_pb2.ExitGate()
        gates.check(
            str(name),
            gates.Evidence(
                city_level=dataset.city_level,
                opening_allowed=dataset.opening.allowed,
                licence=dataset.licence,
                asked_version=asked,
                version=number,
                has_rules=bool(dataset.contract.rules),
                assessed=assessment is not None,
                stopped_by=tuple(
                    f"{rule.id} ({rule.title})" if rule.title else rule.id for rule in opening.stopped_by
                ),
                last_good_version=opening.last_good_version,
            ),
        )
        loaded_under = version.contract_version if version is not None else 0
        if loaded_under not in (0, dataset.contract_version):
            # Another contract is in force by now; the one of the rows names the columns of the file.
            dataset.contract.CopyFrom(await facts.contract(name, loaded_under))
        scored = assessment is not None and assessment.HasField("score")
        light = assessment.light if assessment is not None else grades_pb2.LIGHT_UNSPECIFIED
        return releases.NewRelease(
            name=ReleaseName(name, 0),
            version=number,
            row_count=version.rows if version is not None else 0,
            score=assessment.score if assessment is not None and scored else None,
            light=grades_pb2.Light.Name(light).removeprefix("LIGHT_").lower(),
            licence=dataset.licence,
            snapshot=snapshot_of(dataset, await facts.department(name), assessment),
            principal=principal.name,
            now=self._world.now(),
        )

    async def _version(
        self, name: DatasetName, dataset: catalogue_pb2.Dataset, asked: int
    ) -> catalogue_pb2.Version | None:
        if asked:
            found = await self._world.facts.version(name, asked)
            if found is not None and found.state == catalogue_pb2.VERSION_STATE_EXPIRED:
                raise VersionGone(
                    f"version {asked} of {name} expired: {found.expire_rule}",
                    remedy="release the newest version, or another that is still listed as committed",
                    facts={"version": str(asked)},
                )
            return found
        return dataset.latest_version if dataset.HasField("latest_version") else None

    async def get(self, request: pb.GetReleaseRequest) -> pb.Release:
        """Raises UnknownRelease."""
        name = ReleaseName.parse(request.name)
        principal = self._world.policy.authorize("release.read", Resource.of_dataset(str(name.dataset)))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            return await _shown(connection, name)

    async def list(self, request: pb.ListReleasesRequest) -> pb.ListReleasesResponse:
        """Raises BadPageToken."""
        name = DatasetName.parse(request.parent)
        principal = self._world.policy.authorize("release.read", Resource.of_dataset(str(name)))
        page = Page.of("releases", (request.parent,), request.page_size, request.page_token, _NEWEST)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            found = await releases.page(connection, name, int(page.start[0]), page.size + 1)
        items, more = page.cut(found)
        token = page.token((items[-1].release,)) if more else ""
        return pb.ListReleasesResponse(releases=items, next_page_token=token)

    async def withdraw(self, request: pb.WithdrawReleaseRequest) -> pb.Release:
        """Raises UnknownRelease, IllegalTransition, EtagMismatch."""
        name = ReleaseName.parse(request.name)
        principal = self._world.policy.authorize("release.withdraw", Resource.of_dataset(str(name.dataset)))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            row = await releases.find(connection, name)
            if row is not None:
                # The dataset's row first, as everybody takes it, so that nobody waits in a circle.
                await releases.lock_dataset(connection, name.dataset)
                row = await releases.find(connection, name, lock=True)
            if row is None:
                raise unknown_release(name)
            if request.etag and request.etag != rows.etag_of(name, row["revision"]):
                raise EtagMismatch(
                    f"{name} was changed since it was read",
                    remedy="read it again and decide by what it says now",
                )
            check_withdrawable(name, rows.state_of(row))
            latest = await releases.close(connection, name, State.WITHDRAWN, words=request.reason)
            await portal.show(connection, name.dataset, latest)
            event = withdrawn_event(name, request.reason, latest, principal.name)
            await self._world.outbox.write(connection, event)
            shown = await _shown(connection, name)
        self._world.outbox.wake()
        return shown


def withdrawn_event(name: ReleaseName, reason: str, latest: int, principal: str) -> NewEvent:
    """The reason itself may name people: the ledger has its hash."""
    data: dict[str, object] = {
        "dataset": str(name.dataset),
        "release": str(name),
        "reason_sha256": hashlib.sha256(reason.encode()).hexdigest(),
        "latest_release": latest,
    }
    return NewEvent(WITHDRAWN, str(name), data, principal)


def _approved_event(name: ReleaseName, new: releases.NewRelease) -> NewEvent:
    """That a version is about to be released: it must not expire from now on."""
    data: dict[str, object] = {"dataset": str(name.dataset), "release": str(name), "version": new.version}
    return NewEvent(APPROVED, f"{name.dataset}/versions/{new.version}", data, new.principal)


async def _refuse_second(connection: AsyncConnection, name: DatasetName, version: int) -> None:
    row = await releases.of_version(connection, name, version)
    if row is None:
        return
    release, state = rows.name_of(row), rows.state_of(row)
    what = "is being built" if state is State.APPROVED else f"is {state.value}"
    raise VersionReleased(
        f"version {version} of {name} has a release already: {release} {what}",
        remedy="load new data, or withdraw that release first"
        if state is not State.APPROVED
        else "wait until it is published",
        facts={"release": str(release)},
    )


async def _shown(connection: AsyncConnection, name: ReleaseName) -> pb.Release:
    row = await releases.find(connection, name)
    if row is None:
        raise unknown_release(name)
    return rows.release_of(row)
