"""Anomalies, in the history of versions and in time series of rows."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import fields
from datetime import timedelta
from typing import Final

from plaza.quality.v1 import anomalies_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.names import DatasetName
from plaza_kit.paging import Page
from plaza_kit.streams import in_thread

from plaza_quality.domain.anomalies import HistoryAnomaly, in_history
from plaza_quality.kernels.series import Options
from plaza_quality.storage import profiles
from plaza_quality.storage.series import MOST_FOUND, SeriesFindings, SeriesQuery, SeriesReading, kinds_of
from plaza_quality.usecases.profile_ports import ProfileWorld
from plaza_quality.usecases.profiles import sight

_MOST_VERSIONS: Final = 400
_RENEW: Final = timedelta(seconds=25)
"""A grant lives for a minute."""


class Anomalies:
    """Use cases of people."""

    def __init__(self, world: ProfileWorld) -> None:
        self._world = world

    async def list(self, request: pb.ListAnomaliesRequest) -> pb.ListAnomaliesResponse:
        """Raises BadPageToken, and as `sight`."""
        name = DatasetName.parse(request.parent)
        page = Page.of("anomalies", (request.parent,), request.page_size, request.page_token, (0,))
        seen = await sight(self._world, name)
        async with self._world.world.database.transaction(Scope.department(name.department)) as connection:
            versions = await profiles.history(connection, name, _MOST_VERSIONS)
        found = [each for each in in_history(versions) if not each.field or seen.sees((each.field,))]
        start = int(page.start[0])
        shown, more = page.cut(found[start:])
        token = page.token((start + page.size,)) if more else ""
        return pb.ListAnomaliesResponse(anomalies=map(_message, shown), next_page_token=token)

    async def find(self, request: pb.FindAnomaliesRequest) -> pb.FindAnomaliesResponse:
        """Raises BadPageToken, NotASeries, SeriesTooLong, TooManySeries, FilterSyntax, and as `read_rows` and security.
        A later page reads the version of the first one again."""
        asked = pb.FindAnomaliesRequest()
        asked.CopyFrom(request)
        for name in ("page_size", "page_token"):
            asked.ClearField(name)
        filters = (asked.SerializeToString(deterministic=True).hex(),)
        page = Page.of(
            "find", filters, request.page_size, request.page_token, (0, request.version), default=100
        )
        start, version = (int(each) for each in page.start)
        found = await self._read(DatasetName.parse(request.parent), version, request)
        shown, more = page.cut(found.anomalies[start:])
        return pb.FindAnomaliesResponse(
            anomalies=shown,
            next_page_token=page.token((start + page.size, found.version)) if more else "",
            version=found.version,
            counts=[
                pb.SeriesAnomalyCount(
                    kind=pb.SeriesAnomalyKind.Value(f"SERIES_ANOMALY_KIND_{kind.upper()}"),
                    anomalies=found.counts[kind],
                    readings=found.readings[kind],
                )
                for kind in sorted(found.counts)
            ],
            series=found.series,
            rows=found.rows,
            cut=found.counts.total() > MOST_FOUND,
        )

    async def _read(
        self, name: DatasetName, version: int, request: pb.FindAnomaliesRequest
    ) -> SeriesFindings:
        world = self._world.world
        query = SeriesQuery(
            time=request.time_field,
            value=request.value_field,
            series=tuple(request.series_fields),
            filter=request.filter,
            kinds=kinds_of(request.kinds),
            options=_options(request.options),
        )
        grant = await world.granting.own(name, version)
        issued = world.now()
        reading = SeriesReading(world.lake, world.grants, grant, query)
        async with aclosing(in_thread(reading.steps)) as steps:
            async for _ in steps:
                if world.now() - issued > _RENEW:
                    # The same scope as the first: the version may have been "the newest".
                    reading.renew(await world.granting.own(name, version))
                    issued = world.now()
        return reading.findings


def _options(message: pb.SeriesOptions) -> Options:
    """What is zero or absent is the default."""
    given = {
        each.name: getattr(message, each.name)
        for each in fields(Options)
        if each.name != "period" and getattr(message, each.name)
    }
    period = message.period.ToMicroseconds() if message.HasField("period") else None
    return Options(period=period, **given)


def _message(anomaly: HistoryAnomaly) -> pb.HistoryAnomaly:
    return pb.HistoryAnomaly(
        version=anomaly.version,
        figure=pb.HistoryFigure.Value(f"HISTORY_FIGURE_{anomaly.figure.upper()}"),
        field=anomaly.field,
        value=anomaly.value,
        expected=anomaly.expected,
        deviation=anomaly.deviation,
    )
